# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the guest can spare, and the host can back, what a plan asks for."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._bitmap import format_bitmap, parse_bitmap
from .._device.rules import host_backing
from .._errors import VirtmemError
from .._model import (
    SIZE_ALIGNMENT,
    VIRTIO_MEM,
    Definition,
    GuestStatistics,
    HostMemory,
    MemoryDevice,
    Observed,
    about,
    format_size,
    round_down,
    round_up,
)
from .statistics import fresh_statistics
from .steps import Change, DomainPlan, Step

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain, Hypervisor

# Linux needs 1/64 of the memory it manages for struct page (64 bytes for each 4 KiB page).
_PAGE_STRUCTURES: t.Final = 64


def check_guest_memory(
    shrink: int, reserve: int, statistics: GuestStatistics, device: MemoryDevice, memory: int | None = None
) -> None:
    """Refuse a shrink (bytes) that leaves the guest less than `reserve` usable, by its own fresh statistics.

    `memory` is what the guest has without the device, where the option that could help is memory and not requested.
    Source: measured on Linux 6.1 guests: a shrink beyond MemAvailable ends in the guest's OOM killer, not in an error.
    """
    usable = statistics.usable
    if usable is None or usable - shrink >= reserve:
        return
    current = device.current or 0
    lowest = min(round_up(current - max(usable - reserve, 0), device.block), current)
    raise VirtmemError(
        "guest_needs_memory",
        f"The guest has {about(usable)} usable; taking back {format_size(shrink)} would leave it less than its reserve of"
        f" {format_size(reserve)}.",
        hint=f"The lowest value now is {_as_option(lowest, memory)}; or free memory in the guest, lower"
        " guest_reserve, or set check_guest_memory=false.",
        details={"usable": usable, "shrink": shrink, "guest_reserve": reserve, "nearest": lowest},
    )


