# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""`memory`: what the guest shall have now, put on its virtio-mem devices. Pure; sizes are bytes."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils import _capabilities
from ansible_collections.virtmem.libvirt.plugins.module_utils._block import smallest_block
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_wish import DeviceWish, Wish
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import VIRTIO_MEM, Definition, MemoryDevice
from ansible_collections.virtmem.libvirt.plugins.module_utils._rules import SIZE_ALIGNMENT
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import format_size, round_down, round_up
from ansible_collections.virtmem.libvirt.plugins.module_utils._spread import capacity, spread


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
    sources = "boot memory, DIMMs and what devices are asked for" if pinned else "boot memory and DIMMs"
    return VirtmemError(
        "immutable",
        f"memory: {format_size(memory)} is less than {sources} give {definition.name}, {format_size(fixed)}.",
        hint=f"The lowest is {format_size(fixed)}. boot changes what the guest starts with; the rest a balloon can take"
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
            hint="Leave memory out, or leave requested out of a device that shall take the rest.",
            details={"memory": memory, "nearest": fixed},
        )
    room = (definition.maximum or 0) - definition.total
    more = (
        f" maxMemory has room for a further device of {format_size(room)}: name one in domain_memory's devices."
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
    below = memory - left
    near = [below] + ([below + block] if wanted - left + block <= capacity(free) else [])
    nearest = min(near, key=lambda size: abs(size - memory))
    return VirtmemError(
        "not_multiple_of_block",
        f"memory: {format_size(memory)} can't be had in whole blocks of {format_size(block)} on top of boot memory.",
        hint=f"The nearest {'sizes that work are' if len(near) > 1 else 'size that works is'}"
        f" {' and '.join(map(format_size, near))}.",
        details={"memory": memory, "block": block, "nearest": nearest},
    )


def implied_devices(
    wish: Wish, definitions: t.Sequence[Definition], reference: Definition, thp_size: int | None
) -> tuple[DeviceWish, ...]:
    """What `memory` asks for beyond what the task lists: a virtio-mem device in each of the task's `definitions` that
    has none and needs one. A device of one definition is taken over into the other; with none at all, each NUMA node
    of `reference`, the definition as it shall be, gets one. They fill up the maximum, or are just large enough."""
    if wish.memory is None or wish.purge or any(device.model == VIRTIO_MEM for device in wish.devices or ()):
        return ()
    memory = wish.memory
    if not any(memory > definition.ram and not definition.virtio_mem for definition in definitions):
        return ()
    known = max((definition.virtio_mem for definition in definitions), key=len)
    if known:
        return tuple(DeviceWish("memory", VIRTIO_MEM, device.user_alias, {}) for device in known)
    nodes: list[int | None] = [cell.id for cell in reference.cells]
    if not nodes:
        nodes = [0] if _capabilities.needs_cell(reference.arch) else [None]
    size = _implied_size(memory, reference, len(nodes), thp_size)
    return tuple(
        DeviceWish("memory", VIRTIO_MEM, None, {"size": size} if node is None else {"size": size, "node": node})
        for node in nodes
    )


def _implied_size(memory: int, reference: Definition, nodes: int, thp_size: int | None) -> int:
    unit = max(smallest_block(reference, thp_size) or SIZE_ALIGNMENT, SIZE_ALIGNMENT)
    needed = memory - reference.ram
    if reference.maximum is None:
        return round_up(-(-needed // nodes), unit)
    size = round_down((reference.maximum - reference.total) // nodes, unit)
    if size <= 0:
        raise VirtmemError(
            "exceeds_max_memory",
            f"memory: the maximum of {reference.name}, {format_size(reference.maximum)}, leaves no room for a virtio-mem"
            " device.",
            hint=f"Say maximum.size={format_size(memory)} or more.",
            details={"maximum": reference.maximum, "total": reference.total},
        )
    return size


def spread_over(
    wish: Wish, definition: Definition, placed: t.Mapping[str, MemoryDevice], wishes: t.Mapping[str, DeviceWish | None]
) -> dict[str, MemoryDevice]:
    """The devices, by name, with `memory` spread over the virtio-mem ones that the task does not ask for a size of."""
    if wish.memory is None:
        return dict(placed)
    virtio_mem = {name: device for name, device in placed.items() if device.model == VIRTIO_MEM}
    pinned = {name for name in virtio_mem if (found := wishes.get(name)) and "requested" in found.stated}
    free = [name for name in virtio_mem if name not in pinned]
    spread_out = spread_memory(
        wish.memory, definition, [virtio_mem[name] for name in free], [virtio_mem[name] for name in pinned]
    )
    return {**placed, **dict(zip(free, spread_out))}
