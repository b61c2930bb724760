# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of small numbers as libvirt writes them: 0-3,^2,8 (virBitmapParse, virBitmapFormat). Pure."""

from __future__ import annotations

import re
import typing as t

# More nodes or CPUs than any host has; a bound, so that a slip of the pen can't ask for a set of millions.
_LARGEST: t.Final = 16383
_PART: t.Final = re.compile(r"(\^)?(\d+)(?:-(\d+))?", re.ASCII)


def parse_bitmap(text: str) -> list[int]:
    """The members, in order. Raises ValueError for what is no set, or is an empty one."""
    members = 0  # a bit for each: ranges cost nothing, however many there are
    for part in re.sub(r"\s+", "", text).split(","):
        match = _PART.fullmatch(part)
        if not match:
            raise ValueError(text)
        first, last = int(match[2]), int(match[3] or match[2])
        if not first <= last <= _LARGEST:
            raise ValueError(text)
        bits = (1 << last + 1) - (1 << first)
        members = members & ~bits if match[1] else members | bits
    if not members:
        raise ValueError(text)
    return [number for number in range(members.bit_length()) if members >> number & 1]


def format_bitmap(members: t.Iterable[int]) -> str:
    """The same as text: two and more in a row as a range."""
    ranges: list[list[int]] = []
    for member in sorted(members):
        if ranges and member == ranges[-1][1] + 1:
            ranges[-1][1] = member
        else:
            ranges.append([member, member])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def members_of(text: str | None) -> list[int]:
    """The same for a set that may not be there, which is empty."""
    return parse_bitmap(text) if text else []
