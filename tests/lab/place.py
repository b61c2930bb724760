# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a lab lives, and as whom."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path

from .debian_image import DebianImage, cached_image
from .errors import LabError
from .image import Image

# sun_path holds 108 bytes with its final NUL; QEMU's monitor has the longest name of all sockets below a lab.
_LONGEST_SOCKET = "etc/libvirt/qemu/lib/domain-9999-aaaaaaaaaaaaaaaaaaaa/monitor.sock"


@dataclass(frozen=True)
class User:
    """Who runs the daemon and the guests."""

    name: str
    uid: int
    gid: int

    @property
    def other(self) -> bool:
        """Tell whether it is somebody whom we, as root, have to become first."""
        return self.uid != os.geteuid()


def unprivileged_user() -> User:
    """Return ourselves, or somebody harmless: for root, qemu:///session would be the machine's own daemon."""
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.geteuid())
        return User(entry.pw_name, os.geteuid(), os.getegid())
    for name in ("nobody", "libvirt-qemu", "qemu", "daemon"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return User(name, entry.pw_uid, entry.pw_gid)
    raise LabError("no unprivileged user here that could run the lab")


@dataclass(frozen=True)
class Place:
    """The folder of one lab; everything that the lab owns is below it."""

    base: Path
    name: str

    @classmethod
    def named(cls, name: str) -> Place:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,15}", name):
            raise LabError(f"a lab's name is 1 to 16 of a-z 0-9 -, not {name!r}")
        place = cls(base_folder(), name)
        if len(os.fsencode(place.directory / _LONGEST_SOCKET)) > 107:
            raise LabError(f"{place.directory} is too long for UNIX sockets; set VIRTMEM_LAB_DIR to a shorter path")
        return place

    @property
    def directory(self) -> Path:
        return self.base / self.name

    @property
    def lock(self) -> Path:
        return self.base / f".{self.name}.lock"

    @property
    def system(self) -> Path:
        """What a lab with a system daemon has, and no other; see system.py."""
        return self.directory / "system"

    @property
    def ssh(self) -> Path:
        """What a lab has that is reached over SSH; see ssh.py."""
        return self.directory / "ssh"

    @property
    def uri(self) -> str:
        if self.system.exists():
            return f"qemu+unix:///system?socket={self.system}/run/libvirt-sock"
        return f"qemu+unix:///session?socket={self.directory}/run/libvirt/libvirt-sock"

    @property
    def facts(self) -> Path:
        """What `up` decided, as JSON; written last, so a folder without it is half made."""
        return self.directory / "lab.json"

    @property
    def image(self) -> Image:
        return Image(self.directory / "image")

    @property
    def debian(self) -> DebianImage:
        """The disk of Debian guests by today's recipe; there once the lab has had one."""
        return DebianImage(self.directory / cached_image().name)

    @property
    def log(self) -> Path:
        return self.directory / "run/libvirtd.log"

    @property
    def pid_file(self) -> Path:
        return self.directory / "run/libvirtd.pid"

    def guest(self, name: str) -> Path:
        return self.directory / "guests" / name

    def environment(self) -> dict[str, str]:
        """Return the daemon's whole environment; nothing in it leads out of the lab, and TMPDIR marks its processes."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "XDG_RUNTIME_DIR": str(self.directory / "run"),
            "XDG_CONFIG_HOME": str(self.directory / "etc"),
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            "XDG_DATA_HOME": str(self.directory / "data"),
        }

    def claim_base(self) -> None:
        """Make the folder of all labs; in a shared /tmp somebody else may have made it, and then it isn't for us."""
        self.base.mkdir(mode=0o755, parents=True, exist_ok=True)
        found = self.base.lstat()
        if self.base.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise LabError(f"{self.base} is not a folder of ours that only we can write to")

    def make(self, user: User | None) -> None:
        """Make the folders, some of them the user's; what we write into stays ours, so that nobody can put a link in our way."""
        make_folder(self.directory, None)
        make_folder(self.directory / "guests", None)
        for name in ("home", "tmp", "run", "etc", "etc/libvirt", "cache", "data"):
            make_folder(self.directory / name, user)


def base_folder() -> Path:
    """Return the folder of all labs of this user: short, for the sockets' sake."""
    return Path(os.environ.get("VIRTMEM_LAB_DIR") or f"/tmp/virtmem-lab-{os.geteuid()}").absolute()


def names_in_use() -> list[str]:
    """Return the labs that have a folder, whole or half made, or no more than a lock."""
    base = base_folder()
    found = {path.name for path in base.glob("[!.]*") if path.is_dir()}
    return sorted(found | {path.name[1 : -len(".lock")] for path in base.glob(".*.lock")})


def make_folder(path: Path, user: User | None) -> None:
    """Make a folder that everybody may look into and that belongs to the lab's user, or to us."""
    path.mkdir()
    path.chmod(0o755)  # whatever our umask says
    if user and user.other:
        os.chown(path, user.uid, user.gid)
