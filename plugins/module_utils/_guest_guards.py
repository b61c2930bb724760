# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Whether a running guest can do without the memory that is asked back, or has what growing itself takes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.virtmem.libvirt.plugins.module_utils import _rules
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Definition,
    GuestStatistics,
    MemoryDevice,
    Observed,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Domain
from ansible_collections.virtmem.libvirt.plugins.module_utils._wait import Clock, fresh_statistics

# Growth beyond so many times what the guest has takes more than a sixteenth of that for page structures.
_MUCH: t.Final = 4


@dataclass(frozen=True)
class GuestChange:
    """What a plan asks of a running guest. `change` is what it gets, in bytes (negative: gives back), `has` what it has.

    `device` and `memory` are for the hint: see _rules.check_guest_memory.
    """

    change: int
    has: int
    reserve: int
    device: MemoryDevice
    memory: int | None = None

    @property
    def is_concern(self) -> bool:
        """Whether the guest's statistics matter at all."""
        return self.change < 0 or self.change > _MUCH * self.has

    def check(self, statistics: GuestStatistics) -> None:
        """Raises VirtmemError(guest_needs_memory)."""
        if self.change < 0:
            _rules.check_guest_memory(-self.change, self.reserve, statistics, self.device, self.memory)
        else:
            _rules.check_page_structures(self.change, statistics, self.device, self.memory)

    def unguarded(self, live: Definition, statistics: GuestStatistics) -> str | None:
        """What there is to warn of where nobody guards; `statistics` are those that the guest happens to have made."""
        if not live.balloon:
            return None  # nobody could know
        if not statistics.fresh:
            return _UNCHECKED.format("check_guest_memory is false, and the guest has reported nothing lately")
        try:
            self.check(statistics)
        except VirtmemError as error:
            return f"{error.message} It is asked all the same (check_guest_memory=false)."
        return None


def guard_guest(
    change: GuestChange, domain: Domain, observed: Observed, clock: Clock, *, check: bool, may_ask: bool
) -> str | None:
    """Raise VirtmemError(guest_needs_memory) if the guest's statistics speak against it; or return a warning.

    `check` is the task's option. Without it nothing is refused, and the guest is not asked for anything.
    """
    if not change.is_concern:
        return None
    live = t.cast(Definition, observed.live)
    if not check:
        known = fresh_statistics(domain, live.stats_period, False, clock) if live.balloon else GuestStatistics()
        return change.unguarded(live, known)
    statistics, why_not = _statistics_to_go_by(domain, observed, may_ask, clock)
    if statistics is None:
        return why_not
    change.check(statistics)
    return None


def _statistics_to_go_by(
    domain: Domain, observed: Observed, may_ask: bool, clock: Clock
) -> tuple[GuestStatistics | None, str]:
    """What the running guest says of its memory just now; or None, and a warning that says why it goes unchecked."""
    live = t.cast(Definition, observed.live)
    if not live.balloon:
        return usable_statistics(live, GuestStatistics())
    may_ask = may_ask and observed.domain.state == "running"  # a paused guest says nothing new
    return usable_statistics(live, fresh_statistics(domain, live.stats_period, may_ask, clock))


def usable_statistics(live: Definition, statistics: GuestStatistics) -> tuple[GuestStatistics | None, str]:
    """The statistics if they are something to go by; or None, and a warning that says why they are not."""
    if not live.balloon:
        return None, _UNCHECKED.format("the domain has no memory balloon to ask")
    if statistics.usable is None:
        return None, _UNCHECKED.format("the guest reports no statistics")
    if not statistics.fresh:
        return None, _UNCHECKED.format("the guest's statistics are old")
    return statistics, ""


_UNCHECKED: t.Final = "Whether the guest can spare the memory was not checked: {}."
