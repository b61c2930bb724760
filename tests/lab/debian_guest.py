# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Debian guest: how its machine boots it, and how one logs in to it."""

from __future__ import annotations

import re
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .debian_image import HOST_KEY_ALIAS, DebianImage
from .domain import Boot
from .errors import LabError

_ADDRESS = "127.0.0.1"
_FORWARD = re.compile(rf"hostfwd=tcp:{re.escape(_ADDRESS)}:(\d+)-:22")
_DEVICES = """
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='unsafe'/>
      <source file='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"""


@dataclass(frozen=True)
class Login:
    """How to reach a guest by SSH, from the machine that the lab is on."""

    image: DebianImage
    port: int
    user: str = "root"

    def options(self) -> list[str]:
        """Return ssh's options: just this key and this guest, and nothing of what its user has set up."""
        return [
            *("-F", "none", "-o", "IdentitiesOnly=yes", "-o", f"IdentityFile={self.image.key}"),
            *("-o", f"UserKnownHostsFile={self.image.known_hosts}", "-o", f"HostKeyAlias={HOST_KEY_ALIAS}"),
            *("-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
        ]

    def command(self, *words: str) -> list[str]:
        return ["ssh", *self.options(), "-p", str(self.port), f"{self.user}@{_ADDRESS}", *words]

    def as_json(self) -> dict[str, object]:
        """Return what an inventory needs, under Ansible's names."""
        return {
            "ansible_host": _ADDRESS,
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_ssh_common_args": " ".join(self.options()),
            "ansible_python_interpreter": "/usr/bin/python3",
        }


def disk_boot(name: str, machine: str, disk: Path, port: int, features: str) -> Boot:
    """Return the way of a Debian guest: from its disk, by GRUB; port 22 of it is a port of ours.

    The network is QEMU's own, by words of its command line: libvirt 9.0 has no XML for a forwarded port.
    """
    bus = "pcie.0" if "q35" in machine else "pci.0"
    return Boot(
        "<boot dev='hd'/>",
        devices=_DEVICES.format(disk=escape(str(disk))),
        ports=3,
        features=features,
        # The same in each lab, or what was saved in one could not be restored in another.
        uuid=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{HOST_KEY_ALIAS}")),
        arguments=(
            *("-netdev", f"user,id=lab,hostfwd=tcp:{_ADDRESS}:{port}-:22"),
            # An address that libvirt, which does not know of this device, is far from giving to one of its own.
            *("-device", f"virtio-net-pci,netdev=lab,bus={bus},addr=0x1c"),
        ),
    )


def forwarded_port(xml: str) -> int | None:
    """Return the port by which a guest can be reached, if it is one that can."""
    found = _FORWARD.search(xml)
    return int(found[1]) if found else None


def free_port() -> int:
    with socket.socket() as server:
        server.bind((_ADDRESS, 0))
        port: int = server.getsockname()[1]
        return port


def wait_login(login: Login, timeout: float) -> None:
    """Wait until one can log in, and put the clock right: a restored guest has that of the moment when it was saved."""
    deadline = time.monotonic() + timeout
    while True:
        words = login.command("date", "-s", f"@{time.time():.0f}")
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10, check=False
            )
            trouble = done.stderr.strip()
            if done.returncode == 0:
                return
        except subprocess.TimeoutExpired:
            trouble = "no answer"
        if time.monotonic() > deadline:
            raise LabError(f"no login at {_ADDRESS} port {login.port} in {timeout:.0f} s: {trouble}")
        time.sleep(0.2)
