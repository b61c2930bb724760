# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a definition becomes by all that a task says but devices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.merge import merge_structure, with_boot
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import CellSpec, DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.sums import merge_current_memory, with_cell
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Balloon,
    HugePage,
    NumaCell,
    Placement,
    Tuning,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    MIB,
    OLD_HOST,
    definition,
    device,
    refused,
)

WEB1 = definition(CONFIG)
TUNED = definition(tuning=Tuning(hard_limit=9 * GIB, soft_limit=4 * GIB))
BACKED = definition(backing=Backing(source="memfd", locked=False, nosharepages=True))


@pytest.mark.parametrize(
    ("before", "spec", "changes"),
    [
        (WEB1, {}, {}),
        (WEB1, {"maximum": 32 * GIB}, {"maximum": 32 * GIB}),
        (WEB1, {"slots": 0}, {"slots": 0}),
        (WEB1, {"slots": 3}, {"slots": 3}),
        (TUNED, {"tuning": {"hard_limit": None}}, {"tuning": Tuning(soft_limit=4 * GIB)}),
        (TUNED, {"tuning": {"soft_limit": GIB}}, {"tuning": Tuning(hard_limit=9 * GIB, soft_limit=GIB)}),
        (BACKED, {"backing": {"access": "shared"}}, {"backing": replace(BACKED.backing, access="shared")}),
        (WEB1, {"balloon": {"stats_period": 5}}, {"memballoon": Balloon("virtio", stats_period=5)}),
        (WEB1, {"balloon": {"model": "none"}}, {"memballoon": Balloon("none")}),
    ],
    ids=["nothing", "maximum", "no slots", "slots", "no limit", "a limit", "backing", "balloon", "no balloon"],
)
def test_what_a_task_says(before, spec, changes):
    assert merge_structure(before, DomainSpec(**spec), HOST) == replace(before, **changes)


@pytest.mark.parametrize(
    ("before", "stated", "after"),
    [
        (Placement(), {"nodeset": "0"}, Placement("strict", "0")),
        (Placement(), {"nodeset": "0", "mode": "preferred"}, Placement("preferred", "0")),
        (Placement("preferred", "0"), {"nodeset": "1"}, Placement("preferred", "1")),
        (Placement("strict", None, auto=True), {"nodeset": "1"}, Placement("strict", "1")),
        (Placement("strict", None, auto=True), {"mode": "preferred"}, Placement("preferred", None, auto=True)),
        (Placement("strict", None, auto=True), {}, Placement("strict", None, auto=True)),
    ],
    ids=["strict", "a mode", "the mode that was", "no longer numad", "numad goes on", "nothing"],
)
def test_placement(before, stated, after):
    found = merge_structure(definition(placement=before), DomainSpec(placement=stated), HOST)
    assert found.placement == after


@pytest.mark.parametrize(
    ("lasting", "was", "locked", "after"),
    [
        ((), False, None, ()),
        ((), False, True, ("its memory is locked",)),
        (("other",), True, False, ("other",)),
        (("other",), True, True, ("its memory is locked", "other")),
        (("other",), False, True, ("its memory is locked", "other")),
    ],
)
def test_what_keeps_virtio_mem_away(lasting, was, locked, after):
    """Locked memory is one of the blockers, and a task can lift it."""
    there = definition(backing=Backing(locked=was), lasting_blockers=lasting)
    spec = DomainSpec(backing=None if locked is None else {"locked": locked})
    assert tuple(reason.split(" (")[0] for reason in merge_structure(there, spec, HOST).blockers) == after


def test_pages_and_kind_of_memory():
    there = definition()
    assert there.anonymous
    huge = merge_structure(there, DomainSpec(backing={"hugepages": (HugePage(GIB, "0"),)}), HOST)
    assert (huge.anonymous, huge.backing.page_size, huge.backing.cell_page_sizes) == (False, None, {0: GIB})
    again = merge_structure(huge, DomainSpec(backing={"hugepages": None}), HOST)
    assert (again.anonymous, again.backing, again.backing.cell_page_sizes) == (True, Backing(), {})


