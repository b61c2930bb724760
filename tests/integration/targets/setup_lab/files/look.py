# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints as JSON what libvirt says of a guest in both definitions, and what the guest says of itself.

look.py LAB_SCRIPT LAB GUEST [TOTAL [BALLOON]]: with TOTAL, once the guest itself says that it has so many bytes; where that
is "followed", once libvirt says that it has plugged all that is requested, and it has then said something itself. With
BALLOON, once libvirt, too, has heard from QEMU that the balloon leaves so many bytes; which, if it does not in half a minute,
the caller sees.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(sys.argv[1]).resolve().parent.parent)

from lab import Lab  # noqa: E402

DEVICE = re.compile(r"    <memory model='virtio-mem'.*?</memory>\n", re.DOTALL)
SIZES = re.compile(r"  <(memory|currentMemory) unit='KiB'>(\d+)</.*\n")


def definition(text):
    """One definition: as it is, its two sizes in bytes, each virtio-mem device's text by name, and all the rest."""
    sizes = {name: int(number) * 1024 for name, number in SIZES.findall(text)}
    return {
        "text": text,
        "memory": sizes["memory"],
        "current_memory": sizes["currentMemory"],
        "devices": {name_of(device): device for device in DEVICE.findall(text)},
        "rest": SIZES.sub("", DEVICE.sub("", text)),
    }


def name_of(device):
    alias = re.search(r"<alias name='([^']+)'", device)
    return alias[1] if alias else re.search(r"<address .*bus='([^']+)'", device)[1]


def written(lab, guest):
    """When libvirt last wrote what it keeps of the guest; it replaces such a file, so its inode tells."""
    found = sorted(path for path in lab.directory.rglob(f"{guest}.xml") if path.is_file())
    return {str(path.relative_to(lab.directory)): [path.stat().st_ino, path.stat().st_mtime_ns] for path in found}


def await_balloon(guest, size):
    deadline = time.monotonic() + 30
    while definition(guest.xml())["current_memory"] != size and time.monotonic() < deadline:
        time.sleep(0.1)


def main(name, guest_name, total=None, balloon=None):
    lab = Lab.attach(name)
    guest = lab.guest(guest_name)
    if total == "followed":
        while any(device["requested"] != device["current"] for device in guest.devices().values()):
            guest.fresh_memory()  # it says something every other second
        guest.fresh_memory()
    elif total:
        guest.wait_total(int(total))
    if balloon:
        await_balloon(guest, int(balloon))
    active, persistent = guest.domain.isActive(), guest.domain.isPersistent()
    facts = {
        "total": guest.memory().total if active else None,
        "live": definition(guest.xml()) if active else None,
        "config": definition(guest.xml(config=True)) if persistent else None,
        "written": written(lab, guest_name),
    }
    print(json.dumps(facts))


main(*sys.argv[2:])
