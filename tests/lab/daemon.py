# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own libvirtd: started, reached, and looked at when it fails."""

from __future__ import annotations

import subprocess
import time
import uuid
from pathlib import Path

import libvirt

from . import network
from .errors import LabError
from .generations import Generation
from .place import Place, User

# Nothing here needs virtlogd, and a lab without it is one process less to find again.
_QEMU_CONF = 'stdio_handler = "file"\n'
# A host of its own in libvirt's eyes: no guest migrates to the host that it is on.
_LIBVIRTD_CONF = 'log_level = 3\nlog_outputs = "3:file:{log}"\nhost_uuid = "{host}"\n'


def configure(place: Place, more: str = "") -> None:
    """Write the daemon's configuration, before there is a daemon."""
    folder = place.directory / "etc/libvirt"
    (folder / "qemu.conf").write_text(_QEMU_CONF)
    settings = _LIBVIRTD_CONF.format(log=place.log, host=uuid.uuid4())
    (folder / "libvirtd.conf").write_text(settings + more)


def start(place: Place, generation: Generation, user: User) -> None:
    """Start the daemon; it goes on when we end, and holds none of our files."""
    output = place.directory / "start.log"
    with output.open("ab") as log:
        done = subprocess.run(
            generation.command(place, user),
            env=place.environment() | network.environment(place),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        raise LabError(f"libvirtd did not start ({done.returncode}): {_complaints(output, place.log)}")


def connect(place: Place, timeout: float = 30.0) -> libvirt.virConnect:
    """Return a connection; the socket is there a moment before the drivers are."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return libvirt.open(place.uri)
        except libvirt.libvirtError as error:
            if time.monotonic() > deadline:
                raise LabError(f"no answer from {place.uri}: {error}; {_complaints(place.log)}") from error
        time.sleep(0.1)


def version(number: int) -> str:
    """Return libvirt's way to write 9000000 for people: 9.0.0."""
    return f"{number // 1000000}.{number // 1000 % 1000}.{number % 1000}"


def _complaints(*logs: Path) -> str:
    texts = [log.read_text(errors="replace").strip() for log in logs if log.exists()]
    return "\n".join(text[-1500:] for text in texts if text) or "it said nothing"
