# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tells steps apart."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.steps import (
    Action,
    Change,
    ChangeAction,
    Outcome,
    Step,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import LIVE


@pytest.mark.parametrize("action", t.get_args(Action))
def test_steps_of_a_device(action):
    for scope in ("live", "config"):
        step = Step(action, scope, LIVE)
        assert (step.before, step.size, step.name) == (None, 0, "")
        assert step.is_wait == (action == "wait")
        assert step.unplugs == ((action, scope) == ("detach", "live"))


@pytest.mark.parametrize("action", t.get_args(ChangeAction))
def test_changes_of_a_domain(action):
    change = Change(action, "live")
    assert change.is_wait == (action == "wait_balloon")
    assert not change.unplugs


def test_an_outcome_is_its_own():
    one, other = Outcome(), Outcome()
    one.done.append(Step("wait", "live", LIVE))
    one.warnings.append("x")
    assert (other.done, other.warnings, other.kept_because, other.fell_short, other.restored) == (
        [],
        [],
        None,
        False,
        False,
    )
