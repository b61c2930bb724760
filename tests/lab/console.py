# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest says about itself on its serial console; init.sh is the other end."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .sizes import KIB

_RECORD = re.compile(rb"@lab (\{[^{}\n]*\})")
_TAIL = 64 * KIB


@dataclass(frozen=True)
class GuestMemory:
    """The guest's own word, in bytes."""

    total: int
    free: int
    available: int
    boot: str  # the kernel's boot id: another one after each start and reset
    seq: int  # counts up within a boot
    uptime: float
    age: float  # seconds since the guest wrote it

    def as_json(self) -> dict[str, object]:
        """Return it under the names that the guest's kernel has for it."""
        rest = asdict(self)
        named = {"MemTotal": rest.pop("total"), "MemFree": rest.pop("free"), "MemAvailable": rest.pop("available")}
        return {**named, **rest}


def last_record(path: Path) -> GuestMemory | None:
    """Return the newest complete record, or None while there is none."""
    try:
        with path.open("rb") as console:
            size = console.seek(0, 2)
            console.seek(max(0, size - _TAIL))
            text = console.read()
        age = max(0.0, time.time() - path.stat().st_mtime)
    except (FileNotFoundError, PermissionError):  # QEMU is about to create it
        return None
    for match in reversed(_RECORD.findall(text)):
        record = _parse(match, age)
        if record:
            return record
    return None


def last_lines(path: Path, count: int = 5) -> str:
    """Return the end of the console for an error message."""
    try:
        lines = path.read_bytes()[-_TAIL:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if line.strip()][-count:])


def _parse(text: bytes, age: float) -> GuestMemory | None:
    """Return the record, unless a kernel message got into the middle of it."""
    try:
        said = json.loads(text)
        return GuestMemory(
            total=said["MemTotal"] * KIB,
            free=said["MemFree"] * KIB,
            available=said["MemAvailable"] * KIB,
            boot=said["boot"],
            seq=said["seq"],
            uptime=said["uptime"],
            age=age,
        )
    except (ValueError, KeyError, TypeError):
        return None
