# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a task is not so, for all its writes: what waits for the next start, and what libvirt dropped. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from .._device.match import ADDRESSES, Match, changed_options, pair_lists
from .._model import Definition, MemoryDevice, Record, Scope, format_size
from .._option_table import SIZES
from . import sums
from .spec import DomainSpec

_SIZES: t.Final = SIZES | {"boot", "hard_limit", "soft_limit", "swap_hard_limit", "target"}


@dataclass(frozen=True, eq=False, repr=False)
class Pending(Record):
    """One thing that waits for a restart: an option of the domain, or a device (`name` is the option's or the device's).

    `options` are those that the next start changes, with their values then; where there are none the device comes or, with
    `leaves`, goes. `why` is a clause that says what is in the way now, if anybody knows. `soon`: the device goes without a
    restart, once the guest handles what it was asked.
    """

    name: str
    options: t.Mapping[str, t.Any] = field(default_factory=dict)
    leaves: bool = False
    soon: bool = False
    why: str | None = None

    def __str__(self) -> str:
        if self.soon:
            return f"{self.name}: leaves as soon as the guest handles the unplug"
        if self.leaves:
            why = f"{self.why}; " if self.why else ""
            return f"{self.name}: {why}leaves the guest when it is next powered off"
        if not self.options:
            return f"{self.name}: is added at the next start"
        if self.name in self.options:
            return f"{self.name}: {shown(self.name, self.options[self.name])} at the next start"
        changes = ", ".join(f"{name}={shown(name, value)}" for name, value in self.options.items())
        return f"{self.name}: {changes} at the next start"


def pending_changes(
    live: Definition,
    config: Definition,
    spec: DomainSpec,
    matches: t.Sequence[Match],
    kept: t.Mapping[str, str | None],
) -> list[Pending]:
    """All in which the guest, as the task leaves it, differs from its next start, as far as the task is about it.

    `kept` says of devices that should leave, by name, why they do not.
    """
    coming = sums.started(config)
    found: list[Pending] = []
    if not spec.one_device:
        found += _options(live, coming, spec)
    if spec.memory is not None or spec.devices is not None:
        found += [one for one in _devices(live, coming, spec, matches) if one.name not in kept]
    return [*found, *(Pending(name, leaves=True, why=why) for name, why in kept.items())]


def _options(live: Definition, coming: Definition, spec: DomainSpec) -> list[Pending]:
    now, then = live.flat_options, coming.flat_options
    names = set(stated_options(spec, then))
    if spec.maximum is not None or spec.memory is not None or spec.devices is not None:  # prepared for hotplug
        names |= {name for name in ("maximum.size", "numa") if not now.get(name)}
    return [Pending(name, {name: then[name]}) for name in sorted(names) if name in then and now.get(name) != then[name]]


def stated_options(spec: DomainSpec, names: t.Iterable[str]) -> list[str]:
    """The options of the task, by the names of Definition.flat_options."""
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


def shown(name: str, value: object) -> str:
    """An option's value for a person; `name` is the option's, and tells a size from a number."""
    if isinstance(value, list):
        return "; ".join(_element(name, element) for element in value) or "none"
    if value is None:
        return "unlimited" if name.startswith("tuning.") else "none"
    if isinstance(value, bool):
        return str(value).lower()
    if name == "guest_address":
        return f"{value:#x}"
    sized = isinstance(value, int) and name.rsplit(".", maxsplit=1)[-1] in _SIZES
    return format_size(t.cast(int, value)) if sized else str(value)


def _element(name: str, element: t.Mapping[str, t.Any]) -> str:
    if name == "numa":
        return f"node {element['id']} with {format_size(element['memory'])}"
    return "pages of the default size" if element["size"] is None else f"pages of {format_size(element['size'])}"


def _devices(live: Definition, coming: Definition, spec: DomainSpec, matches: t.Sequence[Match]) -> list[Pending]:
    specs = {scope: _by_index(matches, scope) for scope in ("live", "config")}
    found: list[Pending] = []
    for model in dict.fromkeys(device.model for device in (*coming.devices, *live.devices)):
        pairs = pair_lists(
            [device for device in live.devices if device.model == model],
            [device for device in coming.devices if device.model == model],
        )
        for left, right in pairs:
            if left is None and right is not None:
                if right.index < 0 or right.index in specs["config"] or spec.memory is not None:
                    found.append(Pending(_name(right)))
            elif right is None and left is not None:
                if spec.purge or left.index in specs["live"]:
                    found.append(Pending(_name(left), leaves=True))
            elif left and right and (spec.memory is not None or left.index in specs["live"] or left.index < 0):
                found += _differences(left, right, spec)
    return found


def _by_index(matches: t.Sequence[Match], scope: str) -> set[int]:
    """The devices of one definition that the task speaks of, by their place."""
    devices = (match.live if scope == "live" else match.config for match in matches if match.spec)
    return {device.index for device in devices if device}


def _differences(live: MemoryDevice, coming: MemoryDevice, spec: DomainSpec) -> list[Pending]:
    """A task about one device is about the options that it states, and no others."""
    same = {name: getattr(live, name) for name in ADDRESSES if getattr(coming, name) not in spec.stated_values(name)}
    options = {name: getattr(coming, name) for name in changed_options(live, replace(coming, **same))}
    if spec.one_device and spec.devices:
        options = {name: value for name, value in options.items() if name in spec.devices[0].stated}
    return [Pending(_name(live), options)] if options else []


def _name(device: MemoryDevice) -> str:
    return device.label or f"a {device.model} device of {format_size(device.size)}"


# ------------------------------------------------------------------------------------------------- what libvirt dropped


def dropped_options(
    before: Definition, asked: Definition, got: Definition, spec: DomainSpec, scope: Scope
) -> list[str]:
    """What the task wrote, and libvirt does not have: older ones silently drop XML that they do not know."""
    wanted, found = asked.flat_options, got.flat_options
    lost = [
        name
        for name in stated_options(spec, wanted)
        if wanted[name] != found.get(name) and (scope == "config" or name != "balloon.target")
    ]
    old = {device.index: device for device in before.devices}
    for device in asked.devices:
        written = changed_options(old.get(device.index, MemoryDevice(device.model, 0)), device)
        place = "" if spec.one_device else f"{device.alias or device.model}."
        lost += [f"{place}{name}" for name in _dropped_of(written, device, got, spec)]
    return lost


def _dropped_of(written: t.Sequence[str], asked: MemoryDevice, got: Definition, spec: DomainSpec) -> list[str]:
    """Those of the written options that no device like the one that was asked for has. libvirt chooses addresses."""
    names = [
        name
        for name in written
        if getattr(asked, name) is not None
        and name != "requested"
        and (name not in ADDRESSES or getattr(asked, name) in spec.stated_values(name))
    ]
    twins = [device for device in got.devices if _may_be(device, asked)]
    return min(
        ([name for name in names if getattr(twin, name) != getattr(asked, name)] for twin in twins),
        key=len,
        default=names,
    )


def _may_be(device: MemoryDevice, asked: MemoryDevice) -> bool:
    if asked.user_alias:
        return device.alias == asked.alias
    return device.model == asked.model
