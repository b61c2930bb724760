# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""domain_memory from options to result: read, plan, guard, apply, report."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from .._errors import VirtmemError
from .._libvirt.retry import retry_while_busy
from .._model import Definition, Observed, Platform, Scope
from .._wait import WaitOptions
from .._xml.observe import observe, read_topology
from .facts import domain_facts, saved_warning
from .pending import dropped_options
from .plan import plan_domain
from .report import EMPTY, DomainView, Report
from .spec import DomainSpec, PlanInput, read_domain_spec, read_reserve, resolve_scopes
from .steps import DomainPlan

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain, Hypervisor


class DomainMemory:
    """One run of the module. `result` is true at every moment; see _protocol.Work."""

    empty = EMPTY
    reads_statistics = True

    def __init__(self, params: t.Mapping[str, t.Any], hypervisor: Hypervisor, check_mode: bool, clock: Clock) -> None:
        self._params = params
        self._hypervisor = hypervisor
        self._check_mode = check_mode
        self._clock = clock
        self._report = Report(params["domain"], self.empty)
        self.result = self._report.result

    # ---------------------------------------------------------------------------------- what a noun has of its own

    def spec(self) -> DomainSpec:
        """The task as data. Raises VirtmemError for an option that can't be read."""
        return read_domain_spec(self._params)

    def view(self, spec: DomainSpec) -> DomainView:
        return DomainView(spec)

    def ends(self, plan: DomainPlan, domain: Domain) -> None:
        """What is left to say when all is done."""

    # ------------------------------------------------------------------------------------------------------ the road

    def run(self) -> None:
        params, report = self._params, self._report
        spec = self.spec()
        reserve = read_reserve(params)
        domain = retry_while_busy(self._hypervisor.domain(params["domain"]), params["wait_timeout"], self._clock)
        state = domain.state()
        self.result["domain"] = domain_facts(state)
        texts, observed = observe(domain, state)
        statistics = domain.statistics() if self.reads_statistics and state.active else None
        report.found(state, self.view(spec), observed.definitions, statistics)
        plan = plan_domain(self._input(spec, observed, statistics.actual if statistics else None))
        report.planned(plan, spec.target)
        for warning in plan.warnings:
            report.warn(warning)
        if plan.writes:
            self._guard(plan, domain, observed, reserve)
        if self._check_mode:
            report.predicted(plan, params["wait"])
        elif not plan.steps:
            report.ended(plan, domain)
        else:
            self._apply(plan, spec, domain, texts)
        self.ends(plan, domain)

    def _input(self, spec: DomainSpec, observed: Observed, actual: int | None) -> PlanInput:
        params, hypervisor = self._params, self._hypervisor
        session = urlsplit(hypervisor.uri).path == "/session"
        return PlanInput(
            spec=spec,
            observed=observed,
            scopes=resolve_scopes(params["scope"], observed.domain),
            platform=Platform(hypervisor.versions(), hypervisor.thp_size(), session),
            actual=actual,
            restart=params.get("restart") == "if_required",
            wait=params["wait"],
            live_only=params["scope"] == "live",
        )

    def _guard(self, plan: DomainPlan, domain: Domain, observed: Observed, reserve: int) -> None:
        """Refuse what the guest can't spare or the host can't back; a restart asks nothing of the running guest."""
        from .guards import change_of, check_host_backs, check_nodes, guard_guest

        live = observed.live
        check_nodes(plan, lambda: read_topology(self._hypervisor).node_ids)
        if observed.domain.saved:
            self._report.warn(saved_warning(observed.domain))
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
        from .apply import Applier

        params = self._params
        options = WaitOptions(params["wait"], params["wait_timeout"], params["on_partial"])
        applier = Applier(plan, domain, texts, options, self._clock, params.get("shutdown_timeout") or 0)
        try:
            applier.run()
        except VirtmemError:
            self._report.failed(plan, domain, applier.outcome)
            raise
        after = self._report.ended(plan, domain, applier.outcome)
        if applier.outcome.done and (spec.one_device or not applier.outcome.fell_short):
            for scope, definition in after.items():
                self._check_stuck(scope, plan, definition, spec)
        for warning in applier.outcome.warnings:
            self._report.warn(warning)

    def _check_stuck(self, scope: Scope, plan: DomainPlan, got: Definition, spec: DomainSpec) -> None:
        """Older libvirt silently drops XML that it does not know: what was written must read back."""
        lost = dropped_options(plan.before[scope], plan.after[scope], got, spec, scope)
        if lost:
            self.result["converged"] = False
            raise VirtmemError(
                "unsupported",
                f"libvirt accepted the {scope} definition, but dropped {', '.join(lost)}.",
                hint="Omit the option, or use a newer libvirt.",
                details={"lost": lost},
            )
