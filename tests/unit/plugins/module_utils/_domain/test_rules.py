# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a domain's memory may be as a whole: each rule on both sides of its line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.rules import (
    check_cell_ids,
    check_session,
    check_structure,
    check_totals,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import CellSpec, DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Balloon,
    HugePage,
    NumaCell,
    Placement,
    Tuning,
    Versions,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    KIB,
    MIB,
    NEW,
    OLD,
    definition,
    device,
    device_spec,
    refused,
)

NEWEST = Versions((12, 8, 0), (11, 1, 3))
BACKING, TUNING = DomainSpec(backing={"source": "memfd"}), DomainSpec(tuning={"hard_limit": GIB})
BALLOON, PLACEMENT = DomainSpec(balloon={"model": "virtio"}), DomainSpec(placement={"mode": "strict"})
NUMA, DEVICES = DomainSpec(numa=(CellSpec(0, {}),)), DomainSpec(devices=())


def backed(*pages, **changes):
    return {"backing": Backing(hugepages=tuple(pages), **changes)}


def tuned(*limits):
    return {"tuning": Tuning(*limits)}


def ballooned(*values):
    return {"memballoon": Balloon(*values)}


RULES = {
    # name: task, the definition as it would be, the code and the words of the refusal (None: it is fine)
    "huge pages of memfd": (BACKING, backed(source="memfd"), None),
    "huge pages, anonymous": (BACKING, backed(source="anonymous"), ("unsupported", "can't be anonymous")),
    "anonymous, no huge pages": (BACKING, {"backing": Backing(source="anonymous")}, None),
    "huge pages, on demand": (BACKING, backed(allocation_mode="ondemand"), ("unsupported", "at once")),
    "huge pages, immediate": (BACKING, backed(allocation_mode="immediate"), None),
    "on demand, no huge pages": (BACKING, {"backing": Backing(allocation_mode="ondemand")}, None),
    "a size for all": (BACKING, backed(HugePage(2 * MIB), HugePage(GIB, "0")), None),
    "two sizes for all": (BACKING, backed(HugePage(2 * MIB), HugePage(GIB)), ("unsupported", "for all nodes")),
    "a size for each": (BACKING, {**backed(HugePage(2 * MIB, "0"), HugePage(GIB, "1")), "cells": 2}, None),
    "two sizes for one": (
        BACKING,
        {**backed(HugePage(2 * MIB, "0-1"), HugePage(GIB, "1")), "cells": 2},
        ("unsupported", "two page sizes"),
    ),
    "the smallest page": (BACKING, backed(HugePage(4 * KIB)), None),
    "a page too small": (BACKING, backed(HugePage(2 * KIB)), ("invalid_size", "power of two")),
    "a page of no power of two": (BACKING, backed(HugePage(3 * MIB)), ("invalid_size", "power of two")),
    "a node that there is not": (BACKING, backed(HugePage(GIB, "1")), ("node_not_found", "nodeset")),
    "a node that there is no more": (NUMA, backed(HugePage(GIB, "1")), ("node_not_found", "nodeset")),
    "node 0 of a guest without cells": (BACKING, {**backed(HugePage(GIB, "0")), "cells": 0}, None),
    "one thread": (BACKING, {"backing": Backing(allocation_threads=1)}, None),
    "no thread": (BACKING, {"backing": Backing(allocation_threads=0)}, ("unsupported", "at least one thread")),
    "locked": (BACKING, {"backing": Backing(locked=True)}, None),
    "locked, with a device": (
        BACKING,
        {"backing": Backing(locked=True), "devices": (CONFIG,)},
        ("not_hotpluggable", "backing.locked"),
    ),
    "not locked, with a device": (BACKING, {"devices": (CONFIG,)}, None),
    "locked before, and devices are listed": (
        DEVICES,
        {"backing": Backing(locked=True), "devices": (CONFIG,)},
        ("not_hotpluggable", "backing.locked"),
    ),
    "locked, with a DIMM": (BACKING, {"backing": Backing(locked=True), "devices": (device("dimm"),)}, None),
    "limits": (TUNING, tuned(GIB, MIB, 2 * GIB), None),
    "no limits": (TUNING, tuned(), None),
    "a hard limit of 0": (TUNING, tuned(0), ("unsupported", "limit of 0")),
    "a soft limit of 0": (TUNING, tuned(None, 0), ("unsupported", "limit of 0")),
    "a swap limit of 0": (TUNING, tuned(GIB, None, 0), ("unsupported", "limit of 0")),
    "a swap limit alone": (TUNING, tuned(None, None, GIB), ("unsupported", "needs a hard_limit")),
    "a swap limit as high": (TUNING, tuned(GIB, None, GIB), None),
    "a swap limit below": (TUNING, tuned(GIB, None, GIB - 1), ("unsupported", "more than swap_hard_limit")),
    "a hard limit alone": (TUNING, tuned(GIB), None),
    "a nodeset": (PLACEMENT, {"placement": Placement("strict", "0")}, None),
    "a mode of nothing": (PLACEMENT, {"placement": Placement("strict")}, ("unsupported", "needs placement.nodeset")),
    "a mode of numad's": (PLACEMENT, {"placement": Placement("strict", auto=True)}, None),
    "no placement": (PLACEMENT, {}, None),
    "no balloon": (BALLOON, ballooned("none"), None),
    "a period of no balloon": (BALLOON, ballooned("none", None, None, 1), ("unsupported", "no memory balloon")),
    "a deflating no balloon": (BALLOON, ballooned("none", False), ("unsupported", "no memory balloon")),
    "a reporting no balloon": (BALLOON, ballooned("none", None, False), ("unsupported", "no memory balloon")),
    "a balloon with all": (BALLOON, ballooned("virtio", True, True, 5), None),
    "a period of never": (BALLOON, ballooned("virtio", None, None, 0), None),
    "a negative period": (BALLOON, ballooned("virtio", None, None, -1), ("unsupported", "number of seconds")),
    "no slots": (DomainSpec(slots=0), {"slots": 0}, None),
    "all slots": (DomainSpec(slots=255), {"slots": 255}, None),
    "too many slots": (DomainSpec(slots=256), {"slots": 256}, ("unsupported", "0 to 255 slots")),
    "fewer than no slots": (DomainSpec(slots=-1), {"slots": -1}, ("unsupported", "0 to 255 slots")),
    "slots of nothing": (DomainSpec(slots=1), {"slots": 1, "maximum": None}, ("unsupported", "need a maximum size")),
    "no slots of nothing": (DomainSpec(slots=0), {"slots": 0, "maximum": None}, None),
    "1 MiB": (DomainSpec(boot=MIB), {"boot": MIB}, None),
    "less": (DomainSpec(boot=MIB - 1), {"boot": MIB - 1}, ("invalid_size", "less than 1 MiB")),
    "less on its nodes": (NUMA, {"boot": MIB - 1}, ("invalid_size", "less than 1 MiB")),
    # only what the task speaks of is judged
    "huge pages that were anonymous before": (TUNING, backed(source="anonymous"), None),
    "limits that were odd before": (BACKING, tuned(0), None),
    "a mode that was odd before": (BACKING, {"placement": Placement("strict")}, None),
    "a balloon that was odd before": (TUNING, ballooned("none", None, None, -1), None),
    "slots that were odd before": (DEVICES, {"slots": 999}, None),
    "boot memory that was odd before": (DEVICES, {"boot": KIB}, None),
    "an empty group is not spoken of": (DomainSpec(tuning={}), tuned(0), None),
}


