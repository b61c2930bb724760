# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What resizing a running guest costs without Ansible and without us: ask, and wait for the event.

grow.py URI DOMAIN ALIAS KIB
"""

from __future__ import annotations

import sys
import threading

import libvirt
from lxml import etree

PATIENCE = 30


def device_of(domain, alias, flags=0):
    root = etree.fromstring(domain.XMLDesc(flags))
    return next(device for device in root.iter("memory") if device.find(f"alias[@name='{alias}']") is not None)


def turn_events():
    while True:
        libvirt.virEventRunDefaultImpl()


def main(uri, name, alias, size):
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=turn_events, daemon=True).start()
    connection = libvirt.open(uri)
    connection.setKeepAlive(5, 3)
    domain = connection.lookupByName(name)
    event = threading.Event()
    connection.domainEventRegisterAny(
        domain, libvirt.VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE, lambda *_args: event.set(), None
    )
    for xml_flags, flags in ((0, libvirt.VIR_DOMAIN_AFFECT_LIVE), (2, libvirt.VIR_DOMAIN_AFFECT_CONFIG)):
        device = device_of(domain, alias, xml_flags)
        device.find("target/requested").text = size
        domain.updateDeviceFlags(etree.tostring(device, encoding="unicode"), flags)
    while device_of(domain, alias).findtext("target/current") != size:
        if not event.wait(PATIENCE):
            sys.exit(f"{name} has not followed")
        event.clear()


main(*sys.argv[1:])
