# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stored definition: what it should become, and by which calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.config import config_steps, plan_config
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.merge import merge_structure
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.steps import Change, Step
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import NumaCell, Tuning
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    LIVE,
    MIB,
    OLD_HOST,
    SECOND,
    definition,
    device,
    device_spec,
    given,
    match,
    one,
    refused,
)


def planned(spec, before, matches=(), live=None, platform=HOST):
    what = given(spec, live, before, ["config"], platform)
    structure = before if spec.one_device else merge_structure(before, spec, platform)
    return plan_config(what, structure, list(matches))


# ---------------------------------------------------------------------------------------------------- what it should be

STAYS = match(None, None, CONFIG)


def test_nothing_to_change_is_the_very_definition():
    before = definition(CONFIG)
    assert planned(DomainSpec(), before, [STAYS]) is before
    odd = replace(before, cells=(replace(before.cells[0], memory=2 * GIB - 1),), total=before.total - 1)
    assert planned(DomainSpec(), odd, [STAYS]) is odd, "read back it would be rounded up, but nothing is written"


@pytest.mark.parametrize(
    ("spec", "matches", "sizes"),
    [
        (DomainSpec(), [STAYS], [8 * GIB]),
        (DomainSpec(purge=True, devices=()), [STAYS], []),
        (one(absent=True), [match(device_spec(absent=True), None, CONFIG)], []),
        (one(absent=True), [match(device_spec(absent=True), LIVE, None)], []),
        (DomainSpec(), [match(None, LIVE, None)], []),
        (DomainSpec(devices=()), [match(device_spec(size=GIB), None, CONFIG)], [GIB]),
        (DomainSpec(devices=()), [match(device_spec("dimm", size=GIB), name="ua-d"), STAYS], [8 * GIB, GIB]),
    ],
    ids=["stays", "purged", "absent", "only live, and absent", "only live", "changed", "a new one comes last"],
)
def test_devices(spec, matches, sizes):
    before = definition(*[one.config for one in matches if one.config])
    stated = [one for one in matches if one.spec and "size" in one.spec.stated and one.config]
    before = replace(before, devices=tuple(replace(d, requested=0) for d in before.devices)) if stated else before
    matches = [replace(one, config=one.config and before.devices[0]) for one in matches]
    found = planned(spec, before, matches)
    assert [device.size for device in found.devices] == sizes
    assert found.total == 2 * GIB + sum(sizes)


@pytest.mark.parametrize(
    ("spec", "before", "platform", "maximum", "slots", "cells"),
    [
        (DomainSpec(devices=()), {}, HOST, 4 * GIB, 0, ["0"]),
        (DomainSpec(devices=()), {"cells": 0}, HOST, 4 * GIB, 0, ["0"]),
        (DomainSpec(devices=()), {}, OLD_HOST, 4 * GIB, 16, ["0"]),
        (DomainSpec(devices=(), slots=2, maximum=9 * GIB), {}, HOST, 9 * GIB, 2, ["0"]),
        (DomainSpec(devices=(), maximum=9 * GIB), {}, HOST, 9 * GIB, 0, ["0"]),
        (DomainSpec(devices=()), {"maximum": 5 * GIB, "slots": 3}, HOST, 5 * GIB, 3, ["0"]),
        (DomainSpec(devices=()), {"arch": "s390x", "cells": 0}, HOST, 4 * GIB, 0, []),
    ],
    ids=["maximum", "a cell", "slots of 9.0", "its own slots", "its own maximum", "prepared", "no cell on s390x"],
)
def test_a_new_device_finds_a_domain_that_is_prepared(spec, before, platform, maximum, slots, cells):
    before = definition(**{"maximum": None, "slots": 0, **before})
    stated = {"size": 2 * GIB} if before.arch == "x86_64" else {"size": 2 * GIB, "block": 2 * MIB}
    model = "virtio-mem" if before.arch == "x86_64" else "virtio-pmem"
    stated = stated if model == "virtio-mem" else {"size": 2 * GIB, "path": "/x"}
    found = planned(spec, before, [match(device_spec(model, **stated), name="ua-new")], platform=platform)
    assert (found.maximum, found.slots) == (maximum, slots)
    assert [cell.cpus for cell in found.cells] == cells