@pytest.mark.parametrize("name", RULES)
def test_structure(name):
    spec, changes, expected = RULES[name]
    changes = dict(changes)
    devices = changes.pop("devices", ())
    planned = definition(*devices, **changes)
    if expected is None:
        check_structure(planned, spec, NEWEST)
    else:
        with refused(expected[0], expected[1]):
            check_structure(planned, spec, NEWEST)


@pytest.mark.parametrize(
    ("target", "changes", "expected"),
    [
        (2 * GIB, {}, None),
        (1, {}, None),
        (2 * GIB + 1, {}, ("unsupported", "is more than boot memory and DIMMs together, 2 GiB")),
        (0, {}, ("invalid_size", "can't take all")),
        (-1, {}, ("invalid_size", "can't take all")),
        (GIB, ballooned("none"), ("unsupported", "balloon.target: the domain has no memory balloon")),
    ],
)
def test_target(target, changes, expected):
    spec = DomainSpec(target=target)
    if expected is None:
        check_structure(definition(**changes), spec, NEWEST)
    else:
        with refused(expected[0], expected[1]) as caught:
            check_structure(definition(**changes), spec, NEWEST)
        if target > 2 * GIB:
            assert caught[0].details == {"target": target, "nearest": 2 * GIB}


def test_a_target_counts_dimms():
    check_structure(definition(device("dimm", GIB)), DomainSpec(target=3 * GIB), NEWEST)
    with refused("unsupported", "balloon.target"):
        check_structure(definition(CONFIG), DomainSpec(target=3 * GIB), NEWEST)


