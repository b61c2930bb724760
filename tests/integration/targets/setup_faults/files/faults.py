# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does bad things to a lab, one after the other.

faults.py LAB_SCRIPT LAB DEED...; a deed is NAME[:ARGUMENT...], and one of the functions below.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(sys.argv[1]).resolve().parent.parent)

import libvirt  # noqa: E402
from lab import Lab, processes  # noqa: E402
from lab.sizes import parse  # noqa: E402

LONGEST = 60  # seconds that anything is waited for
RELAY = Path(__file__).with_name("relay.py")
FULL = 256 * 1024  # bytes of a disk that is soon full


def wait(what, reached):
    deadline = time.monotonic() + LONGEST
    while not reached():
        if time.monotonic() > deadline:
            sys.exit(f"in vain: {what}")
        time.sleep(0.05)


class Faults:
    def __init__(self, name):
        self.name = name
        self.directory = Lab.up(name).directory  # it starts the daemon, if somebody has killed that

    @property
    def lab(self):
        return Lab.attach(self.name)

    @property
    def folder(self):
        folder = self.directory / "faults"
        folder.mkdir(exist_ok=True)
        return folder

    def domain(self, guest):
        return self.lab.guest(guest).domain

    # ------------------------------------------------------------------------------------------------------- guests

    def asked(self, guest, size):
        """Wait until a device of the guest is asked for so much."""
        lab = self.lab
        wait(f"{guest} is not asked for {size}", lambda: parse(size) in self._requested(lab.guest(guest)))

    def _requested(self, guest):
        return [device["requested"] for device in guest.devices().values()]

    def settled(self, guest):
        """Wait until the guest has what its devices are asked for: it boots before it plugs."""
        lab = self.lab
        wait(f"{guest} does not follow", lambda: all(map(self._followed, lab.guest(guest).devices().values())))

    def _followed(self, device):
        return device["current"] == device["requested"]

    def pause(self, guest):
        self.domain(guest).suspend()

    def resume(self, guest):
        self.domain(guest).resume()

    def reboot(self, guest):
        """Press its reset button, and don't wait."""
        self.domain(guest).reset(0)

    def destroy(self, guest):
        self.domain(guest).destroy()

    def start(self, guest):
        self.lab.guest(guest).power_on()

    # ------------------------------------------------------------------------------------------------------- processes

    def _qemu(self, guest, directory=None):
        """The process of a guest; in another lab's folder, the one that it migrates to."""
        directory, uuid_text = directory or self.directory, self.domain(guest).UUIDString()
        of_lab = [pid for pid in processes.of_lab(directory) if pid not in processes.daemons_of(directory)]
        return next(pid for pid in of_lab if uuid_text in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"))

    def crash(self, guest):
        """What a bug of QEMU or the host's out-of-memory killer does."""
        os.kill(self._qemu(guest), signal.SIGKILL)
        domain = self.domain(guest)
        wait(f"{guest} still runs", lambda: not domain.isActive())

    def hang(self, guest):
        """QEMU does not answer its monitor any more."""
        pid = self._qemu(guest)
        (self.folder / f"{guest}.hangs").write_text(str(pid), encoding="utf-8")
        os.kill(pid, signal.SIGSTOP)

    def wake(self, guest):
        os.kill(int((self.folder / f"{guest}.hangs").read_text(encoding="utf-8")), signal.SIGCONT)

    def kill_daemon(self):
        for pid in processes.daemons_of(self.directory):
            os.kill(pid, signal.SIGKILL)
        wait("the daemon does not end", lambda: not processes.daemons_of(self.directory))

    def start_daemon(self):
        Lab.up(self.name)

    def sleep(self, seconds):
        time.sleep(float(seconds))

    # --------------------------------------------------------------------------------------------------------- networks

    def network(self, name, place, *words):
        """A network of that name, which leads from a place to the daemon; see relay.py."""
        place = str(self.folder / name) if place == "socket" else place
        Path(place).unlink(missing_ok=True)
        daemon = self.lab.uri.partition("socket=")[2]
        with (self.folder / f"{name}.log").open("ab") as log:
            relay = subprocess.Popen(
                [sys.executable, str(RELAY), daemon, place, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.folder / f"{name}.pid").write_text(str(relay.pid), encoding="utf-8")
        uri = f"qemu+tcp://127.0.0.1:{place}/session" if place.isdigit() else f"qemu+unix:///session?socket={place}"
        wait(f"{name} does not listen", lambda: self._answers(uri))

    def _answers(self, uri):
        try:
            return libvirt.open(uri).close() >= 0
        except libvirt.libvirtError:
            return False

    def _to_relay(self, name, number):
        pid = int((self.folder / f"{name}.pid").read_text(encoding="utf-8"))
        if str(RELAY) in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8"):
            os.kill(pid, number)

    def silence(self, name):
        self._to_relay(name, signal.SIGSTOP)

    def cut(self, name):
        self._to_relay(name, signal.SIGKILL)

    # ------------------------------------------------------------------------------------------------------------- jobs

    def migrate(self, guest, other):
        """Let the guest begin to move to another lab, where a QEMU that is stopped takes no more of it after a while."""
        code = (
            "import libvirt, sys; libvirt.open(sys.argv[1]).lookupByName(sys.argv[2]).migrate3(libvirt.open(sys.argv[3]),"
            " {'bandwidth': 1, 'migrate_uri': 'tcp://127.0.0.1', 'destination_xml': sys.argv[4]}, 1)"
        )
        # A daemon in a root of its own sees its own lab's folder alone.
        there = Lab.attach(other).directory
        xml = self.domain(guest).XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE).replace(str(self.directory), str(there))
        self._room_for(guest, there)
        words = [sys.executable, "-c", code, self.lab.uri, guest, Lab.attach(other).uri, xml]
        with (self.folder / "migration.log").open("ab") as log:
            subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        domain = self.domain(guest)
        wait("the migration does not begin", lambda: domain.jobStats().get("memory_total", 0) > 0)
        pid = self._qemu(guest, Lab.attach(other).directory)
        os.kill(pid, signal.SIGSTOP)
        (self.folder / f"{guest}.moves").write_text(str(pid), encoding="utf-8")

    def _room_for(self, guest, directory):
        """Make a folder for the guest's console in another lab, as the one here is."""
        here = next(path for path in self.directory.rglob(guest) if path.is_dir() and (path / "console.log").exists())
        there = directory / here.relative_to(self.directory)
        there.mkdir(parents=True, exist_ok=True)
        os.chown(there, here.stat().st_uid, here.stat().st_gid)

    def stay(self, guest):
        """Let the migration fail, so that the guest is where it was."""
        domain = self.domain(guest)
        os.kill(int((self.folder / f"{guest}.moves").read_text(encoding="utf-8")), signal.SIGKILL)
        wait("the migration does not end", lambda: domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE)

    # ------------------------------------------------------------------------------------------------------------- disk

    @property
    def _disk(self):
        """What libvirt stores definitions on, as the daemon sees it, which may be in a root of its own."""
        return Path(f"/proc/{self._daemon}/root{self.directory}/etc/libvirt/qemu")

    @property
    def _daemon(self):
        return processes.daemons_of(self.directory)[0]

    def _as_daemon(self, *words):
        """Run a command among the daemon's mounts."""
        there = f"{self.directory}/etc/libvirt/qemu"
        return subprocess.run(["nsenter", "-t", str(self._daemon), "-m", "-r", *words, there], check=False).returncode

    def small_disk(self):
        """Put what libvirt stores on a disk of its own; exit 77 where that takes more than we may."""
        kept = self.folder / "kept"
        shutil.copytree(self._disk, kept, symlinks=True, ignore=shutil.ignore_patterns("*.sock", "lib"))
        owner = self._disk.stat()
        options = f"size={FULL},mode=755,uid={owner.st_uid},gid={owner.st_gid}"
        if self._as_daemon("mount", "-t", "tmpfs", "-o", options, "lab"):
            sys.exit(77)
        shutil.copytree(kept, self._disk, symlinks=True, dirs_exist_ok=True)
        for path in self._disk.rglob("*"):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def fill(self):
        (self._disk / "full").write_bytes(b"")
        with (self._disk / "full").open("wb", buffering=0) as full:
            try:
                while full.write(b"x" * 4096):
                    pass
            except OSError:
                return

    def free(self):
        (self._disk / "full").unlink()

    def old_disk(self):
        if os.path.ismount(self._disk):
            kept = {path.name: path.read_bytes() for path in self._disk.glob("*.xml")}
            if self._as_daemon("umount"):
                sys.exit("the small disk stays")
            for name, text in kept.items():
                (self._disk / name).write_bytes(text)

    # ------------------------------------------------------------------------------------------------------------- end

    def over(self):
        """Leave nothing behind, whatever has happened."""
        for path in self.folder.glob("*.pid"):
            try:
                self._to_relay(path.stem, signal.SIGKILL)
            except OSError:
                continue
        for path in self.folder.glob("*.hangs"):
            try:
                self.wake(path.stem)
            except OSError:
                continue
        self.old_disk()
        shutil.rmtree(self.folder)


def main(name, *deeds):
    faults = Faults(name)
    for deed in deeds:
        what, *arguments = deed.split(":")
        getattr(faults, what)(*arguments)


main(*sys.argv[2:])
