# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hears every size event of a lab's guests, and writes down what all of them had plugged then.

listen.py LAB_SCRIPT LAB FOLDER [DOMAIN]: returns once a process of its own listens, which ends when FOLDER/stop appears; what
it heard is in FOLDER/heard.json then. With DOMAIN, that one is destroyed as soon as any other has had an event.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

import libvirt

sys.path[0] = str(Path(sys.argv[1]).resolve().parent.parent)

from lab import Lab  # noqa: E402

CURRENT = re.compile(r"<current unit='KiB'>(\d+)<")
LONGEST = 300  # seconds


def plugged(domain):
    try:
        return sum(int(number) * 1024 for number in CURRENT.findall(domain.XMLDesc(0)))
    except libvirt.libvirtError:  # it is gone
        return 0


def listen(name, folder, victim=None):
    libvirt.virEventRegisterDefaultImpl()
    connection = libvirt.open(Lab.attach(name).uri)
    guests = {domain.name(): domain for domain in connection.listAllDomains(1)}
    has = {name: plugged(guest) for name, guest in guests.items()}
    heard = [{"domain": None, "sum": sum(has.values())}]
    doomed = []

    def catch_up():
        """Events of two guests may come in the wrong order: what has shrunk by now had shrunk before another grew."""
        for other, guest in guests.items():
            has[other] = min(has[other], plugged(guest))

    def note(domain, size):
        grows = size > has[domain]
        has[domain] = size
        if grows:
            catch_up()
        heard.append({"domain": domain, "sum": sum(has.values())})

    def resized(_connection, domain, _alias, size, _data):  # each guest has one device
        note(domain.name(), size * 1024)
        if victim and not doomed:
            doomed.append(victim)

    def lived(_connection, domain, event, _detail, _data):
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            note(domain.name(), 0)

    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE, resized, None)
    connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lived, None)
    libvirt.virEventAddTimeout(100, lambda *_args: None, None)  # so that the loop looks around
    (folder / "ready").touch()
    deadline = time.monotonic() + LONGEST
    while not (folder / "stop").exists() and time.monotonic() < deadline:
        libvirt.virEventRunDefaultImpl()
        if doomed == [victim] and victim:
            connection.lookupByName(victim).destroy()
            doomed.append("gone")
    (folder / "heard").write_text(json.dumps(heard), encoding="utf-8")
    (folder / "heard").rename(folder / "heard.json")


def main(name, folder, *victim):
    if os.fork():
        deadline = time.monotonic() + 30
        while not (folder / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        sys.exit(0 if (folder / "ready").exists() else (folder / "log").read_text(encoding="utf-8"))
    os.setsid()
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in range(3):
        os.dup2(log, stream)
    listen(name, folder, *victim)


main(sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
