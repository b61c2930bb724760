# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule on both sides of its line; what it offers as nearest is right, and says so in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, example, given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.rules import (
    check_block,
    check_guest_address,
    check_hotpluggable,
    check_page_size,
    check_pci_address,
    check_port,
    check_requested,
    check_room,
    check_size,
    check_slot,
    choose_node,
    host_backing,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.values import (
    check_alias,
    is_user_alias,
    normal_guest_address,
    normal_node_mask,
    normal_pci_address,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.guards import (
    check_guest_memory,
    check_host_memory,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import resolve_scopes
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Binding,
    Definition,
    DomainState,
    GuestStatistics,
    HostMemory,
    HugePage,
    MemoryDevice,
    NumaCell,
    Versions,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import format_size

MIB, GIB = 1024**2, 1024**3
NEW = Versions((11, 3, 0), (10, 0, 13))
DEVICE = MemoryDevice("virtio-mem", 4 * GIB, block=2 * MIB, requested=GIB, current=GIB, node=0, alias="ua-a")
WEB1 = Definition(
    "web1", "", "x86_64", "q35", total=6 * GIB, current_memory=2 * GIB, maximum=16 * GIB, slots=2, devices=(DEVICE,)
)

blocks = st.integers(21, 34).map(lambda power: 1 << power)
sizes = st.integers(0, 64 * GIB)


def refused(code, rule, *arguments):
    with pytest.raises(VirtmemError) as caught:
        rule(*arguments)
    error = caught.value
    assert error.code == code
    assert error.message.endswith(".")
    assert "\n" not in error.message
    return error


def holds(rule, *arguments):
    try:
        rule(*arguments)
    except VirtmemError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------- scope


@pytest.mark.parametrize(
    ("scope", "active", "persistent", "scopes"),
    [
        ("auto", True, True, ("live", "config")),
        ("auto", True, False, ("live",)),
        ("auto", False, True, ("config",)),
        ("live", True, True, ("live",)),
        ("live", True, False, ("live",)),
        ("live", False, True, None),
        ("config", True, True, ("config",)),
        ("config", False, True, ("config",)),
        ("config", True, False, None),
        ("both", True, True, ("live", "config")),
        ("both", False, True, None),
        ("both", True, False, None),
    ],
)
def test_scopes(scope, active, persistent, scopes):
    state = DomainState("web1", "", "running" if active else "shutoff", active, persistent)
    if scopes is None:
        error = refused("unsupported", resolve_scopes, scope, state)
        assert f"scope={scope}" in error.message
        assert "web1" in error.message
        assert "scope=" in error.hint
    else:
        assert resolve_scopes(scope, state) == scopes


def test_a_transient_domain_that_stopped_meanwhile_is_gone():
    gone = DomainState("web1", "", "shutoff", active=False, persistent=False)
    assert "web1" in refused("domain_not_found", resolve_scopes, "auto", gone).message


# ------------------------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize("alias", ["ua-a", "ua-virtiomem0", "ua-A_b-9", "ua--", "ua-ua-"])
def test_alias(alias):
    check_alias(alias)
    assert is_user_alias(alias)


@pytest.mark.parametrize(
    "alias", ["", "ua-", "ua", "virtiomem0", "ua-v.m0", "UA-a", "ua-a b", "ua-\u00e9", "ua-a\n", "ua-a/b"]
)
def test_alias_that_libvirt_drops(alias):
    error = refused("unsupported", check_alias, alias)
    check_alias(error.details["nearest"])
    assert error.details["nearest"] in error.hint


@given(st.text(max_size=20))
def test_alias_offered_is_right(alias):
    if not holds(check_alias, alias):
        check_alias(refused("unsupported", check_alias, alias).details["nearest"])


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
        assert "pci_address" in refused("unsupported", normal_pci_address, text).message
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
    assert "node_mask" in refused("unsupported", normal_node_mask, text).message


@pytest.mark.parametrize("text", ["3-1", "^1", "1,^1"])
def test_node_mask_without_a_node(text):
    refused("unsupported", normal_node_mask, text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0x140000000", 0x140000000),
        (" 0X10 ", 16),
        ("5368709120", 5368709120),
        ("0", None),
        (hex(2**64 - 1), 2**64 - 1),
        (hex(2**64), None),
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
        assert refused("unsupported", normal_guest_address, text).hint
    else:
        assert normal_guest_address(text) == address


# ---------------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    ("block", "smallest", "page_size", "nearest"),
    [
        (2 * MIB, 2 * MIB, None, None),
        (4 * MIB, 2 * MIB, None, None),
        (GIB, 2 * MIB, GIB, None),
        (MIB, 2 * MIB, None, 2 * MIB),
        (0, 2 * MIB, None, 2 * MIB),
        (3 * MIB, 2 * MIB, None, 4 * MIB),
        (5 * MIB, 2 * MIB, None, 4 * MIB),
        (6 * MIB, 2 * MIB, None, 8 * MIB),
        (256 * MIB, 512 * MIB, None, 512 * MIB),
        (2 * MIB, 2 * MIB, GIB, GIB),
    ],
)
def test_block(block, smallest, page_size, nearest):
    device = replace(DEVICE, block=block, page_size=page_size)
    if nearest is None:
        check_block(device, smallest)
    else:
        error = refused("block_invalid", check_block, device, smallest)
        assert error.details["nearest"] == nearest
        assert format_size(nearest) in error.hint
        assert format_size(block) in error.message
        assert ("pages" in error.message) == (page_size == GIB)


@given(sizes, blocks, st.one_of(st.none(), st.sampled_from([4096, 64 * 1024, 2 * MIB, GIB])))
def test_block_offered_is_right(block, smallest, page_size):
    device = replace(DEVICE, block=block, page_size=page_size)
    if not holds(check_block, device, smallest):
        error = refused("block_invalid", check_block, device, smallest)
        check_block(replace(device, block=error.details["nearest"]), smallest)


@pytest.mark.parametrize(
    ("size", "block", "choices"),
    [
        (4 * GIB, 2 * MIB, None),
        (2 * MIB, 2 * MIB, None),
        (2 * MIB, MIB, None),
        (MIB, MIB, "2 MiB"),
        (4 * GIB + 1, 2 * MIB, "4 GiB and 4098 MiB"),
        (4099 * MIB, MIB, "4098 MiB and 4100 MiB"),
        (3 * GIB // 2, GIB, "1 GiB and 2 GiB"),
    ],
)
def test_size(size, block, choices):
    device = replace(DEVICE, size=size, block=block)
    if choices is None:
        check_size(device)
    else:
        error = refused("not_multiple_of_block", check_size, device)
        assert choices in error.hint
        assert format_size(size) in error.message


def test_no_size_at_all():
    error = refused("invalid_size", check_size, replace(DEVICE, size=0, block=4 * MIB))
    assert error.details["nearest"] == 4 * MIB
    assert "state=absent" in error.hint


@given(st.one_of(st.none(), sizes, st.integers(0, 36).map(lambda power: 1 << power)))
@example(0)
@example(4096)
@example(2048)
@example(2 * MIB)
def test_page_size(size):
    device = replace(DEVICE, page_size=size)
    if size is None or (size >= 4096 and size & (size - 1) == 0):
        check_page_size(device)
    else:
        error = refused("unsupported", check_page_size, device)
        assert "page_size" in error.message
        check_page_size(replace(device, page_size=error.details["nearest"]))


@pytest.mark.parametrize(
    ("requested", "size", "block", "code"),
    [
        (0, 4 * GIB, 2 * MIB, None),
        (4 * GIB, 4 * GIB, 2 * MIB, None),
        (4 * GIB + 2 * MIB, 4 * GIB, 2 * MIB, "exceeds_device_size"),
        (MIB, 4 * GIB, 2 * MIB, "not_multiple_of_block"),
        (1, 4 * GIB, 2 * MIB, "not_multiple_of_block"),
        (4 * GIB - 1, 4 * GIB, 2 * MIB, "not_multiple_of_block"),
    ],
)
def test_requested(requested, size, block, code):
    device = replace(DEVICE, size=size, block=block, requested=requested)
    if code is None:
        check_requested(device)
    else:
        error = refused(code, check_requested, device)
        assert format_size(requested) in error.message
        assert error.details["requested"] == requested


def test_requested_offers_nothing_above_the_size():
    device = replace(DEVICE, size=3 * MIB, block=2 * MIB, requested=2 * MIB + 1)
    assert refused("not_multiple_of_block", check_requested, device).details["nearest"] == 2 * MIB


@given(sizes, blocks, sizes)
def test_sizes_offered_are_right(size, block, requested):
    device = replace(DEVICE, size=size, block=block, requested=requested)
    if not holds(check_size, device):
        code = "not_multiple_of_block" if size else "invalid_size"
        nearest = refused(code, check_size, device).details["nearest"]
        device = replace(device, size=nearest)
        check_size(device)
    try:
        check_requested(device)
    except VirtmemError as error:
        nearest = error.details["nearest"]
        check_requested(replace(device, requested=nearest))
        assert abs(nearest - requested) <= max(block, requested - device.size)


def test_requested_offered_for_a_size_of_no_whole_blocks():
    device = replace(DEVICE, size=5 * MIB, block=2 * MIB, requested=6 * MIB)
    error = refused("exceeds_device_size", check_requested, device)
    check_requested(replace(device, requested=error.details["nearest"]))


@given(st.one_of(st.none(), st.integers(0, 2**48)), blocks)
@example(None, 2 * MIB)
@example(2 * MIB, 2 * MIB)
@example(2 * MIB + 1, 2 * MIB)
def test_guest_address(address, block):
    device = replace(DEVICE, guest_address=address, block=block)
    if address is None or address % block == 0:
        check_guest_address(device)
    else:
        error = refused("not_multiple_of_block", check_guest_address, device)
        assert hex(address) in error.message
        assert error.details["nearest"] > address
        check_guest_address(replace(device, guest_address=error.details["nearest"]))


# -------------------------------------------------------------------------------------------------------------- node


@pytest.mark.parametrize(
    ("arch", "cells", "node", "chosen"),
    [
        ("x86_64", [0], None, 0),
        ("x86_64", [0], 0, 0),
        ("x86_64", [0, 1], 1, 1),
        ("x86_64", [0, 1], None, "node_not_found"),
        ("x86_64", [0], 1, "node_not_found"),
        ("x86_64", [0, 2], 1, "node_not_found"),
        ("x86_64", [0], -1, "node_not_found"),
        ("x86_64", [], None, "not_hotpluggable"),
        ("x86_64", [], 0, "not_hotpluggable"),
        ("s390x", [], None, None),
        ("s390x", [], 0, "node_not_found"),
        ("s390x", [0], None, 0),
        ("s390x", [0, 1], 1, 1),
    ],
)
def test_node(arch, cells, node, chosen):
    definition = replace(WEB1, arch=arch, cells=tuple(NumaCell(number, GIB) for number in cells))
    if isinstance(chosen, str):
        error = refused(chosen, choose_node, definition, node)
        assert error.hint
        if node is not None and cells:
            assert str(node) in error.message
    else:
        assert choose_node(definition, node) == chosen


# -------------------------------------------------------------------------------------------------------------- room


def test_prepared():
    check_hotpluggable(WEB1)
    error = refused("not_hotpluggable", check_hotpluggable, replace(WEB1, maximum=None))
    assert "<maxMemory>" in error.message
    assert error.hint
    error = refused("not_hotpluggable", check_hotpluggable, replace(WEB1, lasting_blockers=("a", "b")))
    assert "a and b" in error.message
    assert error.details == {"blockers": ["a", "b"]}


@pytest.mark.parametrize(
    ("extra", "nearest"),
    [(0, None), (-GIB, None), (10 * GIB, None), (10 * GIB + 2 * MIB, 10 * GIB), (64 * GIB, 10 * GIB)],
)
def test_room(extra, nearest):
    if nearest is None:
        check_room(WEB1, extra, 2 * MIB)
    else:
        error = refused("exceeds_max_memory", check_room, WEB1, extra, 2 * MIB)
        assert error.details["nearest"] == nearest
        for number in ("10 GiB", "16 GiB", "6 GiB", format_size(extra)):
            assert number in error.message
        assert "10 GiB" in error.hint


def test_no_room_at_all():
    error = refused("exceeds_max_memory", check_room, replace(WEB1, maximum=6 * GIB), 2 * MIB, 2 * MIB)
    assert "Raise maxMemory" in error.hint
    error = refused("exceeds_max_memory", check_room, replace(WEB1, maximum=5 * GIB), 2 * MIB, 2 * MIB)
    assert error.details["room"] == 0


@given(sizes, sizes, sizes, blocks)
def test_room_offered_is_right(total, maximum, extra, step):
    definition = replace(WEB1, total=total, maximum=maximum)
    if not holds(check_room, definition, extra, step):
        nearest = refused("exceeds_max_memory", check_room, definition, extra, step).details["nearest"]
        assert nearest % step == 0
        if nearest:
            check_room(definition, nearest, step)
            assert not holds(check_room, definition, nearest + step, step)


@pytest.mark.parametrize(
    ("libvirt", "slots", "model", "scope", "fits"),
    [
        ((9, 4, 0), 1, "virtio-mem", "live", False),
        ((9, 4, 0), 2, "virtio-mem", "live", True),
        ((9, 4, 0), 2, "virtio-mem", "config", True),
        ((9, 5, 0), 0, "virtio-mem", "live", True),
        ((9, 5, 0), 1, "virtio-mem", "live", True),
        ((9, 5, 0), 1, "virtio-mem", "config", False),
        ((9, 5, 0), 0, "virtio-mem", "config", True),
        ((9, 10, 0), 1, "virtio-mem", "config", False),
        ((10, 0, 0), 1, "virtio-mem", "config", True),
        ((9, 5, 0), 0, "dimm", "live", False),
        ((9, 5, 0), 1, "dimm", "live", True),
    ],
)
def test_slot(libvirt, slots, model, scope, fits):
    arguments = (replace(WEB1, slots=slots), model, scope, Versions(libvirt, (8, 2, 0)))
    if fits:
        check_slot(*arguments)
    else:
        assert f"{slots} memory slots" in refused("exceeds_max_memory", check_slot, *arguments).message


@pytest.mark.parametrize(("ports", "fits"), [(None, True), (1, True), (0, False)])
def test_port(ports, fits):
    assert holds(check_port, replace(WEB1, free_pcie_ports=ports)) is fits


def test_pci_address_is_taken():
    taken = replace(WEB1, pci_addresses=frozenset({"0000:04:00.0"}))
    check_pci_address(taken, "0000:05:00.0")
    error = refused("unsupported", check_pci_address, taken, "0000:04:00.0")
    assert "0000:04:00.0" in error.message
    assert error.hint


# ------------------------------------------------------------------------------------------------------------ guards


@pytest.mark.parametrize(
    ("shrink", "usable", "fits"),
    [
        (GIB, None, True),
        (GIB, GIB + 128 * MIB, True),
        (GIB, GIB + 128 * MIB - 1, False),
        (GIB, 0, False),
    ],
)
def test_guest_memory(shrink, usable, fits):
    arguments = (shrink, 128 * MIB, GuestStatistics(usable=usable), DEVICE)
    if fits:
        check_guest_memory(*arguments)
    else:
        error = refused("guest_needs_memory", check_guest_memory, *arguments)
        assert "128 MiB" in error.message
        assert "1 GiB" in error.message
        assert error.details["usable"] == usable


@given(sizes, sizes, sizes, blocks, st.data())
def test_guest_memory_offered_is_right(usable, reserve, current, block, data):
    current = current // block * block
    device = replace(DEVICE, current=current, requested=current, block=block)
    shrink = data.draw(st.integers(0, current // block)) * block
    assume(not holds(check_guest_memory, shrink, reserve, GuestStatistics(usable=usable), device))
    error = refused("guest_needs_memory", check_guest_memory, shrink, reserve, GuestStatistics(usable=usable), device)
    nearest = error.details["nearest"]
    assert current - shrink <= nearest <= current
    assert nearest % block == 0
    if nearest < current:
        check_guest_memory(current - nearest, reserve, GuestStatistics(usable=usable), device)
        assert not holds(check_guest_memory, current - nearest + block, reserve, GuestStatistics(usable=usable), device)


@given(sizes, sizes, blocks, sizes)
def test_host_memory(growth, available, block, current):
    device = replace(DEVICE, current=current // block * block, block=block)
    host = HostMemory(available, "available memory")
    if growth <= available:
        check_host_memory(growth, host, device)
    else:
        error = refused("host_lacks_memory", check_host_memory, growth, host, device)
        assert "available memory" in error.message
        assert format_size(growth) in error.message
        check_host_memory(error.details["nearest"] - (device.current or 0), host, device)


@pytest.mark.parametrize(
    ("binding", "device", "backing"),
    [
        (Binding(), DEVICE, (None, None)),
        (Binding(nodes="0"), DEVICE, (None, "0")),
        (Binding(nodes="0", cell_nodes={0: "1"}), DEVICE, (None, "1")),
        (Binding(nodes="0", cell_nodes={1: "1"}), DEVICE, (None, "0")),
        (Binding(nodes="0", cell_nodes={0: "1"}), replace(DEVICE, node_mask="2"), (None, "2")),
        (Binding(cell_nodes={0: "1"}), replace(DEVICE, node=None), (None, None)),
    ],
)
def test_backing(binding, device, backing):
    definition = replace(WEB1, binding=binding)
    assert host_backing(definition, device, NEW) == backing
    assert definition.page_size_of(device) == backing[0]


@pytest.mark.parametrize(
    ("pages", "device", "size"),
    [
        (None, DEVICE, None),
        ((), DEVICE, 0),
        ((HugePage(GIB), HugePage(2 * MIB, "0")), DEVICE, 2 * MIB),
        ((HugePage(GIB), HugePage(2 * MIB, "1")), DEVICE, GIB),
        ((HugePage(2 * MIB, "1"),), DEVICE, None),
        ((HugePage(GIB),), replace(DEVICE, page_size=2 * MIB), 2 * MIB),
        ((HugePage(GIB),), replace(DEVICE, node=None), GIB),
    ],
)
def test_pages_of_the_backing(pages, device, size):
    definition = replace(WEB1, backing=Backing(hugepages=pages))
    assert definition.page_size_of(device) == size
    assert host_backing(definition, device, NEW) == (size, None)


MASKED = replace(DEVICE, node_mask="2")


@pytest.mark.parametrize(
    ("binding", "before", "since"),
    [
        (Binding(), "2", "2"),
        (Binding(loose=True), None, "2"),  # <numatune><memory mode='preferred'>
        (Binding(loose_cells=frozenset({0})), None, "2"),
        (Binding(loose_cells=frozenset({1})), "2", "2"),
        (Binding(loose=True, cell_nodes={0: "1"}), "2", "2"),  # <memnode mode='strict'> has the last word
    ],
)
def test_node_mask_where_numatune_only_prefers(binding, before, since):
    """Measured: host-nodes 0 with policy preferred on libvirt 11.3, with policy bind on 12.8."""
    definition = replace(WEB1, binding=binding)
    assert host_backing(definition, MASKED, Versions((11, 10, 99), (10, 0, 0)))[1] == before
    assert host_backing(definition, MASKED, Versions((12, 0, 0), (10, 0, 0)))[1] == since
