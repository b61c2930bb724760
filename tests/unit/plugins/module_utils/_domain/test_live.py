# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running guest: what it can have now, what waits, what is refused, and by which calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.live import LivePlan, live_steps, plan_live
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.merge import merge_structure
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.steps import Change, Step
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Balloon, Placement, Platform, Tuning
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    LIVE,
    MIB,
    NEW,
    SECOND,
    definition,
    device,
    device_spec,
    given,
    match,
    one,
    refused,
)


def planned(spec, live, matches=(), config=None, platform=HOST, **more):
    """`config` is the stored definition as it should be; without one only the running guest counts."""
    what = given(spec, live, config, ["live", "config"] if config else ["live"], platform, **more)
    structure = live if spec.one_device else merge_structure(live, spec, platform)
    return plan_live(what, config, structure, list(matches))


# ------------------------------------------------------------------------------------------------------------- settings

RESTRICTED = Placement("restrictive", "0")
SETTINGS = {
    "limits": (DomainSpec(tuning={"hard_limit": GIB}), {}, HOST, {"tuning": Tuning(hard_limit=GIB)}),
    "the period of statistics": (
        DomainSpec(balloon={"stats_period": 5}),
        {},
        HOST,
        {"memballoon": Balloon("virtio", stats_period=5)},
    ),
    "a period of never": (
        DomainSpec(balloon={"stats_period": 0}),
        {"memballoon": Balloon("virtio", stats_period=5)},
        HOST,
        {"memballoon": Balloon("virtio")},
    ),
    "a period without a balloon": (
        DomainSpec(balloon={"stats_period": 5, "model": "virtio"}),
        {"memballoon": Balloon("none")},
        HOST,
        {},
    ),
    "another balloon": (DomainSpec(balloon={"model": "none"}), {}, HOST, {}),
    "a nodeset": (
        DomainSpec(placement={"nodeset": "1"}),
        {"placement": RESTRICTED},
        HOST,
        {"placement": Placement("restrictive", "1")},
    ),
    "a mode": (DomainSpec(placement={"mode": "strict"}), {"placement": RESTRICTED}, HOST, {}),
    "a nodeset in session mode": (
        DomainSpec(placement={"nodeset": "1"}),
        {"placement": RESTRICTED},
        replace(HOST, session=True),
        {},
    ),
    "a nodeset of another mode": (
        DomainSpec(placement={"nodeset": "1"}),
        {"placement": Placement("strict", "0")},
        HOST,
        {},
    ),
    "boot memory": (DomainSpec(boot=3 * GIB), {}, HOST, {}),
    "one device says nothing of settings": (replace(one(), tuning={"hard_limit": GIB}), {}, HOST, {}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_of_a_domain_goes_live(name):
    spec, changes, platform, expected = SETTINGS[name]
    live = definition(**changes)
    found = planned(spec, live, config=definition(boot=5 * GIB), platform=platform)
    assert found.after == replace(live, **expected)


@pytest.mark.parametrize(
    ("spec", "option"),
    [
        (DomainSpec(boot=3 * GIB), "boot"),
        (DomainSpec(maximum=65 * GIB), "maximum.size"),
        (DomainSpec(slots=3), "maximum.slots"),
        (DomainSpec(backing={"nosharepages": True}), "backing.nosharepages"),
        (DomainSpec(balloon={"autodeflate": True}), "balloon.autodeflate"),
        (DomainSpec(placement={"nodeset": "1"}), "placement.mode"),
    ],
)
def test_what_can_not_go_live_is_refused_where_nothing_is_stored(spec, option):
    with refused("immutable", f"{option} can't change in the running guest") as caught:
        planned(spec, definition())
    assert caught[0].details == {"what": option}
    assert planned(spec, definition(), config=definition()).after == definition()


@pytest.mark.parametrize(
    "spec",
    [
        DomainSpec(target=GIB),
        DomainSpec(tuning={"hard_limit": 9 * GIB}),
        DomainSpec(maximum=64 * GIB - 1),  # the start rounds it up
        DomainSpec(boot=2 * GIB - 1),
    ],
    ids=["balloon", "limits", "a maximum that is rounded up", "boot memory that is rounded up"],
)
def test_what_is_so_or_goes_live_is_not_refused(spec):
    if spec.boot:
        with refused("immutable", "boot"):
            planned(spec, definition())
    else:
        planned(spec, definition())


# ------------------------------------------------------------------------------------------------------------ a new device

ADDED = match(device_spec(size=GIB, requested=MIB * 2), name="ua-new")


def test_a_new_device_is_plugged_in():
    plan = planned(DomainSpec(devices=()), definition(free_pcie_ports=2), [ADDED])
    (found,) = plan.after.devices
    assert (found.size, found.requested, found.current, found.index) == (GIB, 2 * MIB, 2 * MIB, -1)
    assert (plan.after.total, plan.after.free_pcie_ports) == (3 * GIB, 1)
    assert list(plan.awaited) == list(plan.devices) == ["ua-new"]


@pytest.mark.parametrize(
    ("model", "ports", "left"),
    [("virtio-mem", None, None), ("dimm", 2, 2), ("virtio-pmem", 2, 1), ("virtio-mem", 1, 0)],
)
def test_ports_that_are_left(model, ports, left):
    stated = {"path": "/x"} if model == "virtio-pmem" else {}
    new = match(device_spec(model, size=GIB, **stated), name="ua-new")
    plan = planned(DomainSpec(devices=()), definition(free_pcie_ports=ports), [new])
    assert plan.after.free_pcie_ports == left
    assert list(plan.awaited) == (["ua-new"] if model == "virtio-mem" else [])


def test_the_second_device_finds_what_the_first_has_left():
    second = match(device_spec(size=GIB), name="ua-second")
    with refused("immutable", "devices[0] can't change in the running guest: it has no free PCIe port"):
        planned(DomainSpec(devices=()), definition(free_pcie_ports=1), [ADDED, second])
    plan = planned(DomainSpec(devices=()), definition(maximum=3 * GIB), [ADDED, second], config=definition())
    assert list(plan.devices) == ["ua-new"]


@pytest.mark.parametrize(
    ("live", "one_device", "code"),
    [
        ({"maximum": None}, False, "immutable"),
        ({"maximum": None}, True, "not_hotpluggable"),
        ({"maximum": 2 * GIB}, False, "immutable"),
        ({"maximum": 2 * GIB}, True, "exceeds_max_memory"),
        ({"free_pcie_ports": 0}, False, "immutable"),
        ({"free_pcie_ports": 0}, True, "not_hotpluggable"),
        ({"cells": 0}, False, "immutable"),
        ({"cells": 0}, True, "not_hotpluggable"),
    ],
)
def test_a_new_device_that_does_not_fit(live, one_device, code):
    """Stored where there is a stored definition; else refused, by one device in the words of its own rules."""
    spec = replace(one(size=GIB), one_device=one_device)
    with refused(code):
        planned(spec, definition(**live), [ADDED])
    plan = planned(spec, definition(**live), [ADDED], config=definition())
    assert (plan.devices, plan.after) == ({}, definition(**live))


@pytest.mark.parametrize("spec", [None, device_spec(absent=True)], ids=["not listed", "absent"])
def test_a_stored_device_that_nobody_asks_for_stays_out(spec):
    plan = planned(DomainSpec(devices=()), definition(), [match(spec, None, CONFIG)], config=definition(CONFIG))
    assert plan.devices == {}


def test_the_size_of_a_stored_device_decides_whether_it_fits():
    listed = match(device_spec(), None, CONFIG)
    config = definition(CONFIG)
    assert planned(DomainSpec(devices=()), definition(maximum=9 * GIB), [listed], config=config).devices == {}
    assert planned(DomainSpec(devices=()), definition(maximum=10 * GIB), [listed], config=config).devices


@pytest.mark.parametrize(
    ("stated", "code", "words"),
    [
        ({"block": 3 * MIB}, "block_invalid", "devices[0]: block"),
        ({"pci_address": "0000:04:00.0"}, "unsupported", "devices[0]: pci_address: 0000:04:00.0 is taken"),
    ],
)
def test_a_new_device_is_judged(stated, code, words):
    live = replace(definition(), pci_addresses=frozenset({"0000:04:00.0"}))
    with refused(code, words):
        planned(DomainSpec(devices=()), live, [match(device_spec(size=6 * GIB, **stated), name="ua-new")])


def test_a_new_device_without_a_size_is_not_taken_for_one_that_does_not_fit():
    with refused("device_not_found", "without a size none can be made"):
        planned(
            DomainSpec(devices=()), definition(maximum=2 * GIB), [match(device_spec(), name="x")], config=definition()
        )


def test_one_device_needs_a_slot():
    with refused("exceeds_max_memory", "memory slots"):
        planned(
            one(size=GIB),
            definition(slots=0),
            [match(device_spec(size=GIB), name="x")],
            platform=Platform(replace(NEW, libvirt=(9, 0, 0)), 2 * MIB),
        )


# ---------------------------------------------------------------------------------------------------- one that is to leave

LEAVES = match(device_spec(absent=True), LIVE, CONFIG)
EMPTY = replace(LIVE, requested=0)
LEAVING = {
    # name: live, match, task's parts, unplugging, kept because of, what is left
    "it is unplugged": ({}, LEAVES, {}, True, False, []),
    "nobody waits": ({}, LEAVES, {"wait": False}, False, True, [(0, 2 * GIB)]),
    "nobody waits, and it is empty": (
        {},
        replace(LEAVES, live=replace(LIVE, current=0)),
        {"wait": False},
        True,
        False,
        [],
    ),
    "the machine can't": ({"machine": "pc-q35-8.0"}, LEAVES, {}, False, True, [(0, 0)]),
    "the machine can't, and nobody waits": ({"machine": "pc-q35-8.0"}, LEAVES, {"wait": False}, False, True, [(0, 0)]),
}


@pytest.mark.parametrize("name", LEAVING)
def test_a_device_that_leaves(name):
    changes, leaving, parts, unplugging, kept, left = LEAVING[name]
    live = definition(leaving.live, **changes)
    plan = planned(DomainSpec(devices=()), live, [leaving], config=definition(), **parts)
    empty = replace(leaving.live, requested=0)
    assert plan.unplugging == ({"ua-a": empty} if unplugging else {})
    assert list(plan.kept_because) == (["ua-a"] if kept else [])
    assert plan.awaited == {"ua-a": empty}
    assert [(one.requested, one.current) for one in plan.after.devices] == left
    if kept:
        assert (plan.kept_because["ua-a"] is None) == ("machine" not in changes)
        assert plan.staying == {}


def test_a_device_of_another_model_leaves_without_being_awaited():
    dimm = device("dimm", GIB, alias="ua-d", index=0)
    plan = planned(DomainSpec(devices=(), purge=True), definition(dimm), [match(None, dimm, dimm, "ua-d")])
    assert (plan.unplugging, plan.awaited, plan.after.devices) == ({"ua-d": dimm}, {}, ())


@pytest.mark.parametrize("live_only", [True, False])
def test_scope_live_insists(live_only):
    live = definition(LIVE, machine="pc-q35-8.0")
    if live_only:
        with refused("unplug_unsupported", "ua-a can't be unplugged from the running guest: machine type pc-q35-8.0"):
            planned(one(absent=True), live, [LEAVES], live_only=True)
    else:
        assert planned(one(absent=True), live, [LEAVES]).kept_because
    plan = planned(one(absent=True), definition(LIVE), [LEAVES], live_only=live_only, wait=False)
    assert plan.kept_because == {"ua-a": None}, "that nobody waits is no reason to refuse"


# ------------------------------------------------------------------------------------------------------- one that is there


def listed(**stated):
    return match(device_spec(**stated), LIVE, CONFIG)


RESIZED = {
    "not listed": (match(None, LIVE, CONFIG), 2 * GIB),
    "nothing stated": (listed(), 2 * GIB),
    "requested": (listed(requested=GIB), GIB),
    "a size that waits": (listed(size=16 * GIB), 2 * GIB),
    "a size that waits, and a request that fits": (listed(size=16 * GIB, requested=4 * GIB), 4 * GIB),
    "a size that waits, and a request that needs it": (listed(size=16 * GIB, requested=9 * GIB), 2 * GIB),
    "a size that is rounded up": (listed(size=8 * GIB - MIB, requested=GIB), GIB),
}


@pytest.mark.parametrize("name", RESIZED)
def test_a_device_that_is_there(name):
    found, requested = RESIZED[name]
    plan = planned(DomainSpec(devices=()), definition(LIVE), [found], config=definition(CONFIG))
    assert [one.requested for one in plan.after.devices] == [requested]
    assert [one.size for one in plan.after.devices] == [8 * GIB]
    assert list(plan.awaited) == (["ua-a"] if found.spec else [])


@pytest.mark.parametrize(
    ("stated", "code", "words"),
    [
        ({"size": 16 * GIB}, "immutable", "ua-a: a running guest's device can't change size from 8 GiB to 16 GiB"),
        (
            {"access": "shared", "size": GIB * 9},
            "immutable",
            "change size from 8 GiB to 9 GiB, access from none to shared",
        ),
        ({"block": 3 * MIB}, "block_invalid", "devices[0]: block"),
        ({"requested": 9 * GIB}, "exceeds_device_size", "devices[0]: requested"),
    ],
)
def test_a_device_that_can_not_change_so(stated, code, words):
    with refused(code, words) as caught:
        planned(DomainSpec(devices=()), definition(LIVE), [listed(**stated)])
    if code == "immutable":
        assert caught[0].details["size"] == {"from": 8 * GIB, "to": stated["size"]}


def test_a_request_that_does_not_fit_is_refused_where_nothing_else_waits():
    with refused("exceeds_device_size"):
        planned(DomainSpec(devices=()), definition(LIVE), [listed(requested=9 * GIB)], config=definition(CONFIG))


def test_a_device_that_was_odd_before_is_judged_only_if_it_changes():
    odd = replace(LIVE, block=3 * MIB)
    stays = match(device_spec(), odd, CONFIG)
    assert planned(DomainSpec(devices=()), definition(odd), [stays]).after == definition(replace(odd, current=2 * GIB))


# ----------------------------------------------------------------------------------------------------------------- memory

PAIR = definition(LIVE, replace(SECOND, node=0, current=0, requested=0))
BOTH = [match(None, PAIR.devices[0], CONFIG), match(None, PAIR.devices[1], SECOND, "ua-b")]
LARGE = definition(replace(CONFIG, size=32 * GIB), replace(SECOND, node=0))


def test_memory_is_spread_over_what_the_guest_has():
    plan = planned(DomainSpec(memory=5 * GIB), PAIR, BOTH, config=definition(CONFIG, SECOND))
    assert [one.requested for one in plan.after.devices] == [3 * GIB, 0]
    assert list(plan.awaited) == ["ua-a", "ua-b"]


def test_memory_counts_no_device_that_leaves():
    leaving = replace(BOTH[1], spec=device_spec(absent=True))
    plan = planned(DomainSpec(memory=8 * GIB), PAIR, [BOTH[0], leaving], config=definition(CONFIG))
    assert [one.requested for one in plan.after.devices] == [6 * GIB]
    with refused("exceeds_device_size"):
        planned(DomainSpec(memory=11 * GIB), PAIR, [BOTH[0], leaving])


@pytest.mark.parametrize(
    ("config", "refuses"),
    [(LARGE, False), (PAIR, True), (None, True)],
    ids=["the next start may do", "the next start is the same", "nothing is stored"],
)
def test_memory_that_the_guest_can_not_have_now(config, refuses):
    if refuses:
        with refused("exceeds_device_size"):
            planned(DomainSpec(memory=30 * GIB), PAIR, BOTH, config=config)
    else:
        plan = planned(DomainSpec(memory=30 * GIB), PAIR, BOTH, config=config)
        assert plan.after.devices[0].requested == 2 * GIB
        assert list(plan.awaited) == ["ua-a", "ua-b"]


@pytest.mark.parametrize(
    "other",
    [
        {"boot": 3 * GIB},
        {"maximum": 65 * GIB},
    ],
    ids=["boot memory", "maximum"],
)
def test_another_shape_at_the_next_start(other):
    config = definition(*PAIR.devices, **other)
    assert planned(DomainSpec(memory=30 * GIB), PAIR, BOTH, config=config).awaited


@pytest.mark.parametrize(
    "change", [{"node": 1}, {"block": 4 * MIB}, {"size": 9 * GIB}, {"model": "dimm"}, {"node": None}]
)
def test_another_shape_of_a_device_at_the_next_start(change):
    config = definition(PAIR.devices[0], replace(PAIR.devices[1], **change))
    assert planned(DomainSpec(memory=30 * GIB), PAIR, BOTH, config=config).awaited


def test_a_device_of_node_1_and_one_of_none_are_not_the_same():
    there = replace(SECOND, current=0, requested=0, index=0)
    live, config = definition(there, cells=2), definition(replace(there, node=None), cells=2)
    found = planned(DomainSpec(memory=30 * GIB), live, [match(None, there, there, "ua-b")], config=config)
    assert list(found.awaited) == ["ua-b"]


# ------------------------------------------------------------------------------------------------------------------ steps


def plan_of(after, **parts):
    return LivePlan(definition(*after.values()), dict(after), **parts)


GROWN, SHRUNK = replace(LIVE, requested=4 * GIB), replace(PAIR.devices[1], requested=0)
ASKED = definition(LIVE, replace(PAIR.devices[1], requested=GIB, current=GIB))
FIRST, LAST = ASKED.devices


def test_shrinks_come_before_growth_and_waits_after_all():
    plan = plan_of({"ua-a": GROWN, "ua-b": SHRUNK}, awaited={"ua-a": GROWN, "ua-b": SHRUNK})
    assert live_steps(ASKED, plan, DomainSpec(), None) == [
        Step("resize", "live", SHRUNK, LAST, name="ua-b"),
        Step("resize", "live", GROWN, FIRST, name="ua-a"),
        Step("wait", "live", GROWN, FIRST, name="ua-a"),
        Step("wait", "live", SHRUNK, LAST, name="ua-b"),
    ]


def test_a_new_device_counts_as_growth_of_what_it_is_asked_for():
    small, large = device(size=8 * GIB, requested=GIB, alias="ua-s"), device("dimm", size=3 * GIB, alias="ua-l")
    plan = plan_of({"ua-l": large, "ua-s": small, "ua-a": GROWN, "ua-b": LAST})
    found = live_steps(ASKED, plan, DomainSpec(), None)
    assert [(step.action, step.name) for step in found] == [("attach", "ua-s"), ("resize", "ua-a"), ("attach", "ua-l")]
    assert found[0].before is None


@pytest.mark.parametrize(
    ("current", "requested", "awaited", "waits"),
    [
        (2 * GIB, 2 * GIB, True, False),
        (GIB, 2 * GIB, True, True),
        (None, 2 * GIB, True, True),
        (None, 0, True, False),
        (GIB, 2 * GIB, False, False),
    ],
)
def test_a_wait_where_the_guest_is_not_there(current, requested, awaited, waits):
    there = replace(LIVE, current=current, requested=requested)
    plan = plan_of({"ua-a": there}, awaited={"ua-a": there} if awaited else {})
    found = live_steps(definition(there), plan, DomainSpec(), None)
    assert found == ([Step("wait", "live", there, there, name="ua-a")] if waits else [])


def test_a_device_that_leaves_is_emptied_then_waited_for_then_unplugged():
    plan = LivePlan(definition(), {}, {"ua-a": EMPTY}, {"ua-a": EMPTY})
    assert live_steps(definition(LIVE), plan, DomainSpec(), None) == [
        Step("resize", "live", EMPTY, LIVE, name="ua-a"),
        Step("wait", "live", EMPTY, LIVE, name="ua-a"),
        Step("detach", "live", EMPTY, EMPTY, name="ua-a"),
    ]


BALLOON = [Change("set_balloon", "live", 2 * GIB, GIB), Change("wait_balloon", "live", 2 * GIB, GIB)]


@pytest.mark.parametrize(
    ("target", "actual", "balloon", "expected"),
    [
        (GIB, 2 * GIB, "virtio", BALLOON),
        (GIB, GIB, "virtio", []),
        (None, 2 * GIB, "virtio", []),
        (GIB, 2 * GIB, "none", []),
    ],
)
def test_a_balloon(target, actual, balloon, expected):
    live = definition(memballoon=Balloon(balloon))
    assert live_steps(live, LivePlan(live), DomainSpec(target=target), actual) == expected


def test_settings_come_between_devices_and_the_balloon():
    before = definition(LIVE, tuning=Tuning(hard_limit=9 * GIB, soft_limit=GIB), placement=RESTRICTED)
    after = replace(
        before,
        tuning=Tuning(hard_limit=8 * GIB, soft_limit=GIB),
        placement=Placement("restrictive", "1"),
        memballoon=Balloon("virtio", stats_period=3),
    )
    found = live_steps(before, LivePlan(after, {"ua-a": GROWN}), DomainSpec(target=GIB), 2 * GIB)
    assert found == [
        Step("resize", "live", GROWN, LIVE, name="ua-a"),
        Change("set_limits", "live", {"hard_limit": 9 * GIB}, {"hard_limit": 8 * GIB}),
        Change("set_nodeset", "live", "0", "1"),
        Change("set_stats_period", "live", 0, 3),
        *BALLOON,
    ]
