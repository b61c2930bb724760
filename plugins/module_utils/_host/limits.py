# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guests may have together: of the host, of its NUMA nodes, of its huge pages. Pure; sizes are bytes.

A guest that may take its memory from several nodes counts where all of them are counted together. By Hall's theorem the
guests fit if, for every set of nodes, the guests bound to it or to a subset fit in it. It suffices to check the bound sets
and the unions of overlapping ones.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._bitmap import format_bitmap, parse_bitmap
from .._device.rules import SMALLEST_PAGE, host_backing
from .._errors import VirtmemError
from .._model import Definition, Facts, HostTopology, MemoryDevice, Versions, format_size
from .allocation import Limit

Nodes = t.Optional[frozenset[int]]
# What memory is: its page size (None: ordinary memory), and the host nodes that it is bound to (None: any).
Backing = tuple[t.Optional[int], Nodes]
Charge = tuple[Backing, int]


@dataclass(frozen=True)
class HostMemoryTotals:
    """All memory of the host, what of it is kept for the host itself, and how it is divided.

    `default_page` is the size of a huge page where a domain does not say which.
    """

    total: int
    reserve: int
    topology: HostTopology
    default_page: int
    versions: Versions

    def of(self, page_size: int | None, nodes: Nodes) -> int:
        """What guests can have of one kind of memory. The reserve is ordinary memory of the host as a whole."""
        inside = [node for node in self.topology.nodes if nodes is None or node.id in nodes]
        if page_size is not None:
            return sum(node.pools.get(page_size, 0) for node in inside)
        huge = sum(sum(node.pools.values()) for node in inside)
        # libvirt's sum over nodes may lack memory that the host got by hotplug: where all count, /proc/meminfo does.
        return self.total - self.reserve - huge if nodes is None else sum(node.total for node in inside) - huge

    def facts(self, limits: t.Sequence[HostLimit]) -> Facts:
        """The host's part of a result; `budget` is what the task's guests may have of its ordinary memory, on all nodes."""
        ordinary = next(limit for limit in limits if limit.page_size is None and limit.nodes is None)
        return {
            "total": self.total,
            "reserve": self.reserve,
            "others": self.of(None, None) - ordinary.size,
            "budget": ordinary.size,
            "limits": [{"where": limit.where, "size": limit.size} for limit in limits],
        }


@dataclass(frozen=True)
class HostLimit(Limit):
    """A limit, and which memory of the host it is about."""

    page_size: int | None = None
    nodes: Nodes = None


def moving_backing(definition: Definition, totals: HostMemoryTotals) -> Backing | None:
    """What a guest's virtio-mem devices take together; None if it has none."""
    backings = [_backing(definition, device, totals) for device in definition.virtio_mem]
    if not backings:
        return None
    if len({page_size for page_size, _nodes in backings}) > 1:
        raise VirtmemError(
            "unsupported",
            f"{definition.name} has virtio-mem devices with pages of different sizes, and host_memory can't resize such a guest.",
            hint="Remove it from domains, and resize its devices with domain_memory or virtio_mem_device.",
        )
    sets = [nodes for _page_size, nodes in backings]
    return backings[0][0], None if None in sets else frozenset().union(*t.cast("list[frozenset[int]]", sets))


def fixed_charges(definition: Definition, totals: HostMemoryTotals) -> list[Charge]:
    """Boot memory, by guest node, and DIMMs."""
    boot = [MemoryDevice("dimm", cell.memory, node=cell.id) for cell in definition.cells]
    boot = boot or [MemoryDevice("dimm", definition.boot)]
    dimms = [device for device in definition.devices if device.model == "dimm"]
    return [(_backing(definition, device, totals), device.size) for device in (*boot, *dimms)]


def all_charges(definition: Definition, totals: HostMemoryTotals) -> list[Charge]:
    """All that a running guest has or may take at any time: what is plugged, and what is requested, if that is more."""
    plugged = [
        (_backing(definition, device, totals), max(device.requested, device.current or 0))
        for device in definition.virtio_mem
    ]
    return [*fixed_charges(definition, totals), *plugged]


def _backing(definition: Definition, device: MemoryDevice, totals: HostMemoryTotals) -> Backing:
    page_size, nodes = host_backing(definition, device, totals.versions)
    if page_size is not None and page_size <= SMALLEST_PAGE:
        page_size = totals.default_page if page_size == 0 else None
    return page_size, frozenset(parse_bitmap(nodes)) if nodes else None


def limits_of(
    members: t.Mapping[str, Definition], others: t.Sequence[Definition], totals: HostMemoryTotals
) -> list[HostLimit]:
    """The limits of the task's guests, by name; what running guests that are not of the task have is taken off before.

    A guest's amount has its boot memory in it, so where that is of another kind than its devices, the limit grows by it.
    """
    moving = {name: moving_backing(definition, totals) or (None, None) for name, definition in members.items()}
    fixed = {name: fixed_charges(definition, totals) for name, definition in members.items()}
    taken = [charge for definition in others for charge in all_charges(definition, totals)]
    limits = []
    for kind in _kinds(moving.values(), totals.topology):
        guests = frozenset(name for name, backing in moving.items() if _within(backing, kind))
        size = totals.of(*kind) - _sum(taken, kind)
        for name, charges in fixed.items():
            size -= _sum(charges, kind)
            size += sum(charge for _backing, charge in charges) if name in guests else 0
        limits.append(HostLimit(guests, size, _words(kind), kind[0], kind[1]))
    return limits


def _kinds(backings: t.Iterable[Backing], topology: HostTopology) -> list[Backing]:
    """Every kind of memory that has to be looked at; the host's ordinary memory first, and always."""
    every = frozenset(node.id for node in topology.nodes)
    kinds: set[Backing] = {(None, None)}
    for page_size, nodes in backings:
        kinds |= {(page_size, None), (page_size, None if nodes is None or nodes >= every else nodes)}
    added = True
    while added:
        unions = {
            (page_size, one | other)
            for page_size, one in kinds
            for other_size, other in kinds
            if page_size == other_size and one is not None and other is not None and one & other and one | other < every
        }
        added = not unions <= kinds
        kinds |= unions
    return sorted(kinds, key=lambda kind: (kind[0] or 0, sorted(kind[1] or ())))


def _within(backing: Backing, kind: Backing) -> bool:
    nodes = kind[1]
    return backing[0] == kind[0] and (nodes is None or (backing[1] is not None and backing[1] <= nodes))


def _sum(charges: t.Iterable[Charge], kind: Backing) -> int:
    return sum(size for backing, size in charges if _within(backing, kind))


def _words(kind: Backing) -> str:
    page_size, nodes = kind
    where = (
        "the host" if nodes is None else f"NUMA node{'s' if len(nodes) > 1 else ''} {format_bitmap(nodes)} of the host"
    )
    return where if page_size is None else f"the pool of {format_size(page_size)} pages of {where}"
