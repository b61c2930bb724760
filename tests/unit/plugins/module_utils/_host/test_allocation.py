# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shares of a host: within every bound, nothing left that anybody could have, and fair."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.allocation import Limit, Share, allocate, fill

MIB, GIB = 1024**2, 1024**3


def share(name, low=1, high=16, weight=1, block=2 * MIB, has=None, demand=0):
    """A guest with 1 GiB that it always has; sizes in GiB."""
    return Share(name, GIB, block, low * GIB, high * GIB, weight, (low if has is None else has) * GIB, demand * GIB)


def host(shares, size, *more):
    return [Limit(frozenset(found.name for found in shares), int(size * GIB)), *more]


def in_gib(amounts):
    return {name: amount / GIB for name, amount in amounts.items()}


@pytest.mark.parametrize(
    ("shares", "size", "expected"),
    [
        ([share("a"), share("b")], 8, {"a": 4, "b": 4}),
        ([share("a"), share("b", weight=3)], 8, {"a": 2, "b": 6}),
        ([share("a", high=2), share("b")], 8, {"a": 2, "b": 6}),
        ([share("a", low=6), share("b")], 8, {"a": 6, "b": 2}),
        ([share("a"), share("b")], 80, {"a": 16, "b": 16}),
        ([share("a"), share("b", block=GIB)], 5, {"a": 3, "b": 2}),
        ([share("a", low=1, high=1), share("b"), share("c")], 9, {"a": 1, "b": 4, "c": 4}),
    ],
)
def test_fair(shares, size, expected):
    assert in_gib(allocate("fair", shares, host(shares, size))) == expected


@pytest.mark.parametrize(
    ("demands", "size", "expected"),
    [
        ((2, 6), 10, {"a": 3, "b": 7}),  # what is left is shared alike
        ((2, 6), 8, {"a": 2, "b": 6}),
        ((2, 6), 6, {"a": 2, "b": 4}),  # not enough: who needs little gets it
        ((5, 6), 6, {"a": 3, "b": 3}),
        ((0, 30), 20, {"a": 4, "b": 16}),
    ],
)
def test_demand(demands, size, expected):
    shares = [share("a", demand=demands[0]), share("b", demand=demands[1])]
    assert in_gib(allocate("demand", shares, host(shares, size))) == expected


def test_demand_counts_whole_blocks():
    shares = [replace(share("a"), demand=GIB + 1), share("b", demand=1)]
    assert allocate("demand", shares, [Limit(frozenset("ab"), 2 * GIB + 2 * MIB)]) == {"a": GIB + 2 * MIB, "b": GIB}


def test_fixed():
    shares = [share("a", 3, 3), share("b", 1, 4, has=2), share("c", 2, 4, has=1), share("d", 1, 2, has=8)]
    assert in_gib(allocate("fixed", shares, host(shares, 9))) == {"a": 3, "b": 2, "c": 2, "d": 2}


@pytest.mark.parametrize("policy", ["fixed", "fair", "demand"])
def test_too_little(policy):
    shares = [share("a", 3), share("b", 2)]
    with pytest.raises(VirtmemError) as caught:
        allocate(policy, shares, [*host(shares, 8), Limit(frozenset("ab"), 4 * GIB, "NUMA node 1")])
    assert caught.value.code == "host_lacks_memory"
    assert caught.value.details == {"needed": 5 * GIB, "available": 4 * GIB, "missing": GIB}
    assert "5 GiB together, and NUMA node 1 has 4 GiB" in caught.value.message


def test_nodes():
    """Two guests on a small node, one on any: what the node can't give, the third gets."""
    shares = [share("a"), share("b"), share("c")]
    limits = host(shares, 18, Limit(frozenset("ab"), 6 * GIB, "NUMA node 0"))
    assert in_gib(allocate("fair", shares, limits)) == {"a": 3, "b": 3, "c": 12}


@pytest.mark.parametrize(("size", "most"), [(0, 6), (6, 6), (9, 6), (10, 10), (13, 10), (14, 14), (18, 18), (99, 18)])
def test_the_most_that_is_not_more(size, most):
    """2 that it always has, and blocks of 4; from 6 to 18."""
    assert Share("a", 2, 4, 6, 18).at_most(size) == most


@pytest.mark.parametrize(("size", "more"), [(2, 6), (5, 6), (6, 10), (7, 10)])
def test_one_block_more(size, more):
    assert Share("a", 2, 4, 6, 18).next(size) == more


def test_a_limit_that_nobody_shares_stops_nobody():
    shares = [share("a")]
    assert allocate("fair", shares, [*host(shares, 8), Limit(frozenset("x"), -GIB)]) == {"a": 8 * GIB}
    assert allocate("fair", [], [Limit(frozenset("x"), -GIB)]) == {}


def test_terabytes_are_quick():
    shares = [share(f"guest{number}", 1, 4096, weight=number % 7 + 1) for number in range(1000)]
    amounts = allocate("fair", shares, host(shares, 1024 * 1024))
    assert 1024 * 1024 * GIB - sum(amounts.values()) < 2 * MIB


