# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory over devices: evenly by node, in whole blocks, nothing lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spread import (
    capacity,
    spread,
    spread_memory,
    spread_over,
    with_implied,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import MemoryDevice, Platform
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    LIVE,
    MIB,
    NEW,
    SECOND,
    definition,
    device as any_device,
    device_spec,
    given as planned,
    match,
    refused,
)


def device(size, requested=0, node=0, block=2 * MIB):
    return MemoryDevice("virtio-mem", size, block=block, requested=requested, node=node)


@pytest.mark.parametrize(
    ("devices", "wanted", "requested"),
    [
        ([device(4 * GIB)], GIB, [GIB]),
        ([device(4 * GIB), device(4 * GIB, node=1)], 2 * GIB, [GIB, GIB]),
        ([device(1 * GIB), device(4 * GIB, node=1)], 4 * GIB, [GIB, 3 * GIB]),
        ([device(4 * GIB), device(4 * GIB)], 5 * GIB, [4 * GIB, GIB]),
        ([device(4 * GIB, 4 * GIB), device(4 * GIB, GIB)], 2 * GIB, [2 * GIB, 0]),
        ([device(4 * GIB, 3 * GIB), device(4 * GIB, 2 * GIB)], 4 * GIB, [3 * GIB, GIB]),  # as little moves as can be
        ([device(4 * GIB, 3 * GIB), device(4 * GIB, 0, node=1)], 3 * GIB, [3 * GIB, 0]),  # right already
        ([device(4 * GIB, 3 * GIB), device(4 * GIB, 0, node=1)], 4 * GIB, [2 * GIB, 2 * GIB]),
        ([device(4 * GIB), device(4 * GIB, node=1), device(4 * GIB, node=2)], 4 * MIB, [0, 2 * MIB, 2 * MIB]),
        ([device(4 * GIB, GIB)], 0, [0]),
    ],
)
def test_shares(devices, wanted, requested):
    placed, left = spread(wanted, devices)
    assert [found.requested for found in placed] == requested
    assert left == 0