@pytest.mark.parametrize(
    ("cells", "devices", "versions", "expected"),
    [
        ([NumaCell(0, GIB, "0-1"), NumaCell(1, GIB, "2-3")], [], NEWEST, None),
        ([NumaCell(0, GIB, "0"), NumaCell(1, GIB)], [], NEWEST, None),
        (
            [NumaCell(0, GIB, "0-1"), NumaCell(1, GIB, "1-3")],
            [],
            NEWEST,
            ("unsupported", "numa: vCPU 1 is in more than one node."),
        ),
        ([NumaCell(0, GIB, "0-4")], [], NEWEST, ("unsupported", "has 4 vCPUs, so there is no vCPU 4.")),
        ([NumaCell(0, GIB, "3"), NumaCell(1, 0)], [], NEWEST, None),
        ([NumaCell(0, GIB, "3"), NumaCell(1, GIB)], [], NEW, None),
        (
            [NumaCell(0, GIB)],
            [replace(CONFIG, node=2), replace(CONFIG, node=1)],
            NEWEST,
            ("node_not_found", "belongs to node 1, which the task removes"),
        ),
        (
            [NumaCell(0, GIB), NumaCell(1, 0)],
            [],
            NEW,
            ("unsupported", "a NUMA node without memory needs libvirt 11.8.0"),
        ),
        ([NumaCell(0, GIB)], [replace(CONFIG, node=None)], NEWEST, None),
        (
            [NumaCell(0, GIB)],
            [replace(CONFIG, node=1)],
            NEWEST,
            ("node_not_found", "belongs to node 1, which the task removes"),
        ),
        ([NumaCell(0, GIB), NumaCell(1, GIB)], [replace(CONFIG, node=1)], NEWEST, None),
    ],
)
def test_cells(cells, devices, versions, expected):
    planned = replace(definition(*devices), cells=tuple(cells), vcpus=4)
    if expected is None:
        check_structure(planned, NUMA, versions)
    else:
        with refused(expected[0], expected[1]):
            check_structure(planned, NUMA, versions)
    check_structure(planned, DEVICES, versions)


def test_a_vcpu_that_there_is_not():
    with refused("unsupported") as caught:
        check_structure(replace(definition(), cells=(NumaCell(0, GIB, "4"),), vcpus=4), NUMA, NEW)
    assert caught[0].hint == "They are numbered 0 to 3."
    assert caught[0].details == {"vcpus": 4}


@pytest.mark.parametrize(
    ("spec", "changes", "versions", "words"),
    [
        (DomainSpec(backing={"allocation_threads": 2}), {}, NEW, None),
        (
            DomainSpec(backing={"allocation_threads": 2}),
            {},
            Versions((8, 1, 0), (7, 2, 0)),
            "allocation.threads needs libvirt",
        ),
        (DomainSpec(slots=0), {}, OLD, "maximum.slots: libvirt needs at least one slot"),
        (DomainSpec(slots=1), {}, OLD, None),
        (DomainSpec(slots=0), {"maximum": None, "slots": 0}, OLD, None),
        (DomainSpec(slots=0), {}, NEW, None),
        (DomainSpec(maximum=GIB), {}, OLD, None),
    ],
)
def test_what_older_versions_lack(spec, changes, versions, words):
    if words is None:
        check_structure(definition(**changes), spec, versions)
    else:
        with refused("unsupported", words):
            check_structure(definition(**changes), spec, versions)


