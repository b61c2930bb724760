# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host_memory task says, as data; and which domains it means. Pure; sizes are bytes."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import VirtmemError
from .._model import DomainState, format_size
from .._patterns import is_pattern, matching
from .._size import parse_size
from .allocation import Policy

Params = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class GuestSpec:
    """One element of `domains`. `place` is its name in errors; what it leaves open is None."""

    place: str
    domain: str
    memory: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    weight: int = 1

    @property
    def is_pattern(self) -> bool:
        """Whether `domain` means all domains that it fits."""
        return is_pattern(self.domain)


@dataclass(frozen=True)
class HostSpec:
    """A whole task: `reserve` is what the host keeps, `headroom` what a guest should have usable beyond what it uses."""

    guests: tuple[GuestSpec, ...]
    policy: Policy = "fixed"
    reserve: int = 0
    headroom: int = 0


def host_spec() -> dict[str, t.Any]:
    """The memory of many domains of one host."""
    return {
        "domains": {
            "type": "list",
            "elements": "dict",
            "options": {
                "domain": {"type": "str", "required": True},
                "memory": {"type": "str"},
                "min": {"type": "str"},
                "max": {"type": "str"},
                "weight": {"type": "int", "default": 1},
            },
            "required": True,
            "mutually_exclusive": [("memory", "min"), ("memory", "max")],
        },
        "policy": {"type": "str", "choices": ["fixed", "fair", "demand"], "default": "fixed"},
        "reserve": {"type": "str", "default": "1GiB"},
        "on_error": {"type": "str", "choices": ["continue", "stop"], "default": "continue"},
    }


def read_host_spec(params: Params) -> HostSpec:
    """Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    return HostSpec(
        guests=tuple(map(_read_guest_spec, range(len(params["domains"])), params["domains"])),
        policy=params["policy"],
        reserve=parse_size(params["reserve"], "reserve"),
        headroom=parse_size(params["guest_reserve"], "guest_reserve"),
    )


def _read_guest_spec(position: int, params: Params) -> GuestSpec:
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
    return GuestSpec(place, params["domain"], sizes["memory"], low, high, params["weight"])


# Far below the smallest block, so that a byte for each unit of weight is finer than any step.
_HEAVIEST: t.Final = 10000


def chosen(
    spec: HostSpec, states: t.Sequence[DomainState]
) -> tuple[list[tuple[DomainState, GuestSpec]], list[GuestSpec]]:
    """Each domain that the task means, with the first element that means it; and the elements that mean none."""
    found: dict[str, tuple[DomainState, GuestSpec]] = {}
    missing = []
    for guest in spec.guests:
        fits = _fitting(guest, states)
        if not fits:
            missing.append(guest)
        for state in fits:
            found.setdefault(state.name, (state, guest))
    return list(found.values()), missing


def _fitting(guest: GuestSpec, states: t.Sequence[DomainState]) -> list[DomainState]:
    text = guest.domain
    if guest.is_pattern:
        names = set(matching(text, (state.name for state in states)))
        return [state for state in states if state.name in names]
    named = [state for state in states if state.name == text]
    return named or [state for state in states if state.uuid == text.lower()]