def check_page_structures(
    growth: int, statistics: GuestStatistics, device: MemoryDevice, memory: int | None = None
) -> None:
    """Refuse growth (bytes) for whose page structures the guest has no memory. See check_guest_memory for `memory`.

    Linux keeps 64 bytes for each page of 4 KiB, and takes them from what it has already if new memory is movable.
    Measured on Linux 6.1: a guest with 129 MiB usable that was asked to take 12 GiB stopped at 7.6 GiB, with a kernel
    that had nothing left. A sixteenth is therefore left to it; what is suggested leaves an eighth, so that it still stands
    when the guest has a little less a moment later.
    """
    usable = statistics.usable
    if usable is None or growth // _PAGE_STRUCTURES <= usable - usable // 16:
        return
    current = device.current or 0
    highest = current + round_down((usable - usable // 8) * _PAGE_STRUCTURES, device.block)
    raise VirtmemError(
        "guest_needs_memory",
        f"The guest would need {format_size(growth // _PAGE_STRUCTURES)} of its own memory to manage"
        f" {format_size(growth)} more, and has {about(usable)} usable.",
        hint=f"The highest value now is {_as_option(highest, memory)}; or set check_guest_memory=false for a"
        " guest that uses new memory for its kernel, too.",
        details={
            "usable": usable,
            "growth": growth,
            "page_structures": growth // _PAGE_STRUCTURES,
            "nearest": highest,
        },
    )


def check_host_memory(growth: int, host: HostMemory, device: MemoryDevice, memory: int | None = None) -> None:
    """Refuse growth (bytes) that the host can't back. See check_guest_memory for `memory`."""
    if growth <= host.available:
        return
    current = device.current or 0
    highest = current + round_down(host.available, device.block)
    raise VirtmemError(
        "host_lacks_memory",
        f"The guest would take {format_size(growth)} more, and the host has {about(host.available)} of {host.kind}.",
        hint=f"The most that it can have now is {_as_option(highest, memory)}; or set check_host_memory=false.",
        details={"growth": growth, "available": host.available, "nearest": highest},
    )


def check_host_nodes(nodeset: str, option: str, nodes: t.Sequence[int]) -> None:
    """`nodes` are those that the host has (none: it does not say). virNumaNodesetIsAvailable says so only at start."""
    missing = sorted(set(parse_bitmap(nodeset)) - set(nodes))
    if nodes and missing:
        raise VirtmemError(
            "unsupported",
            f"{option}: the host has no NUMA node {format_bitmap(missing)}, only {format_bitmap(nodes)}.",
            hint="host_memory_info lists the host's nodes, with the memory of each.",
            details={"option": option, "nodes": list(nodes), "missing": missing},
        )


def _as_option(requested: int, memory: int | None) -> str:
    return f"requested={format_size(requested)}" if memory is None else f"memory={format_size(memory + requested)}"


# Above 4x growth, struct pages alone exceed 1/16 of the memory present (4/64).
_MUCH: t.Final = 4


@dataclass(frozen=True)
class GuestChange:
    """What a plan asks of a running guest. `change` is what it gets, in bytes (negative: gives back), `has` what it has.

    `device` and `memory` are for the hint: see check_guest_memory.
    """

    change: int
    has: int
    reserve: int
    device: MemoryDevice
    memory: int | None = None

    @property
    def is_concern(self) -> bool:
        """Whether the guest's statistics matter at all."""
        return self.change < 0 or self.change > _MUCH * self.has

    def check(self, statistics: GuestStatistics) -> None:
        """Raises VirtmemError(guest_needs_memory)."""
        if self.change < 0:
            check_guest_memory(-self.change, self.reserve, statistics, self.device, self.memory)
        else:
            check_page_structures(self.change, statistics, self.device, self.memory)

    def unguarded(self, live: Definition, statistics: GuestStatistics) -> str | None:
        """What there is to warn of where nobody guards; `statistics` are those that the guest happens to have made."""
        if not live.balloon:
            return None  # nobody could know
        if not statistics.fresh:
            return _UNCHECKED.format("check_guest_memory is false, and the guest has reported nothing lately")
        try:
            self.check(statistics)
        except VirtmemError as error:
            return f"{error.message} Continuing because check_guest_memory=false."
        return None


def guard_guest(
    change: GuestChange, domain: Domain, observed: Observed, clock: Clock, *, check: bool, may_ask: bool
) -> str | None:
    """Raise VirtmemError(guest_needs_memory) if the guest's statistics speak against it; or return a warning.

    `check` is the task's option. Without it nothing is refused, and the guest is not asked for anything.
    """
    if not change.is_concern:
        return None
    live = observed.definitions["live"]
    if not check:
        known = fresh_statistics(domain, live.stats_period, False, clock) if live.balloon else GuestStatistics()
        return change.unguarded(live, known)
    statistics, why_not = _statistics_to_go_by(domain, observed, may_ask, clock)
    if statistics is None:
        return why_not
    change.check(statistics)
    return None


def _statistics_to_go_by(
    domain: Domain, observed: Observed, may_ask: bool, clock: Clock
) -> tuple[GuestStatistics | None, str]:
    """What the running guest says of its memory just now; or None, and a warning that says why it goes unchecked."""
    live = observed.definitions["live"]
    if not live.balloon:
        return usable_statistics(live, GuestStatistics())
    may_ask = may_ask and observed.domain.state == "running"  # a paused guest says nothing new
    return usable_statistics(live, fresh_statistics(domain, live.stats_period, may_ask, clock))


def usable_statistics(live: Definition, statistics: GuestStatistics) -> tuple[GuestStatistics | None, str]:
    """The statistics if they are something to go by; or None, and a warning that says why they are not."""
    if not live.balloon:
        return None, _UNCHECKED.format("the domain has no memory balloon")
    if statistics.usable is None:
        return None, _UNCHECKED.format("the guest reports no statistics")
    if not statistics.fresh:
        return None, _UNCHECKED.format("the guest's statistics are old")
    return statistics, ""


_UNCHECKED: t.Final = "Whether the guest can spare the memory was not checked: {}."


def live_changes(plan: DomainPlan) -> list[tuple[MemoryDevice, int]]:
    """Each live device that the plan asks something of, and the bytes that the guest gets (or gives back, negative)."""
    changes = []
    for step in plan.writes:
        if isinstance(step, Step) and step.scope == "live":
            had = (step.before.current or 0) if step.before else 0
            unasked = step.action != "detach" or bool(plan.match and plan.match.live and not plan.match.live.requested)
            if step.device.model == VIRTIO_MEM and unasked:  # no step before it asks for what the guest still has
                changes.append((step.device, step.device.requested - had))
            elif step.device.model == "dimm":
                changes.append((step.device, -step.device.size if step.action == "detach" else step.device.size))
    return changes


def _growth_of(plan: DomainPlan) -> int:
    """Bytes that the running guest gets on the whole, from its balloon too; negative: it gives back."""
    balloon: int = sum(
        step.after - step.before
        for step in plan.writes
        if isinstance(step, Change) and step.action == "set_balloon" and step.before is not None
    )
    return balloon + sum(growth for _device, growth in live_changes(plan))


def change_of(plan: DomainPlan, live: Definition, reserve: int) -> GuestChange:
    """What the plan asks of the running guest, all devices and the balloon together."""
    has = live.ram + live.current
    return GuestChange(_growth_of(plan), has, reserve, *_as_one(plan, live))


def check_host_backs(plan: DomainPlan, live: Definition, hypervisor: Hypervisor) -> None:
    """Raise VirtmemError(host_lacks_memory); each kind of host memory (node, page size) is looked at by itself."""
    growth: dict[tuple[int | None, str | None], int] = {}
    elastic = set()  # those that a virtio-mem device takes, which can take less
    versions = hypervisor.versions()
    for device, change in live_changes(plan):
        backing = host_backing(live, device, versions)
        growth[backing] = growth.get(backing, 0) + change
        if device.block:
            elastic.add(backing)
    for (page_size, nodes), more in growth.items():
        if more > 0:
            host = hypervisor.host_memory(page_size, parse_bitmap(nodes) if nodes else None)
            if more > host.available and (page_size, nodes) not in elastic:
                raise _no_room_for_dimms(more, host)
            check_host_memory(more, host, *_as_one(plan, live))


def _no_room_for_dimms(growth: int, host: HostMemory) -> VirtmemError:
    fits = round_down(host.available, SIZE_ALIGNMENT)
    return VirtmemError(
        "host_lacks_memory",
        f"The new DIMMs would take {format_size(growth)}, and the host has {about(host.available)} of {host.kind}.",
        hint=f"Together they can have {format_size(fits)}; or set check_host_memory=false.",
        details={"growth": growth, "available": host.available, "nearest": fits},
    )


def _as_one(plan: DomainPlan, live: Definition) -> tuple[MemoryDevice, int | None]:
    """What a hint is about: the one device of the task; else the guest's virtio-mem devices as if they were one, and the
    memory that it has without them."""
    changed = [device for device, _growth in live_changes(plan) if device.block]
    if plan.match and (plan.match.live or changed):
        return plan.match.live or replace(changed[0], current=0), None
    devices = [*live.virtio_mem, *changed]
    block = max((device.block for device in devices), default=SIZE_ALIGNMENT)
    size = sum(device.size for device in devices)
    return MemoryDevice(VIRTIO_MEM, size, block=block, current=live.current), live.ram


def check_nodes(plan: DomainPlan, host_nodes: t.Callable[[], t.Sequence[int]]) -> None:
    """Refuse nodes that the host does not have: libvirt stores them, and does not start the guest.

    `host_nodes` asks for them: a call that most tasks have no need of.
    """
    asked: dict[str, str] = {}
    for scope, after in plan.after.items():
        before = plan.before[scope]
        masks = {device.node_mask for device in before.devices}
        asked.update({mask: "node_mask" for d in after.devices if (mask := d.node_mask) and mask not in masks})
        if after.placement.nodeset and after.placement.nodeset != before.placement.nodeset:
            asked[after.placement.nodeset] = "placement.nodeset"
    if asked:
        nodes = host_nodes()
        for nodeset, option in asked.items():
            check_host_nodes(nodeset, option, nodes)
