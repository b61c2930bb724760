# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils import _capabilities
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, MemoryDevice, Versions

NEWEST = (99, 0, 0)


def before(version):
    major, minor, micro = version
    return (major, minor, micro - 1) if micro else (major, minor - 1, 99) if minor else (major - 1, 99, 99)


@pytest.mark.parametrize("feature", _capabilities.FEATURES)
def test_both_sides_of_each_line(feature):
    needs = _capabilities.FEATURES[feature]
    assert needs.source
    assert _capabilities.why_not(feature, Versions(needs.libvirt, needs.qemu)) is None
    _capabilities.require(feature, Versions(needs.libvirt, needs.qemu))
    for versions, name, text in (
        (Versions(before(needs.libvirt), NEWEST), "libvirt", needs.libvirt),
        (Versions(NEWEST, before(needs.qemu)), "QEMU", needs.qemu),
    ):
        reason = _capabilities.why_not(feature, versions)
        assert f"needs {name} {'.'.join(map(str, text))} or later" in reason
        with pytest.raises(VirtmemError) as caught:
            _capabilities.require(feature, versions)
        error = caught.value
        assert error.code == "unsupported"
        assert error.message.endswith(".")
        assert error.hint
        assert error.details["feature"] == feature


LINES = {
    "virtio-mem": ((7, 9, 0), (5, 1, 0)),
    "virtio-mem on aarch64": ((7, 9, 0), (7, 0, 0)),
    "virtio-mem on s390x": ((11, 1, 0), (10, 0, 0)),
    "guest_address": ((9, 4, 0), (5, 1, 0)),
    "dynamic_memslots": ((10, 1, 0), (8, 2, 0)),
    "virtio-pmem": ((9, 4, 0), (5, 1, 0)),
    "sgx-epc": ((8, 10, 0), (7, 0, 0)),
    "driver": ((11, 9, 0), (5, 1, 0)),
    "allocation.threads": ((8, 2, 0), (5, 1, 0)),
    "a NUMA node without memory": ((11, 8, 0), (5, 1, 0)),
    "unplug": ((7, 9, 0), (8, 1, 0)),
}


def test_the_lines_are_those_of_the_fact_sheet():
    assert {name: (found.libvirt, found.qemu) for name, found in _capabilities.FEATURES.items()} == LINES


BEHAVIOUR_LINES = {
    "only DIMMs take slots": (9, 5, 0),
    "slots are optional": (9, 5, 0),
    "a NUMA node is invented": (9, 6, 0),
    "virtio-mem is stored whatever the slots": (10, 0, 0),
    "node_mask binds": (12, 0, 0),
}


def test_the_behaviours_are_those_of_the_fact_sheet():
    assert {name: found.libvirt for name, found in _capabilities.BEHAVIOURS.items()} == BEHAVIOUR_LINES
    assert all(found.source for found in _capabilities.BEHAVIOURS.values())


@pytest.mark.parametrize("behaviour", BEHAVIOUR_LINES)
def test_both_sides_of_each_behaviour(behaviour):
    line = BEHAVIOUR_LINES[behaviour]
    assert _capabilities.behaves(behaviour, Versions(line, (5, 1, 0)))
    assert not _capabilities.behaves(behaviour, Versions(before(line), NEWEST))


@pytest.mark.parametrize(
    ("arch", "versions", "fits"),
    [
        ("x86_64", Versions((7, 9, 0), (5, 1, 0)), True),
        ("x86_64", Versions((7, 8, 0), (9, 0, 0)), False),
        ("i686", Versions((9, 0, 0), (7, 2, 0)), True),
        ("aarch64", Versions((9, 0, 0), (6, 2, 0)), False),
        ("aarch64", Versions((9, 0, 0), (7, 0, 0)), True),
        ("s390x", Versions((11, 1, 0), (10, 0, 0)), True),
        ("s390x", Versions((11, 0, 0), (10, 0, 0)), False),
        ("ppc64le", Versions(NEWEST, NEWEST), False),
        ("riscv64", Versions(NEWEST, NEWEST), False),
        ("", Versions(NEWEST, NEWEST), False),
    ],
)
def test_architectures(arch, versions, fits):
    if fits:
        _capabilities.require_virtio_mem(versions, arch)
    else:
        with pytest.raises(VirtmemError) as caught:
            _capabilities.require_virtio_mem(versions, arch)
        assert caught.value.code == "unsupported"


