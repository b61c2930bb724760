# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them, to bytes and back."""

from __future__ import annotations

import re

_FACTOR = {
    "": 1, "b": 1, "k": 1024, "kib": 1024, "kb": 1000, "m": 1024**2, "mib": 1024**2, "mb": 1000**2,
    "g": 1024**3, "gib": 1024**3, "gb": 1000**3, "t": 1024**4, "tib": 1024**4, "tb": 1000**4,
}  # fmt: skip

KIB = 1024
MIB = 1024**2
GIB = 1024**3


def parse(text: str | int) -> int:
    """Return bytes for ``2GiB``, ``512 MiB``, ``1.5G`` or a bare number of bytes."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    factor = _FACTOR.get(match.group(2).lower()) if match else None
    if not match or factor is None:
        raise ValueError(f"not a size: {text!r} (2GiB, 512MiB, or a number of bytes)")
    return round(float(match.group(1)) * factor)


def show(size: int) -> str:
    """Return the shortest exact way to write a number of bytes."""
    for factor, unit in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"
