# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which options two devices differ."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.match import changed_options
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.options import DEVICE_OPTIONS
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import LIVE


@pytest.mark.parametrize("option", DEVICE_OPTIONS)
def test_each_option_can_differ(option):
    assert changed_options(LIVE, replace(LIVE, **{option: "other"})) == [option]


def test_what_is_no_option():
    other = replace(LIVE, alias="ua-x", model="dimm", current=7, index=9)
    assert changed_options(LIVE, other) == []


def test_several_come_in_the_order_of_the_documentation():
    assert changed_options(LIVE, replace(LIVE, slot=1, node=7, size=1)) == ["node", "size", "slot"]
