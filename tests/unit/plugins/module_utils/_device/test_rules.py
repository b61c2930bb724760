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
    check_device,
    check_fits,
    check_free_address,
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
    why_no_hotplug,
    why_no_unplug,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.spec import check_features, check_options
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError, at
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Binding,
    Definition,
    HugePage,
    MemoryDevice,
    NumaCell,
    Versions,
    format_size,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils import models
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import holds, refusal

MIB, GIB = 1024**2, 1024**3
NEW = Versions((11, 3, 0), (10, 0, 13))
DEVICE = MemoryDevice("virtio-mem", 4 * GIB, block=2 * MIB, requested=GIB, current=GIB, node=0, alias="ua-a")
WEB1 = Definition(
    "web1", "", "x86_64", "q35", total=6 * GIB, current_memory=2 * GIB, maximum=16 * GIB, slots=2, devices=(DEVICE,)
)

blocks = st.integers(21, 34).map(lambda power: 1 << power)
sizes = st.integers(0, 64 * GIB)


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
        error = refusal("block_invalid", check_block, device, smallest)
        assert error.details["nearest"] == nearest
        assert format_size(nearest) in error.hint
        assert format_size(block) in error.message
        assert ("pages" in error.message) == (page_size == GIB)


@given(sizes, blocks, st.one_of(st.none(), st.sampled_from([4096, 64 * 1024, 2 * MIB, GIB])))
def test_block_offered_is_right(block, smallest, page_size):
    device = replace(DEVICE, block=block, page_size=page_size)
    if not holds(check_block, device, smallest):
        error = refusal("block_invalid", check_block, device, smallest)
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
        error = refusal("not_multiple_of_block", check_size, device)
        assert choices in error.hint
        assert format_size(size) in error.message


def test_no_size_at_all():
    error = refusal("invalid_size", check_size, replace(DEVICE, size=0, block=4 * MIB))
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
        error = refusal("unsupported", check_page_size, device)
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
        error = refusal(code, check_requested, device)
        assert format_size(requested) in error.message
        assert error.details["requested"] == requested


def test_requested_offers_nothing_above_the_size():
    device = replace(DEVICE, size=3 * MIB, block=2 * MIB, requested=2 * MIB + 1)
    assert refusal("not_multiple_of_block", check_requested, device).details["nearest"] == 2 * MIB


@given(sizes, blocks, sizes)
def test_sizes_offered_are_right(size, block, requested):
    device = replace(DEVICE, size=size, block=block, requested=requested)
    if not holds(check_size, device):
        code = "not_multiple_of_block" if size else "invalid_size"
        nearest = refusal(code, check_size, device).details["nearest"]
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
    error = refusal("exceeds_device_size", check_requested, device)
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
        error = refusal("not_multiple_of_block", check_guest_address, device)
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
        error = refusal(chosen, choose_node, definition, node)
        assert error.hint
        if node is not None and cells:
            assert str(node) in error.message
    else:
        assert choose_node(definition, node) == chosen


# -------------------------------------------------------------------------------------------------------------- room


def test_prepared():
    check_hotpluggable(WEB1)
    error = refusal("not_hotpluggable", check_hotpluggable, replace(WEB1, maximum=None))
    assert "<maxMemory>" in error.message
    assert error.hint
    error = refusal("not_hotpluggable", check_hotpluggable, replace(WEB1, lasting_blockers=("a", "b")))
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
        error = refusal("exceeds_max_memory", check_room, WEB1, extra, 2 * MIB)
        assert error.details["nearest"] == nearest
        for number in ("10 GiB", "16 GiB", "6 GiB", format_size(extra)):
            assert number in error.message
        assert "10 GiB" in error.hint


def test_no_room_at_all():
    error = refusal("exceeds_max_memory", check_room, replace(WEB1, maximum=6 * GIB), 2 * MIB, 2 * MIB)
    assert "Raise maxMemory" in error.hint
    error = refusal("exceeds_max_memory", check_room, replace(WEB1, maximum=5 * GIB), 2 * MIB, 2 * MIB)
    assert error.details["room"] == 0


@given(sizes, sizes, sizes, blocks)
def test_room_offered_is_right(total, maximum, extra, step):
    definition = replace(WEB1, total=total, maximum=maximum)
    if not holds(check_room, definition, extra, step):
        nearest = refusal("exceeds_max_memory", check_room, definition, extra, step).details["nearest"]
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
        assert f"{slots} memory slots" in refusal("exceeds_max_memory", check_slot, *arguments).message


@pytest.mark.parametrize(("ports", "fits"), [(None, True), (1, True), (0, False)])
def test_port(ports, fits):
    assert holds(check_port, replace(WEB1, free_pcie_ports=ports)) is fits


