# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""host_memory from options to result: read all, share the host out, guard, apply, report."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._domain.guards import GuestChange, change_of, usable_statistics
from .._domain.spec import resolve_scopes
from .._domain.statistics import fresh_statistics_of
from .._errors import VirtmemError
from .._model import MIB, Definition, DomainState, GuestStatistics, Platform, Scope, about, format_size
from .._xml.observe import observe, read_definition, read_topology
from .apply import HostApplier, HostWaitOptions
from .guest import GuestResize
from .limits import HostLimit, HostMemoryTotals
from .plan import HostGuest, HostPlan, demand_of, growth, plan_host, predicted, progress_of
from .report import HostReport
from .spec import GuestSpec, HostSpec, chosen, read_host_spec

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain, Hypervisor

# What hugepages without a size are on a host that has none set aside.
_USUAL_HUGE_PAGE: t.Final = 2 * MIB


class HostMemory:
    """One run of the module. `result` is true at every moment; see _protocol.Work."""

    def __init__(self, params: t.Mapping[str, t.Any], hypervisor: Hypervisor, check_mode: bool, clock: Clock) -> None:
        self._params = params
        self._hypervisor = hypervisor
        self._check_mode = check_mode
        self._clock = clock
        self._report = HostReport()
        self._domains: dict[str, Domain] = {}
        self._texts: dict[str, dict[Scope, str]] = {}
        self._statistics: dict[str, GuestStatistics] = {}
        self.result = self._report.result

    def run(self) -> None:
        try:
            self._run(read_host_spec(self._params))
        finally:
            self._report.sum_up()

    def _run(self, spec: HostSpec) -> None:
        guests, others = self._read(spec)
        totals = self._totals(spec)
        if spec.policy == "demand":
            guests = self._with_demand(guests, spec)
        plan = plan_host(guests, others, spec, totals)
        self.result["host"] = totals.facts(plan.limits)
        self._guard(plan, guests, spec)
        plan = predicted(plan, guests)
        self._report.planned(plan)
        if self._check_mode:
            self._report.predicted(plan, self._params["wait"])
        elif not (self._params["on_error"] == "stop" and self._report.failure()):
            self._apply(plan, guests)
        failure = self._report.failure()
        if failure:
            raise failure

    # ------------------------------------------------------------------------------------------------------- reading

    def _read(self, spec: HostSpec) -> tuple[list[HostGuest], list[Definition]]:
        """The guests of the task, and what else runs on the host."""
        entries = self._hypervisor.list_all()
        self._domains = {entry.state.name: entry.domain for entry in entries}
        found, missing = chosen(spec, [entry.state for entry in entries])
        self._platform = Platform(self._hypervisor.versions(), self._hypervisor.thp_size())
        guests = [guest for state, guest_spec in found if (guest := self._read_guest(state, guest_spec))]
        for guest_spec in missing:
            self._miss(guest_spec)
        named = {state.name for state, _spec in found}
        running = [entry.state.name for entry in entries if entry.state.active]
        others = [definition for name in running if name not in named and (definition := self._read_other(name))]
        return guests, others

    def _read_guest(self, state: DomainState, spec: GuestSpec) -> HostGuest | None:
        try:
            scopes = resolve_scopes(self._params["scope"], state)
            self._texts[state.name], observed = observe(self._domains[state.name], state)
        except VirtmemError as error:
            if error.code == "connection_lost":
                raise
            # A pattern means those that it fits; that one is off, or was taken away, is no fault of the task.
            if not spec.is_pattern or error.code not in ("unsupported", "domain_not_found"):
                self._report.lost(state.name, error, state)
            return None
        guest = HostGuest(spec, observed, scopes, self._platform)
        self._report.found(guest)
        return guest

    def _read_other(self, name: str) -> Definition | None:
        try:
            return read_definition(self._domains[name], "live")
        except VirtmemError as error:
            if error.code != "domain_not_found":
                raise
            return None  # it has stopped since the survey

    def _miss(self, spec: GuestSpec) -> None:
        if spec.is_pattern:
            self._report.warn(f"No domain matches the pattern {spec.domain}.")
            return
        error = VirtmemError(
            "domain_not_found",
            f"{self._hypervisor.uri} has no domain {spec.domain!r}.",
            hint=f"Check the name and the option uri; this hypervisor has {len(self._domains)} domains.",
            details={"domain": spec.domain, "uri": self._hypervisor.uri},
        )
        self._report.lost(spec.domain, error)

    def _totals(self, spec: HostSpec) -> HostMemoryTotals:
        topology = read_topology(self._hypervisor)
        pages = [size for node in topology.nodes for size, pool in node.pools.items() if pool]
        default = min(pages, default=_USUAL_HUGE_PAGE)
        return HostMemoryTotals(self._hypervisor.host_total(), spec.reserve, topology, default, self._platform.versions)

    # -------------------------------------------------------------------------------------------- what guests say

    def _ask_for_statistics(self, guests: t.Iterable[HostGuest], may_ask: bool = True) -> None:
        """Fresh ones of each, all at once; those that are known are not asked again."""
        asked = {
            guest.name: (self._domains[guest.name], guest.observed.definitions["live"].stats_period)
            for guest in guests
            if guest.name not in self._statistics and guest.observed.definitions["live"].balloon
        }
        # A paused guest says nothing new; it is waited for like one that does not answer.
        self._statistics.update(fresh_statistics_of(asked, may_ask and not self._check_mode, self._clock))

    def _usable(self, guest: HostGuest) -> tuple[GuestStatistics | None, str]:
        known = self._statistics.get(guest.name, GuestStatistics())
        return usable_statistics(guest.observed.definitions["live"], known)

    def _with_demand(self, guests: t.Sequence[HostGuest], spec: HostSpec) -> list[HostGuest]:
        running = [guest for guest in guests if guest.runs]
        self._ask_for_statistics(running)
        demands: dict[str, int] = {}
        for guest in running:
            statistics, _why_not = self._usable(guest)
            if statistics is not None:
                demands[guest.name] = demand_of(guest.definition, statistics, spec.headroom)
        silent = [guest.name for guest in running if guest.name not in demands]
        if silent:
            self._report.warn(
                f"{', '.join(silent)}: no fresh statistics; what it has now counts as what it needs (policy=demand)."
            )
        return [replace(guest, demand=demands.get(guest.name)) for guest in guests]

    # ----------------------------------------------------------------------------------------------------- guards

    def _guard(self, plan: HostPlan, guests: t.Sequence[HostGuest], spec: HostSpec) -> None:
        """Leave a guest as it is that can't spare what is asked of it; refuse the task if the host can't back it."""
        self._guard_guests(plan, guests, spec)
        if self._params["check_host_memory"]:
            for limit, more in growth(plan, guests):
                self._check_limit(limit, more)

    def _check_limit(self, limit: HostLimit, more: int) -> None:
        """The host must have available what guests take beyond what others give back."""
        host = self._hypervisor.host_memory(limit.page_size, sorted(limit.nodes) if limit.nodes else None)
        if more > host.available:
            raise VirtmemError(
                "host_lacks_memory",
                f"The guests would take {format_size(more)} more than they give back, and the host has"
                f" {about(host.available)} of {host.kind}.",
                hint="Request less, raise reserve, or set check_host_memory=false.",
                details={"growth": more, "available": host.available},
            )

    def _guard_guests(self, plan: HostPlan, guests: t.Sequence[HostGuest], spec: HostSpec) -> None:
        running = [guest for guest in guests if guest.runs and guest.name in plan.plans]
        changes = [(guest, change_of(plan.plans[guest.name], guest.definition, spec.headroom)) for guest in running]
        concerns = [(guest, change) for guest, change in changes if change.is_concern]
        check = self._params["check_guest_memory"]
        self._ask_for_statistics([guest for guest, _change in concerns], may_ask=check)
        warned: dict[str, list[str]] = {}
        for guest, change in concerns:
            try:
                warning = self._guarded(guest, change) if check else self._unguarded(guest, change)
            except VirtmemError as error:
                plan.refuse(guest, error)
                continue
            if warning:
                warned.setdefault(warning, []).append(guest.name)
        for warning, names in warned.items():
            self._report.warn(f"{', '.join(names)}: {warning}")

    def _guarded(self, guest: HostGuest, change: GuestChange) -> str | None:
        statistics, why_not = self._usable(guest)
        if statistics is None:
            return why_not
        change.check(statistics)
        return None

    def _unguarded(self, guest: HostGuest, change: GuestChange) -> str | None:
        known = self._statistics.get(guest.name, GuestStatistics())
        return change.unguarded(guest.observed.definitions["live"], known)

    # ------------------------------------------------------------------------------------------------------ apply

    def _apply(self, plan: HostPlan, guests: t.Sequence[HostGuest]) -> None:
        params, plans = self._params, plan.plans
        ways = [self._way(plan, guest) for guest in guests if guest.name in plans]
        bystanders = [
            progress_of(plan, guest) for guest in guests if guest.name in plan.shares and guest.name not in plans
        ]
        if not any(domain_plan.writes for domain_plan in plans.values()) and all(not way.is_waited_for for way in ways):
            for guest in guests:
                if guest.name in plans:
                    self._report.unchanged(guest)
            return
        options = HostWaitOptions(params["wait"], params["wait_timeout"], params["on_partial"], params["on_error"])
        applier = HostApplier(ways, bystanders, plan.limits, self._hypervisor, options, self._clock)
        try:
            applier.run()
        finally:
            for way in ways:
                self._report.ended(way, plans[way.name])
        for warning in applier.warnings:
            self._report.warn(warning)

    def _way(self, plan: HostPlan, guest: HostGuest) -> GuestResize:
        domain, texts = self._domains[guest.name], self._texts[guest.name]
        return GuestResize(guest, progress_of(plan, guest), domain, texts, self._clock)
