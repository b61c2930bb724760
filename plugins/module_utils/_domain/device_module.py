# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""virtio_mem_device from options to result: read, plan, guard, apply, read again."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._bitmap import parse_bitmap
from .._device.options import VIRTIO_MEM_OPTIONS
from .._device.rules import host_backing
from .._device.spec import read_options
from .._device.values import normal_node_mask
from .._errors import VirtmemError
from .._libvirt.retry import retry_while_busy
from .._model import Observed, Scope
from .._protocol import Domain, Hypervisor
from .._size import about, parse_size
from .._wait import Clock, WaitOptions
from .._xml import document
from .._xml.observe import read
from .device_plan import Desired, Plan, plan_device
from .device_report import DeviceReport
from .facts import device_facts, saved_warning
from .guards import GuestChange, check_host_memory, check_host_nodes, guard_guest, offline_memory
from .spec import resolve_scopes


def desired_from(params: t.Mapping[str, t.Any]) -> Desired:
    """The task's wishes as data. Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    values = read_options({name: params[name] for name in VIRTIO_MEM_OPTIONS if name != "node_mask"})
    if params["node_mask"] is not None:
        values["node_mask"] = normal_node_mask(params["node_mask"])
    return Desired(present=params["state"] == "present", alias=params["alias"], **values)


class VirtioMemDevice:
    """One run of the module. `result` is true at every moment; see _task.Work."""

    def __init__(self, params: t.Mapping[str, t.Any], hypervisor: Hypervisor, check_mode: bool, clock: Clock) -> None:
        self._params = params
        self._hypervisor = hypervisor
        self._check_mode = check_mode
        self._clock = clock
        self._report = DeviceReport(params["domain"])
        self.result = self._report.result

    def run(self) -> None:
        params, report = self._params, self._report
        desired = desired_from(params)
        reserve = parse_size(params["guest_reserve"], "guest_reserve")
        domain = retry_while_busy(self._hypervisor.domain(params["domain"]), params["wait_timeout"], self._clock)
        state = domain.state()
        report.found(state)
        scopes = resolve_scopes(params["scope"], state)
        texts, observed = read(domain, state)
        hypervisor = self._hypervisor
        plan = plan_device(desired, observed, scopes, hypervisor.versions(), hypervisor.thp_size(), params["wait"])
        report.planned(plan, desired)
        if plan.stays and params["scope"] == "live":
            raise _cannot_unplug(plan)
        if plan.writes and desired.node_mask is not None:
            nodes = document.parse_capabilities(self._hypervisor.capabilities()).node_ids
            check_host_nodes(desired.node_mask, "node_mask", nodes)
        self._guard_host(plan, observed)  # first: it asks the guest for nothing
        self._guard_guest(plan, domain, observed, reserve)
        if state.saved and plan.writes:
            report.warn(saved_warning(state))
        if self._check_mode or not plan.steps:
            report.predicted(plan, params["wait"])
        else:
            self._apply(plan, desired, domain, texts)
        self._look_for_offline(plan, domain, observed)

    # ------------------------------------------------------------------------------------------------------- guards

    def _guard_guest(self, plan: Plan, domain: Domain, observed: Observed, reserve: int) -> None:
        """Refuse what the guest's statistics speak against; warn where there are none to go by."""
        live, device, coming = observed.live, plan.before.get("live"), plan.after.get("live")
        if device is None and coming is not None:
            device = replace(coming, current=0)
        if live is None or device is None:
            return
        has = live.boot + live.current
        change = GuestChange(plan.live_change, has, reserve, device)
        warning = guard_guest(
            change,
            domain,
            observed,
            self._clock,
            check=self._params["check_guest_memory"],
            may_ask=not self._check_mode,
        )
        if warning:
            self._report.warn(warning)

    def _guard_host(self, plan: Plan, observed: Observed) -> None:
        growth, after = plan.live_change, plan.after.get("live")
        if growth <= 0 or after is None or not self._params["check_host_memory"]:
            return
        page_size, nodes = host_backing(observed.definitions["live"], after, self._hypervisor.versions())
        host = self._hypervisor.host_memory(page_size, parse_bitmap(nodes) if nodes else None)
        check_host_memory(growth, host, plan.before["live"] or replace(after, current=0))

    def _look_for_offline(self, plan: Plan, domain: Domain, observed: Observed) -> None:
        """Plugged is not usable: a guest without a policy leaves it offline (Debian 12), and nothing reports an error.

        Only where statistics come by themselves, and are not older than the last change.
        """
        definition = observed.live
        if plan.writes or definition is None or not plan.before.get("live") or not definition.stats_period:
            return
        offline = offline_memory(domain.statistics(), definition)
        for facts in (self.result["device"], self.result["after"]["live"]):
            facts["offline_in_guest"] = offline
        if offline:
            self._report.warn(
                f"The guest has plugged its memory, but left about {about(offline)} of it offline, and can't use it."
                " A policy in the guest helps: kernel option memhp_default_state=online_movable."
            )

    # -------------------------------------------------------------------------------------------------------- apply

    def _apply(self, plan: Plan, desired: Desired, domain: Domain, texts: t.Mapping[Scope, str]) -> None:
        # A task with nothing to do, the most frequent one, has no use for it.
        from .apply import Applier

        params = self._params
        options = WaitOptions(params["wait"], params["wait_timeout"], params["on_partial"])
        applier = Applier(plan, domain, texts, options, self._clock)
        try:
            applier.run()
        except VirtmemError:
            self._report.failed(plan, domain, applier.outcome)
            raise
        self._report.ended(plan, domain, applier.outcome)
        self._check_stuck(plan, desired)
        for warning in applier.outcome.warnings:
            self._report.warn(warning)

    def _check_stuck(self, plan: Plan, desired: Desired) -> None:
        """Older libvirt drops XML that it does not know, without a word: what was asked for must read back."""
        for scope, wanted in plan.after.items():
            got, asked = self.result["after"][scope], device_facts(wanted)
            if got is None or asked is None or not any(s.action in ("attach", "redefine") for s in plan.writes):
                continue
            lost = [name for name in desired.stated() if name != "requested" and got[name] != asked[name]]
            if lost:
                self.result["converged"] = False
                raise VirtmemError(
                    "unsupported",
                    f"libvirt took the device into the {scope} definition, but dropped {', '.join(lost)}.",
                    hint="Leave the option out, or use a newer libvirt.",
                    details={name: {"asked": asked[name], "got": got[name]} for name in lost},
                )


def _cannot_unplug(plan: Plan) -> VirtmemError:
    return VirtmemError(
        "unplug_unsupported",
        f"The device can't be unplugged from the running guest: {plan.stays}.",
        hint="Say requested=0 to take all its memory back, or scope=auto to take it out of the stored definition, too:"
        " it then leaves at the next power-off.",
        details={"reason": plan.stays},
    )
