# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Two views of one device, live and config, stand together: which is which. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, MemoryDevice, Observed

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
    for same in (_same_alias, _same_address, _same_geometry, _may_be_same):
        for left in list(live):
            twins = [right for right in config if same(left, right)]
            rivals = [other for other in live if any(same(other, twin) for twin in twins)]
            if twins and (len(twins) == len(rivals) == 1 or same is not _may_be_same):
                pairs.append((left, twins[0]))
                live.remove(left)
                config.remove(twins[0])
    return pairs + [(left, None) for left in live] + [(None, right) for right in config]


def _same_alias(live: MemoryDevice, config: MemoryDevice) -> bool:
    return live.user_alias is not None and live.user_alias == config.user_alias


def _may_be_same(live: MemoryDevice, config: MemoryDevice) -> bool:
    """Not told apart by two different user aliases, and on the same guest node."""
    return not (live.user_alias and config.user_alias) and live.node == config.node


def _same_address(live: MemoryDevice, config: MemoryDevice) -> bool:
    return _may_be_same(live, config) and live.pci_address is not None and live.pci_address == config.pci_address


def _same_geometry(live: MemoryDevice, config: MemoryDevice) -> bool:
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
