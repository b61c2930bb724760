# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hypervisor of the lab as these tests see it: by its command line, for the libvirt binding is the system Python's."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property

MIB = 2**20
COMMAND = os.environ["VIRTMEM_LAB"].split()


class UnavailableError(Exception):
    """What this machine can't have."""


def lab(*arguments: str, timeout: float = 300) -> str:
    done = subprocess.run([*COMMAND, *arguments], check=False, capture_output=True, text=True, timeout=timeout)
    if done.returncode == 77:
        raise UnavailableError(done.stderr)
    if done.returncode:
        raise AssertionError(f"lab {' '.join(arguments)}: {done.stderr}")
    return done.stdout


@dataclass(frozen=True)
class Hypervisor:
    """One lab: a host of the inventory."""

    host: str  # its name in the inventory
    lab: str

    def up(self):
        lab("up", "--name", self.lab)
        return self

    def down(self):
        lab("down", "--name", self.lab)

    @cached_property
    def ssh(self):
        """How it is reached: host, port, user, key, known_hosts."""
        return json.loads(lab("ssh", "--name", self.lab, "--json"))

    @cached_property
    def facts(self):
        return json.loads(lab("status", "--name", self.lab, "--json"))

    def variables(self, **more):
        """Return the host's variables; the key comes from elsewhere, as in AWX."""
        return {
            "ansible_host": self.ssh["host"],
            "ansible_port": self.ssh["port"],
            "ansible_user": self.ssh["user"],
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.ssh['known_hosts']}",
            "ansible_python_interpreter": COMMAND[0],
            **more,
        }

    def start(self, guest, *words):
        lab("guest", "start", guest, "--name", self.lab, "--memory", "192MiB", "--stats-period", "1", *words)

    def xml(self, guest, *words):
        return lab("guest", "xml", guest, "--name", self.lab, *words)

    def plugged(self, guest):
        """Return what the guest has plugged now, in MiB, by libvirt."""
        return _sum("current", self.xml(guest))

    def requested(self, guest):
        """Return what the stored definition asks for, in MiB."""
        return _sum("requested", self.xml(guest, "--config"))

    def total(self, guest):
        """Return the guest's own MemTotal, in bytes, as it says it next."""
        words = ("--fresh", "--timeout", "60", "--json")
        return json.loads(lab("guest", "mem", guest, "--name", self.lab, *words))["MemTotal"]

    def await_total(self, guest, total):
        lab("guest", "mem", guest, "--name", self.lab, "--wait-total", f"{total // 1024}KiB", "--timeout", "30")

    def uuid(self, guest):
        return re.search(r"<uuid>(.*)</uuid>", self.xml(guest)).group(1)


def _sum(element, xml):
    return sum(map(int, re.findall(rf"<{element} unit='KiB'>(\d+)</{element}>", xml))) // 1024
