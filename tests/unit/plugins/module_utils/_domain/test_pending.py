# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What waits for a restart, and in what words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.pending import (
    Pending,
    pending_changes,
    shown,
    stated_options,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import CellSpec, DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Backing, Tuning
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    LIVE,
    MIB,
    SECOND,
    definition,
    device,
    device_spec,
    match,
    one,
)


@pytest.mark.parametrize(
    ("pending", "text"),
    [
        (Pending("ua-a"), "ua-a: is added at the next start"),
        (Pending("ua-a", leaves=True), "ua-a: leaves the guest when it is next powered off"),
        (Pending("ua-a", leaves=True, why="no"), "ua-a: no; leaves the guest when it is next powered off"),
        (Pending("boot", {"boot": GIB}), "boot: 1 GiB at the next start"),
        (Pending("maximum.slots", {"maximum.slots": 16}), "maximum.slots: 16 at the next start"),
        (
            Pending("ua-a", {"size": GIB, "access": "shared", "guest_address": 0x100000000}),
            "ua-a: size=1 GiB, access=shared, guest_address=0x100000000 at the next start",
        ),
        (Pending("tuning.hard_limit", {"tuning.hard_limit": None}), "tuning.hard_limit: unlimited at the next start"),
    ],
)
def test_words(pending, text):
    assert str(pending) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("requested", 2 * GIB, "2 GiB"),
        ("maximum.size", 2 * GIB, "2 GiB"),
        ("tuning.soft_limit", MIB, "1 MiB"),
        ("balloon.target", 0, "0"),
        ("vcpus", 4096, "4096"),
        ("placement.nodeset", "0-1", "0-1"),
        ("discard", True, "true"),
        ("size", False, "false"),
        ("access", None, "none"),
        ("tuning.hard_limit", None, "unlimited"),
        ("numa", [], "none"),
        ("numa", [{"id": 0, "memory": GIB}, {"id": 1, "memory": MIB}], "node 0 with 1 GiB; node 1 with 1 MiB"),
        ("backing.hugepages", [{"size": GIB, "nodeset": None}], "pages of 1 GiB"),
        ("backing.hugepages", [{"size": None, "nodeset": None}], "pages of the default size"),
    ],
)
def test_values(name, value, text):
    assert shown(name, value) == text


ALL = {
    *(
        "boot",
        "numa",
        "maximum.size",
        "maximum.slots",
        "backing.locked",
        "backing.allocation.mode",
        "tuning.hard_limit",
    ),
    *("placement.mode", "balloon.model", "balloon.target"),
}


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (DomainSpec(), []),
        (DomainSpec(memory=GIB, devices=(), target=GIB), []),
        (DomainSpec(boot=GIB), ["boot", "numa"]),
        (DomainSpec(numa=()), ["boot", "numa"]),
        (DomainSpec(maximum=GIB), ["maximum.size"]),
        (DomainSpec(slots=0), ["maximum.slots"]),
        (
            DomainSpec(backing={"locked": True, "allocation_mode": "ondemand"}),
            ["backing.allocation.mode", "backing.locked"],
        ),
        (DomainSpec(tuning={"hard_limit": None}), ["tuning.hard_limit"]),
        (DomainSpec(placement={"mode": "strict"}), ["placement.mode"]),
        (DomainSpec(balloon={"model": "none"}), ["balloon.model"]),
        (DomainSpec(balloon={"stats_period": 1}), []),
    ],
)
def test_options_that_a_task_states(spec, names):
    assert stated_options(spec, ALL) == names


# ------------------------------------------------------------------------------------------------------- what is pending

