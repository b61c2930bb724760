# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of options, read and written in one way."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.values import (
    check_alias,
    is_user_alias,
    normal_guest_address,
    normal_node_mask,
    normal_pci_address,
    read_path,
    read_set,
    read_uuid,
    stated_of,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import holds, refusal


@pytest.mark.parametrize("alias", ["ua-a", "ua-virtiomem0", "ua-A_b-9", "ua--", "ua-ua-"])
def test_alias(alias):
    check_alias(alias)
    assert is_user_alias(alias)


@pytest.mark.parametrize(
    "alias", ["", "ua-", "ua", "virtiomem0", "ua-v.m0", "UA-a", "ua-a b", "ua-\u00e9", "ua-a\n", "ua-a/b"]
)
def test_alias_that_libvirt_drops(alias):
    error = refusal("unsupported", check_alias, alias)
    check_alias(error.details["nearest"])
    assert error.details["nearest"] in error.hint


@given(st.text(max_size=20))
def test_alias_offered_is_right(alias):
    if not holds(check_alias, alias):
        check_alias(refusal("unsupported", check_alias, alias).details["nearest"])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0000:04:00.0", "0000:04:00.0"),
        ("04:1f.7", "0000:04:1f.7"),
        (" 0001:AB:00.1 ", "0001:ab:00.1"),
        ("00:20.0", None),
        ("00:00.8", None),
        ("4:0.0", None),
        ("0x04:00.0", None),
        ("", None),
        ("\u0660\u0660:00.0", None),
    ],
)
def test_pci_address(text, address):
    if address is None:
        assert "pci_address" in refusal("unsupported", normal_pci_address, text).message
    else:
        assert normal_pci_address(text) == address


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("0", "0"),
        ("0-1", "0-1"),
        ("0,1", "0-1"),
        ("3,1,0", "0-1,3"),
        ("0-3,^2", "0-1,3"),
        (" 0 - 1 , 3 ", "0-1,3"),
        ("00", "0"),
        ("16383", "16383"),
    ],
)
def test_node_mask(text, normal):
    assert normal_node_mask(text) == normal


@pytest.mark.parametrize(
    "text", ["", "all", "0-", "-1", "0,,1", "0;1", "0x1", "^", "1-2-3", "\u0661", "16384", "0-99999999999"]
)
def test_node_mask_nonsense(text):
    assert "node_mask" in refusal("unsupported", normal_node_mask, text).message


@pytest.mark.parametrize("text", ["3-1", "^1", "1,^1"])
def test_node_mask_without_a_node(text):
    refusal("unsupported", normal_node_mask, text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0x140000000", 0x140000000),
        (" 0X10 ", 16),
        ("5368709120", 5368709120),
        ("0", None),
        (hex(2**64 - 1), 2**64 - 1),
        (hex(2**64), None),
        (str(2**64 - 1), 2**64 - 1),
        (str(2**64), None),
        ("-1", None),
        ("top", None),
        ("", None),
        ("1GiB", None),
        ("9" * 5000, None),
        ("1_000", None),
        ("0b11", None),
        ("٣", None),
    ],
)
def test_guest_address_text(text, address):
    if address is None:
        assert refusal("unsupported", normal_guest_address, text).hint
    else:
        assert normal_guest_address(text) == address


# ---------------------------------------------------------------------------------------------------- parts of a device


@pytest.mark.parametrize(
    ("alias", "nearest"),
    [
        ("web disk", "ua-web-disk"),
        ("ua-a b", "ua-a-b"),
        ("-x-", "ua-x"),
        ("", "ua-virtiomem0"),
        ("ua-", "ua-virtiomem0"),
        ("ua-//", "ua-virtiomem0"),
    ],
)
def test_the_alias_that_is_offered(alias, nearest):
    assert refusal("unsupported", check_alias, alias).details == {"alias": alias, "nearest": nearest}


@pytest.mark.parametrize(("slot", "fits"), [("1f", True), ("20", False)])
def test_a_slot_has_five_bits(slot, fits):
    assert holds(normal_pci_address, f"00:{slot}.0") is fits


def test_an_address_is_not_0():
    assert normal_guest_address("1") == 1
    assert normal_guest_address("0x00000001") == 1
    refusal("unsupported", normal_guest_address, "0x0")


@pytest.mark.parametrize(("text", "normal"), [("0,1", "0-1"), (" 3 ", "3"), ("x", None), ("", None)])
def test_a_set(text, normal):
    if normal is None:
        error = refusal("unsupported", read_set, text, "numa[0].cpus")
        assert error.message.startswith(f"numa[0].cpus: {text!r} ")
        assert error.details == {"option": "numa[0].cpus", "value": text}
    else:
        assert read_set(text, "numa[0].cpus") == normal


@pytest.mark.parametrize("text", ["/", "/dev/pmem0", "/with space/\u00fc\u2713", "/a\xa0b", "/a~"])
def test_a_path(text):
    assert read_path(text, "devices[0].path") == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dev",
        "./x",
        "/a\nb",
        "/a\x00",
        "/a\x1f",
        "/\x7f",
        "/\x9f",
        f"/{chr(0xD800)}",
        f"/{chr(0xDFFF)}",
        "/\ufffe",
        "/\uffff",
    ],
)
def test_a_path_that_can_not_be_written(text):
    error = refusal("unsupported", read_path, text, "devices[3].path")
    assert error.message.startswith("devices[3].path: ")
    assert error.details == {"path": text}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("6A4C5C3E-7C30-4A1D-9F0E-0D6A3F0B7D5E", "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"),
        ("6a4c5c3e7c304a1d9f0e0d6a3f0b7d5e", "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"),
        ("6a4c", None),
    ],
)
def test_a_uuid(text, normal):
    if normal is None:
        assert "devices[0].uuid" in refusal("unsupported", read_uuid, text, "devices[0].uuid").message
    else:
        assert read_uuid(text, "devices[0].uuid") == normal


def test_what_is_stated():
    assert stated_of({"a": None, "b": 0, "c": False, "d": ""}) == {"b": 0, "c": False, "d": ""}
