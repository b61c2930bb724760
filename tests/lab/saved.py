# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests saved when they had just booted: to go on from there takes seconds, and another boot would take many."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import libvirt

from .debian_image import cached_image, link_or_copy

_KEPT = 4


@dataclass(frozen=True)
class Saved:
    """A disk and the memory that goes with it, in the cache."""

    folder: Path

    @classmethod
    def of(cls, connection: libvirt.virConnect, description: str) -> Saved:
        """Return that of such a guest on this very hypervisor, whether or not it is there."""
        what = f"{connection.getVersion()} {connection.getLibVersion()} {description}"
        return cls(cached_image() / f"state-{hashlib.sha256(what.encode()).hexdigest()[:16]}")

    def __bool__(self) -> bool:
        return self.folder.is_dir()

    def keep(self, memory: Path, disk: Path) -> None:
        """Keep it, and drop what was not used for the longest time; only one at a time may."""
        scratch = self.folder.with_name(f"new-{self.folder.name}-{os.getpid()}")
        scratch.mkdir()
        for source, name in ((memory, "memory"), (disk, "disk.qcow2")):
            shutil.copyfile(source, scratch / name)
            (scratch / name).chmod(0o644)  # a lab's user reads it
        scratch.rename(self.folder)
        others = sorted(self.folder.parent.glob("state-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in others[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def restore(self, connection: libvirt.virConnect, xml: str, memory: Path, disk: Path) -> None:
        """Let a guest go on from there; its XML says where its files are here."""
        os.utime(self.folder)
        # Into the file that is there: it is the lab's user's.
        shutil.copyfile(self.folder / "disk.qcow2", disk)
        link_or_copy(self.folder / "memory", memory)
        try:
            xml = _with_addresses(xml, connection.saveImageGetXMLDesc(str(memory)))
            connection.restoreFlags(str(memory), xml, libvirt.VIR_DOMAIN_SAVE_RUNNING)
        finally:
            memory.unlink()


def _with_addresses(xml: str, saved: str) -> str:
    """Return the XML with the memory devices where they were in the guest: libvirt 9.4 and later restores them nowhere else."""
    addresses = iter(re.findall(r"<address base='[^']+'/>", saved))
    return re.sub("(?<=</requested>)", lambda _: next(addresses, ""), xml)
