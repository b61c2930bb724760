# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""domain_memory from options to result: read, plan, guard, apply, read again."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from .._device.options import ADDRESSES, changed_options
from .._errors import VirtmemError
from .._libvirt.retry import retry_while_busy
from .._model import Definition, MemoryDevice, Observed, Scope
from .._protocol import Domain, Hypervisor
from .._size import parse_size
from .._wait import Clock, WaitOptions
from .._xml.observe import read
from .facts import flat_options, saved_warning
from .guards import change_of, check_host_backs, check_nodes, guard_guest
from .pending import stated_options
from .plan import DomainPlan, PlanInput, plan_domain
from .report import DomainReport
from .spec import DomainSpec, read_domain_spec, resolve_scopes


class DomainMemory:
    """One run of the module. `result` is true at every moment; see _task.Work."""

    def __init__(self, params: t.Mapping[str, t.Any], hypervisor: Hypervisor, check_mode: bool, clock: Clock) -> None:
        self._params = params
        self._hypervisor = hypervisor
        self._check_mode = check_mode
        self._clock = clock
        self._report = DomainReport(params["domain"])
        self.result = self._report.result

    def run(self) -> None:
        params, report = self._params, self._report
        spec = read_domain_spec(params)
        reserve = parse_size(params["guest_reserve"], "guest_reserve")
        domain = retry_while_busy(self._hypervisor.domain(params["domain"]), params["wait_timeout"], self._clock)
        state = domain.state()
        texts, observed = read(domain, state)
        statistics = domain.statistics() if state.active else None
        report.found(state, statistics, observed.definitions)
        scopes = resolve_scopes(params["scope"], state)
        plan = plan_domain(
            PlanInput(
                spec=spec,
                observed=observed,
                scopes=scopes,
                versions=self._hypervisor.versions(),
                thp_size=self._hypervisor.thp_size(),
                actual=statistics.actual if statistics else None,
                session=urlsplit(self._hypervisor.uri).path == "/session",
                restart=params["restart"] == "if_required",
            )
        )
        report.planned(plan, spec)
        for warning in plan.warnings:
            report.warn(warning)
        check_nodes(plan, self._hypervisor)
        self._guard(plan, domain, observed, reserve)
        if state.saved and plan.writes:
            report.warn(saved_warning(state))
        if self._check_mode:
            report.predicted(plan, params["wait"])
        elif not plan.steps:
            report.ended(plan, domain)
        else:
            self._apply(plan, spec, domain, texts)

    def _guard(self, plan: DomainPlan, domain: Domain, observed: Observed, reserve: int) -> None:
        """Refuse what the guest can't spare or the host can't back; a restart asks nothing of the running guest."""
        live = observed.live
        if live is None or plan.restarts:
            return
        if self._params["check_host_memory"]:
            check_host_backs(plan, live, self._hypervisor)
        warning = guard_guest(
            change_of(plan, live, reserve),
            domain,
            observed,
            self._clock,
            check=self._params["check_guest_memory"],
            may_ask=not self._check_mode,
        )
        if warning:
            self._report.warn(warning)

    def _apply(self, plan: DomainPlan, spec: DomainSpec, domain: Domain, texts: t.Mapping[Scope, str]) -> None:
        # A task with nothing to do, the most frequent one, has no use for it.
        from .apply import DomainApplier

        params = self._params
        options = WaitOptions(params["wait"], params["wait_timeout"], params["on_partial"])
        applier = DomainApplier(plan, domain, texts, options, params["shutdown_timeout"], self._clock)
        try:
            applier.carry_out()
        except VirtmemError:
            self._report.failed(plan, domain, applier)
            raise
        after = self._report.ended(plan, domain, applier.done, applier.outcome.stays)
        if applier.done and not applier.fell_short:
            for scope, definition in after.items():
                _check_stuck(scope, plan, definition, spec)
        for warning in applier.outcome.warnings:
            self._report.warn(warning)


def _check_stuck(scope: Scope, plan: DomainPlan, got: Definition, spec: DomainSpec) -> None:
    """Older libvirt drops XML that it does not know, without a word: what was asked for must read back."""
    asked = plan.after[scope]
    wanted, found = flat_options(asked), flat_options(got)
    lost = [
        name
        for name in stated_options(spec, wanted)
        if wanted[name] != found.get(name) and (scope == "config" or name != "balloon.target")
    ]
    before = {device.index: device for device in plan.before[scope].devices}
    for device in asked.devices:
        written = changed_options(before.get(device.index, MemoryDevice(device.model, 0)), device)
        lost += [f"{device.alias or device.model}.{name}" for name in _lost_options(written, device, got, spec)]
    if lost:
        raise VirtmemError(
            "unsupported",
            f"libvirt took the {scope} definition, but not {', '.join(lost)}.",
            hint="Leave the option out, or use a newer libvirt.",
            details={"lost": lost},
        )


def _lost_options(written: t.Sequence[str], asked: MemoryDevice, got: Definition, spec: DomainSpec) -> list[str]:
    """Those of the written options that no device like the one that was asked for has. libvirt chooses addresses."""
    names = [
        name
        for name in written
        if getattr(asked, name) is not None
        and name != "requested"
        and (name not in ADDRESSES or getattr(asked, name) in spec.stated_values(name))
    ]
    twins = [device for device in got.devices if _may_be(device, asked)]
    return min(
        ([name for name in names if getattr(twin, name) != getattr(asked, name)] for twin in twins),
        key=len,
        default=names,
    )


def _may_be(device: MemoryDevice, asked: MemoryDevice) -> bool:
    if asked.user_alias:
        return device.alias == asked.alias
    return device.model == asked.model
