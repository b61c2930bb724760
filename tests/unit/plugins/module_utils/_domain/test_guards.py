# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan asks of a running guest, in sums."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.guards import change_of, live_changes
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.plan import plan_domain
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import DomainSpec
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    LIVE,
    definition,
    given,
    one,
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
