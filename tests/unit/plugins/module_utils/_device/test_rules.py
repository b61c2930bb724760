# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule on both sides of its line; what it offers as nearest is right, and says so in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, strategies as st

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
    host_page_size,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Binding,
    Definition,
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
    error = refused("not_hotpluggable", check_hotpluggable, replace(WEB1, blockers=("a", "b")))
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


# ----------------------------------------------------------------------------------------------------------- backing


@pytest.mark.parametrize(
    ("binding", "device", "backing"),
    [
        (Binding(), DEVICE, (None, None)),
        (Binding(nodes="0"), DEVICE, (None, "0")),
        (Binding(nodes="0", cell_nodes={0: "1"}), DEVICE, (None, "1")),
        (Binding(nodes="0", cell_nodes={1: "1"}), DEVICE, (None, "0")),
        (Binding(nodes="0", cell_nodes={0: "1"}), replace(DEVICE, node_mask="2"), (None, "2")),
        (Binding(page_size=0), DEVICE, (0, None)),
        (Binding(page_size=GIB, cell_page_sizes={0: 2 * MIB}), DEVICE, (2 * MIB, None)),
        (Binding(page_size=GIB, cell_page_sizes={1: 2 * MIB}), DEVICE, (GIB, None)),
        (Binding(page_size=GIB), replace(DEVICE, page_size=2 * MIB), (2 * MIB, None)),
        (Binding(cell_nodes={0: "1"}), replace(DEVICE, node=None), (None, None)),
    ],
)
def test_backing(binding, device, backing):
    definition = replace(WEB1, binding=binding)
    assert host_backing(definition, device, NEW) == backing
    assert host_page_size(definition, device) == backing[0]


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
