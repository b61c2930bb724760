# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the next start of a running guest will bring, of all that a task asks for. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._device.match import Match, pair_lists
from .._device.options import ADDRESSES, SIZES, changed_options
from .._model import Definition, MemoryDevice
from .._size import format_size
from . import sums
from .facts import flat_options
from .spec import DomainSpec

_SIZES: t.Final = SIZES | {"boot", "hard_limit", "soft_limit", "swap_hard_limit", "target"}


def pending_words(live: Definition, config: Definition, spec: DomainSpec, matches: t.Sequence[Match]) -> list[str]:
    """One line for each option of the task in which the guest differs from its next start, in words."""
    coming = sums.started(config)
    now, then = flat_options(live), flat_options(coming)
    names = set(stated_options(spec, then))
    if spec.maximum is not None or spec.memory is not None or spec.devices is not None:  # prepared for hotplug
        names |= {name for name in ("maximum.size", "numa") if not now.get(name)}
    words = [
        f"{name}: {_shown(name, then[name])} at the next start"
        for name in sorted(names)
        if name in then and now.get(name) != then[name]
    ]
    if spec.memory is not None or spec.devices is not None:
        words += _device_words(live, coming, spec, matches)
    return words


def stated_options(spec: DomainSpec, names: t.Iterable[str]) -> list[str]:
    """The options of the task, by the names of flat_options."""
    stated = {f"backing.{name.replace('allocation_', 'allocation.')}" for name in spec.backing or ()}
    stated |= {f"tuning.{name}" for name in spec.tuning or ()}
    stated |= {f"placement.{name}" for name in spec.placement or ()}
    stated |= {f"balloon.{name}" for name in spec.balloon or ()}
    for name, is_stated in (
        ("boot", spec.boot is not None or spec.numa is not None),
        ("numa", spec.boot is not None or spec.numa is not None),
        ("maximum.size", spec.maximum is not None),
        ("maximum.slots", spec.slots is not None),
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


def _device_words(live: Definition, coming: Definition, spec: DomainSpec, matches: t.Sequence[Match]) -> list[str]:
    spoken = {device.index for match in matches if match.spec for device in (match.live,) if device}
    spoken_config = {device.index for match in matches if match.spec for device in (match.config,) if device}
    words: list[str] = []
    for model in dict.fromkeys(device.model for device in (*coming.devices, *live.devices)):
        pairs = pair_lists(
            [device for device in live.devices if device.model == model],
            [device for device in coming.devices if device.model == model],
        )
        for left, right in pairs:
            if right is None:
                if left and spec.purge:
                    words.append(f"{left.alias}: leaves the guest when it is next powered off")
            elif left is None:
                if right.index < 0 or right.index in spoken_config or spec.memory is not None:
                    words.append(f"{_name(right)}: is added at the next start")
            elif spec.memory is not None or left.index in spoken or left.index < 0:
                words += _differences(left, right, spec)
    return words


def _differences(live: MemoryDevice, coming: MemoryDevice, spec: DomainSpec) -> list[str]:
    same = {name: getattr(live, name) for name in ADDRESSES if getattr(coming, name) not in spec.stated_values(name)}
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
    return device.label or f"a {device.model} device of {format_size(device.size)}"