# ---------------------------------------------------------------------------------------------------------- properties

BLOCKS = st.integers(1, 4).map(lambda power: 2**power)


@st.composite
def guests(draw, block=BLOCKS):
    """Guests with small numbers, so that the limits bite; the unit is not a byte but that does not matter."""
    found = []
    for name in draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True)):
        fixed, step = draw(st.integers(0, 20)), draw(block)
        low, more = draw(st.integers(0, 10)), draw(st.integers(0, 30))
        found.append(
            Share(
                name,
                fixed,
                step,
                minimum=fixed + low * step,
                maximum=fixed + (low + more) * step,
                weight=draw(st.integers(1, 5)),
                has=draw(st.integers(0, 200)),
                demand=draw(st.integers(0, 200)),
            )
        )
    return found


@st.composite
def situations(draw):
    shares = draw(guests())
    names = frozenset(found.name for found in shares)
    groups = [names, *draw(st.lists(st.frozensets(st.sampled_from(sorted(names))), max_size=2))]
    limits = [Limit(group, draw(st.integers(0, 700))) for group in groups]
    # As large as must be: too little is another test.
    return shares, [
        replace(limit, size=max(limit.size, sum(found.minimum for found in shares if found.name in limit.guests)))
        for limit in limits
    ]


def room(limit, amounts):
    return limit.size - sum(amount for name, amount in amounts.items() if name in limit.guests)


POLICIES = st.sampled_from(["fair", "demand"])


@given(situations(), POLICIES)
def test_within_all_bounds_and_whole_blocks(situation, policy):
    shares, limits = situation
    amounts = allocate(policy, shares, limits)
    assert amounts.keys() == {found.name for found in shares}
    assert all(room(limit, amounts) >= 0 for limit in limits)
    for found in shares:
        assert found.minimum <= amounts[found.name] <= found.maximum
        assert (amounts[found.name] - found.fixed) % found.block == 0


@given(situations(), POLICIES)
def test_nobody_can_have_a_block_more(situation, policy):
    shares, limits = situation
    amounts = allocate(policy, shares, limits)
    for found in shares:
        more = amounts[found.name] + found.block
        assert more > found.maximum or any(
            room(limit, amounts) < found.block for limit in limits if found.name in limit.guests
        )


@given(situations())
def test_bottleneck(situation):
    """Whoever is held back by a limit stands, with one block more, as high as each that shares it and could give one."""
    shares, limits = situation
    amounts = allocate("fair", shares, limits)
    for low in shares:
        if amounts[low.name] == low.maximum:
            continue
        level = Fraction(amounts[low.name] + low.block, low.weight)
        assert any(
            room(limit, amounts) < low.block
            and all(
                Fraction(amounts[other.name], other.weight) <= level
                for other in shares
                if other.name in limit.guests and amounts[other.name] > other.minimum and other.block >= low.block
            )
            for limit in limits
            if low.name in limit.guests
        )


@given(situations())
def test_demands_come_first(situation):
    """Nobody has more than it needs while another that shares a limit has a block less."""
    shares, limits = situation
    amounts = allocate("demand", shares, limits[:1])
    for found in shares:
        if amounts[found.name] + found.block <= min(found.demand, found.maximum):
            for other in shares:
                spare = amounts[other.name] - max(other.demand, other.minimum)
                assert spare < max(found.block, other.block)


@given(situations(), POLICIES, st.randoms(use_true_random=False))
def test_order_does_not_matter(situation, policy, random):
    shares, limits = situation
    amounts = allocate(policy, shares, limits)
    random.shuffle(shares)
    random.shuffle(limits)
    assert allocate(policy, shares, limits) == amounts


@given(situations())
def test_the_second_time_nothing_moves(situation):
    shares, limits = situation
    amounts = allocate("fair", shares, limits)
    assert allocate("fair", [replace(found, has=amounts[found.name]) for found in shares], limits) == amounts
    assert fill([replace(found, minimum=amounts[found.name]) for found in shares], limits) == amounts


@given(guests(block=st.just(4)), st.integers(0, 500), st.integers(0, 100), POLICIES)
def test_more_memory_takes_from_nobody(shares, size, more, policy):
    """With one limit and one block size for all; a larger block that fits at last may well cost another a small one."""
    least = sum(found.minimum for found in shares)
    names = frozenset(found.name for found in shares)
    poor = allocate(policy, shares, [Limit(names, least + size)])
    rich = allocate(policy, shares, [Limit(names, least + size + more)])
    assert all(rich[name] >= poor[name] for name in poor)


@given(situations())
def test_a_limit_below_the_minimum_is_refused(situation):
    shares, limits = situation
    least = sum(found.minimum for found in shares)
    assume(least > 0)
    with pytest.raises(VirtmemError):
        allocate("fair", shares, [replace(limits[0], size=least - 1)])
