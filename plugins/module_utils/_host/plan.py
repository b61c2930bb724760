# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a host_memory task and what is there to what each guest should have: check mode and the real run share it. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .._domain.plan import plan_domain
from .._domain.spec import DomainSpec, PlanInput
from .._domain.steps import DomainPlan
from .._errors import VirtmemError
from .._model import (
    SIZE_ALIGNMENT,
    Definition,
    GuestStatistics,
    Observed,
    Platform,
    Scope,
    format_size,
    round_down,
    round_up,
)
from .admission import GuestProgress, foreseen
from .allocation import Amounts, Share, allocate
from .limits import HostLimit, HostMemoryTotals, limits_of, moving_backing
from .spec import GuestSpec, HostSpec


@dataclass(frozen=True)
class HostGuest:
    """One guest of the task: what was read of it, and what the task says. `demand` is what it needs now, None: unknown."""

    spec: GuestSpec
    observed: Observed
    scopes: tuple[Scope, ...]
    platform: Platform
    demand: int | None = None

    @property
    def name(self) -> str:
        return self.observed.domain.name

    @property
    def definition(self) -> Definition:
        """The one that the amounts are about: the running guest's, if the task is about that."""
        return self.observed.definitions[self.scopes[0]]

    @property
    def runs(self) -> bool:
        return self.scopes[0] == "live"

    def plan(self, memory: int, scopes: tuple[Scope, ...] | None = None) -> DomainPlan:
        """The steps to `memory`. Raises VirtmemError for whatever would not work."""
        spec = DomainSpec(memory=memory)
        return plan_domain(PlanInput(spec, self.observed, scopes or self.scopes, self.platform))


@dataclass
class HostPlan:
    """`goals` are what the guests get, by name, `plans` the steps to it; `refused` is why one stays as it is."""

    limits: list[HostLimit] = field(default_factory=list)
    shares: dict[str, Share] = field(default_factory=dict)
    goals: Amounts = field(default_factory=dict)
    plans: dict[str, DomainPlan] = field(default_factory=dict)
    refused: dict[str, VirtmemError] = field(default_factory=dict)

    def refuse(self, guest: HostGuest, error: VirtmemError) -> None:
        """Leave the guest as it is; what it has stays its own."""
        self.refused[guest.name] = error
        self.plans.pop(guest.name, None)
        if guest.name in self.shares:
            self.goals[guest.name] = requested_of(guest.definition)


def requested_of(definition: Definition) -> int:
    """What the guest is asked to have."""
    return definition.ram + definition.requested


def current_of(definition: Definition) -> int:
    """What the running guest has."""
    return definition.ram + definition.current


def demand_of(live: Definition, statistics: GuestStatistics, headroom: int) -> int:
    """What the guest uses, by its own fresh statistics, and some headroom. Memory that it left offline is no use to it."""
    used = current_of(live) - (statistics.usable or 0) - (live.offline(statistics) or 0)
    return max(used, 0) + headroom


def plan_host(
    guests: t.Sequence[HostGuest], others: t.Sequence[Definition], spec: HostSpec, totals: HostMemoryTotals
) -> HostPlan:
    """Raises VirtmemError(host_lacks_memory) if the host can't give all guests what they must have."""
    plan = HostPlan()
    members: dict[str, Definition] = {}
    others = list(others)
    for guest in guests:
        try:
            plan.shares[guest.name] = share_of(guest, totals)
            members[guest.name] = guest.definition
        except VirtmemError as error:
            plan.refuse(guest, error)
            others += [guest.observed.live] if guest.observed.live else []
    plan.limits = limits_of(members, others, totals)
    plan.goals = allocate(spec.policy, list(plan.shares.values()), plan.limits)
    for guest in guests:
        if guest.name in plan.shares:
            _plan_guest(plan, guest, plan.goals[guest.name])
    return plan


def _plan_guest(plan: HostPlan, guest: HostGuest, goal: int) -> None:
    try:
        plan.plans[guest.name] = guest.plan(goal)
    except VirtmemError as error:
        plan.refuse(guest, error)


# --------------------------------------------------------------------------------------------------- what one can have