def test_pci_address_is_taken():
    taken = replace(WEB1, pci_addresses=frozenset({"0000:04:00.0"}))
    check_pci_address(taken, "0000:05:00.0")
    error = refusal("unsupported", check_pci_address, taken, "0000:04:00.0")
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


# ---------------------------------------------------------------------------------------------------- a device as a whole

KIB = 1024


@pytest.mark.parametrize(
    ("model", "stated", "foreign"),
    [
        ("virtio-mem", {"size": GIB, "dynamic_memslots": True, "iommu": True}, None),
        ("virtio-mem", {"slot": 1, "path": "/x"}, "no path and no slot"),
        ("dimm", {"size": GIB, "node": 0, "slot": 0}, None),
        ("dimm", {"requested": 0}, "a dimm device has no requested."),
        ("dimm", {"pmem": None, "readonly": False}, None),  # what is not there is no option
        ("nvdimm", {"path": "/x", "label_size": 1, "uuid": "x"}, None),
        ("nvdimm", {"page_size": 1}, "no page_size"),
        ("virtio-pmem", {"path": "/x", "ats": True}, None),
        ("virtio-pmem", {"node": 0}, "no node"),
        ("sgx-epc", {"size": 1, "node": 0, "node_mask": "0"}, None),
        ("sgx-epc", {"access": "shared"}, "no access"),
    ],
)
def test_options_of_a_model(model, stated, foreign):
    spec = models.device_spec(model, **stated)
    if foreign is None:
        check_options(spec)
    else:
        error = refusal("unsupported", check_options, spec)
        assert error.message.startswith(f"devices[0]: a {model} device has no ")
        assert foreign in error.message
        assert error.details["model"] == model


def features(spec, libvirt, qemu=(11, 1, 0), arch="x86_64", new=True):
    check_features(spec, Versions(libvirt, qemu), arch, new=new)


@pytest.mark.parametrize(
    ("spec", "libvirt", "new", "lacks"),
    [
        (models.device_spec(), (7, 9, 0), True, None),
        (models.device_spec(), (7, 8, 0), True, "virtio-mem needs libvirt 7.9.0"),
        (models.device_spec(), (7, 8, 0), False, "virtio-mem needs libvirt 7.9.0"),
        (models.device_spec("virtio-pmem"), (9, 3, 0), True, "virtio-pmem needs libvirt 9.4.0"),
        (models.device_spec("virtio-pmem"), (9, 3, 0), False, None),
        (models.device_spec("virtio-pmem"), (9, 4, 0), True, None),
        (models.device_spec("dimm"), (7, 0, 0), True, None),
        (models.device_spec(guest_address=1), (9, 3, 0), False, "guest_address needs libvirt 9.4.0"),
        (models.device_spec(guest_address=1), (9, 4, 0), True, None),
        (models.device_spec(dynamic_memslots=False), (10, 0, 0), True, "dynamic_memslots needs libvirt 10.1.0"),
        (models.device_spec(ats=False), (11, 8, 0), True, "driver needs libvirt 11.9.0"),
        (models.device_spec(ats=False), (11, 9, 0), True, None),
    ],
)
def test_features(spec, libvirt, new, lacks):
    if lacks is None:
        features(spec, libvirt, new=new)
    else:
        with models.refused("unsupported", f"devices[0]: {lacks}"):
            features(spec, libvirt, new=new)


def test_features_of_an_architecture():
    with models.refused("unsupported", "ppc64le"):
        features(models.device_spec(), (12, 8, 0), arch="ppc64le")
    features(models.device_spec("dimm"), (12, 8, 0), arch="ppc64le")


@pytest.mark.parametrize(("place", "words"), [("devices[1]", "devices[1]: What."), ("", "What.")])
def test_a_place_is_named(place, words):
    with models.refused("timeout", words), at(place):
        raise VirtmemError("timeout", "What.")


