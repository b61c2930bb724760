# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's statistics, made fresh where they are old."""

from __future__ import annotations

import typing as t
from contextlib import suppress
from dataclasses import replace

from .._errors import VirtmemError
from .._model import GuestStatistics

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain

# The guest's balloon driver answers within a second or two of a new period; a guest without one never does.
_STATISTICS_PERIOD: t.Final = 1
_STATISTICS_TIMEOUT: t.Final = 6.0
_STATISTICS_POLL: t.Final = 0.25
# How much later than its period a report may come, in seconds: last_update counts whole ones.
_STATISTICS_SLACK: t.Final = 2
# Statistics that come by themselves at least this often, in seconds, are fresh enough to decide on.
_FRESH_PERIOD: t.Final = 5


def fresh_statistics(domain: Domain, period: int, may_write: bool, clock: Clock) -> GuestStatistics:
    """The guest's statistics, made fresh if they are old: with a short stats period, put back afterwards.

    `period` is the domain's own stats period in seconds, 0 for none. A report counts as new when its time changes:
    the host's clock and ours may differ. If they agree, a report of the last seconds counts as new. The result's `fresh`
    is False if the guest did not answer within seconds, or must not be asked (`may_write`).
    """
    statistics = domain.statistics()
    if _just_came(statistics, period, clock):
        return replace(statistics, fresh=True)
    if not may_write:
        return statistics
    if _comes_by_itself(period):
        return _next_report(domain, statistics, clock)
    domain.set_stats_period(_STATISTICS_PERIOD)
    try:
        return _next_report(domain, statistics, clock)
    finally:
        domain.set_stats_period(period)


def _comes_by_itself(period: int) -> bool:
    return 0 < period <= _FRESH_PERIOD


def _just_came(statistics: GuestStatistics, period: int, clock: Clock) -> bool:
    age = abs(clock.time() - statistics.last_update)
    return _comes_by_itself(period) and age <= period + _STATISTICS_SLACK


def fresh_statistics_of(
    guests: t.Mapping[str, tuple[Domain, int]], may_write: bool, clock: Clock
) -> dict[str, GuestStatistics]:
    """The same for many guests at once, each with its period; one that can't be asked is left out."""
    found: dict[str, GuestStatistics] = {}
    for name, (domain, period) in guests.items():
        with suppress(VirtmemError):
            statistics = domain.statistics()
            found[name] = replace(statistics, fresh=_just_came(statistics, period, clock))
    old = {name: found[name] for name in found if not found[name].fresh}
    if not old or not may_write:
        return found
    hurried = [name for name in old if not _comes_by_itself(guests[name][1])]
    try:
        for name in hurried:
            _set_period(guests[name][0], _STATISTICS_PERIOD)
        found.update(_next_reports({name: guests[name][0] for name in old}, old, clock))
    finally:
        for name in hurried:
            _set_period(*guests[name])
    return found


def _set_period(domain: Domain, period: int) -> None:
    with suppress(VirtmemError):  # it has gone meanwhile, or has no balloon: then there will be no report
        domain.set_stats_period(period)


def _next_reports(
    domains: t.Mapping[str, Domain], old: t.Mapping[str, GuestStatistics], clock: Clock
) -> dict[str, GuestStatistics]:
    """The first report of each after `old`, of those that make one within a few seconds."""
    found: dict[str, GuestStatistics] = {}
    deadline = clock.monotonic() + _STATISTICS_TIMEOUT
    while len(found) < len(domains) and clock.monotonic() < deadline:
        clock.sleep(_STATISTICS_POLL)
        for name in domains.keys() - found.keys():
            with suppress(VirtmemError):
                statistics = domains[name].statistics()
                if statistics.last_update != old[name].last_update:
                    found[name] = replace(statistics, fresh=True)
    return found


def _next_report(domain: Domain, last: GuestStatistics, clock: Clock) -> GuestStatistics:
    """The first report after `last`, if it comes within a few seconds."""
    statistics = last
    deadline = clock.monotonic() + _STATISTICS_TIMEOUT
    while statistics.last_update == last.last_update and clock.monotonic() < deadline:
        clock.sleep(_STATISTICS_POLL)
        statistics = domain.statistics()
    return replace(statistics, fresh=statistics.last_update != last.last_update)
