# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks: each requirements/NAME.txt, which people edit, with all that it draws in, as requirements/locked/NAME.txt.

A lock has a hash for every file that pip may install, and serves every Python from 3.10 on. Its first lines name the
text that it was made from, so that one that is out of date is seen.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tools import tree

if TYPE_CHECKING:
    from pathlib import Path

    import nox

HEADER = """\
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# Made by ./run lock. From: """


# These are read by tools, and are not installed as they are: there is nothing to lock.
NOT_INSTALLED = {"awx", "cores"}


def names() -> list[str]:
    return sorted({path.stem for path in (tree.ROOT / "requirements").glob("*.txt")} - NOT_INSTALLED)


def lock_of(source: Path) -> Path | None:
    """The lock of a requirements file, if it is there and made from what the file says now."""
    lock = source.parent / "locked" / source.name
    if lock.exists() and lock.read_text().startswith(HEADER + _digest(source)):
        return lock
    return None


def _digest(source: Path) -> str:
    """Of the file and what it includes, without remarks and layout."""
    lines = [line.partition("#")[0].strip() for line in source.read_text().splitlines()]
    own = "\n".join(filter(None, lines))
    included = [_digest(source.parent / line[3:].strip()) for line in lines if line.startswith("-r ")]
    return hashlib.sha256("\n".join([own, *included]).encode()).hexdigest()


def stale() -> list[str]:
    return [name for name in names() if lock_of(tree.ROOT / "requirements" / f"{name}.txt") is None]


def make(session: nox.Session, name: str) -> None:
    """Write the lock of one requirements file anew, with the newest of what it leaves open."""
    source = tree.ROOT / "requirements" / f"{name}.txt"
    lock = source.parent / "locked" / source.name
    lock.parent.mkdir(exist_ok=True)
    session.run(
        *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.10", "--generate-hashes"),
        *("--no-header", "--no-annotate", "--upgrade", str(source), "--output-file", str(lock)),
        silent=True,
    )
    lock.write_text(f"{HEADER}{_digest(source)}\n{lock.read_text()}")
