# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of a real Debian guest: GRUB, systemd, sshd; made once from Debian's packages, without root, then kept."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import struct
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError, UnavailableError
from .image import cache_folder
from .locking import locked
from .packages import run
from .roots import mirror
from .sizes import MIB

SUITE = "bookworm"  # its kernel leaves plugged memory offline, as that of Debian 13 does not
HOST_KEY_ALIAS = "debian.lab"  # guests are told apart by port, and all have the image's host key
_HERE = Path(__file__).resolve().parent
_INGREDIENTS = ("debian_image.py", "debian_setup.sh", "debian_word.sh")
_PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "openssh-server", "python3", "python3-apt"),
    *("linux-image-cloud-amd64", "initramfs-tools", "grub2-common", "grub-pc-bin"),
    # What takes long to unpack under emulation, for a guest that is to become a hypervisor. None of it is started.
    *("libvirt-daemon-system", "qemu-system-x86", "python3-libvirt", "libvirt-clients"),
)
_PROGRAMS = ("mmdebstrap", "mke2fs", "qemu-img", "ssh", "ssh-keygen")
_AS_USER = ("fakeroot", "fakechroot")
_SIZE = 2048 * MIB
_START = 1 * MIB  # of the only partition; GRUB's core is in front of it
_SECTOR = 512
# What the kernel needs to find its disk; Debian's own list of nearly all modules would double the time to boot.
_BEFORE_KERNEL = """
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
echo MODULES=list >"$1/etc/initramfs-tools/conf.d/lab"
printf 'virtio_pci\\nvirtio_blk\\n' >"$1/usr/share/initramfs-tools/modules.d/lab"
"""
_DISK = """
mkdir tree
tar -xf root.tar -C tree --exclude='./dev/*' --exclude=./lab
mke2fs -q -F -t ext4 -O ^has_journal -m 0 -L root -E offset="$1" -d tree disk.raw "$2"
"""


@dataclass(frozen=True)
class DebianImage:
    """What all Debian guests share."""

    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"


def put_debian_image(into: DebianImage) -> None:
    """Put the image where a lab's user can read it, all but the key."""
    with locked(cache_folder() / "debian.lock", _make_cache):
        folder = cached_image()
        if not folder.is_dir():
            _build(folder)
        if not into.folder.is_dir():
            scratch = into.folder.with_suffix(".new")
            shutil.copytree(folder, scratch, copy_function=link_or_copy, ignore=shutil.ignore_patterns("state-*"))
            scratch.chmod(0o755)
            scratch.rename(into.folder)


def cached_image() -> Path:
    """Return the folder of today's recipe in the cache."""
    key = hashlib.sha256()
    for name in _INGREDIENTS:
        key.update((_HERE / name).read_bytes())
    return cache_folder() / f"debian-{key.hexdigest()[:16]}"


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Have a file at another place, too: at no cost where that is on the same disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _make_cache() -> None:
    cache_folder().mkdir(parents=True, exist_ok=True)


def _build(folder: Path) -> None:
    """Build the image, and drop those of older recipes."""
    started = time.monotonic()
    absent = [name for name in (*_PROGRAMS, *([] if _root() else _AS_USER)) if not shutil.which(name, path=_path())]
    if absent:
        raise UnavailableError(f"a Debian guest needs {', '.join(absent)}, not installed here")
    print("lab: building the disk of a Debian guest, this takes a minute or two", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as name:
        scratch = Path(name)
        image = DebianImage(scratch / "image")
        image.folder.mkdir()
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(image.key))
        _bootstrap(scratch, image)
        _write_disk(scratch, image)
        host_key = (scratch / "host_key.pub").read_text()
        image.known_hosts.write_text(f"{HOST_KEY_ALIAS} {host_key}")
        for path in (image.disk, image.known_hosts):
            path.chmod(0o644)
        for old in folder.parent.glob("debian-*"):
            shutil.rmtree(old)
        image.folder.rename(folder)
    print(f"lab: disk of a Debian guest built in {time.monotonic() - started:.0f} s", file=sys.stderr)


def _bootstrap(scratch: Path, image: DebianImage) -> None:
    """Make root.tar, and beside it what the setup leaves for us."""
    given = scratch / "lab"
    given.mkdir()
    shutil.copy(image.key.with_suffix(".pub"), given / "key.pub")
    shutil.copy(_HERE / "debian_setup.sh", given / "setup.sh")
    shutil.copy(_HERE / "debian_word.sh", given / "word.sh")
    made = [f"/lab/{name}" for name in ("boot.img", "core.img", "host_key.pub")]
    run(
        *("env", f"PATH={_path()}", f"TMPDIR={scratch}", "mmdebstrap", "--quiet"),
        f"--mode={'root' if _root() else 'fakechroot'}",
        # The setup cleans up itself: apt is to go on knowing of the guest's own small repository.
        *("--variant=minbase", f"--include={','.join(_PACKAGES)}", "--skip=cleanup/apt"),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale")),
        f"--essential-hook={_BEFORE_KERNEL}",
        f"--customize-hook=copy-in {shlex.quote(str(given))} /",
        '--customize-hook=chroot "$1" sh /lab/setup.sh',
        f"--customize-hook=copy-out {' '.join(made)} {shlex.quote(str(scratch))}",
        *(SUITE, str(scratch / "root.tar"), f"deb {mirror()} {SUITE} main"),
    )


def _write_disk(scratch: Path, image: DebianImage) -> None:
    """Write a disk with one partition, without root, loop device or mount."""
    raw = scratch / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(_SIZE)
    # Whose each file is, is known only inside of one fakeroot.
    make = [*([] if _root() else ["fakeroot"]), "sh", "-ec", _DISK, "sh", str(_START), f"{(_SIZE - _START) // 1024}k"]
    run("env", f"PATH={_path()}", *make, cwd=scratch)
    core = (scratch / "core.img").read_bytes()
    if len(core) > _START - _SECTOR:
        raise LabError(f"GRUB's core of {len(core)} bytes does not fit in front of the partition")
    with raw.open("r+b") as file:
        file.write(_boot_record((scratch / "boot.img").read_bytes()))
        file.write(core)
    compressed = ("-c", "-o", "compression_type=zstd")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *compressed, str(raw), str(image.disk))


def _boot_record(boot: bytes) -> bytes:
    """Return GRUB's first sector with our table of partitions; it loads what begins in the second one, as ours does."""
    active, linux, unused = 0x80, 0x83, b"\xff\xff\xff"  # CHS addresses are of no use to anybody
    entry = struct.pack("<B3sB3sII", active, unused, linux, unused, _START // _SECTOR, (_SIZE - _START) // _SECTOR)
    return boot[:446] + entry + bytes(48) + b"\x55\xaa"


def _root() -> bool:
    return os.geteuid() == 0


def _path() -> str:
    """Return where programs are; those for administrators are not in everybody's path."""
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
