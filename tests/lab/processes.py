# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a lab: told by their environment, not by a pid that somebody once wrote down.

The daemon is started with TMPDIR below the lab, and hands it on to each QEMU. So the daemon may be dead, and what it left
is still found; and a shell that merely looks into the lab is not. An SSH server writes its title over its environment: it is
told by its configuration's path in the title, and its sessions by their parent.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import LabError

_PROGRAMS = ("libvirtd", "virtlogd", "qemu-", "kvm", "dbus-daemon", "polkitd")
_SSH = ("sshd: ", "sshd-session: ")  # since OpenSSH 9.8 a session is a program of its own


def of_lab(directory: Path) -> list[int]:
    """Return the pids of the daemon and of whatever it has started; sessions come before the server that they belong to."""
    return sorted((pid for pid in _all() if _belongs(pid, directory)), reverse=True)


def daemons_of(directory: Path) -> list[int]:
    return [pid for pid in of_lab(directory) if _program(pid) == "libvirtd"]


def ssh_servers_of(directory: Path) -> list[int]:
    return [pid for pid in _all() if _serves(pid, directory)]


def end_all(directory: Path, timeout: float = 15.0) -> None:
    """End the processes of a lab, daemon first: it could be starting another one right now."""
    deadline = time.monotonic() + timeout
    while True:
        pids = daemons_of(directory) or of_lab(directory)
        if not pids:
            return
        if time.monotonic() > deadline:
            raise LabError(f"processes of {directory} don't end: {', '.join(map(str, pids))}")
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in pids:
                _signal(pid, number, directory)
            if _gone(pids, directory, 3.0):
                break


def _gone(pids: list[int], directory: Path, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while any(_belongs(pid, directory) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(pid: int, number: int, directory: Path) -> None:
    """Send a signal to this very process: the descriptor can't come to mean another one that got the same pid."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _belongs(pid, directory):
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


def _all() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _belongs(pid: int, directory: Path) -> bool:
    if _title(pid).startswith(_SSH):
        return _serves(pid, directory) or _serves(_parent(pid), directory)
    mark = f"TMPDIR={directory}/".encode()
    return _program(pid).startswith(_PROGRAMS) and any(word.startswith(mark) for word in _words(pid, "environ"))


def _serves(pid: int, directory: Path) -> bool:
    return _title(pid).startswith(_SSH) and f" {directory}/ssh/" in _title(pid)


def _title(pid: int) -> str:
    return b" ".join(_words(pid, "cmdline")).decode(errors="replace")


def _parent(pid: int) -> int:
    """Return the parent's pid; 0, which is no process, where it is gone."""
    fields = b"\0".join(_words(pid, "stat")).rpartition(b")")[2].split()
    return int(fields[1]) if fields else 0


def _program(pid: int) -> str:
    return _words(pid, "cmdline")[0].decode(errors="replace").rpartition("/")[2]


def _words(pid: int, name: str) -> list[bytes]:
    """Return the words of a process' command line or environment; none where it is gone, dead, or not ours to read."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0")
    except OSError:
        return [b""]