def test_shared_cells():
    shared = merge_structure(definition(), DomainSpec(numa=(CellSpec(0, {"access": "shared"}),)), HOST)
    assert shared.shared_cells == {0}
    assert merge_structure(shared, DomainSpec(numa=(CellSpec(0, {"access": "private"}),)), HOST).shared_cells == set()


def test_contradictions_are_refused_here():
    with refused("not_hotpluggable", "backing.locked"):
        merge_structure(WEB1, DomainSpec(backing={"locked": True}), HOST)


@pytest.mark.parametrize(("platform", "refuses"), [(OLD_HOST, True), (HOST, False)], ids=["9.0", "11.3"])
def test_what_depends_on_the_version(platform, refuses):
    spec = DomainSpec(slots=0)
    if refuses:
        with refused("unsupported", "at least one slot"):
            merge_structure(definition(), spec, platform)
    else:
        assert merge_structure(definition(), spec, platform).slots == 0


# ------------------------------------------------------------------------------------------------- boot memory and cells


@pytest.mark.parametrize(
    ("before", "boot", "cells"),
    [
        (definition(CONFIG), 3 * GIB, [3 * GIB]),
        (definition(CONFIG, cells=0), 3 * GIB, []),
    ],
    ids=["one cell", "no cell"],
)
def test_boot(before, boot, cells):
    found = merge_structure(before, DomainSpec(boot=boot), HOST)
    assert (found.boot, found.total) == (boot, boot + 8 * GIB)
    assert [cell.memory for cell in found.cells] == cells
    assert [cell.cpus for cell in found.cells] == [cell.cpus for cell in before.cells]


def test_boot_of_several_cells_is_not_said_enough():
    with refused("unsupported", "boot: web1 has 2 NUMA nodes") as caught:
        merge_structure(definition(cells=2), DomainSpec(boot=3 * GIB), HOST)
    assert "id=0 memory=2 GiB, id=1 memory=2 GiB" in caught[0].hint
    assert caught[0].details["numa"] == [{"id": 0, "memory": 2 * GIB}, {"id": 1, "memory": 2 * GIB}]


NUMA = {
    # name: vCPUs of a domain with 2 GiB on one cell, the task's cells and boot, the cells then
    "a cell keeps what is left out": ([(0, {"cpus": "0-3"})], None, [NumaCell(0, 2 * GIB, "0-3")]),
    "memory": ([(0, {"memory": GIB})], None, [NumaCell(0, GIB, "0")]),
    "a second cell": ([(1, {"memory": GIB}), (0, {})], None, [NumaCell(0, 2 * GIB, "0"), NumaCell(1, GIB)]),
    "one cell takes boot": ([(0, {"cpus": "0-1"})], 3 * GIB, [NumaCell(0, 3 * GIB, "0-1")]),
    "a sum that is boot": (
        [(0, {"memory": GIB}), (1, {"memory": GIB})],
        2 * GIB,
        [NumaCell(0, GIB, "0"), NumaCell(1, GIB)],
    ),
    "its own memory before boot": ([(0, {"memory": 3 * GIB})], 3 * GIB, [NumaCell(0, 3 * GIB, "0")]),
}


@pytest.mark.parametrize("name", NUMA)
def test_numa(name):
    cells, boot, expected = NUMA[name]
    spec = DomainSpec(numa=tuple(CellSpec(*cell) for cell in cells), boot=boot)
    found = merge_structure(definition(CONFIG, vcpus=4), spec, HOST)
    assert list(found.cells) == expected
    assert found.boot == sum(cell.memory for cell in expected)
    assert found.total == found.boot + 8 * GIB


def test_the_first_cell_of_a_domain_without_any_has_all_boot_memory():
    found = merge_structure(definition(cells=0), DomainSpec(numa=(CellSpec(0, {}),)), HOST)
    assert found.cells == (NumaCell(0, 2 * GIB),)


