# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process at a time: a lock file that may be removed while others wait for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, prepare: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock; the kernel lets go of it even if we are killed. `prepare` makes the folder it is in."""
    handle = None
    while handle is None:
        prepare()
        handle = _acquire(path)
    try:
        yield
    finally:
        os.close(handle)


def _acquire(path: Path) -> int | None:
    """Return the locked file, or None where file or folder went away while we waited."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        return None
    fcntl.flock(handle, fcntl.LOCK_EX)
    if _still_there(handle, path):
        return handle
    os.close(handle)
    return None


def _still_there(handle: int, path: Path) -> bool:
    """Tell whether what we hold is what the others will open: who had it before us may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
