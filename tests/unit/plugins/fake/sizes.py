# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sizes as libvirt's XML has them: a number, and a unit that is KiB where it is left out.

The collection has its own _size. The fake must not use it: a mistake there would come out right here.
"""

from __future__ import annotations

import typing as t

MIB = 1024**2
GIB = 1024**3

_UNITS = {
    "b": 1,
    "bytes": 1,
    "kb": 1000,
    "kib": 1024,
    "k": 1024,
    "mib": MIB,
    "m": MIB,
    "mb": 10**6,
    "gib": GIB,
    "g": GIB,
}


def size_of(found: t.Any) -> int:
    """Bytes that an element says; 0 where there is no such element."""
    if found is None:
        return 0
    return int(found.text) * _UNITS[found.get("unit", "KiB").lower()]


def write_kib(found: t.Any, size: int) -> None:
    found.set("unit", "KiB")
    found.text = str(-(-size // 1024))
