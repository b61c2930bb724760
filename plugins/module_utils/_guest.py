# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What a guest's statistics tell about its memory. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, GuestStatistics
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import MIB

# A guest counts less than it was given, for its kernel and firmware: 107 MiB of 512 (Linux 6.1), and more of more.
_OVERHEAD: t.Final = 160 * MIB
_OVERHEAD_SHARE: t.Final = 16


def offline_memory(statistics: GuestStatistics, definition: Definition) -> int | None:
    """About how many bytes of plugged memory the guest does not count as its own; None if it does not say.

    The guest's MemTotal against boot memory and what is plugged; what boot memory alone can explain counts as 0.
    """
    plugged = sum(device.current or 0 for device in definition.virtio_mem)
    if statistics.available is None:
        return None
    missing = definition.boot + plugged - statistics.available
    return min(missing, plugged) if missing > _OVERHEAD + definition.boot // _OVERHEAD_SHARE else 0
