# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model as task results: plain dictionaries, sizes as integers of bytes, and the diff that a person reads. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from .._device.options import DEVICE_OPTIONS, DRIVER
from .._errors import Facts
from .._model import VIRTIO_MEM, Backing, Definition, DomainState, GuestStatistics, MemoryDevice, Scope
from .._size import MIB

# A guest counts less than it was given, for its kernel and firmware: 107 MiB of 512 (Linux 6.1), and more of more.
_OVERHEAD: t.Final = 160 * MIB

_OVERHEAD_SHARE: t.Final = 16

Devices = t.Mapping[Scope, t.Optional[MemoryDevice]]


def domain_facts(state: DomainState) -> Facts:
    return {"name": state.name, "uuid": state.uuid, "state": state.state}


def saved_warning(state: DomainState) -> str:
    return f"{state.name} has a saved state: its next start goes on from there, as it was saved."


def device_facts(device: MemoryDevice | None) -> Facts | None:
    """One device; `current` is null in a stored definition, and an option that the XML leaves open is null."""
    if device is None:
        return None
    return {
        "alias": device.alias,
        "model": device.model,
        "node": device.node,
        "size": device.size,
        "block": device.block,
        "requested": device.requested,
        "current": device.current,
        "page_size": device.page_size,
        "node_mask": device.node_mask,
        "access": device.access,
        "discard": device.discard,
        "dynamic_memslots": device.dynamic_memslots,
        "guest_address": None if device.guest_address is None else f"{device.guest_address:#x}",
        "pci_address": device.pci_address,
        "offline_in_guest": None,
    }


def both_facts(devices: Devices) -> Facts:
    return {"live": device_facts(devices.get("live")), "config": device_facts(devices.get("config"))}


def memory_facts(definition: Definition, statistics: GuestStatistics | None) -> Facts:
    """The domain's memory in sums, in bytes. Persistent memory is not counted; `total` counts it, as libvirt does.

    libvirt's `<currentMemory>` is not used: it counts plugged memory twice after a guest's reboot (9.0 to 12.8).
    The balloon's size is the statistics' `actual`, which knows nothing of virtio-mem, or the config's target.
    """
    fixed = definition.ram - definition.boot
    requested = sum(device.requested for device in definition.virtio_mem)
    plugged = sum(device.current or 0 for device in definition.virtio_mem)
    actual = statistics.actual if statistics else min(definition.current_memory, definition.ram)
    return {
        "boot": definition.boot,
        "plugged": fixed + plugged,
        "requested": definition.boot + fixed + requested,
        "current": definition.boot + fixed + plugged,
        "total": definition.total,
        "maximum": definition.maximum,
        "balloon": actual if definition.balloon else None,
    }


def offline_memory(statistics: GuestStatistics, definition: Definition) -> int | None:
    """About how many bytes of plugged memory the guest does not count as its own; None if it does not say.

    The guest's MemTotal against boot memory and what is plugged; what boot memory alone can explain counts as 0.
    """
    plugged = sum(device.current or 0 for device in definition.virtio_mem)
    if statistics.available is None:
        return None
    missing = definition.boot + plugged - statistics.available
    return min(missing, plugged) if missing > _OVERHEAD + definition.boot // _OVERHEAD_SHARE else 0


def definition_facts(definition: Definition | None) -> Facts | None:
    """One definition, in the words of domain_memory's options, and what goes with them."""
    if definition is None:
        return None
    return {
        **domain_options(definition),
        "total": definition.total,
        "current_memory": definition.current_memory,
        "devices": [memory_device_facts(device) for device in definition.devices],
        "arch": definition.arch,
        "machine": definition.machine,
    }


def memory_device_facts(device: MemoryDevice) -> Facts:
    """A memory device of any model; options that it has not got are null."""
    facts: Facts = {"alias": device.alias, "model": device.model, "current": device.current}
    facts.update({name: getattr(device, name) for name in DEVICE_OPTIONS if name not in DRIVER})
    if device.model != VIRTIO_MEM:
        facts.update(block=None, requested=None)
    if device.guest_address is not None:
        facts["guest_address"] = f"{device.guest_address:#x}"
    facts["driver"] = {name: getattr(device, name) for name in DRIVER}
    return facts


def domain_options(definition: Definition) -> Facts:
    """All but devices, by option name; sizes are bytes, and null is what the definition leaves open."""
    balloon = definition.memballoon
    return {
        "boot": definition.boot,
        "maximum": None if definition.maximum is None else {"size": definition.maximum, "slots": definition.slots},
        "numa": [asdict(cell) for cell in definition.cells],
        "backing": _backing(definition.backing),
        "tuning": asdict(definition.tuning),
        "placement": {"mode": definition.placement.mode, "nodeset": definition.placement.nodeset},
        "balloon": {**asdict(balloon), "target": balloon_target(definition)},
    }


def balloon_target(definition: Definition) -> int | None:
    """What the balloon leaves of boot memory and DIMMs at the next start; None without a balloon. A `<currentMemory>` of
    as much or more means all of it, whatever libvirt has added to it."""
    return min(definition.current_memory, definition.ram) if definition.balloon else None


def _backing(backing: Backing) -> Facts:
    pages: list[Facts] = [asdict(page) for page in backing.hugepages or ()]
    if backing.hugepages == ():
        pages = [{"size": None, "nodeset": None}]  # the host's default size
    return {
        "hugepages": pages,
        "source": backing.source,
        "access": backing.access,
        "allocation": {"mode": backing.allocation_mode, "threads": backing.allocation_threads},
        "locked": backing.locked,
        "nosharepages": backing.nosharepages,
        "discard": backing.discard,
    }


def flat_options(definition: Definition) -> Facts:
    """The same by dotted names (maximum.size), for telling what differs."""
    return dict(_flat("", domain_options(definition)))


def _flat(prefix: str, facts: Facts) -> t.Iterator[tuple[str, t.Any]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value
