# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An initramfs in the one format that the kernel reads: cpio "newc", gzipped.

Written by hand, because cpio(1) can only put a device node into an archive where its user may create one.
"""

from __future__ import annotations

import gzip
import stat
from pathlib import Path


class Archive:
    """Collects entries in the order in which the kernel shall create them."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._inode = 0

    def directory(self, path: str) -> None:
        self._add(path, stat.S_IFDIR | 0o755)

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._add(path, stat.S_IFREG | mode, content)

    def symlink(self, path: str, target: str) -> None:
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int) -> None:
        self._add(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def write(self, path: Path) -> None:
        self._add("TRAILER!!!", 0)
        path.write_bytes(gzip.compress(bytes(self._data), compresslevel=6, mtime=0))

    def _add(self, path: str, mode: int, content: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self._inode += 1
        name = path.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device of the file (2), device of a node (2), length of name, check
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
        self._data += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self._pad()
        self._data += content
        self._pad()

    def _pad(self) -> None:
        self._data += b"\0" * (-len(self._data) % 4)
