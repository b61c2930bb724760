# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private hypervisor with small real guests.

with Lab.up("mine") as lab:
    guest = lab.start_guest("web", "normal", devices=["size=2GiB,requested=0,alias=ua-mem"])
"""

from __future__ import annotations

from .console import GuestMemory
from .domain import Device
from .errors import LabError
from .guest import Guest
from .laboratory import Lab
from .profiles import PROFILES, Profile

__all__ = ["PROFILES", "Device", "Guest", "GuestMemory", "Lab", "LabError", "Profile"]