@pytest.mark.parametrize(
    ("ids", "words"),
    [([0], None), ([0, 1, 2], None), ([], "are none"), ([1], "are 1,"), ([0, 2], "are 0, 2,"), ([1, 0], "are 1, 0")],
)
def test_cell_ids(ids, words):
    if words is None:
        check_cell_ids(ids)
    else:
        with refused("unsupported", words) as caught:
            check_cell_ids(ids)
        assert caught[0].details == {"ids": ids}


# ------------------------------------------------------------------------------------------------------------------ sums

BEFORE = definition(CONFIG, maximum=64 * GIB)
TOTALS = {
    # name: changes of the definition as it would be, version, code and words
    "all fits": ({"maximum": 10 * GIB}, NEW, None),
    "all but a byte": ({"maximum": 10 * GIB - 1}, NEW, ("exceeds_max_memory", "would have 10 GiB with its devices")),
    "no maximum": ({"maximum": None}, NEW, None),
    "nothing for the slots": (
        {"maximum": 2 * GIB, "devices": (), "total": 2 * GIB},
        NEW,
        ("exceeds_max_memory", "no more than boot memory"),
    ),
    "a byte for the slots": ({"maximum": 2 * GIB + 1, "devices": (), "total": 2 * GIB}, NEW, None),
    "nothing for no slots": ({"maximum": 2 * GIB, "devices": (), "total": 2 * GIB, "slots": 0}, NEW, None),
    "a slot each": ({"slots": 1}, OLD, None),
    "a slot too few": (
        {"slots": 0},
        OLD,
        ("exceeds_max_memory", "has 0 memory slots, and 1 devices would need one each"),
    ),
    "no slot needed": ({"slots": 0}, NEW, None),
    "a slot for a DIMM": (
        {"slots": 0, "devices": (device("dimm"),)},
        NEW,
        ("exceeds_max_memory", "1 devices would need"),
    ),
}


@pytest.mark.parametrize("name", TOTALS)
def test_totals(name):
    changes, versions, expected = TOTALS[name]
    planned = replace(BEFORE, **changes)
    if expected is None:
        check_totals(planned, BEFORE, versions)
    else:
        with refused(expected[0], expected[1]) as caught:
            check_totals(planned, BEFORE, versions)
        assert caught[0].hint
        check_totals(planned, planned, versions)  # as it was before


@pytest.mark.parametrize(
    "change", [{"maximum": 9 * GIB}, {"slots": 9}, {"total": 80 * GIB}, {"devices": (CONFIG, CONFIG)}]
)
def test_totals_are_judged_if_any_of_them_changes(change):
    over = replace(BEFORE, maximum=9 * GIB, slots=1, total=70 * GIB)
    changed = replace(over, **change) if "maximum" not in change else replace(over, maximum=8 * GIB)
    with refused("exceeds_max_memory"):
        check_totals(changed, over, NEW)


def test_a_total_offers_what_it_takes():
    with refused("exceeds_max_memory") as caught:
        check_totals(replace(BEFORE, maximum=3 * GIB), BEFORE, NEW)
    assert caught[0].details == {"total": 10 * GIB, "maximum": 3 * GIB, "nearest": 10 * GIB}
    assert "maximum.size=10 GiB" in caught[0].hint


# --------------------------------------------------------------------------------------------------------------- session

SESSION = replace(HOST, session=True)


@pytest.mark.parametrize(
    ("before", "tuning", "platform", "refuses"),
    [
        ((), {"hard_limit": GIB}, HOST, False),
        ((), {"hard_limit": GIB}, SESSION, True),
        ((), {"hard_limit": None}, SESSION, False),
        ((GIB,), {"hard_limit": GIB}, SESSION, False),
        ((GIB,), {"hard_limit": None}, SESSION, False),
        ((GIB, MIB), {"hard_limit": None}, SESSION, True),
        ((GIB,), None, SESSION, False),
    ],
)
def test_limits_in_session_mode(before, tuning, platform, refuses):
    spec = DomainSpec(tuning=tuning, devices=(device_spec(),))
    if refuses:
        with refused("unsupported", "session mode"):
            check_session(definition(tuning=Tuning(*before)), spec, platform)
    else:
        check_session(definition(tuning=Tuning(*before)), spec, platform)
