# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which device is which, in the two definitions of a domain and in a task; and in what two of them differ. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._errors import VirtmemError
from .._model import VIRTIO_MEM, MemoryDevice, Observed, Platform, Record, Scope, format_size
from .._option_table import TABLE
from .spec import DeviceSpec, check_features, check_options

Pair = tuple[t.Optional[MemoryDevice], t.Optional[MemoryDevice]]


# Each definition has its own, unless a task states them; libvirt chooses.
ADDRESSES: t.Final = frozenset(option.name for option in TABLE if option.is_address)

# What a running guest's device can change.
LIVE: t.Final = frozenset(option.name for option in TABLE if option.is_live)


def changed_options(before: MemoryDevice, after: MemoryDevice) -> list[str]:
    return [option.name for option in TABLE if getattr(before, option.name) != getattr(after, option.name)]


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
    """Devices of one model, as (live, config): two views of one device stand together.

    A user alias is the surest sign, then the PCI address that the guest was started with, then equal geometry;
    last, one device left over on each side is taken for the same if at most one of them has a user alias.
    """
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


# libvirt gives EPC sections no alias that it keeps, and they never come or go while the guest runs.
_ALIASES: t.Final[t.Mapping[str, str]] = {
    VIRTIO_MEM: "ua-virtiomem",
    "dimm": "ua-dimm",
    "nvdimm": "ua-nvdimm",
    "virtio-pmem": "ua-virtiopmem",
}


@dataclass(frozen=True, eq=False, repr=False)
class Match(Record):
    """One device: what the task says of it (None: nothing), and what each definition has of it (None: nothing).

    `name` is what people call it, the same in both definitions; `alias` is what a new one is called.
    """

    spec: DeviceSpec | None
    live: MemoryDevice | None
    config: MemoryDevice | None
    name: str
    alias: str | None = None

    @property
    def wanted(self) -> DeviceSpec:
        """What the task says, of a device that it does say something of."""
        return t.cast(DeviceSpec, self.spec)

    @property
    def is_new(self) -> bool:
        return self.live is None and self.config is None

    def has(self, model: str, scopes: t.Sequence[Scope]) -> bool:
        """Whether it is of this model, and in one of these definitions."""
        return any(device is not None and device.model == model for device in map(self.device, scopes))

    def leaves(self, purge: bool) -> bool:
        """Whether the task takes the device out; `purge` says so of those that it does not list."""
        return self.spec.absent if self.spec else purge

    def device(self, scope: Scope) -> MemoryDevice | None:
        return self.live if scope == "live" else self.config

    def twin(self, scope: Scope) -> MemoryDevice | None:
        return self.config if scope == "live" else self.live


def match_devices(specs: t.Sequence[DeviceSpec], observed: Observed) -> list[Match]:
    """Every device that is there, with what the task says of it; then those that are not there yet.

    By alias; else by model, node and path, first where the size fits too, then in the order of both lists.
    """
    for spec in specs:
        check_options(spec)
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
    return added(matches, [spec for spec in specs if not any(spec is other for other in found.values())])


def known_to(platform: Platform, arch: str, matches: list[Match]) -> list[Match]:
    """The matches, if libvirt and QEMU know all that the task says of them. Raises VirtmemError(unsupported)."""
    for match in matches:
        if match.spec and not match.spec.absent:
            check_features(match.spec, platform.versions, arch, new=match.is_new)
    return matches


def added(matches: t.Sequence[Match], specs: t.Iterable[DeviceSpec]) -> list[Match]:
    """The matches, and devices that are not there yet, each with an alias."""
    found = list(matches)
    taken = {device.alias for match in matches for device in (match.live, match.config) if device}
    for spec in specs:
        alias = spec.alias or new_alias(spec.model, spec.stated.get("node"), taken)
        taken.add(alias)
        found.append(Match(spec, None, None, alias or spec.place or spec.model, alias))
    return found


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


def new_alias(model: str, node: int | None, taken: t.Collection[str | None]) -> str | None:
    """A name for a new device, with the number of its node where that says something."""
    if model not in _ALIASES:
        return None
    base, first = _ALIASES[model], (node or 0) if model == VIRTIO_MEM else 0
    return next(f"{base}{number}" for number in range(first, first + 1000) if f"{base}{number}" not in taken)


def match_one(spec: DeviceSpec, observed: Observed) -> list[Match]:
    """Every device that is there, with `spec` at the virtio-mem device that it means: by alias, else on its node, else the
    only one. One that is not there comes last. Raises device_ambiguous."""
    pairs = pair_all(observed)
    meant = [pair for pair in pairs if any(device and _is_meant(spec, device) for device in pair)]
    if len(meant) > 1:
        raise _ambiguous(observed.domain.name, spec, [t.cast(MemoryDevice, live or config) for live, config in meant])
    matches = [Match(spec if pair in meant else None, *pair, _name(*pair)) for pair in pairs]
    return matches if meant or spec.absent else added(matches, [spec])


def _is_meant(spec: DeviceSpec, device: MemoryDevice) -> bool:
    if device.model != VIRTIO_MEM:
        return False
    if spec.alias is not None:
        return device.alias == spec.alias
    return "node" not in spec.stated or device.node == int(spec.stated["node"])


def _ambiguous(name: str, spec: DeviceSpec, devices: t.Sequence[MemoryDevice]) -> VirtmemError:
    where = f" on node {spec.stated['node']}" if "node" in spec.stated else ""
    return VirtmemError(
        "device_ambiguous",
        f"{name} has {len(devices)} virtio-mem devices{where}: {', '.join(map(_described, devices))}.",
        hint="Select one with the option alias or node; if two share a node and have no alias, give them one"
        " (<alias name='ua-...'/>) in the stored definition.",
        details={"devices": [{"alias": device.alias, "node": device.node, "size": device.size} for device in devices]},
    )


def _described(device: MemoryDevice) -> str:
    name = device.label or "no alias"
    return f"{name} ({format_size(device.size)} on node {device.node})"


def merged(match: Match, device: MemoryDevice) -> MemoryDevice:
    """The device with what the task states of it."""
    return replace(device, **match.spec.stated) if match.spec else device
