# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Which device a task's wish means, and what it shall become. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.virtmem.libvirt.plugins.module_utils import _device_rules, _rules
from ansible_collections.virtmem.libvirt.plugins.module_utils._block import default_block
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_wish import DeviceWish
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    VIRTIO_MEM,
    Definition,
    MemoryDevice,
    Observed,
    Scope,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._pairs import Pair, pair_all

# Devices that sit on no guest node: virtio-pmem never does.
_NODELESS: t.Final = "virtio-pmem"
# libvirt gives EPC sections no alias that it keeps, and they never come or go while the guest runs.
_ALIASES: t.Final[t.Mapping[str, str]] = {
    VIRTIO_MEM: "ua-virtiomem",
    "dimm": "ua-dimm",
    "nvdimm": "ua-nvdimm",
    "virtio-pmem": "ua-virtiopmem",
}


@dataclass(frozen=True)
class Match:
    """One device: what the task says of it (None: nothing), and what each definition has of it (None: nothing).

    `name` is what people call it, the same in both definitions.
    """

    wish: DeviceWish | None
    live: MemoryDevice | None
    config: MemoryDevice | None
    name: str

    def device(self, scope: Scope) -> MemoryDevice | None:
        return self.live if scope == "live" else self.config

    def twin(self, scope: Scope) -> MemoryDevice | None:
        return self.config if scope == "live" else self.live


def match_devices(wishes: t.Sequence[DeviceWish], observed: Observed) -> list[Match]:
    """Every device that is there, with the wish that means it; then those that are wished for and not there.

    By alias; else by model, node and path, first where the size fits too, then in the order of both lists.
    """
    pairs = pair_all(observed)
    found: dict[int, DeviceWish] = {}  # by the pair's position
    for fits in (_same_alias, _same_size, _same_place):
        for wish in wishes:
            if any(wish is other for other in found.values()) or (wish.alias is None) == (fits is _same_alias):
                continue
            position = next((i for i, pair in enumerate(pairs) if i not in found and fits(wish, pair)), None)
            if position is not None:
                found[position] = wish
    matches = [Match(found.get(i), live, config, _name(live, config)) for i, (live, config) in enumerate(pairs)]
    taken: set[str | None] = {device.alias for pair in pairs for device in pair if device and device.alias}
    for wish in wishes:
        if not any(wish is other for other in found.values()):
            alias = _new_alias(wish, taken)
            taken.add(alias)
            matches.append(Match(replace(wish, alias=alias), None, None, alias or wish.place))
    return matches


def _name(live: MemoryDevice | None, config: MemoryDevice | None) -> str:
    for device in (live, config):
        name = device and (device.alias or device.pci_address)
        if name:
            return name
    device = t.cast(MemoryDevice, live or config)
    return f"{device.model} {device.index}"


def _same_alias(wish: DeviceWish, pair: Pair) -> bool:
    for device in pair:
        if device and wish.alias is not None and device.alias == wish.alias:
            if device.model != wish.model:
                raise VirtmemError(
                    "unsupported",
                    f"{wish.place}: {wish.alias} is a {device.model}, and a device's model can't change.",
                    hint="Give the new device another alias, and remove the old one.",
                )
            return True
    return False


def _same_place(wish: DeviceWish, pair: Pair) -> bool:
    """On the model, and on node and path where the task states them."""
    return any(
        device is not None
        and device.model == wish.model
        and all(getattr(device, name) == wish.stated[name] for name in ("node", "path") if name in wish.stated)
        for device in pair
    )


def _same_size(wish: DeviceWish, pair: Pair) -> bool:
    return _same_place(wish, pair) and any(d is not None and d.size == wish.stated.get("size", d.size) for d in pair)


def _new_alias(wish: DeviceWish, taken: t.AbstractSet[str | None]) -> str | None:
    if wish.alias is not None or wish.model not in _ALIASES:
        return wish.alias
    base = _ALIASES[wish.model]
    first = wish.stated.get("node", 0) if wish.model == VIRTIO_MEM else 0
    numbers = range(first, first + 1000)
    return next(f"{base}{number}" for number in numbers if f"{base}{number}" not in taken)


def merged(match: Match, device: MemoryDevice) -> MemoryDevice:
    """The device with what the task states of it."""
    return replace(device, **match.wish.stated) if match.wish else device


def new_device(match: Match, definition: Definition, scope: Scope, thp_size: int | None) -> MemoryDevice:
    """The device to add: what the task says, then what its twin in the other definition has, then defaults."""
    wish = t.cast(DeviceWish, match.wish)
    twin = match.twin(scope)
    # Addresses and what the guest has plugged belong to the definition that they were read from.
    base = twin or MemoryDevice(wish.model, size=0)
    base = replace(base, current=None, guest_address=None, pci_address=None, slot=None, index=-1)
    device = replace(base, **wish.stated)
    if not device.size:
        raise VirtmemError(
            "device_not_found",
            f"{wish.place}: {definition.name} has no such {wish.model} device, and without a size none can be made.",
            hint="Give it a size, or the alias of a device that is there.",
        )
    with _device_rules.at(wish.place):
        if wish.model != _NODELESS:
            device = replace(device, node=_rules.choose_node(definition, device.node))
        if wish.model == VIRTIO_MEM and not device.block:
            device = replace(device, block=default_block(device, definition, thp_size))
        alias = wish.alias or (twin and twin.user_alias) or _new_alias(wish, {d.alias for d in definition.devices})
        if alias is not None:
            _rules.check_alias(alias)
    # virDomainMemoryDefPostParse writes it, in the stored definition only
    access = "shared" if wish.model == "virtio-pmem" and device.access is None else device.access
    return replace(device, alias=alias, access=access)
