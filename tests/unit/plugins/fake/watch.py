# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches: waits that an event ends, while the clock runs on."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.clock import FakeClock


class FakeWatch:
    """See _protocol.Watch."""

    def __init__(self, clock: FakeClock, has_events: bool) -> None:
        self.has_events = has_events
        self.waits: list[float] = []
        self.closed = False
        self._clock = clock
        self._flag = False

    def wake(self) -> None:
        self._flag = self.has_events

    def wait(self, timeout: float) -> bool:
        assert not self.closed
        self.waits.append(timeout)
        self._clock.advance(timeout, until=lambda: self._flag)
        came, self._flag = self._flag, False
        return came


class FakeHostWatch(FakeWatch):
    """See _protocol.HostWatch."""

    def __init__(self, clock: FakeClock, has_events: bool) -> None:
        super().__init__(clock, has_events)
        self._names: set[str] = set()

    def wake_for(self, name: str) -> None:
        if self.has_events:
            self._names.add(name)
        self.wake()

    def names(self) -> frozenset[str]:
        names, self._names = self._names, set()
        return frozenset(names)
