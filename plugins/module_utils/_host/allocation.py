# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which guest gets how much of a host: weighted max-min fairness, in whole blocks. Pure; sizes are bytes.

An allocation is max-min fair if nobody can get more without taking from somebody who has no more than he (D. Bertsekas
and R. Gallager, Data Networks, 2nd edition, section 6.5.2). The algorithm is theirs, progressive filling: all rise
together like water, each as fast as its weight, until one stands at its maximum or fills up a limit that it shares; that
one stops, and the others go on. Their sessions and links are guests and limits here: the host as a whole is a limit for
every guest, and one of its NUMA nodes for the guests that are bound to it.

Memory comes in blocks, so the water rises in steps. The next block goes to the guest that stands lowest with it, in
memory for each unit of weight; among equals to the first by name. A guest whose next block does not fit stops. So the
answer depends neither on the order of the guests nor on how they stand now.
"""

from __future__ import annotations

import heapq
import typing as t
from dataclasses import dataclass, replace
from fractions import Fraction

from .._errors import VirtmemError
from .._model import format_size, round_down

Policy = t.Literal["fixed", "fair", "demand"]


@dataclass(frozen=True)
class Share:
    """One guest. It can have `fixed` (boot memory and DIMMs) and any number of whole blocks, from `minimum` to `maximum`.

    `has` is what it is asked to have now, `demand` what it uses and some headroom.
    """

    name: str
    fixed: int
    block: int
    minimum: int
    maximum: int
    weight: int = 1
    has: int = 0
    demand: int = 0

    def at_most(self, size: int) -> int:
        """The most that the guest can have without having more than `size`; its minimum, if that is more."""
        size = min(size, self.maximum)
        return max(self.fixed + round_down(size - self.fixed, self.block), self.minimum)

    def next(self, size: int) -> int:
        """What it would have with one block more."""
        return self.fixed + round_down(size - self.fixed, self.block) + self.block


@dataclass(frozen=True)
class Limit:
    """What `guests` may have together, by name. `where` says in words which memory that is."""

    guests: frozenset[str]
    size: int
    where: str = "the host"


Amounts = dict[str, int]


def allocate(policy: Policy, shares: t.Sequence[Share], limits: t.Sequence[Limit]) -> Amounts:
    """What each guest gets. Raises VirtmemError(host_lacks_memory) if a limit is below what its guests must have.

    `fixed`: what each one has now, moved into its bounds. `fair`: weighted max-min. `demand`: weighted max-min up to
    what each one needs, and then weighted max-min of what is left, on top of that.
    """
    if policy == "fixed":
        shares = [replace(share, minimum=share.at_most(share.has)) for share in shares]
    _check(shares, limits)
    if policy == "fixed":
        return {share.name: share.minimum for share in shares}
    if policy == "fair":
        return fill(shares, limits)
    needed = fill([replace(share, maximum=_needed(share)) for share in shares], limits)
    return fill([replace(share, minimum=needed[share.name]) for share in shares], limits, needed)


def _needed(share: Share) -> int:
    """The demand in whole blocks, rounded up, and within the guest's bounds."""
    return max(min(share.next(share.demand - 1), share.maximum), share.minimum)


def _check(shares: t.Sequence[Share], limits: t.Sequence[Limit]) -> None:
    for limit in limits:
        members = [share for share in shares if share.name in limit.guests]
        needed = sum(share.minimum for share in members)
        if members and needed > limit.size:
            raise VirtmemError(
                "host_lacks_memory",
                f"{len(members)} guests must have at least {format_size(needed)} together, and {limit.where} has"
                f" {format_size(max(limit.size, 0))} for them.",
                hint="Lower min or memory of some of them, lower reserve, or move a guest to another host.",
                details={"needed": needed, "available": limit.size, "missing": needed - limit.size},
            )


def fill(shares: t.Sequence[Share], limits: t.Sequence[Limit], base: t.Mapping[str, int] | None = None) -> Amounts:
    """Progressive filling from everybody's minimum. The water stands at `base` (0 if left out) in the beginning."""
    filling = _Filling(shares, limits, base or {})
    while filling.rising:
        filling.rise()
        filling.step()
    return filling.amounts


class _Filling:
    """`rising` are the guests that can still get more, by name."""

    def __init__(self, shares: t.Sequence[Share], limits: t.Sequence[Limit], base: t.Mapping[str, int]) -> None:
        self.rising = {share.name: share for share in sorted(shares, key=lambda share: share.name)}
        self.amounts: Amounts = {share.name: share.minimum for share in shares}
        self._base = base
        self._limits = [limit for limit in limits if limit.guests & self.rising.keys()]
        self._rooms = [
            limit.size - sum(self.amounts[name] for name in limit.guests & self.amounts.keys())
            for limit in self._limits
        ]
        self._limits_of = {
            name: [position for position, limit in enumerate(self._limits) if name in limit.guests]
            for name in self.rising
        }
        self._stop_full()

    def rise(self) -> None:
        """Let the water rise in one go, as long as all that rise have room: the steps, but for the last ones."""
        low, high = 0, max((share.maximum for share in self.rising.values()), default=0) + 1
        while high - low > 1:
            level = (low + high) // 2
            if self._fits(level):
                low = level
            else:
                high = level
        for name, share in self.rising.items():
            self._give(name, self._at(share, low) - self.amounts[name])
        self._stop_full()

    def step(self) -> None:
        """One block after the other, lowest first, until somebody has to stop."""
        heap = [(self._level_with_next(share), name) for name, share in self.rising.items()]
        heapq.heapify(heap)
        stopped = False
        while heap and not stopped:
            _level, name = heapq.heappop(heap)
            self._give(name, self._step_of(self.rising[name]))
            heapq.heappush(heap, (self._level_with_next(self.rising[name]), name))
            stopped = self._stop_full()

    def _at(self, share: Share, level: int) -> int:
        """What a guest has when the water stands at `level`, for one unit of weight; never less than it has."""
        return max(share.at_most(self._base.get(share.name, 0) + level * share.weight), self.amounts[share.name])

    def _fits(self, level: int) -> bool:
        rooms = list(self._rooms)
        for name, share in self.rising.items():
            more = self._at(share, level) - self.amounts[name]
            for position in self._limits_of[name]:
                rooms[position] -= more
                if rooms[position] < 0:
                    return False
        return True

    def _step_of(self, share: Share) -> int:
        amount = self.amounts[share.name]
        return share.next(amount) - amount

    def _level_with_next(self, share: Share) -> Fraction:
        return Fraction(share.next(self.amounts[share.name]) - self._base.get(share.name, 0), share.weight)

    def _give(self, name: str, more: int) -> None:
        self.amounts[name] += more
        for position in self._limits_of[name]:
            self._rooms[position] -= more

    def _stop_full(self) -> bool:
        """Whether anybody had to stop: at its maximum, or because the next block does not fit."""
        full = [
            name
            for name, share in self.rising.items()
            if share.next(self.amounts[name]) > share.maximum
            or any(self._rooms[position] < self._step_of(share) for position in self._limits_of[name])
        ]
        for name in full:
            del self.rising[name]
        return bool(full)
