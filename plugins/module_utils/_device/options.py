# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of memory devices. Pure."""

from __future__ import annotations

import typing as t

from .._model import MemoryDevice

# In the order of the documentation; `alias` is the identity, so it is not among what a task can change.
VIRTIO_MEM_OPTIONS: t.Final = (
    "node",
    "size",
    "block",
    "requested",
    "page_size",
    "node_mask",
    "access",
    "discard",
    "dynamic_memslots",
    "guest_address",
    "pci_address",
)

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
