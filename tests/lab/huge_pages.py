# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""2 MiB pages for a lab: taken from the machine in addition to those that it has reserved, and given back."""

from __future__ import annotations

import fcntl
from pathlib import Path

from .errors import UnavailableError

_POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")


def reserve(count: int, record: Path) -> None:
    """Reserve that many more, and write down how many they are."""
    try:
        added = _change(count)
    except OSError as error:
        raise UnavailableError(f"no 2 MiB pages can be reserved here: {error}") from error
    record.write_text(f"{added}\n")
    if added < count:
        raise UnavailableError(f"of {count} pages of 2 MiB only {added} could be reserved here: its memory is in use")


def give_back(record: Path) -> None:
    """Give back what was reserved; once."""
    if record.exists():
        _change(-int(record.read_text()))
        record.unlink()


def _change(by: int) -> int:
    """Change the machine's pool and return by how much it did change; one at a time, for the kernel only sets it."""
    with _POOL.open("r+") as pool:
        fcntl.flock(pool, fcntl.LOCK_EX)
        before = int(pool.read())
        _POOL.write_text(str(before + by))
        return int(_POOL.read_text()) - before
