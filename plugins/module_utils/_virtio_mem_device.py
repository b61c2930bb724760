# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""virtio_mem_device from options to result: read, plan, guard, apply, read again."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils import _result, _rules, _xml
from ansible_collections.virtmem.libvirt.plugins.module_utils._apply import Applier, Outcome, WaitOptions, find_device
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._guest import offline_memory
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Definition,
    DomainState,
    MemoryDevice,
    Observed,
    Scope,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._plan import SIZE_OPTIONS, Desired, Plan, plan_device
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Domain, Hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import about, parse_size
from ansible_collections.virtmem.libvirt.plugins.module_utils._wait import Clock, fresh_statistics

EMPTY: t.Final[t.Mapping[str, t.Any]] = {
    "changed": False,
    "domain": None,
    "before": {"live": None, "config": None},
    "after": {"live": None, "config": None},
    "device": None,
    "steps": [],
    "converged": False,
    "restart_required": False,
    "pending": [],
    "diff": {"before": "", "after": ""},
}


def desired_from(params: t.Mapping[str, t.Any]) -> Desired:
    """The task's wishes as data. Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    values: dict[str, t.Any] = {}
    for name in ("alias", "node", "access", "discard", "dynamic_memslots"):
        values[name] = params[name]
    for name in SIZE_OPTIONS:
        values[name] = None if params[name] is None else parse_size(params[name], name)
    for name, read in (
        ("node_mask", _rules.normal_node_mask),
        ("guest_address", _rules.normal_guest_address),
        ("pci_address", _rules.normal_pci_address),
    ):
        values[name] = None if params[name] is None else read(params[name])
    return Desired(present=params["state"] == "present", **values)


class VirtioMemDevice:
    """One run of the module. `result` is true at every moment; see _task.Work."""

    def __init__(self, params: t.Mapping[str, t.Any], hypervisor: Hypervisor, check_mode: bool, clock: Clock) -> None:
        self.result: dict[str, t.Any] = dict(EMPTY, _warnings=[])
        self._params = params
        self._hypervisor = hypervisor
        self._check_mode = check_mode
        self._clock = clock

    def run(self) -> None:
        params = self._params
        self.result["domain"] = {"name": params["domain"], "uuid": None, "state": None}
        desired = desired_from(params)
        reserve = parse_size(params["guest_reserve"], "guest_reserve")
        domain = self._hypervisor.domain(params["domain"])
        state = domain.state()
        self.result["domain"] = _result.domain_facts(state)
        scopes = _rules.resolve_scopes(params["scope"], state)
        texts, observed = read(domain, state)
        plan = plan_device(desired, observed, scopes, self._hypervisor.versions(), self._hypervisor.thp_size())
        self._report_plan(plan, desired, state)
        if plan.stays and params["scope"] == "live":
            raise _cannot_unplug(plan)
        self._guard_guest(plan, domain, observed, reserve)
        self._guard_host(plan, observed)
        if self._check_mode:
            return
        self._apply(plan, desired, domain, texts)
        self._report_offline(plan, domain, observed)

    # ------------------------------------------------------------------------------------------------------- guards

    def _guard_guest(self, plan: Plan, domain: Domain, observed: Observed, reserve: int) -> None:
        """Refuse a shrink that the guest's statistics speak against; warn where there are none to go by."""
        shrink, live = -plan.live_change, plan.before.get("live")
        if shrink <= 0 or live is None or not self._params["check_guest_memory"]:
            return
        definition = t.cast(Definition, observed.live)
        if not definition.balloon:
            self._warn(_UNCHECKED.format("the domain has no memory balloon to ask"))
            return
        statistics = fresh_statistics(domain, definition.stats_period, not self._check_mode, self._clock)
        if statistics.usable is None:
            self._warn(_UNCHECKED.format("the guest reports no statistics"))
        elif not statistics.fresh:
            self._warn(_UNCHECKED.format("the guest's statistics are old"))
        else:
            _rules.check_guest_memory(shrink, reserve, statistics, live)

    def _guard_host(self, plan: Plan, observed: Observed) -> None:
        growth, after = plan.live_change, plan.after.get("live")
        if growth <= 0 or after is None or not self._params["check_host_memory"]:
            return
        page_size, nodes = _rules.host_backing(t.cast(Definition, observed.live), after)
        host = self._hypervisor.host_memory(page_size, _xml.parse_set(nodes) if nodes else None)
        _rules.check_host_memory(growth, host, plan.before["live"] or after)

    def _warn(self, text: str) -> None:
        self.result["_warnings"].append(text)

    # -------------------------------------------------------------------------------------------------------- apply

    def _apply(self, plan: Plan, desired: Desired, domain: Domain, texts: t.Mapping[Scope, str]) -> None:
        params = self._params
        options = WaitOptions(params["wait"], params["wait_timeout"], params["on_partial"])
        applier = Applier(plan, domain, texts, options, self._clock)
        try:
            applier.run()
        except VirtmemError:
            self._try_report_outcome(plan, desired, domain, applier.outcome)
            raise
        if plan.steps:
            self._report_outcome(plan, desired, domain, applier.outcome)
            self._check_stuck(plan, desired)
        for warning in applier.outcome.warnings:
            self._warn(warning)

    def _check_stuck(self, plan: Plan, desired: Desired) -> None:
        """Older libvirt drops XML that it does not know, without a word: what was asked for must read back."""
        for scope, wanted in plan.after.items():
            got, asked = self.result["after"][scope], _result.device_facts(wanted)
            if got is None or asked is None or not any(s.action in ("attach", "redefine") for s in plan.writes):
                continue
            lost = [name for name in desired.stated() if name != "requested" and got[name] != asked[name]]
            if lost:
                raise VirtmemError(
                    "unsupported",
                    f"libvirt took the device into the {scope} definition, but dropped {', '.join(lost)}.",
                    hint="Leave the option out, or use a newer libvirt.",
                    details={name: {"asked": asked[name], "got": got[name]} for name in lost},
                )

    # ------------------------------------------------------------------------------------------------------- report

    def _report_plan(self, plan: Plan, desired: Desired, state: DomainState) -> None:
        """The result of check mode, and of a run that has nothing to do."""
        live = plan.before.get("live")
        self.result["before"] = _result.both_facts(plan.before)
        self._report_state(plan, desired, plan.after if self._check_mode or not plan.steps else plan.before)
        self.result["steps"] = _result.steps_facts(plan.writes, [])
        if self._check_mode:
            self.result["changed"] = bool(plan.writes)
            if not self._params["wait"] and plan.target is not None and live is not None:
                self.result["converged"] = live.current == plan.target
        self.result["domain"] = _result.domain_facts(state)

    def _report_state(self, plan: Plan, desired: Desired, after: _result.Devices) -> None:
        self.result["after"] = _result.both_facts(after)
        self.result["device"] = _result.device_facts(after.get("live") or after.get("config"))
        self.result["diff"] = _result.diff(plan.before, after, desired.stated(), self._title(plan))
        self.result["pending"] = list(plan.pending)
        self.result["restart_required"] = bool(plan.pending)
        live = after.get("live")
        self.result["converged"] = plan.target is None or (
            live.current == live.requested == plan.target if live else plan.target == 0
        )

    def _report_offline(self, plan: Plan, domain: Domain, observed: Observed) -> None:
        """Plugged is not usable: a guest without a policy leaves it offline (Debian 12), and nothing reports an error.

        Only where statistics come by themselves, and are not older than the last change.
        """
        definition = observed.live
        if plan.writes or definition is None or not plan.after.get("live") or not definition.stats_period:
            return
        offline = offline_memory(domain.statistics(), definition)
        self.result["device"]["offline_in_guest"] = offline
        if offline:
            self._warn(
                f"The guest has plugged its memory, but left about {about(offline)} of it offline, and can't use it."
                " A policy in the guest helps: kernel option memhp_default_state=online_movable."
            )

    def _title(self, plan: Plan) -> str:
        device = next((device for device in [*plan.before.values(), *plan.after.values()] if device), None)
        return f"{self.result['domain']['name']} {device.alias or device.pci_address if device else ''}".strip()

    def _report_outcome(self, plan: Plan, desired: Desired, domain: Domain, outcome: Outcome) -> None:
        self.result["steps"] = _result.steps_facts(plan.writes, outcome.done)
        after = self._read_after(plan, domain)
        self._report_state(plan, desired, after)
        if outcome.stays and not plan.stays and after.get("live"):
            self.result["restart_required"] = True
            self.result["pending"].append(f"{t.cast(MemoryDevice, after['live']).alias}: {outcome.stays}")
        self.result["changed"] = bool(outcome.done) and _changed(plan.before, after)

    def _try_report_outcome(self, plan: Plan, desired: Desired, domain: Domain, outcome: Outcome) -> None:
        """The same after a failure: what is known for sure, even if the domain can't be read any more."""
        try:
            self._report_outcome(plan, desired, domain, outcome)
        except VirtmemError:
            self.result["changed"] = bool(outcome.done)
            self.result["converged"] = False

    def _read_after(self, plan: Plan, domain: Domain) -> dict[Scope, MemoryDevice | None]:
        after: dict[Scope, MemoryDevice | None] = {}
        for scope in plan.scopes:
            device = plan.before[scope] or next((s.device for s in plan.writes if s.scope == scope), None)
            definition = _xml.parse_definition(domain.xml(scope))
            after[scope] = find_device(definition, device) if device else None
        return after


def _changed(before: _result.Devices, after: _result.Devices) -> bool:
    """Whether anything but the guest's own progress differs."""

    def facts(devices: _result.Devices) -> list[t.Any]:
        return [dict(device, current=None) if device else None for device in _result.both_facts(devices).values()]

    return facts(before) != facts(after)


def _cannot_unplug(plan: Plan) -> VirtmemError:
    return VirtmemError(
        "unplug_unsupported",
        f"The device can't be unplugged from the running guest: {plan.stays}.",
        hint="Say requested=0 to take all its memory back, or scope=auto to take it out of the stored definition, too:"
        " it then leaves at the next power-off.",
    )


def read(domain: Domain, state: DomainState) -> tuple[dict[Scope, str], Observed]:
    """Each definition that there is, once: as text, for editing, and as model."""
    texts: dict[Scope, str] = {}
    if state.active:
        texts["live"] = domain.xml("live")
    if state.persistent:
        texts["config"] = domain.xml("config")
    models = {scope: _xml.parse_definition(text) for scope, text in texts.items()}
    return texts, Observed(state, models.get("live"), models.get("config"))


_UNCHECKED: t.Final = "Whether the guest can spare the memory was not checked: {}."
