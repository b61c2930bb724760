# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says of its steps, and the diff that a person reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.plan import DomainPlan
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.report import (
    EMPTY_DEVICE,
    DeviceView,
    Report,
    _together,
    step_facts,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.steps import Change, Step
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    GIB,
    LIVE,
    definition,
    match,
    observed,
    one,
)

DEVICE = replace(LIVE, requested=GIB, current=GIB, guest_address=0x140000000, pci_address="0000:04:00.0")
DIMM = replace(DEVICE, model="dimm", requested=0)
REDEFINED = Change(
    "define",
    "config",
    {"devices": {"ua-a": {"size": 4 * GIB, "guest_address": None}}},
    {"devices": {"ua-a": {"size": 8 * GIB, "guest_address": 0x140000000}}},
)


def view_of(scopes=("live", "config"), spec=None, device=DEVICE):
    view = DeviceView(spec or one())
    there = {scope: definition(device) for scope in scopes}
    view.planned(DomainPlan(scopes, there, there, match=match(None, device, device)))
    return view


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (Step("attach", "live", DEVICE), None, GIB),
        (Step("attach", "config", DIMM), None, 8 * GIB),
        (Step("resize", "live", DEVICE, replace(DEVICE, requested=0)), 0, GIB),
        (Step("detach", "config", DEVICE, DEVICE), GIB, None),
        (Step("detach", "live", DIMM, DIMM), 8 * GIB, None),
        (Step("set_current_memory", "config", DEVICE, None, 7), None, 7),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_steps(step, before, after, done):
    assert step_facts(step, done, view_of()) == {
        "action": step.action,
        "scope": step.scope,
        "device": "ua-a",
        "from": before,
        "to": after,
        "done": done,
    }
    assert step_facts(replace(step, name="web"), done)["device"] == "web"


def test_a_define_is_the_devices_where_the_task_is_about_one():
    assert step_facts(REDEFINED, True, view_of()) == {
        "action": "redefine",
        "scope": "config",
        "device": "ua-a",
        "from": {"size": 4 * GIB, "guest_address": None},
        "to": {"size": 8 * GIB, "guest_address": "0x140000000"},
        "done": True,
    }
    assert step_facts(REDEFINED, False) == {
        "action": "define",
        "scope": "config",
        "device": None,
        "from": REDEFINED.before,
        "to": REDEFINED.after,
        "done": False,
    }


def test_done_steps_come_first_and_then_what_was_not_reached():
    steps = [Step("resize", scope, DEVICE, DEVICE) for scope in ("live", "config")]
    undo = Step("resize", "live", replace(DEVICE, requested=0), DEVICE)
    report, there = Report("web1", EMPTY_DEVICE), {"live": definition(DEVICE), "config": definition(DEVICE)}
    plan = DomainPlan(("live", "config"), there, there, tuple(steps), match=match(None, DEVICE, DEVICE))
    report.found(observed().domain, DeviceView(one()), there)
    report.planned(plan)
    report._steps(plan, [steps[0], undo])
    assert [(fact["scope"], fact["to"], fact["done"]) for fact in report.result["steps"]] == [
        ("live", GIB, True),
        ("live", 0, True),
        ("config", GIB, False),
    ]


def text_of(live, config=None, spec=None):
    """Of one or two devices, as the diff has them."""
    there = {scope: found for scope, found in (("live", live), ("config", config)) if found}
    view = view_of(tuple(there), spec)
    return _together(view.xml({scope: definition(found) for scope, found in there.items()}, None))


def test_diff_is_for_people():
    config = replace(DEVICE, current=None, guest_address=None, pci_address="0000:05:00.0")
    before, after = (text_of(replace(DEVICE, requested=size), replace(config, requested=size)) for size in (GIB, 0))
    changed = [(old, new) for old, new in zip(before.splitlines(), after.splitlines()) if old != new]
    assert changed == [
        ('    <requested unit="KiB">1048576</requested>', '    <requested unit="KiB">0</requested>'),
    ]
    assert "current" not in before
    assert "address" not in before
    assert view_of().title("web1") == "web1 ua-a"


def test_diff_shows_both_where_they_differ():
    text = text_of(DEVICE, replace(DEVICE, requested=0))
    assert text.startswith("<!-- live -->\n<memory")
    assert "<!-- config -->\n<memory" in text
    empty = {"live": definition(), "config": definition()}
    assert _together(view_of().xml(empty, None)) == ""


def test_diff_shows_addresses_that_are_stated():
    text = text_of(DEVICE, spec=one(guest_address=0x140000000, pci_address="0000:04:00.0"))
    assert 'base="0x140000000"' in text
    assert 'bus="0x04"' in text


def test_diff_has_no_alias_of_libvirts_own():
    own = replace(DEVICE, alias="virtiomem0")
    view = view_of(device=own)
    assert "alias" not in _together(view.xml({"live": definition(own), "config": definition(own)}, None))
