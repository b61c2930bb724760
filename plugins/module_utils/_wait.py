# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Waiting for a guest: woken by events, decided by reading again, ended by one monotonic deadline."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import GuestStatistics
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Domain, Watch

# An event can be lost (a daemon restart, a full queue): look again this often, in seconds, even if none came.
_HEARTBEAT: t.Final = 5.0
# Without events, look often at first and then ever more seldom: most guests follow within a second.
_FIRST_POLL: t.Final = 0.1
_LAST_POLL: t.Final = 1.0

# The guest's balloon driver answers within a second or two of a new period; a guest without one never does.
_STATISTICS_PERIOD: t.Final = 1
_STATISTICS_TIMEOUT: t.Final = 6.0
_STATISTICS_POLL: t.Final = 0.25
# How much later than its period a report may come, in seconds: last_update counts whole ones.
_STATISTICS_SLACK: t.Final = 2
# Statistics that come by themselves at least this often, in seconds, are fresh enough to decide on.
_FRESH_PERIOD: t.Final = 5


class Clock(t.Protocol):
    """Time, so that tests need none."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def time(self) -> float:
        """Unix time in seconds."""


SYSTEM_CLOCK: t.Final[Clock] = t.cast(Clock, time)


def wait_until(reached: t.Callable[[], bool], watch: Watch, timeout: float, clock: Clock) -> bool:
    """Whether `reached()`, which reads the state anew, became true within `timeout` seconds.

    It is asked at once, on each event, and now and then in between; the last time is at the deadline itself.
    """
    deadline = clock.monotonic() + timeout
    pause = _HEARTBEAT if watch.has_events else _FIRST_POLL
    while not reached():
        left = deadline - clock.monotonic()
        if left <= 0:
            return False
        watch.wait(min(pause, left))
        if not watch.has_events:
            pause = min(pause * 1.5, _LAST_POLL)
    return True


def fresh_statistics(domain: Domain, period: int, may_write: bool, clock: Clock) -> GuestStatistics:
    """The guest's statistics, made fresh if they are old: with a short stats period, put back afterwards.

    `period` is the domain's own stats period in seconds, 0 for none. A report counts as new when its time changes:
    the host's clock and ours need not agree, but where they do, a report of just now is believed. The result's `fresh`
    is False where the guest did not answer within seconds, or was not to be asked (`may_write`).
    """
    statistics = domain.statistics()
    by_itself = 0 < period <= _FRESH_PERIOD
    if by_itself and abs(clock.time() - statistics.last_update) <= period + _STATISTICS_SLACK:
        return replace(statistics, fresh=True)
    if not may_write:
        return statistics
    if by_itself:
        return _next_report(domain, statistics, clock)
    domain.set_stats_period(_STATISTICS_PERIOD)
    try:
        return _next_report(domain, statistics, clock)
    finally:
        domain.set_stats_period(period)


def _next_report(domain: Domain, last: GuestStatistics, clock: Clock) -> GuestStatistics:
    """The first report after `last`, if it comes within a few seconds."""
    statistics = last
    deadline = clock.monotonic() + _STATISTICS_TIMEOUT
    while statistics.last_update == last.last_update and clock.monotonic() < deadline:
        clock.sleep(_STATISTICS_POLL)
        statistics = domain.statistics()
    return replace(statistics, fresh=statistics.last_update != last.last_update)
