# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.match import Match
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.spec import DeviceSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.report import (
    EMPTY_DEVICE,
    DeviceView,
    Report,
    step_facts,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.steps import Change, DomainPlan, Outcome, Step
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, DomainState
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import GIB, PLUGGED as DEVICE

STORED = replace(DEVICE, current=None, guest_address=None, pci_address="0000:05:00.0")
STATE = DomainState("web1", "u", "running", active=True, persistent=True)


def domain(*devices):
    return Definition("web1", "u", "x86_64", "pc-q35-9.2", total=0, current_memory=0).with_devices(devices)


def both(live, config):
    """The definitions of a domain that has the device in one, both or none of them."""
    return {"live": domain(*filter(None, [live])), "config": domain(*filter(None, [config]))}


def report_of(before, after, steps=(), done=None, **stated):
    """What a task on one device says when it has been carried out as far as `done`."""
    live, config = (before[scope].devices[0] if before[scope].devices else None for scope in ("live", "config"))
    spec = DomainSpec(devices=(DeviceSpec("", "virtio-mem", None, stated),), one_device=True)
    match = Match(spec.devices[0], live, config, (live or config or DEVICE).alias or "")
    plan = DomainPlan(("live", "config"), before, after, tuple(steps), awaited={}, match=match)
    report = Report("web1", EMPTY_DEVICE)
    report.found(STATE, DeviceView(spec), before)
    report.planned(plan)
    report._told(plan, after, Outcome(list(steps if done is None else done)))
    return report.result


# Steps -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (Step("attach", "live", DEVICE), None, GIB),
        (Step("attach", "live", replace(DEVICE, model="dimm", requested=0)), None, 4 * GIB),
        (Step("resize", "live", DEVICE, replace(DEVICE, requested=0)), 0, GIB),
        (Step("detach", "config", DEVICE, DEVICE), GIB, None),
        (Step("detach", "live", replace(DEVICE, model="dimm", requested=0)), 4 * GIB, None),
        (Step("set_current_memory", "config", DEVICE, None, 7), None, 7),
    ],
)
def test_steps(step, before, after):
    assert step_facts(step, True) == {
        "action": step.action,
        "scope": step.scope,
        "device": "ua-a",
        "from": before,
        "to": after,
        "done": True,
    }


def test_a_definition_of_the_domain_is_a_redefinition_of_its_one_device():
    old, new = {"size": 4 * GIB, "guest_address": None}, {"size": 8 * GIB, "guest_address": 0x180000000}
    define = Change("define", "config", {"devices": {"ua-a": old}}, {"devices": {"ua-a": new}}, domain(STORED))
    (step,) = report_of(both(DEVICE, STORED), both(DEVICE, STORED), [define])["steps"]
    assert (step["action"], step["device"]) == ("redefine", "ua-a")
    assert (step["from"], step["to"]) == (old, {**new, "guest_address": "0x180000000"})


def test_done_steps_come_first_and_then_what_was_not_reached():
    steps = [Step("resize", scope, DEVICE, DEVICE) for scope in ("live", "config")]
    undo = Step("resize", "live", replace(DEVICE, requested=0), DEVICE)
    facts = report_of(both(DEVICE, STORED), both(DEVICE, STORED), steps, [steps[0], undo])["steps"]
    assert [(fact["scope"], fact["to"], fact["done"]) for fact in facts] == [
        ("live", GIB, True),
        ("live", 0, True),
        ("config", GIB, False),
    ]


# Diff ------------------------------------------------------------------------------------------------------------------


def test_diff_is_for_people():
    after = both(replace(DEVICE, requested=0), replace(STORED, requested=0))
    made = report_of(both(DEVICE, STORED), after, requested=0)["diff"]
    assert made["before_header"] == made["after_header"] == "web1 ua-a"
    before, after = made["before"].splitlines(), made["after"].splitlines()
    changed = [(old, new) for old, new in zip(before, after) if old != new]
    assert changed == [
        ('    <requested unit="KiB">1048576</requested>', '    <requested unit="KiB">0</requested>'),
    ]
    assert "current" not in made["before"]
    assert "address" not in made["before"]


def test_diff_shows_both_where_they_differ():
    made = report_of(both(DEVICE, replace(STORED, requested=0)), both(None, None))["diff"]
    assert made["before"].startswith("<!-- live -->\n<memory")
    assert "<!-- config -->\n<memory" in made["before"]
    assert made["after"] == ""


def test_diff_shows_addresses_that_are_stated():
    made = report_of(both(DEVICE, None), both(DEVICE, None), guest_address=0x140000000, pci_address="0000:04:00.0")
    assert 'base="0x140000000"' in made["diff"]["after"]
    assert 'bus="0x04"' in made["diff"]["after"]


def test_diff_has_no_alias_of_libvirts_own():
    made = report_of(both(replace(DEVICE, alias="virtiomem0"), None), both(None, None))["diff"]
    assert "alias" not in made["before"]


# Change ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "changed"),
    [
        (both(DEVICE, STORED), False),
        (both(replace(DEVICE, current=0), STORED), False),
        (both(replace(DEVICE, requested=0), STORED), True),
        (both(DEVICE, None), True),
    ],
    ids=["nothing", "the guest's own progress", "requested", "gone"],
)
def test_what_counts_as_a_change(after, changed):
    step = Step("resize", "live", DEVICE, DEVICE)
    assert report_of(both(DEVICE, STORED), after, [step])["changed"] is changed
    assert report_of(both(DEVICE, STORED), after, [step], [])["changed"] is False