LIMIT = Tuning(hard_limit=GIB)
BARE = {"cells": 0, "maximum": None}
OPTIONS = {
    # name: task, live, config, names of what waits
    "nothing differs": (DomainSpec(boot=2 * GIB, slots=16), {}, {}, []),
    "boot": (DomainSpec(boot=3 * GIB), {}, {"boot": 3 * GIB}, ["boot", "numa"]),
    "boot that the start rounds up": (DomainSpec(boot=2 * GIB), {}, {"boot": 2 * GIB - 1024}, []),
    "what the task does not speak of": (DomainSpec(slots=16), {}, {"boot": 3 * GIB}, []),
    "a limit": (DomainSpec(tuning={"hard_limit": GIB}), {}, {"tuning": LIMIT}, ["tuning.hard_limit"]),
    "another limit": (DomainSpec(tuning={"soft_limit": GIB}), {}, {"tuning": LIMIT}, []),
    "preparation by devices": (DomainSpec(devices=()), BARE, {}, ["maximum.size", "numa"]),
    "preparation by memory": (DomainSpec(memory=GIB), BARE, {}, ["maximum.size", "numa"]),
    "preparation by maximum": (DomainSpec(maximum=64 * GIB), BARE, {}, ["maximum.size", "numa"]),
    "no preparation": (DomainSpec(tuning={}), BARE, {}, []),
    "prepared already": (DomainSpec(devices=()), {"cells": 2}, {"cells": 1}, []),
    "a maximum that goes": (DomainSpec(slots=2), {"slots": 2}, {"maximum": None, "slots": 2}, []),
    "an option of a group that the guest has not": (
        DomainSpec(slots=2),
        {"maximum": None},
        {"slots": 2},
        ["maximum.slots"],
    ),
    "one device is about no options": (replace(one(), slots=2), {}, {"slots": 2}, []),
    "backing": (DomainSpec(backing={"locked": True}), {}, {"backing": Backing(locked=True)}, ["backing.locked"]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    spec, live, config, names = OPTIONS[name]
    found = pending_changes(definition(**live), definition(**config), spec, [], {})
    assert [waits.name for waits in found] == names
    assert [list(waits.options) for waits in found] == [[name] for name in names]


def test_an_option_is_told_with_its_value_then():
    (found,) = pending_changes(definition(), definition(tuning=LIMIT), DomainSpec(tuning={"hard_limit": GIB}), [], {})
    assert found == Pending("tuning.hard_limit", {"tuning.hard_limit": GIB})


NEW = device(size=GIB, alias="ua-new")
STATED = match(device_spec(alias="ua-a"), LIVE, CONFIG)
SILENT = match(None, LIVE, CONFIG)
LARGER = replace(CONFIG, size=16 * GIB)
ADDRESS = replace(CONFIG, guest_address=0x200000000)
DEVICES = {
    # name: task, live, config, matches, what waits
    "the same": (DomainSpec(devices=()), [LIVE], [CONFIG], [STATED], []),
    "a new one": (DomainSpec(devices=()), [], [NEW], [], [Pending("ua-new")]),
    "a new one, but the task has no devices": (DomainSpec(boot=2 * GIB), [], [NEW], [], []),
    "one that was stored before": (DomainSpec(devices=()), [], [CONFIG], [match(None, None, CONFIG)], []),
    "one that was stored before, and is listed": (
        DomainSpec(devices=()),
        [],
        [CONFIG],
        [match(device_spec(), None, CONFIG)],
        [Pending("ua-a")],
    ),
    "one that was stored before, with memory": (DomainSpec(memory=GIB), [], [CONFIG], [], [Pending("ua-a")]),
    "one that goes": (DomainSpec(devices=()), [LIVE], [], [match(device_spec(), LIVE)], [Pending("ua-a", leaves=True)]),
    "one that is purged": (DomainSpec(devices=(), purge=True), [LIVE], [], [SILENT], [Pending("ua-a", leaves=True)]),
    "one that only the guest has": (DomainSpec(devices=()), [LIVE], [], [SILENT], []),
    "another size": (DomainSpec(devices=()), [LIVE], [LARGER], [STATED], [Pending("ua-a", {"size": 16 * GIB})]),
    "another size of one that is not listed": (DomainSpec(devices=()), [LIVE], [LARGER], [SILENT], []),
    "another size, with memory": (
        DomainSpec(memory=GIB),
        [LIVE],
        [LARGER],
        [SILENT],
        [Pending("ua-a", {"size": 16 * GIB})],
    ),
    "another size of a new live device": (
        DomainSpec(devices=()),
        [replace(LIVE, index=-1)],
        [LARGER],
        [SILENT],
        [Pending("ua-a", {"size": 16 * GIB})],
    ),
    "an address that libvirt chose": (DomainSpec(devices=()), [LIVE], [ADDRESS], [STATED], []),
    "an address that is stated": (
        DomainSpec(devices=(device_spec(alias="ua-a", guest_address=0x200000000),)),
        [LIVE],
        [ADDRESS],
        [STATED],
        [Pending("ua-a", {"guest_address": 0x200000000})],
    ),
    "what one device of a list does not state": (
        DomainSpec(devices=(device_spec(alias="ua-a", requested=0),)),
        [LIVE],
        [LARGER],
        [STATED],
        [Pending("ua-a", {"size": 16 * GIB})],
    ),
    "one device, what it states": (
        one(size=16 * GIB),
        [LIVE],
        [replace(LARGER, requested=0)],
        [STATED],
        [Pending("ua-a", {"size": 16 * GIB})],
    ),
    "one device, what it does not state": (one(requested=0), [LIVE], [LARGER], [STATED], []),
    "without an alias": (
        DomainSpec(devices=()),
        [],
        [replace(NEW, alias=None, pci_address="0000:09:00.0")],
        [],
        [Pending("0000:09:00.0")],
    ),
    "without an alias and an address": (
        DomainSpec(devices=()),
        [],
        [device("dimm", GIB)],
        [],
        [Pending("a dimm device of 1 GiB")],
    ),
    "models do not mix": (
        DomainSpec(devices=(), purge=True),
        [LIVE],
        [device("dimm", 8 * GIB, alias="ua-a")],
        [],
        [Pending("ua-a"), Pending("ua-a", leaves=True)],
    ),
}


@pytest.mark.parametrize("name", DEVICES)
def test_devices(name):
    spec, live, config, matches, expected = DEVICES[name]
    assert pending_changes(definition(*live), definition(*config), spec, matches, {}) == expected


def test_devices_that_can_not_leave_yet_say_why():
    spec = DomainSpec(devices=(), purge=True)
    kept = {"ua-a": "QEMU can't"}
    live = definition(LIVE, replace(SECOND, current=0))
    found = pending_changes(live, definition(), spec, [], kept)
    assert found == [Pending("ua-b", leaves=True), Pending("ua-a", leaves=True, why="QEMU can't")]


def test_what_is_kept_is_told_whatever_the_task_is_about():
    found = pending_changes(definition(), definition(), DomainSpec(), [], {"ua-a": None})
    assert found == [Pending("ua-a", leaves=True)]


def test_options_come_before_devices():
    spec = DomainSpec(numa=(CellSpec(0, {}),), devices=())
    found = pending_changes(definition(), definition(NEW, boot=3 * GIB), spec, [], {})
    assert [waits.name for waits in found] == ["boot", "numa", "ua-new"]
