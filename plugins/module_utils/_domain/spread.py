# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`memory`: what the guest should have now, spread over its virtio-mem devices: evenly by NUMA node, in whole blocks. Pure.

All sizes are bytes.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .. import _capabilities
from .._device.match import Match, added
from .._device.spec import DeviceSpec
from .._errors import VirtmemError
from .._model import SIZE_ALIGNMENT, VIRTIO_MEM, Definition, MemoryDevice, Platform, format_size, round_down, round_up
from .spec import DomainSpec, PlanInput


def capacity(devices: t.Iterable[MemoryDevice]) -> int:
    """The most that the devices can give together, in whole blocks."""
    return sum(device.capacity for device in devices)


def spread(wanted: int, devices: t.Sequence[MemoryDevice]) -> tuple[tuple[MemoryDevice, ...], int]:
    """The devices with `requested` such that together they give `wanted`, and what could not be placed.

    Nodes get equal shares, as far as their devices go; what one node can't take goes to the others (max-min
    fairness by water-filling). Within a node growth fills the devices in order, and a shrink empties them from the
    last, so that little moves. A total that is right already is left as it is, however it is spread.
    """
    if sum(device.requested for device in devices) == wanted:
        return tuple(devices), 0
    nodes = sorted({device.node or 0 for device in devices})
    by_node = {node: [device for device in devices if (device.node or 0) == node] for node in nodes}
    shares = _shares(wanted, by_node)
    placed = {
        id(old): new for node, members in by_node.items() for old, new in zip(members, _within(shares[node], members))
    }
    return _fill([placed[id(device)] for device in devices], wanted)


def _shares(wanted: int, by_node: t.Mapping[int, t.Sequence[MemoryDevice]]) -> dict[int, int]:
    """What each node gives: never more than it has, and together not more than `wanted`."""
    room = {node: capacity(devices) for node, devices in by_node.items()}
    grain = {node: min(device.block for device in devices) for node, devices in by_node.items()}
    shares: dict[int, int] = {}
    left = wanted
    for position, node in enumerate(sorted(room, key=lambda node: (room[node], node))):
        fair = left // (len(room) - position)
        shares[node] = min(room[node], round_down(fair, grain[node]))
        left -= shares[node]
    for node in sorted(room):  # what rounding left over, lowest node first
        more = min(round_down(left, grain[node]), room[node] - shares[node])
        shares[node] += more
        left -= more
    return shares


