# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan asks of a running guest, in sums."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given as drawn, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.guards import (
    change_of,
    check_guest_memory,
    check_host_memory,
    live_changes,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.plan import plan_domain
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import GuestStatistics, HostMemory, format_size
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    LIVE,
    MIB,
    definition,
    device,
    given,
    holds,
    one,
    refusal,
)


@pytest.mark.parametrize(
    ("spec", "current", "change"),
    [
        (one(requested=4 * GIB), 2 * GIB, 2 * GIB),
        (one(requested=4 * GIB), 0, 4 * GIB),
        (one(requested=0), 2 * GIB, -2 * GIB),
        (one(requested=2 * GIB), GIB, 0),  # asked before: not this task's own doing
        (one(absent=True), 2 * GIB, -2 * GIB),
    ],
)
def test_change_of_a_running_guest(spec, current, change):
    live = definition(replace(LIVE, current=current))
    found = change_of(plan_domain(given(spec, live, definition(CONFIG))), live, 0)
    assert (found.change, found.has) == (change, 2 * GIB + current)


def test_change_of_a_stopped_domain_and_by_a_new_device():
    assert live_changes(plan_domain(given(one(requested=0), config=definition(CONFIG)))) == []
    live = definition()
    made = plan_domain(given(one(size=GIB, requested=GIB), live, definition()))
    assert change_of(made, live, 0).change == GIB


@pytest.mark.parametrize(("actual", "change"), [(2 * GIB, -GIB), (None, 0)])
def test_a_balloon_counts_as_far_as_it_is_known(actual, change):
    live = definition()
    made = plan_domain(given(DomainSpec(target=GIB), live, actual=actual))
    assert change_of(made, live, 0).change == change


# ------------------------------------------------------------------------------------------------ the guards themselves

DEVICE = device(size=4 * GIB, requested=GIB, current=GIB, alias="ua-a")
blocks = st.integers(21, 34).map(lambda power: 1 << power)
sizes = st.integers(0, 64 * GIB)


@pytest.mark.parametrize(
    ("shrink", "usable", "fits"),
    [
        (GIB, None, True),
        (GIB, GIB + 128 * MIB, True),
        (GIB, GIB + 128 * MIB - 1, False),
        (GIB, 0, False),
    ],
)
def test_guest_memory(shrink, usable, fits):
    arguments = (shrink, 128 * MIB, GuestStatistics(usable=usable), DEVICE)
    if fits:
        check_guest_memory(*arguments)
    else:
        error = refusal("guest_needs_memory", check_guest_memory, *arguments)
        assert "128 MiB" in error.message
        assert "1 GiB" in error.message
        assert error.details["usable"] == usable


@drawn(sizes, sizes, sizes, blocks, st.data())
def test_guest_memory_offered_is_right(usable, reserve, current, block, data):
    current = current // block * block
    device = replace(DEVICE, current=current, requested=current, block=block)
    shrink = data.draw(st.integers(0, current // block)) * block
    assume(not holds(check_guest_memory, shrink, reserve, GuestStatistics(usable=usable), device))
    error = refusal("guest_needs_memory", check_guest_memory, shrink, reserve, GuestStatistics(usable=usable), device)
    nearest = error.details["nearest"]
    assert current - shrink <= nearest <= current
    assert nearest % block == 0
    if nearest < current:
        check_guest_memory(current - nearest, reserve, GuestStatistics(usable=usable), device)
        assert not holds(check_guest_memory, current - nearest + block, reserve, GuestStatistics(usable=usable), device)


@drawn(sizes, sizes, blocks, sizes)
def test_host_memory(growth, available, block, current):
    device = replace(DEVICE, current=current // block * block, block=block)
    host = HostMemory(available, "available memory")
    if growth <= available:
        check_host_memory(growth, host, device)
    else:
        error = refusal("host_lacks_memory", check_host_memory, growth, host, device)
        assert "available memory" in error.message
        assert format_size(growth) in error.message
        check_host_memory(error.details["nearest"] - (device.current or 0), host, device)


@pytest.mark.parametrize(
    ("task", "requested", "current", "change"),
    [
        (one(requested=4 * GIB), 2 * GIB, 2 * GIB, 2 * GIB),
        (one(requested=GIB), 2 * GIB, 2 * GIB, -GIB),
        (one(requested=2 * GIB), 2 * GIB, GIB, 0),
        (one(absent=True), 2 * GIB, 2 * GIB, -2 * GIB),
        (one(absent=True), 0, GIB, -GIB),
        (one(absent=True), 0, 0, 0),
    ],
    ids=["grows", "shrinks", "is awaited", "goes", "goes, and nothing is requested of it", "goes, and is empty"],
)
def test_what_a_task_asks_of_the_guest(task, requested, current, change):
    live = definition(replace(LIVE, requested=requested, current=current))
    plan = plan_domain(given(task, live, definition(replace(CONFIG, requested=requested))))
    asked = change_of(plan, live, 0)
    assert (asked.change, asked.has, asked.memory) == (change, 2 * GIB + current, None)