def test_an_unknown_architecture_gets_a_hint():
    with pytest.raises(VirtmemError) as caught:
        _capabilities.require_virtio_mem(Versions(NEWEST, NEWEST), "ppc64le")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("machine", "version"),
    [
        ("pc-q35-8.1", (8, 1)),
        ("pc-i440fx-11.1", (11, 1)),
        ("virt-9.2", (9, 2)),
        ("pc", None),
        ("q35", None),
        ("pc-q35-rhel9.6.0", None),
        ("pc-q35-rhel-9.6", None),
        ("pc-q35-noble", None),
        ("s390-ccw-virtio-10.0", (10, 0)),
        ("", None),
    ],
)
def test_machine_version(machine, version):
    assert _capabilities.machine_version(machine) == version


def definition(machine, anonymous=True, arch="x86_64"):
    return Definition("web1", "", arch, machine, total=0, current_memory=0, anonymous=anonymous)


NEW = Versions((11, 3, 0), (10, 0, 13))
PLAIN = MemoryDevice("virtio-mem", 1 << 30)
HUGE = MemoryDevice("virtio-mem", 1 << 30, page_size=2 << 20)
SHARED = MemoryDevice("virtio-mem", 1 << 30, access="shared")
PRIVATE = MemoryDevice("virtio-mem", 1 << 30, access="private")


@pytest.mark.parametrize(
    ("versions", "machine", "anonymous", "device", "possible"),
    [
        (Versions((9, 0, 0), (7, 2, 22)), "pc-q35-9.9", True, PLAIN, False),
        (Versions((9, 0, 0), (8, 0, 9)), "pc-q35-8.1", True, PLAIN, False),
        (Versions((9, 0, 0), (8, 1, 0)), "pc-q35-8.1", True, PLAIN, True),
        (NEW, "pc-q35-8.1", True, PLAIN, True),
        (NEW, "pc-q35-10.0", True, PLAIN, True),
        (NEW, "pc-q35-8.0", True, PLAIN, False),
        (NEW, "pc-i440fx-8.0", True, PLAIN, False),
        (NEW, "pc-q35-8.0", True, PRIVATE, False),
        (NEW, "pc-q35-8.0", False, PLAIN, True),
        (NEW, "pc-q35-8.0", True, HUGE, True),
        (NEW, "pc-q35-7.0", True, SHARED, True),
        (NEW, "pc-q35-6.2", False, PLAIN, False),
        (NEW, "pc-q35-6.2", True, HUGE, False),
        (NEW, "q35", True, PLAIN, True),
        (NEW, "pc-q35-rhel8.6.0", True, PLAIN, True),
    ],
)
def test_unplug(versions, machine, anonymous, device, possible):
    reason = _capabilities.why_no_unplug(versions, definition(machine, anonymous), device)
    assert (reason is None) is possible
    if reason:
        assert "unplug" in reason
        assert machine in reason or "QEMU 8.1.0" in reason


def test_unplug_of_old_arm_machines():
    """QEMU virtio-mem.c: VIRTIO_MEM_HAS_LEGACY_GUESTS is x86 only."""
    assert _capabilities.why_no_unplug(NEW, definition("virt-8.0", arch="aarch64"), PLAIN) is None


@pytest.mark.parametrize(
    ("libvirt", "model", "takes"),
    [
        ((9, 4, 0), "virtio-mem", True),
        ((9, 4, 99), "virtio-mem", True),
        ((9, 5, 0), "virtio-mem", False),
        ((9, 5, 0), "virtio-pmem", False),
        ((9, 5, 0), "dimm", True),
        ((9, 5, 0), "nvdimm", True),
        ((9, 0, 0), "dimm", True),
    ],
)
def test_slots(libvirt, model, takes):
    assert _capabilities.takes_slot(model, Versions(libvirt, (8, 0, 0))) is takes


