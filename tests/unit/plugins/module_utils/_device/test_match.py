# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which device is which: in two definitions, in a task, and what a new one is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.match import (
    added,
    match_devices,
    match_one,
    merged,
    pair_all,
    pair_lists,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.rules import new_device
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Platform
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    LIVE,
    MIB,
    NEW,
    SECOND,
    definition,
    device,
    device_spec,
    match,
    observed,
    refused,
)

# ------------------------------------------------------------------------------------------------------------- pairing


def bare(found, **changes):
    return replace(found, alias=None, **changes)


PAIRS = {
    "alias": ([LIVE], [CONFIG], [("ua-a", "ua-a")]),
    "alias, though all else differs": (
        [LIVE],
        [replace(CONFIG, size=GIB, node=1, pci_address=None)],
        [("ua-a", "ua-a")],
    ),
    "two aliases crosswise": (
        [LIVE, replace(LIVE, alias="ua-b")],
        [replace(CONFIG, alias="ua-b"), CONFIG],
        [("ua-a", "ua-a"), ("ua-b", "ua-b")],
    ),
    "adopted by address": (
        [replace(LIVE, alias="virtiomem0", pci_address="0000:04:00.0", size=16 * GIB)],
        [bare(CONFIG)],
        [("virtiomem0", None)],
    ),
    "address before geometry": (
        [
            replace(LIVE, alias="virtiomem0", pci_address="0000:05:00.0"),
            replace(LIVE, alias="virtiomem1", size=GIB, pci_address="0000:04:00.0"),
        ],
        [bare(CONFIG), bare(CONFIG, size=GIB, pci_address=None)],
        [("virtiomem1", None), ("virtiomem0", None)],
    ),
    "no address is not the same address": (
        [bare(LIVE, pci_address=None, size=GIB), bare(LIVE, pci_address=None, size=2 * GIB)],
        [bare(CONFIG, pci_address=None, size=2 * GIB), bare(CONFIG, pci_address=None, size=GIB)],
        [(None, None), (None, None)],
    ),
    "adopted by geometry": ([replace(LIVE, alias="virtiomem0")], [bare(CONFIG)], [("virtiomem0", None)]),
    "adopted as the only one left": (
        [replace(LIVE, alias="virtiomem0")],
        [bare(CONFIG, size=GIB)],
        [("virtiomem0", None)],
    ),
    "one of two named": (
        [replace(LIVE, alias="virtiomem0"), replace(LIVE, alias="ua-b")],
        [replace(CONFIG, alias="ua-b"), bare(CONFIG)],
        [("ua-b", "ua-b"), ("virtiomem0", None)],
    ),
    "a user alias on one side only": ([LIVE], [bare(CONFIG)], [("ua-a", None)]),
    "a user alias on the other side only": ([bare(LIVE)], [CONFIG], [(None, "ua-a")]),
    "another user alias is another device": (
        [replace(LIVE, alias="ua-x")],
        [CONFIG],
        [("ua-x", "-"), ("-", "ua-a")],
    ),
    "another node is another device": (
        [replace(LIVE, alias="virtiomem0")],
        [bare(CONFIG, node=1)],
        [("virtiomem0", "-"), ("-", None)],
    ),
    "two that nothing tells apart stay apart": (
        [replace(LIVE, alias="virtiomem0", size=GIB), replace(LIVE, alias="virtiomem1", size=2 * GIB)],
        [bare(CONFIG, size=4 * GIB, pci_address=None)],
        [("virtiomem0", "-"), ("virtiomem1", "-"), ("-", None)],
    ),
    "one that two others could be stays alone": (
        [replace(LIVE, alias="virtiomem0", size=GIB)],
        [bare(CONFIG, size=2 * GIB, pci_address=None), bare(CONFIG, size=4 * GIB, pci_address=None)],
        [("virtiomem0", "-"), ("-", None), ("-", None)],
    ),
    "twins pair in order": (
        [replace(LIVE, alias="virtiomem0"), replace(LIVE, alias="virtiomem1")],
        [bare(CONFIG, pci_address=None), bare(CONFIG, pci_address=None, index=1)],
        [("virtiomem0", None), ("virtiomem1", None)],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    live, config, expected = PAIRS[name]
    found = pair_lists(list(live), list(config))
    assert [tuple("-" if side is None else side.alias for side in pair) for pair in found] == expected
    for left, right in found:
        assert left is None or left in live
        assert right is None or right in config


def test_twins_pair_in_order():
    """Also where nothing at all tells them apart."""
    twins = [device(size=GIB, index=number) for number in range(3)]
    found = pair_lists(list(twins), list(twins))
    assert [(left.index, right.index) for left, right in found] == [(0, 0), (1, 1), (2, 2)]


def test_by_geometry_the_places_fit():
    """Equal sizes pair, whatever their order in the two documents."""
    small, large = device(size=GIB, index=0), device(size=2 * GIB, index=1)
    found = pair_lists([small, large], [replace(large, index=0), replace(small, index=1)])
    assert [(left.size, right.size) for left, right in found] == [(GIB, GIB), (2 * GIB, 2 * GIB)]


def test_models_do_not_mix_and_the_stored_order_counts():
    dimm, pmem = device("dimm", alias="ua-d"), device("virtio-pmem", alias="ua-p")
    found = pair_all(observed(definition(LIVE, dimm), definition(dimm, pmem, CONFIG)))
    assert found == [(dimm, dimm), (None, pmem), (LIVE, CONFIG)]


@pytest.mark.parametrize(
    ("live", "config", "pairs"),
    [
        (None, definition(CONFIG), [(None, CONFIG)]),
        (definition(LIVE), None, [(LIVE, None)]),
        (
            definition(replace(LIVE, model="dimm")),
            definition(CONFIG),
            [(None, CONFIG), (replace(LIVE, model="dimm"), None)],
        ),
        (None, None, []),
    ],
    ids=["off", "transient", "a DIMM is none", "nothing"],
)
def test_one_definition_alone(live, config, pairs):
    assert pair_all(observed(live, config)) == pairs


# ----------------------------------------------------------------------------------------------------------- looking up


def memory(alias=None, pci=None, index=-1):
    return device(size=GIB, alias=alias, pci_address=pci, index=index)


LOOKUPS = {
    "by alias": (memory("ua-a"), [memory("ua-b"), memory("ua-a")], 1),
    "alias before address": (memory("ua-a", "1"), [memory("ua-b", "1"), memory("ua-a", "2")], 1),
    "two aliases are two devices": (memory("ua-a", "1"), [memory("ua-b", "1")], None),
    "by address": (memory("ua-a", "1"), [memory(None, "2"), memory(None, "1")], 1),
    "by address, no alias": (memory(None, "1"), [memory("ua-b", "1")], 0),
    "another address": (memory(None, "1"), [memory(None, "2")], None),
    "by place": (memory(None, None, 1), [memory(None, "2"), memory(None, "1")], 1),
    "by the first place": (memory(None, None, 0), [memory(None, "2"), memory(None, "1")], 0),
    "no such place": (memory(None, None, 2), [memory(None, "2"), memory(None, "1")], None),
    "no place": (memory(), [memory(None, "2")], None),
    "an alias that is gone": (memory("ua-a", None, 0), [memory("ua-b")], None),
    "an address that is gone": (memory(None, "1", 0), [memory(None, "2")], None),
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_find_device(name):
    wanted, others, place = LOOKUPS[name]
    assert definition(*others).find(wanted) is (None if place is None else others[place])


# ------------------------------------------------------------------------------------------------- what a task is about

DIMM = device("dimm", alias="ua-d", index=2)
THIRD = replace(SECOND, alias=None, pci_address=None, size=16 * GIB, index=3)
MATCHES = {
    "by alias": ([device_spec(alias="ua-b")], {"ua-b": 0}),
    "by alias, whatever else is said": ([device_spec(alias="ua-b", node=0, size=GIB)], {"ua-b": 0}),
    "by node": ([device_spec(node=1)], {"ua-b": 0}),
    "the first of its model": ([device_spec()], {"ua-a": 0}),
    "in the order of both lists": ([device_spec(), device_spec(requested=GIB)], {"ua-a": 0, "ua-b": 1}),
    "an alias before the order": ([device_spec(), device_spec(alias="ua-a")], {"ua-a": 1, "ua-b": 0}),
    "the size before the order": ([device_spec(node=1, size=16 * GIB)], {"virtio-mem 3": 0}),
    "the size before the order, for the other spec": (
        [device_spec(node=1), device_spec(node=1, size=8 * GIB)],
        {"ua-b": 0, "virtio-mem 3": 1},
    ),
    "a size that no device has": ([device_spec(node=1, size=GIB)], {"ua-b": 0}),
    "of another model": ([device_spec("dimm")], {"ua-d": 0}),
}


@pytest.mark.parametrize("name", MATCHES)
def test_which_devices_a_task_lists(name):
    specs, expected = MATCHES[name]
    found = match_devices(specs, observed(None, definition(CONFIG, SECOND, DIMM, THIRD, cells=2)))
    assert {one.name: specs.index(one.spec) for one in found if one.spec} == expected
    assert [one.name for one in found] == ["ua-a", "ua-b", "virtio-mem 3", "ua-d"]


NEW_ONES = {
    "an alias that is not there": (device_spec(alias="ua-x"), "ua-x", "ua-x"),
    "another node": (device_spec(node=7), "ua-virtiomem7", "ua-virtiomem7"),
    "another path": (device_spec("nvdimm", path="/y"), "ua-nvdimm0", "ua-nvdimm0"),
    "no alias is kept": (device_spec("sgx-epc", node=1), None, "devices[0]"),
    "the node counts for virtio-mem alone": (device_spec("dimm", node=3, size=GIB), "ua-dimm0", "ua-dimm0"),
}


@pytest.mark.parametrize("name", NEW_ONES)
def test_devices_that_are_not_there(name):
    spec, alias, called = NEW_ONES[name]
    nvdimm = device("nvdimm", alias="ua-n", path="/x")
    (found,) = [one for one in match_devices([spec], observed(None, definition(CONFIG, nvdimm))) if one.spec]
    assert (found.alias, found.name, found.is_new) == (alias, called, True)


def test_new_aliases_are_not_those_that_are_taken():
    there = match(live=replace(LIVE, alias="ua-virtiomem1"), config=replace(CONFIG, alias="ua-virtiomem0"))
    found = added([there], [device_spec(size=GIB), device_spec(node=1, size=GIB), device_spec(size=GIB)])
    assert [one.name for one in found[1:]] == ["ua-virtiomem2", "ua-virtiomem3", "ua-virtiomem4"]
    assert found[0] is there


def test_a_model_can_not_change():
    with refused("unsupported", "devices[0]: ua-d is a dimm"):
        match_devices([device_spec(alias="ua-d")], observed(None, definition(DIMM)))


@pytest.mark.parametrize(
    ("live", "config", "name"),
    [
        (LIVE, CONFIG, "ua-a"),
        (bare(LIVE), CONFIG, "0000:01:00.0"),
        (bare(LIVE, pci_address=None), CONFIG, "ua-a"),
        (None, bare(CONFIG), "0000:04:00.0"),
        (None, bare(CONFIG, pci_address=None, index=4), "virtio-mem 4"),
    ],
)
def test_what_a_device_is_called(live, config, name):
    found = match_devices([], observed(live and definition(live), config and definition(config)))
    assert [one.name for one in found] == [name]


ONE = {
    "the only one": (device_spec(), [CONFIG], "ua-a"),
    "a DIMM is none": (device_spec(), [DIMM, CONFIG], "ua-a"),
    "by alias": (device_spec(alias="ua-b"), [CONFIG, SECOND], "ua-b"),
    "by node": (device_spec(node=1), [CONFIG, SECOND], "ua-b"),
    "alias before node": (device_spec(alias="ua-b", node=0), [CONFIG, SECOND], "ua-b"),
    "a new one": (device_spec(size=GIB), [DIMM], "ua-virtiomem0"),
    "a new one by its alias": (device_spec(alias="ua-x", size=GIB), [CONFIG], "ua-x"),
    "a new one on a node": (device_spec(node=3), [CONFIG], "ua-virtiomem3"),
    "absent already": (device_spec(alias="ua-x", absent=True), [CONFIG], None),
    "absent, and never was": (device_spec(absent=True), [], None),
}


@pytest.mark.parametrize("name", ONE)
def test_the_one_device_of_a_task(name):
    spec, devices, expected = ONE[name]
    found = match_one(spec, observed(None, definition(*devices, cells=2)))
    assert [one.name for one in found if one.spec] == ([expected] if expected else [])
    assert [one.config for one in found if not one.is_new] == devices


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (device_spec(), "web1 has 2 virtio-mem devices: ua-a (8 GiB on node 0), 0000:05:00.0 (8 GiB on node 0)."),
        (device_spec(node=0), "web1 has 2 virtio-mem devices on node 0: ua-a"),
    ],
)
def test_more_than_one_device(spec, words):
    second = bare(SECOND, node=0)
    with refused("device_ambiguous", words) as caught:
        match_one(spec, observed(None, definition(CONFIG, second)))
    assert caught[0].details["devices"][1] == {"alias": None, "node": 0, "size": 8 * GIB}


def test_a_device_that_only_one_definition_calls_so_is_meant():
    found = match_one(
        device_spec(alias="virtiomem0"), observed(definition(replace(LIVE, alias="virtiomem0")), definition(CONFIG))
    )
    assert [(one.live.alias, one.config.alias) for one in found if one.spec] == [("virtiomem0", "ua-a")]


@pytest.mark.parametrize(
    ("spec", "purge", "leaves"),
    [
        (None, True, True),
        (None, False, False),
        (device_spec(), True, False),
        (device_spec(absent=True), False, True),
    ],
)
def test_which_devices_leave(spec, purge, leaves):
    assert match(spec, LIVE, CONFIG).leaves(purge) is leaves


def test_the_two_sides_of_a_match():
    found = match(live=LIVE, config=DIMM)
    assert (found.device("live"), found.device("config")) == (LIVE, DIMM)
    assert (found.twin("live"), found.twin("config")) == (DIMM, LIVE)
    both = ("live", "config")
    assert [found.has(model, both) for model in ("virtio-mem", "dimm", "nvdimm")] == [True, True, False]
    assert (found.has("dimm", ["live"]), found.has("dimm", ["config"])) == (False, True)
    assert not match(live=LIVE).is_new
    assert not match(config=CONFIG).is_new
    assert match().is_new
    assert not match(live=LIVE).has("dimm", both)


@pytest.mark.parametrize(("spec", "size"), [(None, 8 * GIB), (device_spec(size=GIB), GIB)])
def test_merged(spec, size):
    assert merged(match(spec), CONFIG) == replace(CONFIG, size=size)


# ---------------------------------------------------------------------------------------------------------- a new device

TWIN = replace(
    LIVE,
    alias="ua-t",
    page_size=GIB,
    block=GIB,
    access="shared",
    slot=3,
    guest_address=0x100000000,
    index=5,
    current=GIB,
)


def test_a_new_device_is_what_the_task_says_then_its_twin_then_defaults():
    made = new_device(match(device_spec(requested=GIB), live=TWIN), definition(), "config", HOST)
    assert made == replace(TWIN, requested=GIB, current=None, guest_address=None, pci_address=None, slot=None, index=-1)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (device_spec(alias="ua-x", size=GIB), {"alias": "ua-x", "node": 0, "block": 2 * MIB, "access": None}),
        (device_spec(size=GIB), {"alias": "ua-virtiomem0", "node": 0, "block": 2 * MIB}),
        (device_spec(size=GIB, block=4 * MIB), {"block": 4 * MIB}),
        (device_spec(size=GIB, page_size=GIB), {"block": GIB}),
        (device_spec(size=GIB, slot=2, pci_address="x"), {"slot": 2, "pci_address": "x"}),
        (device_spec("dimm", size=GIB), {"alias": "ua-dimm0", "node": 0, "block": 0}),
        (device_spec("sgx-epc", size=GIB), {"alias": None, "node": 0}),
        (device_spec("virtio-pmem", size=GIB), {"alias": "ua-virtiopmem0", "node": None, "access": "shared"}),
        (device_spec("virtio-pmem", size=GIB, access="private"), {"access": "private"}),
    ],
)
def test_a_new_device_without_a_twin(spec, expected):
    made = new_device(match(spec), definition(), "config", HOST)
    assert {name: getattr(made, name) for name in expected} == expected
    assert (made.size, made.current, made.index) == (GIB, None, -1)


