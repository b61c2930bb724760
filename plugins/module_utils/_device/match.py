# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which device is which: in the two definitions of a domain, and in a task. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._errors import VirtmemError
from .._model import VIRTIO_MEM, Definition, MemoryDevice, Observed, Scope
from .rules import at, choose_node, default_block
from .spec import DeviceSpec
from .values import check_alias

Pair = tuple[t.Optional[MemoryDevice], t.Optional[MemoryDevice]]


def pair_devices(observed: Observed) -> list[Pair]:
    """Each virtio-mem device of the domain once, as (live, config): two views of one device stand together.

    A user alias is the surest sign, then the PCI address that the guest was started with, then equal geometry;
    last, one device left over on each side is taken for the same if at most one of them has a user alias.
    """
    return pair_lists(
        list(observed.live.virtio_mem) if observed.live else [],
        list(observed.config.virtio_mem) if observed.config else [],
    )


def pair_all(observed: Observed) -> list[Pair]:
    """Each memory device of the domain once, as (live, config), model by model, in the document's order."""
    live = observed.live.devices if observed.live else ()
    config = observed.config.devices if observed.config else ()
    models = list(dict.fromkeys(device.model for device in (*config, *live)))
    pairs: list[Pair] = []
    for model in models:
        pairs += pair_lists([d for d in live if d.model == model], [d for d in config if d.model == model])
    return pairs


def pair_lists(live: list[MemoryDevice], config: list[MemoryDevice]) -> list[Pair]:
    """See pair_devices: the same for devices of any one model."""
    pairs: list[Pair] = []
    for same in (_twins_by_alias, _twins_by_address, _twins_by_geometry, _may_be_same):
        for left in list(live):
            twins = [right for right in config if same(left, right)]
            rivals = [other for other in live if any(same(other, twin) for twin in twins)]
            if twins and (len(twins) == len(rivals) == 1 or same is not _may_be_same):
                pairs.append((left, twins[0]))
                live.remove(left)
                config.remove(twins[0])
    return pairs + [(left, None) for left in live] + [(None, right) for right in config]


def _twins_by_alias(live: MemoryDevice, config: MemoryDevice) -> bool:
    return live.user_alias is not None and live.user_alias == config.user_alias


def _may_be_same(live: MemoryDevice, config: MemoryDevice) -> bool:
    """Not told apart by two different user aliases, and on the same guest node."""
    return not (live.user_alias and config.user_alias) and live.node == config.node


def _twins_by_address(live: MemoryDevice, config: MemoryDevice) -> bool:
    return _may_be_same(live, config) and live.pci_address is not None and live.pci_address == config.pci_address


def _twins_by_geometry(live: MemoryDevice, config: MemoryDevice) -> bool:
    return _may_be_same(live, config) and _geometry(live) == _geometry(config)


def _geometry(device: MemoryDevice) -> tuple[t.Any, ...]:
    return device.size, device.block, device.path


def find_device(definition: Definition, device: MemoryDevice) -> MemoryDevice | None:
    """`device` as the definition has it now: by alias, else by PCI address, else by its place in the document."""
    for other in definition.devices:
        if device.alias and other.alias == device.alias:
            return other
    for other in definition.devices:
        if device.pci_address and other.pci_address == device.pci_address and not (device.alias and other.alias):
            return other
    if device.alias is None and device.pci_address is None and 0 <= device.index < len(definition.devices):
        return definition.devices[device.index]
    return None


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

    spec: DeviceSpec | None
    live: MemoryDevice | None
    config: MemoryDevice | None
    name: str

    def device(self, scope: Scope) -> MemoryDevice | None:
        return self.live if scope == "live" else self.config

    def twin(self, scope: Scope) -> MemoryDevice | None:
        return self.config if scope == "live" else self.live


