# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a host_memory task and what is there to what each guest should have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.admission import GuestProgress
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.limits import HostMemoryTotals
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.plan import (
    HostGuest,
    current_of,
    demand_of,
    growth,
    plan_host,
    predicted,
    progress_of,
    requested_of,
    share_of,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.spec import GuestSpec, HostSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import GuestStatistics, HostNode, HostTopology
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    LIVE,
    MIB,
    NEW,
    definition,
    device,
    observed,
    refused,
)

NO = VirtmemError("guest_needs_memory", "No.")


def totals(size=64):
    node = HostNode(0, size * GIB)
    return HostMemoryTotals(size * GIB, 0, HostTopology("x86_64", True, (node,)), 2 * MIB, NEW)


def guest(name="a", requested=2, current=None, scopes=("live", "config"), demand=None, devices=True, **spec):
    """A guest with 2 GiB of boot memory and a device of 8 GiB, of which so many GiB are requested."""
    asked = {"requested": int(requested * GIB)}
    plugged = int((requested if current is None else current) * GIB)
    live = definition(replace(LIVE, current=plugged, **asked)) if devices else definition()
    config = definition(replace(CONFIG, **asked)) if devices else definition()
    found = observed(live if "live" in scopes else None, config, name)
    return HostGuest(GuestSpec("domains[0]", name, **spec), found, tuple(scopes), HOST, demand)


def amounts(found):
    return {name: size / GIB for name, size in found.items()}


# ------------------------------------------------------------------------------------------------------------------ sums


def test_what_a_guest_is_asked_to_have_and_has():
    found = definition(
        replace(LIVE, requested=4 * GIB, current=GIB), CONFIG, device("dimm", GIB), device("nvdimm", GIB)
    )
    assert (requested_of(found), current_of(found)) == (9 * GIB, 4 * GIB)


@pytest.mark.parametrize(
    ("statistics", "demand"),
    [
        ({"usable": GIB}, 3.5),
        ({"usable": None}, 4.5),
        ({"usable": 9 * GIB}, 0.5),
        ({"usable": GIB, "available": 2 * GIB}, 1.5),  # 2 GiB are offline
    ],
)
def test_what_a_guest_needs(statistics, demand):
    assert demand_of(definition(LIVE), GuestStatistics(**statistics), GIB // 2) == demand * GIB


# ---------------------------------------------------------------------------------------------------- what one can have

SHARES = {
    # name: guest, its least and its most in GiB
    "as it is": (guest(), 2, 10),
    "no device": (guest(devices=False), 2, 2),
    "memory": (guest(memory=5 * GIB), 5, 5),
    "memory of a guest that can't move": (guest(devices=False, memory=2 * GIB), 2, 2),
    "min": (guest(minimum=4 * GIB), 4, 10),
    "a min below boot memory": (guest(minimum=GIB), 2, 10),
    "max": (guest(maximum=4 * GIB), 2, 4),
    "a max above all": (guest(maximum=40 * GIB), 2, 10),
    "a max of boot memory": (guest(maximum=2 * GIB), 2, 2),
    "min and max": (guest(minimum=3 * GIB, maximum=4 * GIB), 3, 4),
    "the most there is as min": (guest(minimum=10 * GIB), 10, 10),
    "in whole blocks": (guest(minimum=3 * GIB + 1, maximum=4 * GIB + 1), 3 + 2 / 1024, 4),
}


@pytest.mark.parametrize("name", SHARES)
def test_a_share(name):
    found, low, high = SHARES[name]
    share = share_of(found, totals())
    assert (share.minimum / GIB, share.maximum / GIB) == (low, high)
    assert (share.name, share.fixed, share.block, share.weight) == ("a", 2 * GIB, 2 * MIB, 1)
    assert share.has == (2 * GIB if name in ("no device", "memory of a guest that can't move") else 4 * GIB)


def test_a_share_moves_in_the_largest_block():
    live = definition(LIVE, replace(LIVE, alias="ua-b", block=4 * MIB, index=1))
    found = HostGuest(GuestSpec("", "a", weight=7), observed(live), ("live",), HOST)
    assert (share_of(found, totals()).block, share_of(found, totals()).weight) == (4 * MIB, 7)


@pytest.mark.parametrize(
    ("scopes", "demand", "needs"),
    [(("live",), 7 * GIB, 7), (("live",), 0, 0), (("live",), None, 4), (("config",), 7 * GIB, 0)],
    ids=["what it says", "nothing", "what it has", "it does not run"],
)
def test_what_a_share_needs(scopes, demand, needs):
    assert share_of(guest(scopes=scopes, demand=demand), totals()).demand == needs * GIB


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (guest(memory=11 * GIB), "exceeds_device_size", "memory: 11 GiB"),
        (guest(memory=GIB), "immutable", "memory: 1 GiB"),
        (
            guest(devices=False, memory=3 * GIB),
            "device_not_found",
            "a has no virtio-mem device, and keeps 2 GiB",
        ),
        (guest(devices=False, memory=GIB), "device_not_found", "keeps 2 GiB"),
        (guest(minimum=11 * GIB), "exceeds_device_size", "domains[0].min: 11 GiB is more than a can have"),
        (guest(devices=False, minimum=11 * GIB), "device_not_found", "a has no virtio-mem device"),
        (guest(maximum=GIB), "immutable", "domains[0].max: 1 GiB is less than boot memory and DIMMs give a, 2 GiB"),
        (
            guest(minimum=3 * GIB + 1, maximum=3 * GIB + 2),
            "not_multiple_of_block",
            "domains[0]: a can't have anything from",
        ),
    ],
)
def test_a_share_that_contradicts(found, code, words):
    with refused(code, words) as caught:
        share_of(found, totals())
    if code == "not_multiple_of_block":
        assert caught[0].details["nearest"] == 3 * GIB
        assert "make 3 GiB or 3074 MiB" in caught[0].hint


