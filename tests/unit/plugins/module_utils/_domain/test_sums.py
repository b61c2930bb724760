# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt's sums; each row was measured on libvirt 9.0 or 11.3."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain import sums
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, MemoryDevice, NumaCell, Versions

KIB, MIB, GIB = 1024, 1024**2, 1024**3
OLD, NEW = Versions((9, 0, 0), (7, 2, 22)), Versions((11, 3, 0), (10, 0, 13))
DEVICE = MemoryDevice("virtio-mem", 4 * GIB, block=2 * MIB, requested=GIB, node=0)


def definition(*devices, total=GIB, current=None, **changes):
    base = Definition(
        "web1", "", "x86_64", "q35", total=total, current_memory=current or total, devices=devices, vcpus=4
    )
    return replace(base, **changes)


def test_cells_decide_over_memory():
    cells = (NumaCell(0, 512 * MIB),)
    found = sums.read_back(definition(DEVICE, total=999999 * KIB, cells=cells), NEW)
    assert (found.total, found.boot) == (512 * MIB + 4 * GIB, 512 * MIB)


@pytest.mark.parametrize("current", [0, 6 * GIB])
def test_current_memory_is_clamped(current):
    assert sums.read_back(replace(definition(), current_memory=current), NEW).current_memory == GIB


def test_vcpus_of_no_cell_go_to_cell_0():
    cells = (NumaCell(1, GIB, "2"), NumaCell(0, GIB, "0"))
    found = sums.read_back(definition(cells=cells), NEW)
    assert [(cell.id, cell.cpus) for cell in found.cells] == [(0, "0-1,3"), (1, "2")]


def test_sets_are_written_in_one_way():
    cells = (NumaCell(0, GIB, "0,1,2-3"), NumaCell(1, GIB))
    assert [cell.cpus for cell in sums.read_back(definition(cells=cells), NEW).cells] == ["0-3", None]


def test_each_size_is_rounded_up_to_kib():
    device = replace(DEVICE, size=GIB - 1, block=2 * MIB - 1, requested=2 * MIB - 1)
    cells = (NumaCell(0, 256 * MIB - 1), NumaCell(1, 256 * MIB - 1))
    written = definition(device, cells=cells, maximum=4 * GIB - 1, current=128 * MIB - 1)
    found = sums.read_back(written, NEW)
    assert (found.total, found.maximum, found.current_memory) == (512 * MIB + GIB, 4 * GIB, 128 * MIB)
    assert [cell.memory for cell in found.cells] == [256 * MIB] * 2
    assert found.devices == (replace(DEVICE, size=GIB, block=2 * MIB, requested=2 * MIB),)
    assert sums.read_back(definition(total=GIB - 1), NEW).boot == GIB


@pytest.mark.parametrize(
    ("versions", "arch", "invents"), [(NEW, "x86_64", True), (OLD, "x86_64", False), (NEW, "s390x", False)]
)
def test_a_cell_is_invented(versions, arch, invents):
    device = replace(DEVICE, node=None)
    found = sums.read_back(definition(device, total=5 * GIB, maximum=8 * GIB, arch=arch), versions)
    assert found.cells == ((NumaCell(0, GIB, "0-3"),) if invents else ())
    assert found.devices[0].node == (0 if invents else None)


def test_a_start_rounds_the_live_definition_up():
    cells = (NumaCell(0, 524289 * KIB),)
    written = definition(replace(DEVICE, size=4194305 * KIB), total=524289 * KIB + 4194305 * KIB, cells=cells)
    found = sums.started(replace(written, maximum=8388609 * KIB))
    assert (found.boot, found.devices[0].size, found.maximum) == (513 * MIB, 4196352 * KIB, 8193 * MIB)


def test_an_attached_device_is_as_libvirt_makes_it():
    pmem = MemoryDevice("virtio-pmem", GIB - 1, path="/somewhere")
    after = sums.attached(definition(), pmem)
    assert after.devices == (replace(pmem, size=GIB, access="shared"),)
    assert after.total == 2 * GIB


def test_attach_and_detach_in_the_stored_definition():
    before = definition(total=GIB, current=512 * MIB)
    after = sums.attached(before, DEVICE)
    assert (after.total, after.current_memory) == (5 * GIB, 512 * MIB + 4 * GIB)
    assert sums.detached(after, DEVICE) == before
    two = definition(DEVICE, replace(DEVICE, alias="ua-b"), total=512 * MIB + 8 * GIB, current=512 * MIB)
    assert sums.detached(two, DEVICE).current_memory == 4718592 * KIB  # below zero, and clamped


def test_a_detach_that_leaves_nothing_leaves_all():
    """0 is clamped as less than nothing is; a byte more is not."""
    before = definition(DEVICE, total=5 * GIB, current=4 * GIB)
    assert sums.detached(before, DEVICE).current_memory == GIB
    assert sums.detached(replace(before, current_memory=4 * GIB + KIB), DEVICE).current_memory == KIB
    assert sums.detached(replace(before, current_memory=5 * GIB), DEVICE).current_memory == GIB


def test_a_cell_is_invented_for_devices_that_have_none():
    pmem = MemoryDevice("virtio-pmem", GIB, path="/x", access="shared")
    found = sums.read_back(definition(pmem, replace(DEVICE, node=1), total=6 * GIB, maximum=8 * GIB), NEW)
    assert [device.node for device in found.devices] == [None, 1]


@pytest.mark.parametrize(("cells", "boot"), [(2, 1026 * MIB), (0, 1025 * MIB)], ids=["each cell", "all together"])
def test_a_start_rounds_boot_memory_up(cells, boot):
    half = 512 * MIB + KIB
    written = definition(DEVICE, total=2 * half + DEVICE.size, cells=tuple(NumaCell(n, half) for n in range(cells)))
    assert sums.started(written).boot == boot


@pytest.mark.parametrize(("size", "live"), [(GIB, GIB), (GIB + KIB, GIB + 2 * MIB), (2 * MIB, 2 * MIB)])
def test_a_start_rounds_devices_up(size, live):
    (found,) = sums.started(definition(replace(DEVICE, size=size), total=GIB + size)).devices
    assert found.size == live
