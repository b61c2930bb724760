# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks a guest for a device as virsh detach-device does, and waits as long: detach.py URI GUEST ALIAS."""

from __future__ import annotations

import re
import sys

import libvirt

uri, guest, alias = sys.argv[1:]
domain = libvirt.open(uri).lookupByName(guest)
devices = re.findall(r"<memory model.*?</memory>", domain.XMLDesc(), re.DOTALL)
domain.detachDeviceFlags(next(text for text in devices if f"'{alias}'" in text), libvirt.VIR_DOMAIN_AFFECT_LIVE)