def test_a_dimm_gets_slots():
    before = definition(maximum=None, slots=0)
    found = planned(DomainSpec(devices=()), before, [match(device_spec("dimm", size=2 * GIB), name="ua-new")])
    assert (found.maximum, found.slots) == (4 * GIB, 16)
    nvdimm = match(device_spec("nvdimm", size=2 * GIB, path="/x"), name="ua-new")
    assert planned(DomainSpec(devices=()), before, [nvdimm]).slots == 16


def test_a_maximum_alone_prepares_too():
    found = planned(DomainSpec(maximum=9 * GIB), definition(maximum=None, slots=0, cells=0))
    assert (found.maximum, found.cells) == (9 * GIB, (NumaCell(0, 2 * GIB, "0"),))


NODELESS = replace(CONFIG, node=None)


@pytest.mark.parametrize(
    ("spec", "matches"),
    [
        (DomainSpec(tuning={"hard_limit": GIB}), []),
        (DomainSpec(tuning={"hard_limit": GIB}), [match(None, LIVE, None)]),
        (DomainSpec(devices=()), [match(device_spec(requested=0), None, NODELESS)]),
    ],
    ids=["no device", "a device of the running guest alone", "a device that is there"],
)
def test_other_tasks_do_not_prepare(spec, matches):
    before = definition(*[one.config for one in matches if one.config], maximum=None, slots=0, cells=0)
    found = planned(spec, before, matches)
    assert found is not before
    assert (found.maximum, found.slots, found.cells) == (None, 0, ())


@pytest.mark.parametrize(
    ("before", "code"),
    [
        (definition(maximum=None), "not_hotpluggable"),
        (definition(maximum=9 * GIB), "exceeds_max_memory"),
        (definition(lasting_blockers=("no",)), "not_hotpluggable"),
    ],
)
def test_one_device_does_not_prepare(before, code):
    with refused(code):
        planned(one(size=8 * GIB), before, [match(device_spec(size=8 * GIB), name="ua-new")])


def test_one_device_that_grows_needs_room():
    grows = match(device_spec(size=16 * GIB), None, CONFIG)
    with refused("exceeds_max_memory", "room for 7 GiB"):
        planned(one(size=16 * GIB), definition(CONFIG, maximum=17 * GIB), [grows])
    assert planned(one(size=16 * GIB), definition(CONFIG, maximum=18 * GIB), [grows]).total == 18 * GIB


def test_a_device_of_a_list_that_grows_is_judged_with_all_others():
    grows, goes = match(device_spec(size=16 * GIB), None, CONFIG), match(None, None, SECOND, "ua-b")
    before = definition(CONFIG, SECOND, cells=2, maximum=20 * GIB)
    spec = DomainSpec(devices=(), purge=True)
    assert planned(spec, before, [grows, goes]).total == 20 * GIB
    with refused("exceeds_max_memory", "would have 28 GiB"):
        planned(replace(spec, purge=False), before, [grows, goes])


def test_devices_are_judged_only_if_they_change():
    """What was there before is no reason to fail."""
    odd = replace(CONFIG, block=3 * MIB)
    assert planned(DomainSpec(boot=3 * GIB), definition(odd), [match(None, None, odd)]).boot == 3 * GIB
    with refused("block_invalid", "devices[0]: block"):
        planned(DomainSpec(devices=()), definition(odd), [match(device_spec(requested=0), None, odd)])


def test_an_error_about_a_device_that_memory_moves_names_the_device():
    odd = replace(CONFIG, access="shared", requested=0, size=8 * GIB + MIB)
    with refused("not_multiple_of_block", "ua-a: size"):
        planned(DomainSpec(memory=3 * GIB), definition(odd), [match(None, None, odd)])


@pytest.mark.parametrize(
    ("taken", "refuses"),
    [("0000:09:00.0", True), ("0000:08:00.0", False)],
)
def test_a_new_address_is_free(taken, refuses):
    moves = match(device_spec(pci_address="0000:09:00.0"), None, CONFIG)
    before = replace(definition(CONFIG), pci_addresses=frozenset({"0000:04:00.0", taken}))
    if refuses:
        with refused("unsupported", "devices[0]: pci_address: 0000:09:00.0 is taken"):
            planned(DomainSpec(devices=()), before, [moves])
    else:
        assert planned(DomainSpec(devices=()), before, [moves]).devices[0].pci_address == "0000:09:00.0"


