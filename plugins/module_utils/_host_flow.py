# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What may be asked of guests now, so that the host is never promised more than it has. Pure; sizes are bytes.

Memory that was asked back is still the guest's until it has let go of it, and memory that was promised is its own from then
on. So a guest claims the larger of what it has and what it is asked to have. Shrinks are asked at once; growth only as far
as the claims of all leave room, and what there is, is shared out just as the whole was (_allocation). Whatever the guests
do, and in whatever order they do it, the claims stay within the limits; where they were above from the beginning, they
don't rise.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ansible_collections.virtmem.libvirt.plugins.module_utils._allocation import Amounts, Limit, Share, fill


@dataclass(frozen=True)
class Standing:
    """One guest on its way: what it shall have in the end, what it is asked to have now, and what it has."""

    share: Share
    goal: int
    asked: int
    current: int

    @property
    def name(self) -> str:
        return self.share.name

    @property
    def claim(self) -> int:
        return max(self.asked, self.current)


def due(standings: t.Sequence[Standing], limits: t.Sequence[Limit]) -> Amounts:
    """What to ask for now, by name. Once that is asked there may be more: a promise that is taken back makes room at once."""
    shrinks = {standing.name: standing.goal for standing in standings if standing.goal < standing.asked}
    growers = [standing for standing in standings if standing.goal > standing.asked]
    amounts = fill([_growing(standing) for standing in growers], _what_is_left(standings, growers, limits))
    growth = {growing.name: amounts[growing.name] for growing in growers if amounts[growing.name] > growing.asked}
    return {**shrinks, **growth}


def _growing(standing: Standing) -> Share:
    """From what it claims already to where it goes."""
    return replace(standing.share, minimum=min(standing.claim, standing.goal), maximum=standing.goal)


def _what_is_left(
    standings: t.Sequence[Standing], growers: t.Sequence[Standing], limits: t.Sequence[Limit]
) -> list[Limit]:
    """The limits for those that grow. One that is exceeded already leaves each what it claims: there, nobody can rise."""
    growing = {standing.name: min(standing.claim, standing.goal) for standing in growers}
    left = []
    for limit in limits:
        claimed = sum(standing.claim for standing in standings if standing.name in limit.guests)
        own = sum(claim for name, claim in growing.items() if name in limit.guests)
        left.append(replace(limit, size=limit.size - claimed + own))
    return left


def foreseen(standings: t.Sequence[Standing], limits: t.Sequence[Limit]) -> Amounts:
    """What each is asked for in the end if all of them follow."""
    standings = [replace(standing, current=standing.asked) for standing in standings]
    while amounts := due(standings, limits):
        standings = [
            replace(standing, asked=amounts[standing.name], current=amounts[standing.name])
            if standing.name in amounts
            else standing
            for standing in standings
        ]
    return {standing.name: standing.asked for standing in standings}
