# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a guest takes and gives memory."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB

NEVER = float("inf")
AT_ONCE = 1 << 60


@dataclass
class Guest:
    """Sizes are bytes.

    `rate`: bytes per tick; `lowest` and `highest`: where it stops short; `driver`: has virtio_mem; `lets_go`: handles an
    unplug; `dies_at` and `reboots_at`: seconds from the start of the clock; `usable`: what it reports as usable (None: no
    statistics); `answers`: its balloon driver is alive; `counted`: its MemTotal.
    """

    rate: int = AT_ONCE
    lowest: int = 0
    highest: int | None = None
    driver: bool = True
    lets_go: bool = True
    dies_at: float = NEVER
    reboots_at: float = NEVER
    usable: int | None = 64 * GIB
    counted: int | None = None
    answers: bool = True

    @proven_by("virtio_mem_device_resize", "Grow", "Shrink to nothing")
    @proven_by("virtio_mem_device_refusing", "It timed out, with the numbers; the request stands")
    @proven_by("virtio_mem_device_shrink_short", "It failed with the numbers, and the request stands")
    @proven_by("virtio_mem_device_slow", "The task ended when the guest had all of it, and changed nothing by itself")
    def next(self, current: int, requested: int, block: int) -> int:
        goal = requested if self.driver else 0
        if goal < current:
            goal = max(goal, min(self.lowest, current))
        elif self.highest is not None:
            goal = max(min(goal, self.highest), current)
        step = max(min(goal - current, self.rate), -self.rate)
        return (current + step) // block * block
