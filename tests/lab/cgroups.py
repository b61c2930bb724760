# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control groups of a system lab: one in each hierarchy of the kernel, which for its daemon is all there is.

So what libvirt makes for guests is below them, no other daemon's guests can be meant, and all goes when the lab does.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .errors import UnavailableError

_V1 = {
    "hard_limit": "memory.limit_in_bytes",
    "soft_limit": "memory.soft_limit_in_bytes",
    "swap_hard_limit": "memory.memsw.limit_in_bytes",
    "usage": "memory.usage_in_bytes",
}
_V2 = {
    "hard_limit": "memory.max",
    "soft_limit": "memory.high",
    "swap_hard_limit": "memory.swap.max",
    "usage": "memory.current",
}
_NO_LIMIT = 2**62  # version 1 has no word for it, but a number that no machine has


@dataclass(frozen=True)
class Group:
    """A lab's group in one hierarchy."""

    root: Path
    name: str
    version: int

    @property
    def path(self) -> Path:
        return self.root / self.name

    def make(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.path.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):
            if self.version == 1 and (self.path / file).exists():  # nobody can enter it while they are empty
                (self.path / file).write_text((self.root / file).read_text())

    def remove(self, timeout: float = 10.0) -> None:
        """Remove it and all below; a process that was killed is in it for a moment yet."""
        deadline = time.monotonic() + timeout
        for path in sorted(self._all(), reverse=True):
            while True:
                try:
                    path.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                time.sleep(0.05)

    def _all(self) -> Iterator[Path]:
        if self.path.is_dir():
            yield self.path
            yield from (path for path in self.path.rglob("*") if path.is_dir())


def groups_of(directory: Path) -> list[Group]:
    """Return the groups that the lab in a folder has, or would have."""
    name = f"virtmem-lab{quote(str(directory), safe='')}"
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    places = [(Path(mount[1]), mount[2]) for mount in mounts]  # man 5 fstab: what, where, which kind of file system
    return [Group(at, name, 2 if kind == "cgroup2" else 1) for at, kind in places if "cgroup" in kind]


def make(directory: Path) -> None:
    groups = groups_of(directory)
    try:
        for group in groups:
            group.make()
    except OSError as error:
        raise UnavailableError(f"no control group can be made here: {error}") from error
    if not any(_limit_file(group, group.path).exists() for group in groups):
        raise UnavailableError("this machine has no control groups for memory")


def remove(directory: Path) -> None:
    for group in groups_of(directory):
        group.remove()


def limits(directory: Path, guest: str, number: int) -> dict[str, int | None]:
    """Return what the kernel holds a running guest to, and what it uses, in bytes; None: not limited."""
    for group in groups_of(directory):
        folder = group.path / "machine" / f"qemu-{number}-{guest}.libvirt-qemu"
        if _limit_file(group, folder).exists():
            files = _V1 if group.version == 1 else _V2
            return {"version": group.version, **{name: _number(folder / file) for name, file in files.items()}}
    raise FileNotFoundError(f"{guest} has no control group")


def _limit_file(group: Group, folder: Path) -> Path:
    return folder / (_V1 if group.version == 1 else _V2)["hard_limit"]


def _number(path: Path) -> int | None:
    text = path.read_text().strip()
    return None if text == "max" or int(text) > _NO_LIMIT else int(text)
