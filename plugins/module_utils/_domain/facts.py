# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model as task results: plain dictionaries, sizes as integers of bytes, and the diff that a person reads. Pure."""

from __future__ import annotations

import typing as t

from .._device.options import DEVICE_OPTIONS, VIRTIO_MEM_OPTIONS, grouped, shown_options
from .._model import Definition, DomainState, Facts, GuestStatistics, MemoryDevice, Scope, about

Devices = t.Mapping[Scope, t.Optional[MemoryDevice]]


def domain_facts(state: DomainState) -> Facts:
    return {"name": state.name, "uuid": state.uuid, "state": state.state}


def saved_warning(state: DomainState) -> str:
    return f"{state.name} has a managed-save image: its next start resumes it, with the memory that it had when it was saved."


def device_facts(device: MemoryDevice | None) -> Facts | None:
    """One device; `current` is null in a stored definition, and an option that the XML leaves open is null."""
    if device is None:
        return None
    return {
        **_identity(device),
        **shown_options(device, VIRTIO_MEM_OPTIONS),
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
    return {
        "boot": definition.boot,
        "plugged": fixed + definition.current,
        "requested": definition.ram + definition.requested,
        "current": definition.ram + definition.current,
        "total": definition.total,
        "maximum": definition.maximum,
        "balloon": statistics.actual if statistics and definition.balloon else definition.balloon_target,
    }


def definition_facts(definition: Definition | None) -> Facts | None:
    """One definition, in the words of domain_memory's options, and what goes with them."""
    if definition is None:
        return None
    return {
        **definition.options,
        "total": definition.total,
        "current_memory": definition.current_memory,
        "devices": [memory_device_facts(device) for device in definition.devices],
        "arch": definition.arch,
        "machine": definition.machine,
    }


def memory_device_facts(device: MemoryDevice) -> Facts:
    """A memory device of any model; options that it does not have are null."""
    return {**_identity(device), **grouped(shown_options(device, DEVICE_OPTIONS))}


def _identity(device: MemoryDevice) -> Facts:
    return {"alias": device.alias, "model": device.model, "current": device.current}


def offline_warning(offline: int) -> str:
    """Plugged is not usable: a guest without a policy leaves it offline (Debian 12), and nothing reports an error."""
    return (
        f"The guest has plugged its memory, but left about {about(offline)} of it offline, and can't use it."
        " A policy in the guest helps: kernel option memhp_default_state=online_movable."
    )
