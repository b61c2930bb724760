# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What the next start of a running guest will bring, of all that a task asks for. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.plugins.module_utils import _arithmetic
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_devices import Match
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_options import (
    ADDRESSES,
    changed_options,
    flat_options,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_wish import Wish
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, MemoryDevice
from ansible_collections.virtmem.libvirt.plugins.module_utils._pairs import pair_lists
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import format_size

_SIZES: t.Final = frozenset(
    {"boot", "size", "block", "requested", "page_size", "align_size", "label_size"}
    | {"hard_limit", "soft_limit", "swap_hard_limit", "target"}
)


def pending_words(live: Definition, config: Definition, wish: Wish, matches: t.Sequence[Match]) -> list[str]:
    """One line for each option of the task in which the guest differs from its next start, in words."""
    coming = _arithmetic.started(config)
    now, then = flat_options(live), flat_options(coming)
    names = set(spoken_of(wish, then))
    if wish.maximum is not None or wish.memory is not None or wish.devices is not None:  # prepared for hotplug
        names |= {name for name in ("maximum.size", "numa") if not now.get(name)}
    words = [
        f"{name}: {_shown(name, then[name])} at the next start"
        for name in sorted(names)
        if name in then and now.get(name) != then[name]
    ]
    if wish.memory is not None or wish.devices is not None:
        words += _device_words(live, coming, wish, matches)
    return words


def spoken_of(wish: Wish, names: t.Iterable[str]) -> list[str]:
    """The options of the task, by the names of flat_options."""
    stated = {f"backing.{name.replace('allocation_', 'allocation.')}" for name in wish.backing or ()}
    stated |= {f"tuning.{name}" for name in wish.tuning or ()}
    stated |= {f"placement.{name}" for name in wish.placement or ()}
    stated |= {f"balloon.{name}" for name in wish.balloon or ()}
    for name, is_stated in (
        ("boot", wish.boot is not None or wish.numa is not None),
        ("numa", wish.boot is not None or wish.numa is not None),
        ("maximum.size", wish.maximum is not None),
        ("maximum.slots", wish.slots is not None),
    ):
        if is_stated:
            stated.add(name)
    return sorted(stated & set(names))


def _shown(name: str, value: object) -> str:
    if isinstance(value, list):
        return "; ".join(_element(name, element) for element in value) or "none"
    if value is None:
        return "unlimited" if name.startswith("tuning.") else "none"
    if isinstance(value, bool):
        return str(value).lower()
    sized = isinstance(value, int) and name.rsplit(".", maxsplit=1)[-1] in _SIZES
    return format_size(t.cast(int, value)) if sized else str(value)


def _element(name: str, element: t.Mapping[str, t.Any]) -> str:
    if name == "numa":
        return f"node {element['id']} with {format_size(element['memory'])}"
    return "pages of the default size" if element["size"] is None else f"pages of {format_size(element['size'])}"


def _device_words(live: Definition, coming: Definition, wish: Wish, matches: t.Sequence[Match]) -> list[str]:
    spoken = {device.index for match in matches if match.wish for device in (match.live,) if device}
    spoken_config = {device.index for match in matches if match.wish for device in (match.config,) if device}
    words: list[str] = []
    for model in dict.fromkeys(device.model for device in (*coming.devices, *live.devices)):
        pairs = pair_lists(
            [device for device in live.devices if device.model == model],
            [device for device in coming.devices if device.model == model],
        )
        for left, right in pairs:
            if right is None:
                if left and wish.purge:
                    words.append(f"{left.alias}: leaves the guest when it is next powered off")
            elif left is None:
                if right.index < 0 or right.index in spoken_config or wish.memory is not None:
                    words.append(f"{_name(right)}: is added at the next start")
            elif wish.memory is not None or left.index in spoken or left.index < 0:
                words += _differences(left, right, wish)
    return words


def _differences(live: MemoryDevice, coming: MemoryDevice, wish: Wish) -> list[str]:
    same = {name: getattr(live, name) for name in ADDRESSES if getattr(coming, name) not in wish.stated_values(name)}
    differing = changed_options(live, replace(coming, **same))
    if not differing:
        return []
    return [
        (
            f"{live.alias}: {', '.join(f'{name}={_shown(name, getattr(coming, name))}' for name in differing)}"
            " at the next start"
        )
    ]


def _name(device: MemoryDevice) -> str:
    return device.alias or device.pci_address or f"a {device.model} device of {format_size(device.size)}"