# -------------------------------------------------------------------------------------------------------------- the whole

PLANS = {
    # name: policy, size of the host, guests, goals in GiB, who has steps, who is refused
    "fixed": ("fixed", 64, [guest("a"), guest("b", requested=1)], {"a": 4, "b": 3}, {"a": 0, "b": 0}, {}),
    "fixed, with a size": (
        "fixed",
        64,
        [guest("a", memory=5 * GIB), guest("b")],
        {"a": 5, "b": 4},
        {"a": 3, "b": 0},
        {},
    ),
    "fair": ("fair", 12, [guest("a"), guest("b")], {"a": 6, "b": 6}, {"a": 3, "b": 3}, {}),
    "fair, by weight": ("fair", 12, [guest("a"), guest("b", weight=3)], {"a": 3, "b": 9}, {"a": 3, "b": 3}, {}),
    "demand": (
        "demand",
        10,
        [guest("a", demand=3 * GIB), guest("b", demand=6 * GIB)],
        {"a": 3.5, "b": 6.5},
        {"a": 3, "b": 3},
        {},
    ),
    "refused, and its memory stays its own": (
        "fair",
        12,
        [guest("a"), guest("b", maximum=GIB)],
        {"a": 8},
        {"a": 3},
        {"b": "immutable"},
    ),
    "refused, and off": (
        "fair",
        12,
        [guest("a"), guest("b", maximum=GIB, scopes=("config",))],
        {"a": 10},
        {"a": 3},
        {"b": "immutable"},
    ),
    "stored alone": ("fair", 8, [guest("a", scopes=("config",))], {"a": 8}, {"a": 1}, {}),
}


@pytest.mark.parametrize("name", PLANS)
def test_plan(name):
    policy, size, guests, goals, steps, refusals = PLANS[name]
    plan = plan_host(guests, [], HostSpec((), policy), totals(size))
    assert amounts(plan.goals) == goals
    assert {name: len(found.steps) for name, found in plan.plans.items()} == steps
    assert {name: error.code for name, error in plan.refused.items()} == refusals
    assert list(plan.shares) == list(goals)


