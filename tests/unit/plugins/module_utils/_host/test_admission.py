# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host is never promised more than it has, whatever guests do and in whatever order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._host.admission import GuestProgress, admissible, foreseen
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.allocation import Limit, Share

BLOCK = 4


def progress(name, goal, asked, current=None, block=BLOCK, weight=1):
    share = Share(name, fixed=0, block=block, minimum=0, maximum=10**6, weight=weight)
    return GuestProgress(share, goal, asked, asked if current is None else current)


def limit(size, names="abcdef"):
    return Limit(frozenset(names), size)


def test_shrinks_at_once_and_growth_as_memory_comes_back():
    shrinking, growing = progress("a", 40, 80), progress("b", 60, 20)
    assert admissible([shrinking, growing], [limit(100)]) == {"a": 40}
    asked = replace(shrinking, asked=40)
    assert admissible([asked, growing], [limit(100)]) == {}
    assert admissible([replace(asked, current=70), growing], [limit(100)]) == {"b": 28}
    assert admissible([replace(asked, current=40), growing], [limit(100)]) == {"b": 60}


def test_what_comes_back_is_shared_out_by_weight():
    shrinking = progress("a", 40, 40, 76)
    growers = [progress("b", 60, 20), progress("c", 60, 20, weight=3)]
    assert admissible([shrinking, *growers], [limit(140)]) == {"c": 44}
    assert admissible([shrinking, *growers], [limit(160)]) == {"c": 60, "b": 24}


def test_a_promise_is_kept_room_for():
    """A guest that was promised memory and has not taken it may take it at any time."""
    idle, growing = progress("a", 80, 80, 0), progress("b", 60, 20)
    assert admissible([idle, growing], [limit(100)]) == {}


def test_memory_that_a_guest_has_already_costs_nothing():
    assert admissible([progress("a", 40, 20, 40), progress("b", 60, 60)], [limit(100)]) == {"a": 40}


def test_a_limit_that_is_exceeded_lets_nobody_grow():
    assert admissible([progress("a", 80, 80), progress("b", 60, 40)], [limit(100)]) == {}


def test_the_other_node_is_not_held_up():
    guests = [progress("a", 40, 40, 60), progress("b", 60, 20), progress("c", 60, 20)]
    assert admissible(guests, [limit(200), limit(80, "ab")]) == {"c": 60}


def test_a_claim_is_the_larger():
    assert (progress("a", 0, 20, 40).claim, progress("a", 0, 40, 20).claim) == (40, 40)


def test_nothing_is_asked_of_a_guest_that_is_asked_already():
    assert admissible([progress("a", 40, 40, 80), progress("b", 40, 40, 0)], [limit(200)]) == {}


# ---------------------------------------------------------------------------------------------------------- properties

AMOUNTS = st.integers(0, 40).map(lambda blocks: blocks * BLOCK)


@st.composite
def hosts(draw):
    """Guests whose goals fit, as an allocation makes them; what they have now may well not."""
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True))
    guests = [
        progress(name, draw(AMOUNTS), draw(AMOUNTS), draw(AMOUNTS), weight=draw(st.integers(1, 4))) for name in names
    ]
    groups = [frozenset(names), frozenset(draw(st.sets(st.sampled_from(names))))]
    limits = [
        Limit(group, sum(found.goal for found in guests if found.name in group) + draw(st.integers(0, 40)))
        for group in groups
    ]
    return guests, limits


def claims(limit, guests):
    return sum(found.claim for found in guests if found.name in limit.guests)


def asked(guests, amounts):
    return [replace(found, asked=amounts.get(found.name, found.asked)) for found in guests]


def moved(found, part):
    """A guest some of the way from what it has to what it is asked to have."""
    return replace(found, current=found.current + (found.asked - found.current) * part // 4)


@given(hosts(), st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), max_size=12), st.data())
def test_never_more_than_there_is(host, rounds, data):
    """Guests follow, a part of the way or not at all, fail and vanish; before and after each request the claims fit."""
    guests, limits = host
    most = [max(found.size, claims(found, guests)) for found in limits]
    for parts in rounds:
        for _time in range(2):  # a shrink of what was promised and not taken makes room at once
            guests = asked(guests, admissible(guests, limits))
            assert all(claims(found, guests) <= size for found, size in zip(limits, most))
        assert admissible(guests, limits) == {}
        guests = [moved(found, part) for found, part in zip(guests, parts)]
        most = [max(found.size, min(claims(found, guests), size)) for found, size in zip(limits, most)]
        fate = data.draw(st.sampled_from(["none", "none", "fails", "vanishes"]))
        if guests and fate == "fails":
            guests[0] = replace(guests[0], goal=guests[0].asked)
        elif guests and fate == "vanishes":
            guests = guests[1:]


@given(hosts())
def test_all_get_there_if_all_follow(host):
    guests, limits = host
    assert foreseen(guests, limits) == {found.name: found.goal for found in guests}


@given(hosts(), st.randoms(use_true_random=False))
def test_order_does_not_matter(host, random):
    guests, limits = host
    expected = admissible(guests, limits)
    random.shuffle(guests)
    assert admissible(guests, limits) == expected


@given(hosts())
def test_one_that_stays_leaves_the_others_less_and_no_room_unused(host):
    guests, limits = host
    stuck = [replace(guests[0], goal=max(guests[0].asked, guests[0].goal)), *guests[1:]]
    ends = foreseen(stuck, limits)
    end = [replace(found, asked=ends[found.name], current=ends[found.name]) for found in stuck]
    for found in end:
        assert found.asked == found.goal or any(
            limit.size - claims(limit, end) < BLOCK for limit in limits if found.name in limit.guests
        )