@pytest.mark.parametrize(
    ("cells", "boot", "words"),
    [
        ([(0, {}), (1, {})], None, "numa[1]: a new node needs its boot memory"),
        ([(0, {"memory": GIB})], 2 * GIB, "boot: 2 GiB is not the sum of the NUMA nodes' memory, 1 GiB"),
        ([(0, {}), (2, {"memory": GIB})], None, "numa: the nodes are 0, 2"),
        ([(1, {"memory": GIB}), (1, {"memory": GIB})], None, "numa: the nodes are 1, 1"),
    ],
)
def test_numa_that_does_not_fit(cells, boot, words):
    with refused("unsupported", words):
        merge_structure(definition(), DomainSpec(numa=tuple(CellSpec(*cell) for cell in cells), boot=boot), HOST)


# ----------------------------------------------------------------------------------------------------------------- parts


def test_other_devices_leave_boot_memory_alone():
    found = WEB1.with_devices([device("dimm", GIB), device("dimm", 3 * GIB)])
    assert (found.boot, found.total, len(found.devices)) == (2 * GIB, 6 * GIB, 2)


def test_other_boot_memory_leaves_devices_alone():
    assert with_boot(WEB1, 5 * GIB) == replace(WEB1, total=13 * GIB)


def test_the_one_cell_that_libvirt_would_add():
    assert with_cell(definition(CONFIG, cells=0, vcpus=4)).cells == (NumaCell(0, 2 * GIB, "0-3"),)


BEFORE = definition(CONFIG)  # 2 GiB of RAM, and a device of 8 GiB
CURRENT = {
    # name: currentMemory before, boot memory and devices after, the balloon's target, currentMemory then
    "all": (2 * GIB, 2 * GIB, (CONFIG,), None, 2 * GIB),
    "all of more": (2 * GIB, 3 * GIB, (CONFIG,), None, 3 * GIB),
    "all, with a DIMM": (2 * GIB, 2 * GIB, (CONFIG, device("dimm", GIB)), None, 3 * GIB),
    "all, with a further device": (2 * GIB, 2 * GIB, (CONFIG, CONFIG), None, 2 * GIB),
    "a balloon stays": (GIB, 2 * GIB, (CONFIG,), None, GIB),
    "a balloon stays where there is more": (GIB, 3 * GIB, (CONFIG,), None, GIB),
    "a balloon ends where there is less": (3 * GIB // 2, GIB, (CONFIG,), None, GIB),
    "a target": (2 * GIB, 2 * GIB, (CONFIG,), GIB, GIB),
    "a target of all": (GIB, 2 * GIB, (CONFIG,), 2 * GIB, 2 * GIB),
    "a target of all, where all is counted": (10 * GIB, 2 * GIB, (CONFIG,), 2 * GIB, 10 * GIB),
    "a target below all that is counted": (10 * GIB, 2 * GIB, (CONFIG,), 2 * GIB - 1, 2 * GIB - 1),
    "counted devices go on": (10 * GIB, 2 * GIB, (CONFIG, CONFIG), None, 18 * GIB),
    "counted devices that go": (10 * GIB, 2 * GIB, (), None, 2 * GIB),
    "partly counted": (2 * GIB + MIB, 3 * GIB, (CONFIG,), None, 3 * GIB + MIB),
    "partly counted, and gone": (2 * GIB + MIB, 2 * GIB, (), None, 2 * GIB),
    "more than there is": (30 * GIB, 2 * GIB, (CONFIG,), None, 10 * GIB),
}


@pytest.mark.parametrize("name", CURRENT)
def test_current_memory(name):
    current, boot, devices, target, expected = CURRENT[name]
    before = replace(BEFORE, current_memory=current)
    after = with_boot(before, boot).with_devices(devices)
    assert merge_current_memory(before, after, target) == expected