def match_devices(specs: t.Sequence[DeviceSpec], observed: Observed) -> list[Match]:
    """Every device that is there, with the wish that means it; then those that are wished for and not there.

    By alias; else by model, node and path, first where the size fits too, then in the order of both lists.
    """
    pairs = pair_all(observed)
    found: dict[int, DeviceSpec] = {}  # by the pair's position
    for fits in (_same_alias, _same_size, _same_place):
        for spec in specs:
            if any(spec is other for other in found.values()) or (spec.alias is None) == (fits is _same_alias):
                continue
            position = next((i for i, pair in enumerate(pairs) if i not in found and fits(spec, pair)), None)
            if position is not None:
                found[position] = spec
    matches = [Match(found.get(i), live, config, _name(live, config)) for i, (live, config) in enumerate(pairs)]
    taken: set[str | None] = {device.alias for pair in pairs for device in pair if device and device.alias}
    for spec in specs:
        if not any(spec is other for other in found.values()):
            alias = _new_alias(spec, taken)
            taken.add(alias)
            matches.append(Match(replace(spec, alias=alias), None, None, alias or spec.place))
    return matches


def _name(live: MemoryDevice | None, config: MemoryDevice | None) -> str:
    found = [device for device in (live, config) if device]
    return next((device.label for device in found if device.label), f"{found[0].model} {found[0].index}")


def _same_alias(spec: DeviceSpec, pair: Pair) -> bool:
    for device in pair:
        if device and spec.alias is not None and device.alias == spec.alias:
            if device.model != spec.model:
                raise VirtmemError(
                    "unsupported",
                    f"{spec.place}: {spec.alias} is a {device.model}, and a device's model can't change.",
                    hint="Give the new device another alias, and remove the old one.",
                )
            return True
    return False


def _same_place(spec: DeviceSpec, pair: Pair) -> bool:
    """On the model, and on node and path where the task states them."""
    return any(
        device is not None
        and device.model == spec.model
        and all(getattr(device, name) == spec.stated[name] for name in ("node", "path") if name in spec.stated)
        for device in pair
    )


def _same_size(spec: DeviceSpec, pair: Pair) -> bool:
    return _same_place(spec, pair) and any(d is not None and d.size == spec.stated.get("size", d.size) for d in pair)


def _new_alias(spec: DeviceSpec, taken: t.AbstractSet[str | None]) -> str | None:
    if spec.alias is not None or spec.model not in _ALIASES:
        return spec.alias
    base = _ALIASES[spec.model]
    first = spec.stated.get("node", 0) if spec.model == VIRTIO_MEM else 0
    numbers = range(first, first + 1000)
    return next(f"{base}{number}" for number in numbers if f"{base}{number}" not in taken)


def merged(match: Match, device: MemoryDevice) -> MemoryDevice:
    """The device with what the task states of it."""
    return replace(device, **match.spec.stated) if match.spec else device


def new_device(match: Match, definition: Definition, scope: Scope, thp_size: int | None) -> MemoryDevice:
    """The device to add: what the task says, then what its twin in the other definition has, then defaults."""
    spec = t.cast(DeviceSpec, match.spec)
    twin = match.twin(scope)
    # Addresses and what the guest has plugged belong to the definition that they were read from.
    base = twin or MemoryDevice(spec.model, size=0)
    base = replace(base, current=None, guest_address=None, pci_address=None, slot=None, index=-1)
    device = replace(base, **spec.stated)
    if not device.size:
        raise VirtmemError(
            "device_not_found",
            f"{spec.place}: {definition.name} has no such {spec.model} device, and without a size none can be made.",
            hint="Give it a size, or the alias of a device that is there.",
        )
    with at(spec.place):
        if spec.model != _NODELESS:
            device = replace(device, node=choose_node(definition, device.node))
        if spec.model == VIRTIO_MEM and not device.block:
            device = replace(device, block=default_block(device, definition, thp_size))
        alias = spec.alias or (twin and twin.user_alias) or _new_alias(spec, {d.alias for d in definition.devices})
        if alias is not None:
            check_alias(alias)
    # virDomainMemoryDefPostParse writes it, in the stored definition only
    access = "shared" if spec.model == "virtio-pmem" and device.access is None else device.access
    return replace(device, alias=alias, access=access)
