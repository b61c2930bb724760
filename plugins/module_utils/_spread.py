# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Spreading a guest's plugged memory over its virtio-mem devices: evenly by NUMA node, in whole blocks. Pure.

All sizes are bytes.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import MemoryDevice
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import round_down


def capacity(devices: t.Iterable[MemoryDevice]) -> int:
    """The most that the devices can give together, in whole blocks."""
    return sum(round_down(device.size, device.block) for device in devices)


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
    """What each node shall give: never more than it has, and together not more than `wanted`."""
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
    requested = [min(device.requested, round_down(device.size, device.block)) for device in devices]
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
        room = round_down(device.size, device.block) - device.requested
        more = max(min(round_down(left, device.block), room), 0)
        filled.append(replace(device, requested=device.requested + more))
        left -= more
    return tuple(filled), left