def test_other_guests_come_first():
    plan = plan_host([guest("a")], [definition(LIVE)], HostSpec((), "fair"), totals(10))
    assert amounts(plan.goals) == {"a": 6}
    assert [(limit.guests, limit.size / GIB) for limit in plan.limits] == [(frozenset("a"), 6)]


def test_a_guest_whose_steps_can_not_be_planned_is_refused_and_stays_as_it_is():
    live = definition(replace(LIVE, access="shared"))
    odd = HostGuest(
        GuestSpec("", "a"), observed(live, definition(replace(CONFIG, size=GIB)), "a"), ("live", "config"), HOST
    )
    plan = plan_host([odd], [], HostSpec((), "fair"), totals(9))
    assert list(plan.refused) == ["a"]
    assert (plan.plans, amounts(plan.goals)) == ({}, {"a": 4})


def test_too_little_for_all():
    with refused("host_lacks_memory", "2 guests must have at least 8 GiB together"):
        plan_host([guest("a"), guest("b")], [], HostSpec((), "fixed"), totals(7))


def test_a_guest_that_is_refused_later_keeps_what_it_is_asked_to_have():
    guests = [guest("a"), guest("b")]
    plan = plan_host(guests, [], HostSpec((), "fair"), totals(12))
    plan.refuse(guests[0], NO)
    assert (list(plan.plans), amounts(plan.goals)) == (["b"], {"a": 4, "b": 6})
    assert plan.refused == {"a": NO}


def test_the_definition_that_counts():
    both, off = guest(), guest(scopes=("config",))
    assert (both.definition, both.runs) == (both.observed.live, True)
    assert (off.definition, off.runs) == (off.observed.config, False)
    assert [step.scope for step in both.plan(5 * GIB, ("config",)).steps] == ["config"]


# ------------------------------------------------------------------------------------------------------------ on the way


@pytest.mark.parametrize(
    ("found", "goal", "asked", "current"),
    [(guest(requested=2, current=1), 7, 4, 3), (guest(scopes=("config",)), 7, 7, 7)],
    ids=["running", "off"],
)
def test_where_a_guest_stands(found, goal, asked, current):
    plan = plan_host([found], [], HostSpec((), "fair"), totals(7))
    share = plan.shares["a"]
    assert progress_of(plan, found) == GuestProgress(share, goal * GIB, asked * GIB, current * GIB)


def test_what_a_real_run_ends_with_if_a_shrink_is_refused():
    guests = [guest("a", requested=6), guest("b", requested=2)]
    plan = plan_host(guests, [], HostSpec((), "fair"), totals(12))
    assert amounts(plan.goals) == {"a": 6, "b": 6}
    assert predicted(plan, guests) == plan
    plan.refuse(guests[0], NO)
    found = predicted(plan, guests).plans
    assert list(found) == ["b"]
    assert requested_of(found["b"].after["live"]) == 4 * GIB
    assert requested_of(plan.plans["b"].after["live"]) == 6 * GIB, "the plan itself is as it was"


@pytest.mark.parametrize(
    ("guests", "size", "more"),
    [
        ([guest("a"), guest("b")], 12, 4),
        ([guest("a", requested=6), guest("b", requested=2)], 12, None),  # one gives what the other takes
        ([guest("a", requested=2, current=0)], 4, 2),  # asked before, and not taken yet
        ([guest("a", scopes=("config",))], 12, None),
    ],
)
def test_growth_that_the_host_must_back(guests, size, more):
    plan = plan_host(guests, [], HostSpec((), "fair"), totals(size))
    found = growth(plan, guests)
    assert [extra / GIB for _limit, extra in found] == ([] if more is None else [more])
    assert [limit for limit, _extra in found] == ([] if more is None else plan.limits)


def test_growth_counts_nobody_who_was_refused():
    guests = [guest("a", requested=6), guest("b", requested=2)]
    plan = plan_host(guests, [], HostSpec((), "fair"), totals(12))
    plan.refuse(guests[0], NO)
    assert [extra / GIB for _limit, extra in growth(plan, guests)] == [2]
