# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guests may have together, by kind of memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._host.limits import (
    HostLimit,
    HostMemoryTotals,
    all_charges,
    fixed_charges,
    limits_of,
    moving_backing,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Binding,
    HostNode,
    HostTopology,
    HugePage,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    GIB,
    KIB,
    LIVE,
    MIB,
    NEW,
    definition,
    device,
    refused,
)

NODES = (
    HostNode(0, 32 * GIB, {2 * MIB: 4 * GIB, GIB: 2 * GIB}),
    HostNode(1, 16 * GIB, {2 * MIB: GIB}),
    HostNode(2, 8 * GIB),
)
TOTALS = HostMemoryTotals(
    total=60 * GIB,
    reserve=GIB,
    topology=HostTopology("x86_64", True, NODES),
    default_page=2 * MIB,
    versions=NEW,
)
HERE, THERE = frozenset({0}), frozenset({1})


@pytest.mark.parametrize(
    ("page_size", "nodes", "size"),
    [
        (None, None, 52 * GIB),  # all of the host, less its reserve, less 7 GiB of huge pages
        (None, HERE, 26 * GIB),
        (None, HERE | THERE, 41 * GIB),
        (None, frozenset({2}), 8 * GIB),
        (2 * MIB, None, 5 * GIB),
        (2 * MIB, THERE, GIB),
        (GIB, THERE, 0),
        (GIB, None, 2 * GIB),
        (512 * MIB, None, 0),
    ],
)
def test_how_much_there_is_of_a_kind(page_size, nodes, size):
    assert TOTALS.of(page_size, nodes) == size


def on(nodes=None, pages=None, **changes):
    """A device that is bound to host nodes, and takes pages of a size."""
    return replace(LIVE, node_mask=nodes, page_size=pages, **changes)


@pytest.mark.parametrize(
    ("devices", "backing"),
    [
        ([], None),
        ([device("dimm", GIB)], None),
        ([on()], (None, None)),
        ([on("1")], (None, THERE)),
        ([on("0"), on("1")], (None, HERE | THERE)),
        ([on("0"), on()], (None, None)),
        ([on(pages=GIB)], (GIB, None)),
        ([on(pages=4 * KIB)], (None, None)),
        ([on(pages=2 * MIB), on("1", pages=2 * MIB)], (2 * MIB, None)),
    ],
)
def test_what_devices_take_together(devices, backing):
    assert moving_backing(definition(*devices), TOTALS) == backing


@pytest.mark.parametrize(("page", "kind"), [(0, 2 * MIB), (None, None), (4 * KIB, None), (8 * KIB, 8 * KIB)])
def test_huge_pages_of_a_size_that_nobody_says(page, kind):
    pages = None if page is None else (HugePage(page),) if page else ()
    backed = replace(definition(on()), backing=Backing(hugepages=pages))
    assert moving_backing(backed, TOTALS) == (kind, None)


def test_pages_of_several_sizes_can_not_be_shared_out():
    with refused("unsupported", "web1 has virtio-mem devices with pages of different sizes"):
        moving_backing(definition(on(pages=GIB), on()), TOTALS)


def test_charges_that_do_not_move():
    found = definition(device("dimm", GIB, node_mask="1"), device("nvdimm", GIB), LIVE, cells=2)
    found = replace(found, binding=Binding(cell_nodes={1: "0"}))
    fixed = [((None, None), 2 * GIB), ((None, HERE), 2 * GIB), ((None, THERE), GIB)]
    assert fixed_charges(found, TOTALS) == fixed
    assert all_charges(found, TOTALS) == [*fixed, ((None, None), 2 * GIB)]


def test_boot_memory_of_a_guest_without_cells():
    assert fixed_charges(definition(cells=0), TOTALS) == [((None, None), 2 * GIB)]


@pytest.mark.parametrize(
    ("requested", "current", "charge"),
    [(GIB, 3 * GIB, 3 * GIB), (3 * GIB, GIB, 3 * GIB), (3 * GIB, None, 3 * GIB), (0, None, 0)],
)
def test_a_device_counts_with_what_it_has_or_may_take(requested, current, charge):
    found = definition(replace(LIVE, requested=requested, current=current))
    assert all_charges(found, TOTALS)[-1] == ((None, None), charge)


