# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lays the collection out as Ansible's tools want it: below ansible_collections/NAMESPACE/NAME.

A copy, not a link: ansible-test resolves links and then no longer finds the folders that it asks for. Each session has a
copy of its own, so that sessions may run side by side; unchanged files are not copied again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
WORK = Path(os.environ.get("VIRTMEM_WORK") or ROOT / ".nox")
PLACE = Path("ansible_collections", "virtmem", "libvirt")

# What tools leave in the copy and are glad to find again.
KEPT = {".ansible", ".git", "tests/output"}
# Without git (an unpacked archive) there is no one to ask what belongs to the collection.
FOREIGN = {".nox", "__pycache__", "output", *KEPT}


def belonging() -> list[str]:
    """Every file of the collection, whether or not it has been committed."""
    if (ROOT / ".git").exists():
        listing = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        names = set(listing.split("\0")) - {""}
    else:
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = {path.as_posix() for path in found if not FOREIGN & set(path.parts)}
    return sorted(name for name in names if (ROOT / name).is_file())


def requirements() -> Path:
    """The folder of pinned requirements; another ansible-core than our own, where VIRTMEM_CORE asks for one."""
    ours = ROOT / "requirements"
    core = os.environ.get("VIRTMEM_CORE")
    if not core:
        return ours
    folder = WORK / "requirements" / core
    shutil.copytree(ours, folder, dirs_exist_ok=True)
    text = (ours / "ansible.txt").read_text()
    (folder / "ansible.txt").write_text(
        "".join(line for line in text.splitlines(keepends=True) if not line.startswith("ansible-core=="))
        + f"ansible-core=={core}\n"
    )
    return folder


_claims: dict[str, IO[str]] = {}


def claim(session: str) -> None:
    """Have the session's files for this process alone until it ends; two that shared them would break each other."""
    if session in _claims:
        return
    locks = WORK / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    _claims[session] = (locks / session).open("w")
    try:
        fcntl.flock(_claims[session], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting: {session} is already running in this checkout", flush=True)
        fcntl.flock(_claims[session], fcntl.LOCK_EX)


def arrange(session: str) -> Path:
    """Bring the session's copy up to date and return the collection's folder in it."""
    claim(session)
    tree = WORK / "trees" / session / PLACE
    names = belonging()
    for name in names:
        source, target = ROOT / name, tree / name
        if not _same(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    _drop_others(tree, set(names))
    if not (tree / ".git").exists():
        # Tools that ask git must get an answer from the copy, not from the checkout around it, which ignores all of it.
        subprocess.run(["git", "init", "--quiet", str(tree)], check=True, capture_output=True)
    return tree


def collections_path(tree: Path) -> Path:
    """The folder that holds `ansible_collections`."""
    return tree.parents[len(PLACE.parts) - 1]


def _same(source: Path, target: Path) -> bool:
    if not target.exists():
        return False
    ours, theirs = source.stat(), target.stat()
    return (ours.st_size, ours.st_mtime_ns, ours.st_mode) == (theirs.st_size, theirs.st_mtime_ns, theirs.st_mode)


def _drop_others(tree: Path, names: set[str]) -> None:
    for path in sorted(tree.rglob("*"), reverse=True):
        name = path.relative_to(tree).as_posix()
        if name in names or any(name == kept or name.startswith(f"{kept}/") for kept in KEPT):
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        else:
            path.unlink()