def share_of(guest: HostGuest, totals: HostMemoryTotals) -> Share:
    """What a guest can have, and what the task says of it. Raises VirtmemError where the two contradict each other."""
    definition, spec = guest.definition, guest.spec
    moving_backing(definition, totals)
    block = max((device.block for device in definition.virtio_mem), default=SIZE_ALIGNMENT)
    has = requested_of(definition)
    share = Share(
        name=guest.name,
        fixed=definition.ram,
        block=block,
        minimum=definition.ram,
        maximum=definition.ram + sum(device.capacity for device in definition.virtio_mem),
        weight=spec.weight,
        has=has,
        demand=_demand(guest, has),
    )
    if spec.memory is not None:
        _check_movable(guest, spec.memory)
        guest.plan(spec.memory)
        return replace(share, minimum=spec.memory, maximum=spec.memory)
    return _bounded(guest, share)


def _demand(guest: HostGuest, has: int) -> int:
    """A guest that does not run uses nothing; one that does not say what it uses needs what it has."""
    if not guest.runs:
        return 0
    return has if guest.demand is None else guest.demand


def _check_movable(guest: HostGuest, memory: int) -> None:
    definition = guest.definition
    if not definition.virtio_mem and memory != definition.ram:
        raise VirtmemError(
            "device_not_found",
            f"{guest.name} has no virtio-mem device, and keeps {format_size(definition.ram)}.",
            hint=f"Add one with domain_memory (memory={format_size(memory)}) first.",
            details={"memory": memory, "nearest": definition.ram},
        )


def _bounded(guest: HostGuest, share: Share) -> Share:
    """`min` and `max` in whole blocks, and as far as the devices go; what they leave open is what the guest can have."""
    spec, lowest, highest = guest.spec, share.minimum, share.maximum
    if spec.minimum is not None and spec.minimum > highest:
        _check_movable(guest, spec.minimum)
        raise VirtmemError(
            "exceeds_device_size",
            f"{spec.place}.min: {format_size(spec.minimum)} is more than {guest.name} can have with its virtio-mem devices,"
            f" {format_size(highest)}.",
            hint="A larger or further device needs domain_memory.",
            details={"min": spec.minimum, "nearest": highest},
        )
    if spec.maximum is not None and spec.maximum < lowest:
        raise VirtmemError(
            "immutable",
            f"{spec.place}.max: {format_size(spec.maximum)} is less than boot memory and DIMMs give {guest.name},"
            f" {format_size(lowest)}.",
            hint="domain_memory changes boot memory, at the next start.",
            details={"max": spec.maximum, "nearest": lowest},
        )
    low = lowest + round_up(max(spec.minimum or 0, lowest) - lowest, share.block)
    high = lowest + round_down(min(spec.maximum or highest, highest) - lowest, share.block)
    if low > high:
        raise VirtmemError(
            "not_multiple_of_block",
            f"{spec.place}: {guest.name} can't have anything from {format_size(t.cast(int, spec.minimum))} to"
            f" {format_size(t.cast(int, spec.maximum))} in whole blocks of {format_size(share.block)}.",
            hint=f"Its boot memory and whole blocks make {format_size(high)} or {format_size(low)}.",
            details={"min": spec.minimum, "max": spec.maximum, "block": share.block, "nearest": high},
        )
    return replace(share, minimum=low, maximum=high)


# ------------------------------------------------------------------------------------------------------------ on the way


def progress_of(plan: HostPlan, guest: HostGuest) -> GuestProgress:
    """Where the guest stands before anything is asked. One that does not run claims what it gets at its start."""
    goal = plan.goals[guest.name]
    if not guest.runs:
        return GuestProgress(plan.shares[guest.name], goal, goal, goal)
    return GuestProgress(plan.shares[guest.name], goal, requested_of(guest.definition), current_of(guest.definition))


def predicted(plan: HostPlan, guests: t.Sequence[HostGuest]) -> HostPlan:
    """The plan, with the steps that a real run ends with if all guests follow: a refused shrink leaves others less to grow
    by."""
    members = [guest for guest in guests if guest.name in plan.shares]
    ends = foreseen([progress_of(plan, guest) for guest in members], plan.limits)
    plans = dict(plan.plans)
    for guest in members:
        if guest.name in plans and ends[guest.name] != plan.goals[guest.name]:
            plans[guest.name] = guest.plan(ends[guest.name])
    return replace(plan, plans=plans)


def growth(plan: HostPlan, guests: t.Sequence[HostGuest]) -> list[tuple[HostLimit, int]]:
    """Limits where guests take more of the host than others give back, and how much more."""
    changes = {
        guest.name: plan.goals[guest.name] - current_of(guest.definition)
        for guest in guests
        if guest.runs and guest.name in plan.plans
    }
    sums = [(limit, sum(changes[name] for name in limit.guests & changes.keys())) for limit in plan.limits]
    return [(limit, more) for limit, more in sums if more > 0]
