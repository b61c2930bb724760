# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A waiter with a clock of its own: deadlines, wakes, and no busy loop."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils import _wait
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.statistics import (
    fresh_statistics,
    fresh_statistics_of,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import GuestStatistics
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.clock import FakeClock
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor


class Watch:
    """Events at the given seconds from now."""

    def __init__(self, clock, events=(), has_events=True):
        self.clock = clock
        self.events = [clock.now + at for at in events]
        self.has_events = has_events
        self.waits = []

    def wait(self, timeout):
        assert timeout > 0, "a wait of no time is a busy loop"
        self.waits.append(timeout)
        end = self.clock.now + timeout
        if self.has_events and self.events and self.events[0] <= end:
            self.clock.now = max(self.events.pop(0), self.clock.now)
            return True
        self.clock.now = end
        return False


def reads(clock, true_from):
    """A predicate that is true from that second on, and counts how often it is asked."""
    start = clock.now
    asked = []

    def reached():
        asked.append(clock.now - start)
        return clock.now - start >= true_from

    return reached, asked


def test_true_at_once_does_not_wait():
    clock = FakeClock()
    watch = Watch(clock)
    reached, asked = reads(clock, 0)
    assert _wait.wait_until(reached, watch, 10, clock)
    assert (asked, watch.waits) == ([0], [])


@pytest.mark.parametrize("timeout", [0, -5])
def test_no_time_at_all_is_one_look(timeout):
    clock = FakeClock()
    reached, asked = reads(clock, 1)
    assert not _wait.wait_until(reached, Watch(clock), timeout, clock)
    assert len(asked) == 1


def test_looks_on_each_event():
    clock = FakeClock()
    reached, asked = reads(clock, 2.5)
    assert _wait.wait_until(reached, Watch(clock, [1, 2, 2.5]), 60, clock)
    assert asked == [0, 1, 2, 2.5]


def test_a_lost_event_is_made_up_for():
    clock = FakeClock()
    reached, asked = reads(clock, 2)
    assert _wait.wait_until(reached, Watch(clock), 60, clock)
    assert asked == [0, 5]


@pytest.mark.parametrize("has_events", [True, False])
@pytest.mark.parametrize("timeout", [0.05, 1, 7.5, 120])
def test_deadline_is_kept_and_looked_at_last(has_events, timeout):
    clock = FakeClock()
    start = clock.now
    reached, asked = reads(clock, 1000)
    assert not _wait.wait_until(reached, Watch(clock, has_events=has_events), timeout, clock)
    assert clock.now - start == pytest.approx(timeout)
    assert asked[-1] == pytest.approx(timeout)
    assert len(asked) <= (2 + timeout / 5 if has_events else 9 + timeout)


def test_a_storm_of_events_does_not_move_the_deadline():
    clock = FakeClock()
    start = clock.now
    reached, asked = reads(clock, 1000)
    assert not _wait.wait_until(reached, Watch(clock, [number / 2 for number in range(1, 100)]), 10, clock)
    assert clock.now - start == pytest.approx(10)
    assert len(asked) == 21


def test_without_events_looks_often_at_first():
    clock = FakeClock()
    reached, asked = reads(clock, 30)
    assert _wait.wait_until(reached, Watch(clock, has_events=False), 60, clock)
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert gaps[0] == pytest.approx(0.1)
    assert gaps == sorted(gaps)
    assert max(gaps) == pytest.approx(1)
    assert len(asked) < 40


def test_just_reached_at_the_deadline():
    clock = FakeClock()
    reached, _asked = reads(clock, 7)
    assert _wait.wait_until(reached, Watch(clock), 7, clock)


# ------------------------------------------------------------------------------------------------------------ statistics


class Domain:
    """Answers statistics with these update times, one after the other; the last one for ever."""

    def __init__(self, *updates, fails=False):
        self.updates = list(updates)
        self.periods = []
        self.fails = fails
        self.asked = 0

    def statistics(self):
        self.asked += 1
        if self.fails and self.asked > 1:
            raise RuntimeError
        update = self.updates.pop(0) if len(self.updates) > 1 else self.updates[0]
        return GuestStatistics(usable=update, last_update=update)

    def set_stats_period(self, seconds):
        self.periods.append(seconds)


JUST = 1000  # now, by the fake clock


@pytest.mark.parametrize(
    ("updates", "period", "may_write", "fresh", "periods"),
    [
        # reports that come by themselves, and just came
        ([JUST], 5, True, True, []),
        ([JUST - 7], 5, True, True, []),
        ([JUST - 1], 1, False, True, []),
        # ... or did not come for a while, or by another clock: wait for the next one
        ([JUST - 8, JUST], 5, True, True, []),
        ([JUST - 8], 5, True, False, []),
        ([JUST - 8], 5, False, False, []),
        ([JUST + 3600, JUST + 3601], 5, True, True, []),
        ([0, 8], 5, True, True, []),
        ([0], 2, True, False, []),
        ([0], 2, False, False, []),
        # reports that come seldom or never: ask for more, and put that back
        ([JUST, JUST + 1], 6, True, True, [1, 6]),
        ([7, 7, 7, 8], 0, True, True, [1, 0]),
        ([7], 0, True, False, [1, 0]),
        ([7], 0, False, False, []),
    ],
)
def test_fresh_statistics(updates, period, may_write, fresh, periods):
    clock = FakeClock()
    domain = Domain(*updates)
    start = clock.now
    found = fresh_statistics(domain, period, may_write, clock)
    assert found.fresh is fresh
    assert domain.periods == periods
    assert found.usable == updates[-1]
    assert clock.now - start <= 6.25
    assert domain.asked <= 26


def test_the_period_is_put_back_even_after_a_failure():
    domain = Domain(7, fails=True)
    with pytest.raises(RuntimeError):
        fresh_statistics(domain, 60, True, FakeClock())
    assert domain.periods == [1, 60]


def test_statistics_of_a_guest():
    hypervisor = FakeHypervisor()
    domain = hypervisor.add(guest=Guest(usable=123)).start()
    found = fresh_statistics(domain, 0, True, hypervisor.clock)
    assert (found.usable, found.fresh) == (123, True)


def test_the_system_clock_is_one():
    assert _wait.SYSTEM_CLOCK.monotonic() <= _wait.SYSTEM_CLOCK.monotonic()
    assert callable(_wait.SYSTEM_CLOCK.sleep)


# ------------------------------------------------------------------------------------------------- statistics of many


class Absent(Domain):
    def statistics(self):
        raise VirtmemError("domain_not_found", "Gone.", hint="None.")


class Mute(Domain):
    def set_stats_period(self, seconds):
        super().set_stats_period(seconds)
        raise VirtmemError("unsupported", "No balloon.", hint="None.")


def test_statistics_of_many_at_once():
    clock = FakeClock()
    guests = {
        "just": (Domain(JUST), 5),
        "seldom": (Domain(JUST, 7, 8), 60),
        "never": (Domain(7, 7, 8), 0),
        "dead": (Domain(7), 0),
        "absent": (Absent(7), 0),
        "mute": (Mute(7), 0),
    }
    start = clock.now
    found = fresh_statistics_of(guests, True, clock)
    assert {name: statistics.fresh for name, statistics in found.items()} == {
        "just": True,
        "seldom": True,
        "never": True,
        "dead": False,
        "mute": False,
    }
    assert {name: domain.periods for name, (domain, _period) in guests.items()} == {
        "just": [],
        "seldom": [1, 60],
        "never": [1, 0],
        "dead": [1, 0],
        "absent": [],
        "mute": [1, 0],
    }
    assert clock.now - start <= 6.25
    assert (guests["just"][0].asked, guests["seldom"][0].asked) == (1, 2)


def test_statistics_of_many_without_asking():
    clock = FakeClock()
    guests = {"just": (Domain(JUST), 5), "never": (Domain(7, 8), 0)}
    found = fresh_statistics_of(guests, False, clock)
    assert {name: statistics.fresh for name, statistics in found.items()} == {"just": True, "never": False}
    assert clock.sleeps == []


def test_periods_of_many_are_put_back_even_after_a_failure():
    guests = {"a": (Domain(7), 60), "b": (Domain(7, fails=True), 30)}
    with pytest.raises(RuntimeError):
        fresh_statistics_of(guests, True, FakeClock())
    assert [domain.periods for domain, _period in guests.values()] == [[1, 60], [1, 30]]
