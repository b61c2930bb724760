# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What a host_memory task says, as data; and which domains it means. Pure; sizes are bytes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.virtmem.libvirt.plugins.module_utils._allocation import Policy
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._globs import fitting, is_glob
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import DomainState
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import format_size, parse_size

Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class GuestWish:
    """One element of `domains`. `place` is its name in errors; what it leaves open is None."""

    place: str
    domain: str
    memory: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    weight: int = 1


@dataclass(frozen=True)
class HostWish:
    """A whole task: `reserve` is what the host keeps, `headroom` what a guest shall have usable beyond what it uses."""

    guests: tuple[GuestWish, ...]
    policy: Policy = "fixed"
    reserve: int = 0
    headroom: int = 0


def wish_from(params: Params) -> HostWish:
    """Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    return HostWish(
        guests=tuple(map(_guest_wish, range(len(params["domains"])), params["domains"])),
        policy=params["policy"],
        reserve=parse_size(params["reserve"], "reserve"),
        headroom=parse_size(params["guest_reserve"], "guest_reserve"),
    )


def _guest_wish(position: int, params: Params) -> GuestWish:
    place = f"domains[{position}]"
    sizes = {
        name: None if params[name] is None else parse_size(params[name], f"{place}.{name}")
        for name in ("memory", "min", "max")
    }
    low, high = sizes["min"], sizes["max"]
    if low is not None and high is not None and low > high:
        raise VirtmemError(
            "unsupported",
            f"{place}: min, {format_size(low)}, is more than max, {format_size(high)}.",
            details={"min": low, "max": high},
        )
    if not 1 <= params["weight"] <= _HEAVIEST:
        raise VirtmemError(
            "unsupported",
            f"{place}.weight: {params['weight']} is not a number from 1 to {_HEAVIEST}.",
            details={"weight": params["weight"]},
        )
    return GuestWish(place, params["domain"], sizes["memory"], low, high, params["weight"])


# Far below the smallest block, so that a byte for each unit of weight is finer than any step.
_HEAVIEST: t.Final = 10000


def chosen(
    wish: HostWish, states: t.Sequence[DomainState]
) -> tuple[list[tuple[DomainState, GuestWish]], list[GuestWish]]:
    """Each domain that the task means, with the first element that means it; and the elements that mean none."""
    found: dict[str, tuple[DomainState, GuestWish]] = {}
    missing = []
    for guest in wish.guests:
        fits = _fitting(guest.domain, states)
        if not fits:
            missing.append(guest)
        for state in fits:
            found.setdefault(state.name, (state, guest))
    return list(found.values()), missing


def _fitting(text: str, states: t.Sequence[DomainState]) -> list[DomainState]:
    if is_glob(text):
        names = set(fitting(text, (state.name for state in states)))
        return [state for state in states if state.name in names]
    named = [state for state in states if state.name == text]
    return named or [state for state in states if state.uuid == text.lower()]
