# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be asked of guests now, so that the host is never promised more than it has. Pure; sizes are bytes.

Memory that was requested back is the guest's until it has released it, and memory that was promised is the guest's from then
on. So a guest claims the larger of what it has and what it is asked to have. Shrinks are asked at once; growth only as far
as the claims of all leave room, and what there is, is shared out just as the whole was (_allocation). Whatever the guests
do, and in whatever order they do it, the claims stay within the limits; where they were above from the beginning, they
don't rise.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .allocation import Amounts, Limit, Share, fill


@dataclass(frozen=True)
class GuestProgress:
    """The progress of one guest: its goal, the present request, and what it has."""

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


def admissible(guests: t.Sequence[GuestProgress], limits: t.Sequence[Limit]) -> Amounts:
    """What to ask for now, by name. Once that is asked there may be more: a promise that is taken back makes room at once."""
    shrinks = {guest.name: guest.goal for guest in guests if guest.goal < guest.asked}
    growers = [guest for guest in guests if guest.goal > guest.asked]
    amounts = fill([_growing(guest) for guest in growers], _what_is_left(guests, growers, limits))
    growth = {growing.name: amounts[growing.name] for growing in growers if amounts[growing.name] > growing.asked}
    return {**shrinks, **growth}


def _growing(guest: GuestProgress) -> Share:
    """From what it claims already to where it goes."""
    return replace(guest.share, minimum=min(guest.claim, guest.goal), maximum=guest.goal)


def _what_is_left(
    guests: t.Sequence[GuestProgress], growers: t.Sequence[GuestProgress], limits: t.Sequence[Limit]
) -> list[Limit]:
    """The limits for those that grow. One that is exceeded already leaves each what it claims: there, nobody can rise."""
    growing = {guest.name: min(guest.claim, guest.goal) for guest in growers}
    left = []
    for limit in limits:
        claimed = sum(guest.claim for guest in guests if guest.name in limit.guests)
        own = sum(claim for name, claim in growing.items() if name in limit.guests)
        left.append(replace(limit, size=limit.size - claimed + own))
    return left


def foreseen(guests: t.Sequence[GuestProgress], limits: t.Sequence[Limit]) -> Amounts:
    """What each is asked for in the end if all of them follow."""
    guests = [replace(guest, current=guest.asked) for guest in guests]
    while amounts := admissible(guests, limits):
        guests = [
            replace(guest, asked=amounts[guest.name], current=amounts[guest.name]) if guest.name in amounts else guest
            for guest in guests
        ]
    return {guest.name: guest.asked for guest in guests}