DEVICES = st.lists(
    st.builds(
        lambda blocks, asked, node, power: device(
            blocks * (2 * MIB << power), min(asked, blocks) * (2 * MIB << power), node, 2 * MIB << power
        ),
        st.integers(1, 100),
        st.integers(0, 100),
        st.integers(0, 3),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=5,
)


@given(DEVICES, st.integers(0, 2**33))
def test_nothing_is_lost_and_blocks_are_whole(devices, wanted):
    wanted = min(wanted, capacity(devices))
    placed, left = spread(wanted, devices)
    assert sum(found.requested for found in placed) + left == wanted
    assert left >= 0
    for before, after in zip(devices, placed):
        assert after == replace(before, requested=after.requested)
        assert after.requested % after.block == 0
        assert 0 <= after.requested <= after.size


@given(DEVICES, st.integers(0, 2**33))
def test_the_second_time_nothing_moves(devices, wanted):
    placed, _left = spread(min(wanted, capacity(devices)), devices)
    assert spread(sum(found.requested for found in placed), placed)[0] == placed


@given(DEVICES)
def test_all_of_it(devices):
    placed, left = spread(capacity(devices), devices)
    assert left == 0
    assert [found.requested for found in placed] == [found.size for found in devices]


# ------------------------------------------------------------------------------------------------- `memory` of a definition

FREE, PINNED = device(4 * GIB, GIB), device(4 * GIB, 3 * GIB)
WEB1 = definition(FREE, PINNED, any_device("dimm", GIB), maximum=20 * GIB)  # 3 GiB of RAM


@pytest.mark.parametrize(
    ("memory", "free", "pinned", "requested"),
    [
        (3 * GIB, [FREE], [], [0]),
        (7 * GIB, [FREE], [], [4 * GIB]),
        (6 * GIB, [FREE], [PINNED], [0]),
        (10 * GIB, [FREE], [PINNED], [4 * GIB]),
        (6 * GIB, [], [PINNED], []),
        (5 * GIB, [FREE, FREE], [], [GIB, GIB]),
    ],
)
def test_memory(memory, free, pinned, requested):
    assert [found.requested for found in spread_memory(memory, WEB1, free, pinned)] == requested


@pytest.mark.parametrize(
    ("memory", "free", "pinned", "code", "words", "details"),
    [
        (
            3 * GIB - 1,
            [FREE],
            [],
            "immutable",
            "is less than boot memory and DIMMs give web1, 3 GiB.",
            {"memory": 3 * GIB - 1, "nearest": 3 * GIB},
        ),
        (
            5 * GIB,
            [FREE],
            [PINNED],
            "immutable",
            "is less than boot memory, DIMMs and the devices' requested sizes give web1, 6 GiB.",
            {"memory": 5 * GIB, "nearest": 6 * GIB},
        ),
        (
            7 * GIB + 1,
            [FREE],
            [],
            "exceeds_device_size",
            "boot memory and DIMMs of 3 GiB and virtio-mem devices of 4 GiB.",
            {"memory": 7 * GIB + 1, "nearest": 7 * GIB, "room": 9 * GIB},
        ),
        (
            11 * GIB,
            [FREE],
            [PINNED],
            "exceeds_device_size",
            "virtio-mem devices of 7 GiB.",
            {"memory": 11 * GIB, "nearest": 10 * GIB, "room": 9 * GIB},
        ),
        (
            7 * GIB,
            [],
            [PINNED],
            "unsupported",
            "memory: 7 GiB contradicts devices, which add up to 6 GiB",
            {"memory": 7 * GIB, "nearest": 6 * GIB},
        ),
        (
            4 * GIB,
            [],
            [],
            "exceeds_device_size",
            "virtio-mem devices of 0.",
            {"memory": 4 * GIB, "nearest": 3 * GIB, "room": 9 * GIB},
        ),
    ],
)
def test_memory_that_devices_can_not_give(memory, free, pinned, code, words, details):
    with refused(code, words) as caught:
        spread_memory(memory, WEB1, free, pinned)
    assert caught[0].details == details


@pytest.mark.parametrize(
    ("maximum", "room", "words"),
    [
        (20 * GIB, 9 * GIB, "has room for a further device of 9 GiB"),
        (11 * GIB, 0, "needs a larger maximum"),
        (None, 0, "larger maximum"),
    ],
)
def test_memory_that_a_further_device_could_give(maximum, room, words):
    with refused("exceeds_device_size") as caught:
        spread_memory(9 * GIB, replace(WEB1, maximum=maximum), [FREE], [])
    assert words in caught[0].hint
    assert caught[0].details["room"] == room


@pytest.mark.parametrize(
    ("memory", "blocks", "nearest", "hint"),
    [
        (3 * GIB + 3 * MIB, [2 * MIB], 3 * GIB + 2 * MIB, "sizes that work are 3074 MiB and 3076 MiB."),
        (3 * GIB + 7 * MIB // 2, [2 * MIB], 3 * GIB + 4 * MIB, "sizes that work are 3074 MiB and 3076 MiB."),
        (3 * GIB + 5 * MIB, [4 * MIB, 2 * MIB], 3 * GIB + 4 * MIB, "3076 MiB and 3078 MiB."),
    ],
)
def test_memory_in_no_whole_blocks(memory, blocks, nearest, hint):
    free = [device(4 * GIB, block=block) for block in blocks]
    with refused("not_multiple_of_block", f"in whole blocks of {2 * MIB // MIB} MiB on top") as caught:
        spread_memory(memory, WEB1, free, [])
    assert caught[0].details == {"memory": memory, "block": 2 * MIB, "nearest": nearest}
    assert hint in caught[0].hint


def test_memory_over_devices_of_several_block_sizes():
    """2 and 4 MiB can be had, and both together; 4 MiB only of the second device, and the first is filled before it."""
    free = [device(3 * MIB, block=2 * MIB), device(4 * MIB, block=4 * MIB)]
    with refused("not_multiple_of_block") as caught:
        spread_memory(3 * GIB + 6 * MIB - 1, WEB1, free, [])
    assert caught[0].hint == "The nearest sizes that work are 3074 MiB and 3078 MiB."
    assert caught[0].details["nearest"] == 3 * GIB + 6 * MIB


@given(DEVICES, st.integers(0, 2**31))
def test_memory_that_is_offered_can_be_had(devices, more):
    try:
        spread_memory(WEB1.ram + more, WEB1, devices, [])
    except VirtmemError as error:
        assume(error.code == "not_multiple_of_block")
        spread_memory(error.details["nearest"], WEB1, devices, [])


# ------------------------------------------------------------------------------------------------------- by a device's name


@pytest.mark.parametrize(
    ("memory", "specs", "requested"),
    [
        (None, {}, {"a": 2 * GIB, "b": 2 * GIB, "d": 0}),
        (8 * GIB, {}, {"a": 3 * GIB, "b": 2 * GIB, "d": 0}),
        (8 * GIB, {"a": device_spec(requested=2 * GIB), "b": None}, {"a": 2 * GIB, "b": 3 * GIB, "d": 0}),
        (8 * GIB, {"a": device_spec(size=GIB)}, {"a": 3 * GIB, "b": 2 * GIB, "d": 0}),
    ],
    ids=["no memory", "all are free", "one is asked for", "one is spoken of"],
)
def test_over_devices_by_name(memory, specs, requested):
    dimm = any_device("dimm", GIB)
    there = {"a": CONFIG, "d": dimm, "b": replace(SECOND, node=0)}
    found = spread_over(DomainSpec(memory=memory), definition(*there.values()), there, specs)
    assert {name: one.requested for name, one in found.items()} == requested
    assert found["d"] is dimm
    assert found is not there


# ------------------------------------------------------------------------------------------------ devices that are implied


def implied(spec, live=None, config=None, matches=(), scopes=None, structure=None, platform=HOST):
    what = planned(spec, live, config, scopes, platform)
    return with_implied(list(matches), what, structure or config or live)


EMPTY = definition(maximum=10 * GIB)
IMPLIED = {
    # name: spec, live, config, what the new devices state
    "it fills the maximum": (DomainSpec(memory=3 * GIB), EMPTY, EMPTY, [{"size": 8 * GIB, "node": 0}]),
    "it fills the maximum of a stopped domain": (
        DomainSpec(memory=3 * GIB),
        None,
        EMPTY,
        [{"size": 8 * GIB, "node": 0}],
    ),
    "boot memory is enough": (DomainSpec(memory=2 * GIB), EMPTY, EMPTY, []),
    "one for each node": (
        DomainSpec(memory=6 * GIB),
        definition(cells=2, maximum=10 * GIB),
        None,
        [{"size": 3 * GIB, "node": 0}, {"size": 3 * GIB, "node": 1}],
    ),
    "just large enough": (
        DomainSpec(memory=3 * GIB + 1),
        None,
        definition(maximum=None),
        [{"size": GIB + 2 * MIB, "node": 0}],
    ),
    "just large enough, for two nodes": (
        DomainSpec(memory=5 * GIB),
        None,
        definition(maximum=None, cells=2),
        [{"size": GIB // 2, "node": 0}, {"size": GIB // 2, "node": 1}],
    ),
    "no cell yet": (DomainSpec(memory=3 * GIB), None, definition(maximum=None, cells=0), [{"size": GIB, "node": 0}]),
    "no cell on s390x": (
        DomainSpec(memory=3 * GIB),
        None,
        definition(maximum=None, cells=0, arch="s390x"),
        [{"size": GIB}],
    ),
    "the guest's room": (
        DomainSpec(memory=3 * GIB),
        definition(maximum=4 * GIB),
        EMPTY,
        [{"size": 2 * GIB, "node": 0}],
    ),
    "the guest has too little room": (
        DomainSpec(memory=5 * GIB),
        definition(maximum=4 * GIB),
        EMPTY,
        [{"size": 8 * GIB, "node": 0}],
    ),
    "the guest has just enough room": (
        DomainSpec(memory=4 * GIB),
        definition(maximum=4 * GIB),
        EMPTY,
        [{"size": 2 * GIB, "node": 0}],
    ),
    "the guest has no room at all": (
        DomainSpec(memory=3 * GIB),
        definition(maximum=None),
        EMPTY,
        [{"size": 8 * GIB, "node": 0}],
    ),
    "the task lists one": (DomainSpec(memory=3 * GIB, devices=(device_spec(size=GIB),)), EMPTY, EMPTY, []),
    "the task purges": (DomainSpec(memory=3 * GIB, devices=(), purge=True), EMPTY, EMPTY, []),
    "the task lists a DIMM": (
        DomainSpec(memory=3 * GIB, devices=(device_spec("dimm", size=GIB),)),
        EMPTY,
        EMPTY,
        [{"size": 8 * GIB, "node": 0}],
    ),
}


@pytest.mark.parametrize("name", IMPLIED)
def test_implied(name):
    spec, live, config, expected = IMPLIED[name]
    found = implied(spec, live, config)
    assert [one.spec.stated for one in found] == expected
    assert all(one.is_new and one.spec.place == "memory" for one in found)


def test_a_new_dimm_takes_of_the_room():
    dimm = match(device_spec("dimm", size=GIB), name="ua-d")
    there = match(None, None, any_device("nvdimm", GIB), "n")
    spec = DomainSpec(memory=4 * GIB, devices=(dimm.spec,))
    assert implied(spec, EMPTY, EMPTY, [dimm, there])[-1].spec.stated == {"size": 7 * GIB, "node": 0}
    assert implied(spec, None, EMPTY, [dimm, there])[-1].spec.stated == {"size": 7 * GIB, "node": 0}
    listed = match(device_spec("dimm", size=GIB), None, any_device("dimm", GIB), "ua-d")
    found = implied(spec, None, EMPTY, [listed], structure=replace(EMPTY, total=3 * GIB, devices=(listed.config,)))
    assert found[-1].spec.stated == {"size": 7 * GIB, "node": 0}, "one that is there is counted once"


def test_the_stored_definition_alone():
    found = implied(DomainSpec(memory=3 * GIB), definition(maximum=4 * GIB), EMPTY, scopes=["config"])
    assert [one.spec.stated for one in found] == [{"size": 8 * GIB, "node": 0}]


@pytest.mark.parametrize(
    ("live", "config", "listed"),
    [
        (definition(LIVE), definition(CONFIG), False),
        (definition(LIVE), EMPTY, True),
        (EMPTY, definition(CONFIG), True),
    ],
    ids=["both have it", "only the guest has it", "only the stored definition has it"],
)
def test_a_device_of_one_definition_is_taken_over(live, config, listed):
    dimm = match(None, any_device("dimm", GIB), None, "d")
    pair = match(None, (live.devices or [None])[0], (config.devices or [None])[0])
    found = implied(DomainSpec(memory=5 * GIB), live, config, [dimm, pair])
    assert [bool(one.spec) for one in found] == [False, listed]
    if listed:
        assert found[1].spec == device_spec(place="memory")


def test_a_device_of_one_definition_that_the_other_does_not_need():
    found = implied(DomainSpec(memory=2 * GIB), definition(LIVE), EMPTY, [match(None, LIVE, None)])
    assert [one.spec for one in found] == [None]


@pytest.mark.parametrize(("thp", "size"), [(2 * MIB, GIB), (512 * MIB, GIB), (2 * GIB, 2 * GIB), (None, GIB)])
def test_an_implied_size_in_whole_blocks(thp, size):
    (found,) = implied(DomainSpec(memory=3 * GIB), None, definition(maximum=None), platform=Platform(NEW, thp))
    assert found.spec.stated["size"] == size


@pytest.mark.parametrize("maximum", [2 * GIB, 2 * GIB + MIB, GIB])
def test_no_room_for_a_device(maximum):
    with refused("exceeds_max_memory", "leaves no room for a virtio-mem device") as caught:
        implied(DomainSpec(memory=3 * GIB), None, definition(maximum=maximum))
    assert caught[0].details == {"maximum": maximum, "total": 2 * GIB}
    assert "maximum.size=3 GiB" in caught[0].hint