PLAIN = definition(on())  # 2 GiB of boot memory anywhere, a device anywhere
LIMITS = {
    # name: members, others, the limits as (words, guests, size in GiB)
    "nobody": ({}, [], [("the host", "", 52)]),
    "all of the host": ({"a": PLAIN, "b": PLAIN}, [], [("the host", "ab", 52)]),
    "others": ({"a": PLAIN}, [definition(on())], [("the host", "a", 48)]),
    "bound to a node": (
        {"a": definition(on("1")), "b": PLAIN},
        [],
        [("the host", "ab", 52), ("NUMA node 1 of the host", "a", 17)],  # its boot memory is elsewhere
    ),
    "bound to all nodes is bound to none": ({"a": definition(on("0-2"))}, [], [("the host", "a", 52)]),
    "two sets that overlap": (
        {"a": definition(on("0-1")), "b": definition(on("1")), "c": PLAIN},
        [],
        [
            ("the host", "abc", 52),
            ("NUMA nodes 0-1 of the host", "ab", 45),
            ("NUMA node 1 of the host", "b", 17),
        ],
    ),
    "two sets that overlap in part": (
        {"a": definition(on("0-1")), "b": definition(on("1-2"))},
        [],
        # together they are all nodes: the host
        [
            ("the host", "ab", 52),
            ("NUMA nodes 0-1 of the host", "a", 43),
            ("NUMA nodes 1-2 of the host", "b", 25),
        ],
    ),
    "two sets that do not overlap": (
        {"a": definition(on("0")), "b": definition(on("1"))},
        [],
        [("the host", "ab", 52), ("NUMA node 0 of the host", "a", 28), ("NUMA node 1 of the host", "b", 17)],
    ),
    "huge pages": (
        {"a": definition(on(pages=GIB)), "b": PLAIN},
        [],
        # a's boot memory is ordinary memory: it comes off there, and counts as its own in the pool
        [("the host", "b", 50), ("the pool of 1 GiB pages of the host", "a", 4)],
    ),
    "huge pages of a node": (
        {"a": definition(on("1", pages=2 * MIB))},
        [definition(on(pages=2 * MIB, requested=GIB, current=0))],
        [
            ("the host", "", 48),
            ("the pool of 2 MiB pages of the host", "a", 6),
            ("the pool of 2 MiB pages of NUMA node 1 of the host", "a", 3),
        ],
    ),
    "a guest without devices": ({"a": definition()}, [], [("the host", "a", 52)]),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    members, others, expected = LIMITS[name]
    found = limits_of(members, others, TOTALS)
    assert [(limit.where, "".join(sorted(limit.guests)), limit.size / GIB) for limit in found] == expected


def test_a_limit_says_which_memory_it_is_about():
    host, pool = limits_of({"a": definition(on("1", pages=GIB))}, [], TOTALS)[::2]
    assert (host.page_size, host.nodes) == (None, None)
    assert (pool.page_size, pool.nodes) == (GIB, THERE)


def test_three_sets_that_overlap_in_a_chain():
    nodes = tuple(HostNode(number, 10 * GIB) for number in range(5))
    totals = replace(TOTALS, topology=HostTopology("x86_64", True, nodes), reserve=0, total=50 * GIB)
    members = {name: definition(on(mask)) for name, mask in (("a", "0-1"), ("b", "1-2"), ("c", "2-3"))}
    found = limits_of(members, [], totals)
    assert [limit.where for limit in found] == [
        "the host",
        "NUMA nodes 0-1 of the host",
        "NUMA nodes 0-2 of the host",
        "NUMA nodes 0-3 of the host",
        "NUMA nodes 1-2 of the host",
        "NUMA nodes 1-3 of the host",
        "NUMA nodes 2-3 of the host",
    ]


ONE_NODE = HostTopology("x86_64", True, (HostNode(0, 64 * GIB, {GIB: 4 * GIB}),))
SMALL = HostMemoryTotals(64 * GIB, 2 * GIB, ONE_NODE, 2 * MIB, NEW)
HOST = HostLimit(frozenset("ab"), 50 * GIB, "the host")
POOL = replace(HOST, size=GIB, where="a pool", page_size=GIB)
NODE = replace(HOST, size=3 * GIB, where="a node", nodes=frozenset({0}))


@pytest.mark.parametrize("limits", [[HOST, POOL, NODE], [POOL, NODE, HOST]])
def test_the_host_is_told_by_its_ordinary_memory_as_a_whole(limits):
    """Neither a pool of huge pages nor one node is the host."""
    assert SMALL.facts(limits) == {
        "total": 64 * GIB,
        "reserve": 2 * GIB,
        "others": 8 * GIB,
        "budget": 50 * GIB,
        "limits": [{"where": limit.where, "size": limit.size} for limit in limits],
    }
