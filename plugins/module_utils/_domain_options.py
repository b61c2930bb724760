# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""A definition as the options that would make it so: the shape of results, of differences, and of tasks. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    VIRTIO_MEM_OPTIONS,
    Backing,
    Definition,
    MemoryDevice,
)

Facts = dict[str, t.Any]


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


DRIVER: t.Final = ("iommu", "ats", "packed")
# A device's attributes that a task can state, besides its alias and model; see _model.MemoryDevice.
DEVICE_OPTIONS: t.Final = (
    *VIRTIO_MEM_OPTIONS,
    "path",
    "align_size",
    "pmem",
    "label_size",
    "readonly",
    "uuid",
    "slot",
    *DRIVER,
)
# Each definition has its own, unless a task states them; libvirt chooses.
ADDRESSES: t.Final = frozenset({"guest_address", "pci_address", "slot"})


def changed_options(before: MemoryDevice, after: MemoryDevice) -> list[str]:
    return [name for name in DEVICE_OPTIONS if getattr(before, name) != getattr(after, name)]
