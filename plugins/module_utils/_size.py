# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes: text in, as libvirt writes them; integers of bytes inside and out. Pure."""

from __future__ import annotations

import re
import typing as t
from fractions import Fraction

from ._errors import VirtmemError

KIB: t.Final = 1024
MIB: t.Final = 1024**2

# qemuDomainAlignMemorySizes rounds device sizes to 2 MiB at start, and in the live definition only: other sizes
# would differ between the two definitions for ever. It is also the smallest block that QEMU takes on x86.
SIZE_ALIGNMENT: t.Final = 2 * MIB

# libvirt counts memory in an unsigned long long of KiB, but QEMU's sizes are 64-bit bytes: the smaller limit rules.
LARGEST: t.Final = 2**63 - 1

# VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, libvirt's way to write "no limit"; its Python binding lacks the name in 9.0.
UNLIMITED: t.Final = 9007199254740991 * KIB

_LETTERS: t.Final = "kmgtpe"
_NUMBER_AND_UNIT: t.Final = re.compile(
    r"(?P<number>\d{1,40}(?:\.\d{1,40})?)\s*(?P<unit>[a-z]*)", re.ASCII | re.IGNORECASE
)


def unit_factor(unit: str) -> int | None:
    """Bytes of one `unit` as in libvirt's virScaleInteger: K and KiB are 1024, KB is 1000; None for another word."""
    unit = unit.lower()
    if unit in ("b", "byte", "bytes"):
        return 1
    power = _LETTERS.find(unit[0]) + 1 if unit else 0
    base = {"": 1024, "ib": 1024, "b": 1000}.get(unit[1:])
    return None if not power or base is None else int(base**power)


def parse_size(text: str, option: str) -> int:
    """Bytes of a size such as C(2GiB), C(512 MiB), C(1.5GiB), C(10GB) or C(2G).

    A bare number other than 0 is refused: it is KiB to libvirt and bytes to everybody else.
    `option` names the option in the error. Raises VirtmemError(invalid_size).
    """
    match = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if not match:
        raise _invalid(text, option, "is not a size")
    number, unit = Fraction(match["number"]), match["unit"]
    if not unit:
        if number == 0:
            return 0
        raise _invalid(text, option, "has no unit", hint=_unit_hint(number))
    factor = unit_factor(unit)
    if factor is None:
        raise _invalid(text, option, f"has an unknown unit ({unit})")
    size = number * factor
    if size.denominator != 1:
        raise _invalid(text, option, "is not a whole number of bytes", hint=f"The nearest is {format_size(int(size))}.")
    if size > LARGEST:
        raise _invalid(text, option, f"is more than the largest size, {format_size(2**63)} less one byte")
    return int(size)


def _unit_hint(number: Fraction) -> str:
    short = _as_typed(number)
    return f"Add a unit, for example {short}MiB or {short}GiB; {short} alone is KiB to libvirt and bytes to others."


def _as_typed(number: Fraction) -> str:
    """`number` as a person types it: without a denominator of one or trailing zeros."""
    return str(number.numerator) if number.denominator == 1 else f"{float(number):g}"


def _invalid(text: str, option: str, what: str, hint: str = "") -> VirtmemError:
    return VirtmemError(
        "invalid_size",
        f"{option}: {text!r} {what}.",
        hint=hint or "Write a number and a unit, such as 512MiB, 1.5GiB or 10GB (1000-based); 0 needs no unit.",
        details={"option": option, "value": text},
    )


def format_size(size: int) -> str:
    """`size` bytes for a person: in the largest 1024-based unit that shows it exactly (C(6 GiB), C(1536 MiB))."""
    for power in range(len(_LETTERS), 0, -1):
        unit = 1024**power
        if size and size % unit == 0:
            return f"{size // unit} {_LETTERS[power - 1].upper()}iB"
    return "0" if size == 0 else f"{size} bytes"


def about(size: int) -> str:
    """`size` bytes rounded down to MiB, for measured values that nobody typed (free memory, statistics)."""
    return format_size(size // MIB * MIB)


def kib(size: int) -> int:
    """Whole KiB of `size` bytes, rounded up as libvirt does (virDomainParseMemory)."""
    return -(-size // KIB)


def round_down(size: int, step: int) -> int:
    """The largest multiple of `step` that is not above `size` (all bytes)."""
    return size // step * step


def round_up(size: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `size` (all bytes)."""
    return -(-size // step) * step
