# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.facts import (
    both_facts,
    device_facts,
    diff,
    domain_facts,
    step_facts,
    steps_facts,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.steps import Step
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES, VirtmemError, failure_facts
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import DomainState, MemoryDevice

GIB = 1024**3
DEVICE = MemoryDevice(
    "virtio-mem",
    4 * GIB,
    block=2 << 20,
    requested=GIB,
    current=GIB,
    node=0,
    alias="ua-a",
    guest_address=0x140000000,
    pci_address="0000:04:00.0",
    index=0,
)


def test_domain_facts():
    assert domain_facts(DomainState("web1", "u", "paused", True, True)) == {
        "name": "web1",
        "uuid": "u",
        "state": "paused",
    }


def test_device_facts():
    facts = device_facts(DEVICE)
    assert facts["guest_address"] == "0x140000000"
    assert (facts["size"], facts["requested"], facts["current"]) == (4 * GIB, GIB, GIB)
    assert "index" not in facts
    assert device_facts(None) is None
    assert device_facts(replace(DEVICE, guest_address=None))["guest_address"] is None
    assert both_facts({"live": DEVICE}) == {"live": facts, "config": None}


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        (Step("attach", "live", DEVICE), None, GIB),
        (Step("resize", "live", DEVICE, replace(DEVICE, requested=0)), 0, GIB),
        (Step("detach", "config", DEVICE, DEVICE), GIB, None),
        (Step("set_current_memory", "config", DEVICE, None, 7), None, 7),
        (
            Step("redefine", "config", replace(DEVICE, size=8 * GIB, access="shared"), DEVICE),
            {"size": 4 * GIB, "access": None},
            {"size": 8 * GIB, "access": "shared"},
        ),
    ],
)
def test_steps(step, before, after):
    assert step_facts(step, True, "ua-a") == {
        "action": step.action,
        "scope": step.scope,
        "device": "ua-a",
        "from": before,
        "to": after,
        "done": True,
    }


def test_done_steps_come_first_and_then_what_was_not_reached():
    steps = [Step("resize", scope, DEVICE, DEVICE) for scope in ("live", "config")]
    undo = Step("resize", "live", replace(DEVICE, requested=0), DEVICE)
    facts = steps_facts(steps, [steps[0], undo], "ua-a")
    assert [(fact["scope"], fact["to"], fact["done"]) for fact in facts] == [
        ("live", GIB, True),
        ("live", 0, True),
        ("config", GIB, False),
    ]


def test_diff_is_for_people():
    config = replace(DEVICE, current=None, guest_address=None, pci_address="0000:05:00.0")
    after = {"live": replace(DEVICE, requested=0), "config": replace(config, requested=0)}
    made = diff({"live": DEVICE, "config": config}, after, ["requested"], "web1 ua-a")
    assert made["before_header"] == made["after_header"] == "web1 ua-a"
    before, after = made["before"].splitlines(), made["after"].splitlines()
    changed = [(old, new) for old, new in zip(before, after) if old != new]
    assert changed == [
        ('    <requested unit="KiB">1048576</requested>', '    <requested unit="KiB">0</requested>'),
    ]
    assert "current" not in made["before"]
    assert "address" not in made["before"]


def test_diff_shows_both_where_they_differ():
    made = diff({"live": DEVICE, "config": replace(DEVICE, requested=0)}, {"live": None, "config": None}, [], "x")
    assert made["before"].startswith("<!-- live -->\n<memory")
    assert "<!-- config -->\n<memory" in made["before"]
    assert made["after"] == ""


def test_diff_shows_addresses_that_are_stated():
    made = diff({"live": DEVICE}, {"live": DEVICE}, ["guest_address", "pci_address"], "x")
    assert 'base="0x140000000"' in made["after"]
    assert 'bus="0x04"' in made["after"]


def test_diff_has_no_alias_of_libvirts_own():
    made = diff({"live": replace(DEVICE, alias="virtiomem0")}, {"live": None}, [], "x")
    assert "alias" not in made["before"]


@pytest.mark.parametrize("code", ERROR_CODES)
def test_failure(code):
    error = VirtmemError(code, "What.", hint="Do.", details={"size": 1})
    assert failure_facts(error) == {"error_code": code, "details": {"size": 1}, "hint": "Do."}
    assert str(error) == error.message == "What."
    assert ERROR_CODES[code].endswith(".")


def test_an_unknown_code_is_a_mistake():
    with pytest.raises(KeyError):
        raise VirtmemError("nonsense", "What.")


def test_details_are_the_errors_own():
    details = {"a": 1}
    error = VirtmemError("timeout", "What.", details=details)
    details["a"] = 2
    assert error.details == {"a": 1}