@pytest.mark.parametrize(("node", "possible"), [(0, True), (1, False), (None, False)])
def test_unplug_from_a_node_whose_memory_is_shared(node, possible):
    shared = replace(definition("pc-q35-8.0"), shared_cells=frozenset({0}))
    assert (_capabilities.why_no_unplug(NEW, shared, replace(PLAIN, node=node)) is None) is possible


@pytest.mark.parametrize(("libvirt", "counts"), [((9, 0, 0), True), ((9, 10, 99), True), ((10, 0, 0), False)])
def test_cold_plug_counts_all(libvirt, counts):
    assert _capabilities.counts_all_slots(Versions(libvirt, (8, 0, 0))) is counts


@pytest.mark.parametrize(("arch", "needs"), [("x86_64", True), ("aarch64", True), ("s390x", False)])
def test_nodes(arch, needs):
    assert _capabilities.needs_nodes(arch) is needs


@pytest.mark.parametrize(
    ("libvirt", "arch", "invents"),
    [
        ((9, 5, 99), "x86_64", False),
        ((9, 6, 0), "x86_64", True),
        ((9, 6, 0), "aarch64", True),
        ((12, 8, 0), "s390x", False),
        ((12, 8, 0), "ppc64le", False),
    ],
)
def test_who_invents_a_node(libvirt, arch, invents):
    assert _capabilities.invents_cell(arch, Versions(libvirt, (8, 0, 0))) is invents


@pytest.mark.parametrize(
    ("libvirt", "dimms", "slots"),
    [((9, 4, 99), False, 16), ((9, 5, 0), False, 0), ((9, 5, 0), True, 16), ((12, 8, 0), False, 0)],
)
def test_slots_that_a_new_maximum_gets(libvirt, dimms, slots):
    assert _capabilities.default_slots(Versions(libvirt, (8, 0, 0)), dimms) == slots


def test_a_version_as_text():
    assert _capabilities.version_text((9, 4, 0)) == "9.4.0"


@pytest.mark.parametrize(
    ("arch", "needs"), [("x86_64", True), ("aarch64", True), ("ppc64", False), ("ppc64le", False), ("s390x", False)]
)
def test_who_needs_a_node_for_a_maximum(arch, needs):
    assert _capabilities.needs_cell(arch) is needs


@pytest.mark.parametrize(("libvirt", "binds"), [((11, 10, 0), False), ((12, 0, 0), True)])
def test_whether_a_node_mask_binds(libvirt, binds):
    assert _capabilities.node_mask_binds(Versions(libvirt, (8, 0, 0))) is binds


def test_what_a_host_is_told_to_lack():
    """By the words of host_memory_info, with the reason in the same words."""
    reasons = _capabilities.all_reasons(Versions((9, 0, 0), (7, 2, 22)), "x86_64")
    assert {name for name, reason in reasons.items() if reason is None} == {
        "virtio_mem",
        "sgx_epc",
        "allocation_threads",
    }
    assert reasons["virtio_mem_unplug"] == "virtio_mem_unplug needs QEMU 8.1.0 or later, this is 7.2.22"
    assert reasons["device_driver"] == "device_driver needs libvirt 11.9.0 or later, this is 9.0.0"
    assert set(_capabilities.all_reasons(Versions(NEWEST, NEWEST), "x86_64").values()) == {None}


@pytest.mark.parametrize(
    ("versions", "arch", "reason"),
    [
        (Versions(NEWEST, NEWEST), "ppc64le", "QEMU has no virtio-mem for ppc64le guests"),
        (Versions((7, 8, 0), NEWEST), "x86_64", "virtio-mem needs libvirt 7.9.0 or later, this is 7.8.0"),
    ],
)
def test_why_a_host_has_no_virtio_mem(versions, arch, reason):
    told = _capabilities.all_reasons(versions, arch)["virtio_mem"]
    assert told.startswith(reason)
    assert not told.endswith(".")