def test_a_block_of_nothing_that_is_stated_is_no_default():
    assert new_device(match(device_spec(size=GIB, block=0)), definition(), "config", HOST).block == 0


def test_the_twins_block_is_kept_though_the_host_has_another():
    made = new_device(match(device_spec(), live=LIVE), definition(), "config", Platform(NEW, 32 * MIB))
    assert made.block == LIVE.block


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (device_spec(), ["devices[0]: web1 has no virtio-mem device, only ua-a, (no alias), and"]),
        (device_spec(alias="ua-x"), ["device called ua-x, only ua-a"]),
        (device_spec(node=3), ["device on node 3, only ua-a"]),
        (device_spec(place="", alias="ua-x", node=3), ["web1 has no virtio-mem device called ua-x, only"]),
        (device_spec("nvdimm", path="/x"), ["has no nvdimm device, and a new one"]),
    ],
)
def test_a_device_that_can_not_be_made(spec, words):
    others = definition(CONFIG, bare(SECOND), DIMM, cells=2)
    with refused("device_not_found", *words) as caught:
        new_device(match(spec), others, "config", HOST)
    assert caught[0].message.startswith("devices[0]: ") == bool(spec.place)


def test_an_alias_that_another_device_has():
    with refused("device_ambiguous", "devices[0]: alias: another memory device of web1 is called ua-a") as caught:
        new_device(match(device_spec("dimm", alias="ua-a", size=GIB)), definition(CONFIG), "config", HOST)
    assert caught[0].details == {"alias": "ua-a"}


def test_a_new_alias_is_not_that_of_another_device():
    there = definition(replace(CONFIG, alias="ua-virtiomem0"))
    made = new_device(match(device_spec(), live=bare(LIVE)), there, "config", HOST)
    assert made.alias == "ua-virtiomem1"


def test_a_twins_own_alias_is_not_taken_over_if_libvirt_gave_it():
    made = new_device(
        match(device_spec(alias="virtiomem0"), live=replace(LIVE, alias="virtiomem0")), definition(), "config", HOST
    )
    assert made.alias == "ua-virtiomem0"


def test_an_alias_that_libvirt_would_drop():
    with refused("unsupported", "devices[0]: alias"):
        new_device(match(device_spec(alias="x", size=GIB)), definition(), "config", HOST)
