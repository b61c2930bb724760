# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests' kernel and initramfs: built once from the distribution's packages, then kept."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .cpio import Archive
from .errors import LabError
from .locking import locked
from .packages import distribution

_HERE = Path(__file__).resolve().parent
_INGREDIENTS = ("init.sh", "image.py", "cpio.py", "packages.py")
_APPLETS = ("sh", "mount", "mkfifo", "insmod", "dd", "poweroff")
_AT_BOOT = ("virtio_pci", "virtio_balloon", "button", "evdev")
_WHEN_TOLD = ("virtio_mem",)


@dataclass(frozen=True)
class Image:
    """What a guest boots."""

    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "kernel"

    @property
    def initramfs(self) -> Path:
        return self.folder / "initramfs"


def cache_folder() -> Path:
    """Return where things that are costly to make outlive the lab."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "virtmem-lab"


def put_image(into: Path) -> None:
    """Put a copy of the image for today's packages and today's recipe where a lab's user can read it."""
    source = distribution()
    names = source.names()
    key = hashlib.sha256(source.versions(names).encode())
    for name in _INGREDIENTS:
        key.update((_HERE / name).read_bytes())
    folder = cache_folder() / f"image-{key.hexdigest()[:16]}"
    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / "image.lock"):
        if not folder.is_dir():
            _build(names, folder)
        shutil.copytree(folder, into)
    for path in (into, *into.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _build(names: list[str], folder: Path) -> None:
    """Build the image, and drop those of older packages and recipes."""
    started = time.monotonic()
    print(f"lab: building the guest image from {', '.join(names)}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as scratch:
        root = distribution().unpack(names, Path(scratch))
        result = Path(scratch) / "image"
        result.mkdir()
        shutil.copy(_only(root, "vmlinuz*"), result / "kernel")
        _initramfs(root).write(result / "initramfs")
        for old in folder.parent.glob("image-*"):
            shutil.rmtree(old)
        result.rename(folder)
    print(f"lab: guest image built in {time.monotonic() - started:.1f} s", file=sys.stderr)


def _initramfs(root: Path) -> Archive:
    archive = Archive()
    for name in ("bin", "dev", "proc", "sys", "tmp", "modules", "drivers"):
        archive.directory(name)
    # The kernel opens it for init before init could mount anything.
    archive.character_device("dev/console", 5, 1)
    archive.file("init", (_HERE / "init.sh").read_bytes(), 0o755)
    archive.file("bin/busybox", _only(root, "busybox").read_bytes(), 0o755)
    for applet in _APPLETS:
        archive.symlink(f"bin/{applet}", "busybox")
    modules = Modules(root)
    at_boot = modules.in_order(_AT_BOOT)
    for folder, names in (("modules", at_boot), ("drivers", modules.in_order(_WHEN_TOLD, at_boot))):
        for number, name in enumerate(names):
            archive.file(f"{folder}/{number:02}_{name}.ko", modules.content(name))
    return archive


class Modules:
    """The modules of an unpacked kernel, and the order in which they load.

    modules.dep is made by depmod when a package is installed, and ours isn't: each module names what it
    needs in its own ``depends=``, which depmod reads as well.
    """

    def __init__(self, root: Path) -> None:
        self._files = {path.name.split(".ko")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
        builtin = _only(root, "modules.builtin").read_text()
        self._builtin = {Path(line).stem.replace("-", "_") for line in builtin.split()}

    def in_order(self, wanted: tuple[str, ...], loaded: list[str] | None = None) -> list[str]:
        """Return the modules to insert one after the other so that each finds what it needs."""
        order: list[str] = []

        def visit(name: str) -> None:
            if name in self._builtin or name in order or name in (loaded or ()):
                return
            for needed in self._depends(name):
                visit(needed)
            order.append(name)

        for name in wanted:
            visit(name)
        return order

    def content(self, name: str) -> bytes:
        path = self._files.get(name)
        if path is None:
            raise LabError(f"the kernel's packages have no module {name}")
        if path.suffix == ".xz":
            return lzma.decompress(path.read_bytes())
        if path.suffix == ".zst":
            return subprocess.run(["zstd", "-dc", str(path)], check=True, stdout=subprocess.PIPE).stdout
        return path.read_bytes()

    def _depends(self, name: str) -> list[str]:
        match = re.search(rb"\0depends=([^\0]*)\0", self.content(name))
        return match.group(1).decode().replace("-", "_").split(",") if match and match.group(1) else []


def _only(root: Path, pattern: str) -> Path:
    """Return the one regular file of that name, wherever this distribution puts it."""
    files = [path for path in sorted(root.rglob(pattern)) if path.is_file() and not path.is_symlink()]
    files = [path for path in files if "share" not in path.relative_to(root).parts]  # hooks and documents
    if not files:
        raise LabError(f"no {pattern} in the distribution's packages")
    return files[0]
