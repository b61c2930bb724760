# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes as people and libvirt write them, to bytes. Pure."""

from __future__ import annotations

import re
import typing as t

from ._errors import VirtmemError
from ._model import UNITS, format_size

# libvirt counts memory in an unsigned long long of KiB, but QEMU's sizes are 64-bit bytes: the smaller limit rules.
LARGEST: t.Final = 2**63 - 1

_NUMBER_AND_UNIT: t.Final = re.compile(
    r"(?P<number>\d{1,40}(?:\.\d{1,40})?)\s*(?P<unit>[a-z]*)", re.ASCII | re.IGNORECASE
)


def unit_factor(unit: str) -> int | None:
    """Bytes of one `unit` as in libvirt's virScaleInteger: K and KiB are 1024, KB is 1000; None for another word."""
    unit = unit.lower()
    if unit in ("b", "byte", "bytes"):
        return 1
    power = UNITS.find(unit[0]) + 1 if unit else 0
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
    number, unit = match["number"], match["unit"]
    whole, _point, part = number.partition(".")
    digits = int(whole + part)
    scale: int = 10 ** len(part)  # the number is digits / scale
    if not unit:
        if digits == 0:
            return 0
        raise _invalid(text, option, "has no unit", hint=_unit_hint(number))
    factor = unit_factor(unit)
    if factor is None:
        raise _invalid(text, option, f"has an unknown unit ({unit})")
    size, rest = divmod(digits * factor, scale)
    if rest:
        raise _invalid(text, option, "is not a whole number of bytes", hint=f"The nearest is {format_size(size)}.")
    if size > LARGEST:
        raise _invalid(text, option, f"is more than the largest size, {format_size(2**63)} less one byte")
    return size


def _unit_hint(number: str) -> str:
    """`number` without the zeros that say nothing, and each unit that may be meant."""
    whole, _point, part = number.partition(".")
    short = f"{int(whole)}.{part}".rstrip("0").rstrip(".") if part else str(int(whole))
    return f"Add a unit, for example {short}MiB or {short}GiB; {short} alone is KiB to libvirt and bytes to others."


def _invalid(text: str, option: str, what: str, hint: str = "") -> VirtmemError:
    return VirtmemError(
        "invalid_size",
        f"{option}: {text!r} {what}.",
        hint=hint or "Write a number and a unit, such as 512MiB, 1.5GiB or 10GB (1000-based); 0 needs no unit.",
        details={"option": option, "value": text},
    )