SMALLEST = 128 * KIB
NVDIMM = models.device("nvdimm", GIB, path="/x", block=0)
PPC = {"arch": "ppc64le"}
WHOLE = {
    # name: device, changes of the domain, the code and the words of the refusal (None: it is fine)
    "a virtio-mem device": (models.CONFIG, {}, None),
    "a page": (replace(models.CONFIG, page_size=1), {}, ("unsupported", "x: page_size")),
    "a block": (replace(models.CONFIG, block=MIB), {}, ("block_invalid", "x: block")),
    "a block smaller than the host's": (replace(models.CONFIG, block=0), {}, ("block_invalid", "x: block")),
    "a size": (replace(models.CONFIG, size=GIB + MIB), {}, ("not_multiple_of_block", "x: size")),
    "a request": (replace(models.CONFIG, requested=9 * GIB), {}, ("exceeds_device_size", "x: requested")),
    "an address": (replace(models.CONFIG, guest_address=MIB), {}, ("not_multiple_of_block", "x: guest_address")),
    "a node": (replace(models.CONFIG, node=1), {}, ("node_not_found", "x: node")),
    "no node": (replace(models.CONFIG, node=None), {"cells": 2}, None),
    "a blocker": (
        models.CONFIG,
        {"lasting_blockers": ("it is locked",)},
        ("not_hotpluggable", "x: web1 can't have a virtio-mem device: it is locked"),
    ),
    "a DIMM beside a blocker": (models.device("dimm", GIB), {"lasting_blockers": ("it is locked",)}, None),
    "a DIMM of no whole pages": (models.device("dimm", GIB + KIB), {}, ("not_multiple_of_block", "x: size")),
    "a DIMM of nothing": (models.device("dimm", 0), {}, ("invalid_size", "x: size")),
    "an NVDIMM": (NVDIMM, {}, None),
    "an NVDIMM of nothing": (replace(NVDIMM, path=None), {}, ("unsupported", "path: a nvdimm device needs")),
    "pmem": (models.device("virtio-pmem", GIB, path="/x", node=None), {}, None),
    "pmem of nothing": (
        models.device("virtio-pmem", GIB, node=None),
        {},
        ("unsupported", "path: a virtio-pmem device"),
    ),
    "private pmem": (
        models.device("virtio-pmem", GIB, path="/x", node=None, access="private"),
        {},
        ("unsupported", "always shared"),
    ),
    "a private NVDIMM": (replace(NVDIMM, access="private"), {}, None),
    "a label": (replace(NVDIMM, label_size=SMALLEST), {}, None),
    "a label too small": (replace(NVDIMM, label_size=SMALLEST - 1), {}, ("unsupported", "at least 128 KiB")),
    "a label as large as all": (replace(NVDIMM, label_size=GIB), {}, ("unsupported", "not smaller")),
    "a label all but as large": (replace(NVDIMM, label_size=GIB - 1), {}, None),
    "an alignment": (replace(NVDIMM, align_size=4 * KIB), {}, None),
    "an odd alignment": (replace(NVDIMM, align_size=6 * KIB), {}, ("unsupported", "multiple of 4 KiB")),
    "no label on pSeries": (NVDIMM, PPC, ("unsupported", "of a pSeries guest needs a label area")),
    "a label on pSeries": (replace(NVDIMM, label_size=SMALLEST, uuid="u"), PPC, None),
    "a UUID elsewhere": (replace(NVDIMM, uuid="u"), {}, ("unsupported", "uuid: only")),
    "read only": (replace(NVDIMM, readonly=True, access="shared"), {}, None),
    "read only and persistent": (
        replace(NVDIMM, readonly=True, access="shared", pmem=True),
        {},
        ("unsupported", "pmem: a read-only"),
    ),
    "read only, private and persistent": (replace(NVDIMM, readonly=True, access="private", pmem=True), {}, None),
    "persistent": (replace(NVDIMM, access="shared", pmem=True), {}, None),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_device_as_it_shall_be(name):
    device, changes, expected = WHOLE[name]
    if expected is None:
        check_device(device, models.definition(**changes), models.HOST, "x")
    else:
        with models.refused(*expected):
            check_device(device, models.definition(**changes), models.HOST, "x")


def test_a_host_whose_smallest_block_nobody_knows_takes_1_mib():
    device = replace(models.CONFIG, block=MIB)
    unknown = replace(models.HOST, thp_size=None)
    check_device(device, models.definition(arch="aarch64"), unknown, "x")
    with models.refused("block_invalid"):
        check_device(replace(device, block=MIB // 2), models.definition(arch="aarch64"), unknown, "x")


DIMM = models.device("dimm", GIB, alias="ua-d", index=0)


@pytest.mark.parametrize(
    ("device", "slots", "expected"),
    [
        (replace(DIMM, alias="ua-x", index=-1, slot=1), 2, None),
        (replace(DIMM, alias="ua-x", index=-1, slot=0), 2, {"slot": 0, "nearest": 2}),
        (replace(DIMM, alias="ua-x", index=-1, slot=-1), 2, {"slot": -1, "nearest": 0}),
        (replace(DIMM, alias="ua-x", index=-1, slot=3), 4, None),
        (replace(DIMM, alias="ua-x", index=-1, slot=4), 4, {"slot": 4, "slots": 4, "nearest": 3}),
        (replace(DIMM, alias="ua-x", index=-1, slot=4), 0, None),
        (replace(DIMM, slot=0), 2, None),  # its own
    ],
)
def test_a_stated_slot(device, slots, expected):
    others = (
        replace(DIMM, slot=0),
        replace(DIMM, alias="ua-e", index=1, slot=1 if expected and not device.slot else 3),
    )
    definition = models.definition(*others, slots=slots)
    if device.slot == 3:
        definition = models.definition(others[0], slots=slots)
    if expected is None:
        check_device(device, definition, models.HOST, "x")
    else:
        code = "exceeds_max_memory" if "slots" in expected else "unsupported"
        with models.refused(code, f"x: slot: {'slot ' if device.slot == 0 else ''}") as caught:
            check_device(device, definition, models.HOST, "x")
        assert caught[0].details == expected


@pytest.mark.parametrize(
    ("address", "before", "fits"),
    [
        (None, None, True),
        ("0000:04:00.0", None, False),
        ("0000:04:00.0", models.CONFIG, True),
        ("0000:05:00.0", models.CONFIG, True),
        ("0000:04:00.0", models.SECOND, False),
    ],
)
def test_an_address_that_a_device_gets(address, before, fits):
    device = replace(models.CONFIG, pci_address=address)
    assert holds(check_free_address, device, before, models.definition(models.CONFIG), "x") is fits


def test_the_host_bridges_address():
    with models.refused("unsupported", "is the host bridge's"):
        check_pci_address(models.definition(), "0000:00:00.0")


@pytest.mark.parametrize(
    ("scope", "changes", "device", "code"),
    [
        ("live", {}, models.CONFIG, None),
        ("live", {"maximum": 10 * GIB}, models.CONFIG, None),
        ("live", {"maximum": 10 * GIB - 1}, models.CONFIG, "exceeds_max_memory"),
        ("live", {"free_pcie_ports": 0}, models.CONFIG, "not_hotpluggable"),
        ("config", {"free_pcie_ports": 0}, models.CONFIG, None),
        ("config", {"slots": 0}, replace(models.CONFIG, model="dimm"), "exceeds_max_memory"),
        ("config", {"pci_addresses": frozenset({"0000:04:00.0"})}, models.CONFIG, "unsupported"),
        ("config", {"pci_addresses": frozenset({"0000:04:00.0"})}, replace(models.CONFIG, pci_address=None), None),
    ],
)
def test_a_new_device_fits(scope, changes, device, code):
    if code is None:
        check_fits(device, models.definition(**changes), scope, models.HOST)
    else:
        with models.refused(code):
            check_fits(device, models.definition(**changes), scope, models.HOST)


@pytest.mark.parametrize(
    ("model", "size", "changes", "why"),
    [
        ("virtio-mem", GIB, {}, None),
        ("sgx-epc", GIB, {}, "only at start"),
        ("nvdimm", GIB, {}, "started with one"),
        ("nvdimm", GIB, {"devices": (NVDIMM,)}, None),
        ("nvdimm", GIB, {"devices": (DIMM,)}, "started with one"),
        ("dimm", GIB, {"maximum": None}, "without <maxMemory>"),
        ("dimm", GIB, {"cells": ()}, "without a NUMA node"),
        ("dimm", GIB, {"cells": (), "arch": "s390x"}, None),
        ("virtio-pmem", GIB, {"cells": ()}, None),
        ("dimm", 62 * GIB, {}, None),
        ("dimm", 62 * GIB + 1, {}, "room for only 62 GiB more"),
        ("dimm", 1, {"maximum": GIB}, "room for only 0 more"),
        ("virtio-mem", GIB, {"free_pcie_ports": 0}, "no free PCIe port"),
        ("virtio-pmem", GIB, {"free_pcie_ports": 0}, "no free PCIe port"),
        ("dimm", GIB, {"free_pcie_ports": 0}, None),
        ("virtio-mem", GIB, {"free_pcie_ports": None}, None),
        ("virtio-mem", GIB, {"free_pcie_ports": 1}, None),
    ],
)
def test_why_a_running_guest_can_not_get_it(model, size, changes, why):
    found = why_no_hotplug(model, size, replace(models.definition(), **changes))
    assert found is None if why is None else why in found


@pytest.mark.parametrize(
    ("device", "machine", "why"),
    [
        (models.LIVE, "pc-q35-9.2", None),
        (models.LIVE, "pc-q35-8.0", "machine type pc-q35-8.0"),
        (DIMM, "pc-q35-8.0", None),
        (NVDIMM, "pc-q35-9.2", "QEMU can't unplug a nvdimm device"),
    ],
)
def test_why_a_running_guest_keeps_it(device, machine, why):
    found = why_no_unplug(device, models.definition(machine=machine), NEW)
    assert found is None if why is None else why in found
