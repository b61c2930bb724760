# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""How small the block of a virtio-mem device may be, and what it is where nobody says."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, MemoryDevice
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import MIB


def default_block(device: MemoryDevice, definition: Definition, thp_size: int | None) -> int:
    """libvirt has no default (9.0 to 12.8): 2 MiB on x86, else the host's THP size; never less than the device's pages."""
    smallest = smallest_block(definition, thp_size)
    if smallest is None:
        raise VirtmemError(
            "block_invalid",
            f"block: the smallest block of a {definition.arch or 'non-x86'} host can't be known over this connection.",
            hint="Give the option block: the size of a transparent huge page of that host, or a multiple by 2 of it.",
        )
    return max(smallest, device.page_size or 0)


def smallest_block(definition: Definition, thp_size: int | None) -> int | None:
    # virDomainMemoryDefValidate compares with virHostMemGetTHPSize, which falls back to 2 MiB.
    if thp_size is not None:
        return max(thp_size, MIB)
    return 2 * MIB if definition.arch in ("x86_64", "i686") else None
