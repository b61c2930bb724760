# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says of one memory device, read."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.options import DEVICE_OPTIONS
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.spec import read_device_spec
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    GIB,
    KIB,
    MIB,
    device_spec,
    refused,
)

EMPTY = {**dict.fromkeys(DEVICE_OPTIONS), "alias": None, "driver": None, "model": "virtio-mem"}
UUID = "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"


@pytest.mark.parametrize(
    ("params", "stated"),
    [
        ({}, {}),
        ({"size": "1GiB", "block": "2MiB", "requested": "0"}, {"size": GIB, "block": 2 * MIB, "requested": 0}),
        (
            {"page_size": "2MiB", "align_size": "4KiB", "label_size": "128KiB"},
            {"page_size": 2 * MIB, "align_size": 4 * KIB, "label_size": 128 * KIB},
        ),
        ({"node": 0, "slot": 0, "access": "shared"}, {"node": 0, "slot": 0, "access": "shared"}),
        ({"discard": False, "dynamic_memslots": False}, {"discard": False, "dynamic_memslots": False}),
        (
            {"node_mask": "1,0", "guest_address": "0x10", "pci_address": "04:00.0"},
            {"node_mask": "0-1", "guest_address": 16, "pci_address": "0000:04:00.0"},
        ),
        ({"uuid": UUID.upper(), "path": "/x"}, {"uuid": UUID, "path": "/x"}),
        ({"pmem": True, "readonly": True}, {"pmem": True, "readonly": True}),
        ({"pmem": False, "readonly": False}, {"pmem": None, "readonly": None}),
        ({"driver": {"iommu": True, "ats": None, "packed": False}}, {"iommu": True, "packed": False}),
        ({"driver": {}}, {}),
    ],
    ids=[
        "nothing",
        "sizes",
        "more sizes",
        "numbers",
        "false is stated",
        "normal forms",
        "uuid and path",
        "elements",
        "no elements",
        "driver",
        "no driver",
    ],
)
def test_read(params, stated):
    assert read_device_spec(0, {**EMPTY, **params}) == device_spec(**stated)


def test_its_place_its_model_and_its_alias():
    found = read_device_spec(3, {**EMPTY, "model": "dimm", "alias": "ua-a"})
    assert found == device_spec("dimm", alias="ua-a", place="devices[3]")
    assert not found.absent


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"size": "0"}, "invalid_size", "devices[2].size: a device must have more than 0"),
        ({"size": "1"}, "invalid_size", "devices[2].size:"),
        ({"label_size": "x"}, "invalid_size", "devices[2].label_size:"),
        ({"node_mask": "x"}, "unsupported", "devices[2].node_mask:"),
        ({"guest_address": "x"}, "unsupported", "guest_address:"),
        ({"pci_address": "x"}, "unsupported", "pci_address:"),
        ({"uuid": "x"}, "unsupported", "devices[2].uuid:"),
        ({"path": "x"}, "unsupported", "devices[2].path:"),
    ],
)
def test_what_can_not_be_read(params, code, words):
    with refused(code, words) as caught:
        read_device_spec(2, {**EMPTY, **params})
    if params.get("size") == "0":
        assert caught[0].details == {"size": 0}
