# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain document with one of its memory devices made into another, as a task that is about this device alone does it."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document


def redefined_domain(text: str, index: int, device: t.Any) -> str:
    before = document.parse_definition(text)
    devices = [replace(device, index=index) if old.index == index else old for old in before.devices]
    after = before.with_devices(devices)
    all_of_it = before.current_memory == before.total
    return document.edited_domain(text, replace(after, current_memory=after.total) if all_of_it else after)