@pytest.mark.parametrize(
    ("spec", "live", "requested"),
    [
        (DomainSpec(memory=4 * GIB), [3 * GIB, GIB], [GIB, GIB]),
        (DomainSpec(memory=5 * GIB), [3 * GIB, 0], [3 * GIB, 0]),
        (DomainSpec(memory=5 * GIB), [30 * GIB, 0], [3 * GIB, 0]),
        (DomainSpec(devices=()), [3 * GIB, 0], [2 * GIB, 2 * GIB]),
    ],
    ids=["evenly", "as the guest has it", "never more than the size", "only for memory"],
)
def test_memory_is_spread_as_the_running_guest_has_it(spec, live, requested):
    second = replace(SECOND, node=0)
    pairs = [(LIVE, CONFIG), (replace(LIVE, alias="ua-b"), second)]
    matches = [
        match(None, replace(left, requested=size), right, right.alias) for (left, right), size in zip(pairs, live)
    ]
    found = planned(spec, definition(CONFIG, second), matches)
    if spec.memory == 4 * GIB:
        assert sum(device.requested for device in found.devices) == 2 * GIB
    else:
        assert [device.requested for device in found.devices] == requested


def test_what_a_device_is_asked_for_is_not_taken_from_the_running_guest():
    asked = match(device_spec(requested=GIB), replace(LIVE, requested=3 * GIB), CONFIG)
    found = planned(DomainSpec(memory=3 * GIB), definition(CONFIG), [asked])
    assert [device.requested for device in found.devices] == [GIB]


def test_a_balloon_target_is_stored():
    assert planned(DomainSpec(target=GIB), definition(CONFIG), [STAYS]).current_memory == GIB


# --------------------------------------------------------------------------------------------------------------- by steps


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"tuning": Tuning(hard_limit=GIB)}, False),
        ({"devices": ()}, False),
        ({"free_pcie_ports": 9}, True),
        ({"current_memory": 9 * GIB}, True),
        ({"current_memory": GIB}, False),
    ],
)
def test_says_the_same(change, same):
    assert definition(CONFIG).says_the_same(replace(definition(CONFIG), **change)) is same


BEFORE = definition(CONFIG, replace(SECOND, node=0))
NEW = device(size=GIB, alias="ua-new")
GROWN = replace(CONFIG, requested=3 * GIB)


def with_devices(*devices, before=BEFORE, **changes):
    return replace(before, devices=devices, total=before.boot + sum(one.size for one in devices), **changes)


