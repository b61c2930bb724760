# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a real Debian guest: from where it was saved when it had just booted, or, the first time, by a boot."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import libvirt

from .debian_guest import Login, disk_boot, forwarded_port, free_port, wait_login
from .debian_image import put_debian_image
from .domain import Shape, domain_xml
from .errors import LabError
from .guest import BOOT_TIMEOUT, Guest
from .image import cache_folder
from .locking import locked
from .packages import run
from .place import unprivileged_user
from .profiles import Profile
from .saved import Saved

if TYPE_CHECKING:
    from .laboratory import Lab

# QEMU keeps what it has translated of a page, and 7.2 goes through all of that whenever something is written to the page. A
# boot writes to every page: after some minutes' work in a guest, its reboot took 135 s of a processor, and takes 25 where
# there is room for few translations. 10.0 needs 28 without that, and a bit more with it; 8 and 9 were not tried.
_FEW_TRANSLATIONS = "<tcg><tb-cache unit='MiB'>64</tb-cache></tcg>"
_QEMU_WITHOUT_NEED = 10_000_000  # as getVersion has it


def login(lab: Lab, guest: Guest) -> Login:
    """Return how to log in to a guest."""
    port = forwarded_port(guest.xml())
    if not port:
        raise LabError(f"nobody can log in to {guest.name}: it is not of profile debian")
    return Login(lab.place.debian, port)


def reboot(lab: Lab, guest: Guest) -> None:
    """Reboot a guest as its administrator would, and wait until one can log in again."""
    entry = login(lab, guest)
    guest.booted_by(lambda: run(*entry.command("systemctl", "--no-block", "reboot")))
    wait_login(entry, BOOT_TIMEOUT)


def define(lab: Lab, guest: Guest, profile: Profile, shape: Shape, accelerator: str) -> Saved:
    """Define the guest, and return where what was saved of such a guest is to be found."""
    if lab.place.system.exists():
        raise LabError("a system daemon's network is its own: a Debian guest in there could not be reached")
    put_debian_image(lab.place.debian)
    needed = accelerator == "tcg" and lab.connection.getVersion() < _QEMU_WITHOUT_NEED
    features = _FEW_TRANSLATIONS if needed else ""

    def xml(disk: Path, console: Path, port: int) -> str:
        boot = disk_boot(guest.name, shape.machine, disk, port, features)
        return domain_xml(guest.name, profile, shape, boot, console, accelerator)

    lab.connection.defineXML(xml(_disk(lab, guest), guest.console, free_port()))
    run(
        *("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2"),
        *("-b", os.path.relpath(lab.place.debian.disk, _disk(lab, guest).parent), str(_disk(lab, guest))),
    )
    _give(_disk(lab, guest))
    # What differs from lab to lab left out.
    return Saved.of(lab.connection, xml(Path("disk"), Path("console"), 0))


def start(lab: Lab, guest: Guest, saved: Saved, accelerator: str, timeout: float) -> None:
    """Start the guest, and wait until one can log in; with KVM, where a boot is quick, by a boot."""
    if accelerator != "tcg":
        _boot(lab, guest, timeout)
        return
    # Who wants the same guest at the same time waits for the boot of the first.
    with locked(cache_folder() / "saved.lock"):
        if not (saved and _restored(lab, guest, saved, timeout)):
            _save(lab, guest, saved, timeout)


def _boot(lab: Lab, guest: Guest, timeout: float) -> Login:
    guest.power_on(timeout)
    entry = login(lab, guest)
    wait_login(entry, timeout)
    return entry


def _save(lab: Lab, guest: Guest, saved: Saved, timeout: float) -> None:
    """Boot the guest, save it, and go on from there."""
    entry = _boot(lab, guest, timeout)
    run(*entry.command("update-grub"))  # from here on, GRUB's configuration is what Debian's own tool writes
    memory = _memory(lab, guest)
    guest.domain.save(str(memory))
    saved.keep(memory, _disk(lab, guest))
    memory.unlink()
    if not _restored(lab, guest, saved, timeout):
        raise LabError(f"{guest.name} could not be restored from what was saved of it a moment ago")


def _restored(lab: Lab, guest: Guest, saved: Saved, timeout: float) -> bool:
    """Tell whether the guest goes on from where it was saved; if it can't, what was saved is of no use."""
    guest.console.unlink(missing_ok=True)  # or its last words would be taken for its first ones
    xml = guest.xml(config=True)
    try:
        guest.booted_by(partial(saved.restore, lab.connection, xml, _memory(lab, guest), _disk(lab, guest)), timeout)
    except libvirt.libvirtError:
        shutil.rmtree(saved.folder, ignore_errors=True)
        return False
    wait_login(login(lab, guest), timeout)
    return True


def _disk(lab: Lab, guest: Guest) -> Path:
    return lab.place.guest(guest.name) / "disk.qcow2"


def _memory(lab: Lab, guest: Guest) -> Path:
    return lab.place.guest(guest.name) / "memory"


def _give(path: Path) -> None:
    user = unprivileged_user()
    if user.other:
        os.chown(path, user.uid, user.gid)
