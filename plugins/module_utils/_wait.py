# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for a guest: woken by events, decided by reading again, ended by one monotonic deadline."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from ._protocol import Clock, Watch

# An event can be lost (a daemon restart, a full queue): look again this often, in seconds, even if none came.
_HEARTBEAT: t.Final = 5.0
# Without events, look often at first and then ever more seldom: most guests follow within a second.
_FIRST_POLL: t.Final = 0.1
_LAST_POLL: t.Final = 1.0

OnPartial = t.Literal["fail", "warn", "settle", "rollback"]


@dataclass(frozen=True, eq=False, repr=False)
class WaitOptions:
    """`timeout` is in seconds, for all waiting of the task together."""

    wait: bool = True
    timeout: float = 120
    on_partial: OnPartial = "fail"


SYSTEM_CLOCK: t.Final[Clock] = t.cast("Clock", time)


def wait_until(reached: t.Callable[[], bool], watch: Watch, timeout: float, clock: Clock) -> bool:
    """Whether `reached()`, which reads the state anew, became true within `timeout` seconds.

    It is asked at once, on each event, and now and then in between; the last time is at the deadline itself.
    """
    deadline = clock.monotonic() + timeout
    pause = pauses(watch)
    while not reached():
        left = deadline - clock.monotonic()
        if left <= 0:
            return False
        watch.wait(min(next(pause), left))
    return True


def pauses(watch: Watch) -> t.Iterator[float]:
    """How long to wait for an event each time, in seconds, before looking without one."""
    pause = _HEARTBEAT if watch.has_events else _FIRST_POLL
    while True:
        yield pause
        if not watch.has_events:
            pause = min(pause * 1.5, _LAST_POLL)