FIRST, LAST = BEFORE.devices
MATCHES = [match(None, None, FIRST, "a"), match(None, None, LAST, "b")]
STEPS = {
    "nothing": (BEFORE, []),
    "a resize": (with_devices(GROWN, LAST), [Step("resize", "config", GROWN, FIRST, name="a")]),
    "one goes": (
        with_devices(FIRST),
        [
            Step("detach", "config", LAST, LAST, name="b"),
            Step("set_current_memory", "config", LAST, None, 2 * GIB, "b"),
        ],
    ),
    "both go, from the back": (
        with_devices(),
        [Step("detach", "config", LAST, LAST, name="b"), Step("detach", "config", FIRST, FIRST, name="a")],
    ),
    "one comes": (
        with_devices(*BEFORE.devices, NEW),
        [
            Step("attach", "config", NEW, name="ua-new"),
            Step("set_current_memory", "config", NEW, None, 2 * GIB, "ua-new"),
        ],
    ),
    "libvirt's own addition is kept where it is so": (
        with_devices(*BEFORE.devices, NEW, current_memory=3 * GIB),
        [Step("attach", "config", NEW, name="ua-new")],
    ),
    "one goes, one is resized, one comes": (
        with_devices(GROWN, NEW),
        [
            Step("detach", "config", LAST, LAST, name="b"),
            Step("resize", "config", GROWN, FIRST, name="a"),
            Step("attach", "config", NEW, name="ua-new"),
            Step("set_current_memory", "config", NEW, None, 2 * GIB, "ua-new"),
        ],
    ),
    "one without an alias": (
        with_devices(*BEFORE.devices, replace(NEW, alias=None), current_memory=3 * GIB),
        [Step("attach", "config", replace(NEW, alias=None), name="")],
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps(name):
    after, expected = STEPS[name]
    assert config_steps(BEFORE, after, MATCHES) == expected


def test_current_memory_is_asked_for_only_as_far_as_libvirt_takes_it():
    before = with_devices(CONFIG, current_memory=9 * GIB)
    after = with_devices(CONFIG, NEW, current_memory=9 * GIB)
    assert config_steps(before, after, [])[-1] == Step("set_current_memory", "config", NEW, None, 2 * GIB, "ua-new")


LARGER = replace(CONFIG, size=16 * GIB)
FULL = replace(BEFORE, slots=2)
NO_SLOTS = replace(BEFORE, slots=0)
DEFINES = {
    "an option": (BEFORE, replace(BEFORE, tuning=Tuning(hard_limit=GIB)), True),
    "a device in more than its request": (BEFORE, with_devices(LARGER, LAST), True),
    "a DIMM": (BEFORE, with_devices(FIRST, LAST, device("dimm", GIB, alias="ua-d")), True),
    "an NVDIMM": (BEFORE, with_devices(FIRST, LAST, device("nvdimm", GIB, alias="ua-d")), True),
    "an EPC section": (BEFORE, with_devices(FIRST, LAST, device("sgx-epc", GIB)), True),
    "persistent memory": (BEFORE, with_devices(FIRST, LAST, device("virtio-pmem", GIB, alias="ua-p")), False),
    "as many devices as slots": (FULL, with_devices(FIRST, LAST, NEW, before=FULL), True),
    "as many devices as slots, and none comes": (FULL, with_devices(GROWN, LAST, before=FULL), False),
    "as many devices as slots, one": (
        definition(CONFIG, slots=1),
        with_devices(CONFIG, NEW, before=definition(CONFIG, slots=1)),
        True,
    ),
    "a maximum": (replace(BEFORE, maximum=None), BEFORE, True),
    "a maximum no more": (BEFORE, replace(BEFORE, maximum=None), True),
    "no slots at all": (NO_SLOTS, with_devices(FIRST, LAST, NEW, before=NO_SLOTS), False),
    "a slot is left": (
        replace(BEFORE, slots=3),
        with_devices(FIRST, LAST, NEW, before=replace(BEFORE, slots=3)),
        False,
    ),
    "a balloon": (BEFORE, replace(BEFORE, current_memory=GIB), True),
    "a balloon no more": (replace(BEFORE, current_memory=GIB), BEFORE, True),
    "boot memory and with it the balloon's size": (
        BEFORE,
        replace(BEFORE, total=BEFORE.total + GIB, current_memory=3 * GIB),
        True,
    ),
    "a DIMM that goes, and with it the balloon's size": (
        definition(CONFIG, device("dimm", GIB, index=1), current=3 * GIB),
        definition(CONFIG, current=2 * GIB),
        False,
    ),
}


@pytest.mark.parametrize("name", DEFINES)
def test_what_needs_a_definition_of_the_whole(name):
    before, after, whole = DEFINES[name]
    found = config_steps(before, after, [])
    assert ([step.action for step in found] == ["define"]) is whole
    if whole:
        assert (found[0].definition, found[0].expected) == (after, before)


def test_a_definition_says_what_it_changes():
    new = device("dimm", GIB)
    after = replace(with_devices(LARGER, new), tuning=Tuning(hard_limit=GIB))
    (found,) = config_steps(BEFORE, after, MATCHES)
    assert isinstance(found, Change)
    assert found.before == {
        "tuning.hard_limit": None,
        "devices": {
            "ua-a": {"size": 8 * GIB},
            "ua-b": {
                "node": 0,
                "size": 8 * GIB,
                "block": 2 * MIB,
                "requested": 2 * GIB,
                "pci_address": "0000:05:00.0",
            },
        },
    }
    assert found.after == {
        "tuning.hard_limit": GIB,
        "devices": {"ua-a": {"size": 16 * GIB}, "dimm 1": {"node": 0, "size": GIB}},
    }


def test_a_definition_without_other_devices_does_not_speak_of_them():
    (found,) = config_steps(BEFORE, replace(BEFORE, tuning=Tuning(hard_limit=GIB)), MATCHES)
    assert (found.before, found.after) == ({"tuning.hard_limit": None}, {"tuning.hard_limit": GIB})