def _within(share: int, devices: t.Sequence[MemoryDevice]) -> list[MemoryDevice]:
    """One node's devices with `share` among them, moving as little as possible."""
    requested = [min(device.requested, device.capacity) for device in devices]
    for position in reversed(range(len(devices))):  # shrink, last device first
        over = max(sum(requested) - share, 0)
        block = devices[position].block
        requested[position] -= min(-(-over // block) * block, requested[position])
    return list(_fill([replace(device, requested=size) for device, size in zip(devices, requested)], share)[0])


def _fill(devices: t.Sequence[MemoryDevice], wanted: int) -> tuple[tuple[MemoryDevice, ...], int]:
    """Give the devices more, in order, until they have `wanted` together; and what is left of it."""
    left = wanted - sum(device.requested for device in devices)
    filled = []
    for device in devices:
        room = device.capacity - device.requested
        more = max(min(round_down(left, device.block), room), 0)
        filled.append(replace(device, requested=device.requested + more))
        left -= more
    return tuple(filled), left


def spread_memory(
    memory: int, definition: Definition, free: t.Sequence[MemoryDevice], pinned: t.Sequence[MemoryDevice]
) -> tuple[MemoryDevice, ...]:
    """The `free` virtio-mem devices such that the guest has `memory` with them. The `pinned` ones give what they do."""
    fixed = definition.ram + sum(device.requested for device in pinned)
    wanted = memory - fixed
    if wanted < 0:
        raise _below(memory, fixed, definition, pinned)
    if wanted > capacity(free):
        raise _above(memory, fixed, definition, free, pinned)
    placed, left = spread(wanted, free)
    if left:
        raise _between(memory, left, wanted, free)
    return placed


def _below(memory: int, fixed: int, definition: Definition, pinned: t.Sequence[MemoryDevice]) -> VirtmemError:
    sources = "boot memory, DIMMs and the devices' requested sizes" if pinned else "boot memory and DIMMs"
    return VirtmemError(
        "immutable",
        f"memory: {format_size(memory)} is less than {sources} give {definition.name}, {format_size(fixed)}.",
        hint=f"The lowest is {format_size(fixed)}. boot changes what the guest starts with; a balloon can take the rest"
        " away (balloon.target).",
        details={"memory": memory, "nearest": fixed},
    )


def _above(
    memory: int, fixed: int, definition: Definition, free: t.Sequence[MemoryDevice], pinned: t.Sequence[MemoryDevice]
) -> VirtmemError:
    most = fixed + capacity(free)
    if pinned and not free:
        return VirtmemError(
            "unsupported",
            f"memory: {format_size(memory)} contradicts devices, which add up to {format_size(fixed)} with boot memory.",
            hint="Omit memory, or omit requested of a device that should take the rest.",
            details={"memory": memory, "nearest": fixed},
        )
    room = (definition.maximum or 0) - definition.total
    more = (
        f" maxMemory has room for a further device of {format_size(room)}: add one with domain_memory's devices."
        if room > 0
        else " More needs a larger maximum and a larger or further device, after a restart."
    )
    return VirtmemError(
        "exceeds_device_size",
        f"memory: {format_size(memory)} is more than {definition.name} can have: boot memory and DIMMs of"
        f" {format_size(definition.ram)} and virtio-mem devices of {format_size(most - definition.ram)}.",
        hint=f"The most is {format_size(most)}." + more,
        details={"memory": memory, "nearest": most, "room": max(room, 0)},
    )


def _between(memory: int, left: int, wanted: int, free: t.Sequence[MemoryDevice]) -> VirtmemError:
    block = min(device.block for device in free)
    below = wanted - left
    # Devices of several block sizes can't give each multiple of the smallest.
    above = (size for size in range(below + block, capacity(free) + 1, block) if not spread(size, free)[1])
    near = [memory - wanted + size for size in (below, next(above, below))]
    nearest = min(near, key=lambda size: abs(size - memory))
    return VirtmemError(
        "not_multiple_of_block",
        f"memory: {format_size(memory)} is not possible in whole blocks of {format_size(block)} on top of boot memory.",
        hint=f"The nearest sizes that work are {' and '.join(map(format_size, near))}.",
        details={"memory": memory, "block": block, "nearest": nearest},
    )


def with_implied(matches: t.Sequence[Match], given: PlanInput, structure: Definition) -> list[Match]:
    """The matches with what `memory` asks for beyond what the task lists: a virtio-mem device in each of the task's
    definitions that has none and needs one. A device of one definition is taken over into the other; with none at all,
    each NUMA node gets one. They fill up the maximum, or are just large enough."""
    spec, memory = given.spec, given.spec.memory or 0
    definitions = [given.definition(scope) for scope in given.scopes]
    listed = any(device.model == VIRTIO_MEM for device in spec.devices or ())
    enough = all(memory <= definition.ram or definition.virtio_mem for definition in definitions)
    if spec.purge or listed or enough:
        return list(matches)
    known = [match for match in matches if match.has(VIRTIO_MEM, given.scopes)]
    if known:
        implied = DeviceSpec("memory", VIRTIO_MEM, None, {})
        return [replace(match, spec=implied) if match in known else match for match in matches]
    reference = _reference(matches, given, structure)
    nodes: list[int | None] = [cell.id for cell in reference.cells]
    if not nodes:
        nodes = [0] if _capabilities.needs_cell(reference.arch) else [None]
    size = _implied_size(memory, reference, len(nodes), given.platform)
    stated = [{"size": size} if node is None else {"size": size, "node": node} for node in nodes]
    return added(matches, [DeviceSpec("memory", VIRTIO_MEM, None, options) for options in stated])


def _reference(matches: t.Sequence[Match], given: PlanInput, structure: Definition) -> Definition:
    """The definition whose room tells how large a device for `memory` can be: the running one if it has some."""
    new = [
        MemoryDevice(match.spec.model, match.spec.stated.get("size", 0))
        for match in matches
        if match.spec and match.is_new
    ]
    live = given.observed.live
    if "live" in given.scopes and live is not None and live.maximum is not None:
        reference = live.with_devices((*live.devices, *new))
        if (given.spec.memory or 0) - reference.ram <= live.maximum - reference.total:
            return reference
    return structure.with_devices((*structure.devices, *new))


def _implied_size(memory: int, reference: Definition, nodes: int, platform: Platform) -> int:
    unit = max(_capabilities.smallest_block(reference.arch, platform) or SIZE_ALIGNMENT, SIZE_ALIGNMENT)
    needed = memory - reference.ram
    if reference.maximum is None:
        return round_up(-(-needed // nodes), unit)
    size = round_down((reference.maximum - reference.total) // nodes, unit)
    if size <= 0:
        raise VirtmemError(
            "exceeds_max_memory",
            f"memory: the maximum of {reference.name}, {format_size(reference.maximum)}, leaves no room for a virtio-mem"
            " device.",
            hint=f"Set maximum.size={format_size(memory)} or more.",
            details={"maximum": reference.maximum, "total": reference.total},
        )
    return size


def spread_over(
    spec: DomainSpec,
    definition: Definition,
    placed: t.Mapping[str, MemoryDevice],
    specs: t.Mapping[str, DeviceSpec | None],
) -> dict[str, MemoryDevice]:
    """The devices, by name, with `memory` spread over the virtio-mem ones that the task does not ask for a size of."""
    if spec.memory is None:
        return dict(placed)
    virtio_mem = {name: device for name, device in placed.items() if device.model == VIRTIO_MEM}
    pinned = {name for name in virtio_mem if (found := specs.get(name)) and "requested" in found.stated}
    free = [name for name in virtio_mem if name not in pinned]
    spread_out = spread_memory(
        spec.memory, definition, [virtio_mem[name] for name in free], [virtio_mem[name] for name in pinned]
    )
    return {**placed, **dict(zip(free, spread_out))}
