# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""A domain's memory as results: what domain_memory_info returns of a domain, and domain_memory before and after. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_options import (
    DEVICE_OPTIONS,
    DRIVER,
    domain_options,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    VIRTIO_MEM,
    Definition,
    GuestStatistics,
    MemoryDevice,
)

Facts = dict[str, t.Any]


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
