# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted and what is there, to the steps between: for one device, and for all memory of a domain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.pending import Pending
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.plan import plan_domain
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import CellSpec, DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.steps import Change
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Platform, Versions
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    HOST,
    LIVE,
    MIB,
    NEW,
    OLD,
    SECOND,
    definition,
    device,
    device_spec,
    given,
    one,
    refused,
)


def domain(*devices, **changes):
    """web1 as libvirt itself leaves it after its own attach: `<currentMemory>` counts the devices."""
    changes.setdefault("current", changes.get("cells", 1) * 2 * GIB + sum(found.size for found in devices))
    return definition(*devices, **changes)


def plan(spec, live=None, config=None, scopes=None, versions=NEW, **more):
    return plan_domain(given(spec, live, config, scopes, Platform(versions, 2 * MIB), **more))


def steps(made):
    return [_step(step) for step in made.steps]


def _step(step):
    if isinstance(step, Change):
        return (step.action, step.scope)
    return (step.action, step.scope, step.size if step.action == "set_current_memory" else step.device.requested)


BOTH = {"live": domain(LIVE), "config": domain(CONFIG)}
NONE = {"live": domain(), "config": domain()}
ATTACHED = [
    ("attach", "live", GIB),
    ("attach", "config", GIB),
    ("wait", "live", GIB),
]

ONE_DEVICE = {
    # name: task, definitions, scopes, steps
    "nothing to do": (one(requested=2 * GIB), BOTH, None, []),
    "nothing stated": (one(), BOTH, None, []),
    "grow": (
        one(requested=4 * GIB),
        BOTH,
        None,
        [("resize", "live", 4 * GIB), ("resize", "config", 4 * GIB), ("wait", "live", 4 * GIB)],
    ),
    "shrink to 0": (
        one(requested=0),
        BOTH,
        None,
        [("resize", "live", 0), ("resize", "config", 0), ("wait", "live", 0)],
    ),
    "grow live": (one(requested=4 * GIB), BOTH, ["live"], [("resize", "live", 4 * GIB), ("wait", "live", 4 * GIB)]),
    "grow config": (one(requested=4 * GIB), BOTH, ["config"], [("resize", "config", 4 * GIB)]),
    "only the config lags": (
        one(requested=2 * GIB),
        {"live": domain(LIVE), "config": domain(replace(CONFIG, requested=0))},
        None,
        [("resize", "config", 2 * GIB)],
    ),
    "only the guest lags": (
        one(requested=2 * GIB),
        {"live": domain(replace(LIVE, current=GIB)), "config": domain(CONFIG)},
        None,
        [("wait", "live", 2 * GIB)],
    ),
    "a guest above the request lags, too": (
        one(),
        {"live": domain(replace(LIVE, current=3 * GIB)), "config": domain(CONFIG)},
        None,
        [("wait", "live", 2 * GIB)],
    ),
    "attach": (one(size=8 * GIB, requested=GIB), NONE, None, ATTACHED),
    "attach, balloon below boot memory": (
        one(size=8 * GIB, requested=GIB),
        {"live": domain(), "config": domain(current=GIB)},
        None,
        [*ATTACHED[:2], ("set_current_memory", "config", GIB), ATTACHED[2]],
    ),
    "attach, and libvirt's own addition is taken back": (
        one(size=8 * GIB, requested=GIB),
        {"live": domain(), "config": domain(current=2 * GIB)},
        None,
        [*ATTACHED[:2], ("set_current_memory", "config", 2 * GIB), ATTACHED[2]],
    ),
    "attach without a request": (
        one(size=8 * GIB),
        {"live": domain(), "config": domain()},
        None,
        [("attach", "live", 0), ("attach", "config", 0)],
    ),
    "live only, wanted in both": (
        one(requested=2 * GIB),
        {"live": domain(LIVE), "config": domain()},
        None,
        [("attach", "config", 2 * GIB)],
    ),
    "config only, wanted in both": (
        one(),
        {"live": domain(), "config": domain(CONFIG)},
        None,
        [("attach", "live", 2 * GIB), ("wait", "live", 2 * GIB)],
    ),
    "redefine": (one(size=16 * GIB, requested=3 * GIB), BOTH, ["config"], [("define", "config")]),
    "redefine what the running guest keeps, and grow it": (
        one(size=16 * GIB, requested=3 * GIB),
        BOTH,
        None,
        [("resize", "live", 3 * GIB), ("define", "config"), ("wait", "live", 3 * GIB)],
    ),
    "redefine, and the running guest can't take as much now": (
        one(size=16 * GIB, requested=10 * GIB),
        BOTH,
        None,
        [("define", "config")],
    ),
    "a stopped domain": (one(requested=GIB), {"config": domain(CONFIG)}, None, [("resize", "config", GIB)]),
    "a transient domain": (
        one(requested=GIB),
        {"live": domain(LIVE)},
        None,
        [("resize", "live", GIB), ("wait", "live", GIB)],
    ),
    "absent": (
        one(absent=True),
        BOTH,
        None,
        [("resize", "live", 0), ("wait", "live", 0), ("detach", "live", 0), ("detach", "config", 2 * GIB)],
    ),
    "absent, balloon below boot memory": (
        one(absent=True),
        {"config": domain(CONFIG, current=GIB)},
        None,
        [("detach", "config", 2 * GIB), ("set_current_memory", "config", GIB)],
    ),
    "absent, asked to shrink before": (
        one(absent=True),
        {"live": domain(replace(LIVE, requested=0)), "config": domain(CONFIG)},
        ["live"],
        [("wait", "live", 0), ("detach", "live", 0)],
    ),
    "absent and empty": (
        one(absent=True),
        {"live": domain(replace(LIVE, requested=0, current=0)), "config": domain()},
        None,
        [("detach", "live", 0)],
    ),
    "absent already": (one(absent=True), NONE, None, []),
    "absent from the config": (one(absent=True), BOTH, ["config"], [("detach", "config", 2 * GIB)]),
}


@pytest.mark.parametrize("name", ONE_DEVICE)
def test_steps_of_one_device(name):
    spec, definitions, scopes, expected = ONE_DEVICE[name]
    made = plan(spec, **definitions, scopes=scopes)
    cosmetic = ("set_current_memory", "config", 2 * GIB)
    assert [step for step in steps(made) if step != cosmetic or step in expected] == expected
    writes = [step.scope for step in made.writes]
    assert writes == sorted(writes, reverse=True)
    assert all(step.action != "wait" for step in made.writes)


def test_current_memory_above_boot_memory_is_left_alone():
    """Such a value says "no balloon", and libvirt's interface takes none above boot memory."""
    for spec in (one(absent=True), one(alias="ua-c", size=GIB)):
        made = plan(spec, config=domain(CONFIG, current=2 * GIB + MIB))
        assert "set_current_memory" not in [step.action for step in made.steps]
    made = plan(one(requested=0), config=domain(CONFIG, current=GIB))
    assert [step.action for step in made.steps] == ["resize"]


# ------------------------------------------------------------------------------------------------ which device, or none


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (one(alias="ua-a"), "ua-a"),
        (one(alias="ua-b"), "ua-b"),
        (one(node=1), "ua-b"),
        (one(alias="ua-b", node=0), "ua-b"),
        (one(alias="ua-x", absent=True), None),
        (one(node=2, absent=True), None),
    ],
)
def test_the_device_that_is_meant(spec, name):
    found = plan(spec, config=domain(CONFIG, SECOND, cells=2)).match
    assert (found and found.name) == name
    if found:
        assert found.config.alias == name


@pytest.mark.parametrize("absent", [True, False])
@pytest.mark.parametrize(
    ("stated", "second", "hint"),
    [({}, SECOND, "alias or node"), ({"node": 0}, replace(SECOND, node=0, alias=None), "give them one")],
)
def test_ambiguous(stated, second, hint, absent):
    with refused("device_ambiguous", "ua-a (8 GiB on node 0)", second.alias or second.pci_address) as caught:
        plan(one(absent=absent, **stated), config=domain(CONFIG, second))
    assert hint in caught[0].hint
    assert [found["node"] for found in caught[0].details["devices"]] == [0, second.node]


# ------------------------------------------------------------------------------------------------------------ attaching


def test_new_device_has_what_is_stated_and_defaults():
    made = plan(
        one(size=8 * GIB, page_size=GIB, access="shared", pci_address="0000:02:00.0", guest_address=0x140000000),
        **NONE,
    )
    live, config = (step.device for step in made.steps if step.action == "attach")
    assert live == config
    assert (live.alias, live.node, live.block, live.requested) == ("ua-virtiomem0", 0, GIB, 0)
    assert (live.page_size, live.access, live.pci_address, live.guest_address) == (
        GIB,
        "shared",
        "0000:02:00.0",
        0x140000000,
    )
    assert [found.current for found in made.after["live"].devices] == [0]


def test_new_device_of_another_node_is_called_after_it():
    made = plan(one(size=GIB, node=1), config=domain(CONFIG, cells=2))
    assert made.steps[0].device.alias == "ua-virtiomem1"


def test_twin_lends_all_but_addresses():
    made = plan(one(), live=domain(LIVE), config=domain())
    (attach,) = (step for step in made.steps if step.action == "attach")
    assert attach.device == replace(CONFIG, pci_address=None, index=-1)


@pytest.mark.parametrize("alias", [None, "virtiomem0"], ids=["not named", "called by libvirt's alias"])
def test_twin_without_a_user_alias_gets_one_in_the_config(alias):
    made = plan(one(alias=alias), live=domain(replace(LIVE, alias="virtiomem0")), config=domain())
    assert made.steps[0].device.alias == "ua-virtiomem0"


@pytest.mark.parametrize(
    ("arch", "thp", "page_size", "block"),
    [
        ("x86_64", None, None, 2 * MIB),
        ("i686", None, None, 2 * MIB),
        ("x86_64", 2 * MIB, None, 2 * MIB),
        ("x86_64", None, GIB, GIB),
        ("aarch64", 512 * MIB, None, 512 * MIB),
        ("aarch64", 32 * MIB, 2 * MIB, 32 * MIB),
        ("aarch64", None, None, None),
        ("s390x", MIB, None, MIB),
        ("s390x", 512, None, MIB),
    ],
)
def test_default_block(arch, thp, page_size, block):
    what = given(
        one(size=GIB) if page_size is None else one(size=GIB, page_size=page_size),
        config=domain(arch=arch),
        platform=Platform(Versions((12, 8, 0), (11, 1, 3)), thp),
    )
    if block is None:
        with refused("block_invalid", arch) as caught:
            plan_domain(what)
        assert caught[0].hint
    else:
        assert plan_domain(what).steps[0].device.block == block


REFUSED = {
    "no size": (one(requested=GIB), NONE, "device_not_found"),
    "no such alias": (one(alias="ua-x"), BOTH, "device_not_found"),
    "no such node and no size": (one(node=1, requested=0), BOTH, "device_not_found"),
    "alias that is dropped": (one(alias="x", size=GIB), NONE, "unsupported"),
    "no max memory": (one(size=GIB), {"config": domain(maximum=None)}, "not_hotpluggable"),
    "blocked": (one(size=GIB), {"config": domain(lasting_blockers=("no",))}, "not_hotpluggable"),
    "no port": (one(size=GIB), {"live": domain(free_pcie_ports=0)}, "not_hotpluggable"),
    "no room live": (one(size=8 * GIB), {"live": domain(maximum=9 * GIB)}, "exceeds_max_memory"),
    "no room in the config": (
        one(size=8 * GIB),
        {"live": domain(), "config": domain(maximum=9 * GIB)},
        "exceeds_max_memory",
    ),
    "no room to redefine": (one(size=16 * GIB), {"config": domain(CONFIG, maximum=17 * GIB)}, "exceeds_max_memory"),
    "node unknown": (one(size=GIB, node=1), NONE, "node_not_found"),
    "redefined node unknown": (one(alias="ua-a", node=1), {"config": domain(CONFIG)}, "node_not_found"),
    "redefined address taken": (
        one(alias="ua-a", pci_address="0000:05:00.0"),
        {"config": domain(CONFIG, replace(SECOND, node=0))},
        "unsupported",
    ),
    "new address taken": (one(alias="ua-c", size=GIB, pci_address="0000:04:00.0"), BOTH, "unsupported"),
    "block": (one(size=GIB, block=3 * MIB), NONE, "block_invalid"),
    "block of nothing": (one(size=GIB, block=0), NONE, "block_invalid"),
    "redefined block": (one(block=MIB), {"config": domain(CONFIG)}, "block_invalid"),
    "size": (one(size=GIB + MIB), NONE, "not_multiple_of_block"),
    "requested": (one(requested=MIB), BOTH, "not_multiple_of_block"),
    "too much": (one(requested=9 * GIB), BOTH, "exceeds_device_size"),
    "redefined below the request": (one(size=GIB), {"config": domain(CONFIG)}, "exceeds_device_size"),
    "address": (one(size=GIB, guest_address=MIB), NONE, "not_multiple_of_block"),
    "page of nothing": (one(size=6 * GIB, page_size=0), NONE, "unsupported"),
    "page below 4 KiB": (one(size=6 * GIB, page_size=2048), NONE, "unsupported"),
    "page of no power of two": (one(size=6 * GIB, page_size=3 * MIB), NONE, "unsupported"),
    "arch": (one(size=GIB), {"config": domain(arch="ppc64le")}, "unsupported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    spec, definitions, code = REFUSED[name]
    with refused(code) as caught:
        plan(spec, **definitions)
    if name.startswith("page"):
        assert "page_size" in caught[0].message


def test_no_room_in_the_running_guest_is_left_to_the_next_start():
    """`scope: auto` stores what a running guest can't have, and says so."""
    made = plan(one(size=8 * GIB, requested=GIB), live=domain(maximum=9 * GIB), config=domain())
    assert steps(made) == [("attach", "config", GIB), ("set_current_memory", "config", 2 * GIB)]
    assert made.pending == (Pending("ua-virtiomem0"),)


def test_device_not_found_lists_what_there_is():
    with refused("device_not_found", "called ua-x", "ua-a"):
        plan(one(alias="ua-x"), **BOTH)


@pytest.mark.parametrize(("current", "detaches"), [(2 * GIB, False), (0, True)])
def test_absent_without_waiting(current, detaches):
    """Nothing can be unplugged before the guest has given it back."""
    made = plan(one(absent=True), live=domain(replace(LIVE, current=current)), config=domain(CONFIG), wait=False)
    assert (("detach", "live", 0) in steps(made)) is detaches
    assert ("detach", "config", 2 * GIB) in steps(made)
    assert (made.after["live"].devices == ()) is detaches
    assert made.pending == (() if detaches else (Pending("ua-a", leaves=True),))


def test_slots_of_old_libvirt():
    full = domain(CONFIG, slots=1)
    with refused("exceeds_max_memory"):
        plan(one(alias="ua-b", size=GIB), config=full, versions=OLD)
    assert plan(one(alias="ua-b", size=GIB), config=full, versions=NEW).steps


@pytest.mark.parametrize("option", ["guest_address", "dynamic_memslots"])
def test_features_of_newer_versions(option):
    spec = one(size=GIB, **{option: 0x140000000 if option == "guest_address" else True})
    with refused("unsupported"):
        plan(spec, config=domain(), versions=OLD)
    assert plan(spec, config=domain(), versions=NEW).steps


def test_a_device_that_leaves_needs_no_feature():
    """Also on an architecture that has no virtio-mem at all there is nothing to refuse."""
    assert steps(plan(one(absent=True), config=domain(arch="ppc64le"))) == []


# ------------------------------------------------------------------------------------------------------------- immutable

FIXED = [
    ("size", one(size=16 * GIB), "size from 8 GiB to 16 GiB"),
    ("block", one(block=4 * MIB), "block from 2 MiB to 4 MiB"),
    ("node", one(alias="ua-a", node=1), "node from 0 to 1"),
    ("page_size", one(page_size=2 * MIB), "page_size from none to 2 MiB"),
    ("node_mask", one(node_mask="0"), "node_mask from none to 0"),
    ("access", one(access="shared"), "access from none to shared"),
    ("discard", one(discard=True), "discard from none to true"),
    ("dynamic_memslots", one(dynamic_memslots=False), "dynamic_memslots from none to false"),
    ("guest_address", one(guest_address=0x200000000), "guest_address from 0x100000000 to 0x200000000"),
    ("pci_address", one(pci_address="0000:07:00.0"), "pci_address from 0000:01:00.0 to 0000:07:00.0"),
    ("size and requested", one(size=16 * GIB, requested=0), "size from 8 GiB to 16 GiB"),
]


@pytest.mark.parametrize(("what", "spec", "words"), FIXED, ids=[row[0] for row in FIXED])
def test_a_running_device_can_not_change(what, spec, words):
    """scope=live refuses, scope=config stores, scope=auto stores and says what the next start brings."""
    live, config = domain(LIVE, cells=2), domain(CONFIG, cells=2)
    with refused("immutable", words) as caught:
        plan(spec, live=live, config=config, scopes=["live"], live_only=True)
    error = caught[0]
    assert "requested from" not in error.message
    assert "scope=config" in error.hint
    assert "requested" not in error.details
    stored = plan(spec, live=live, config=config, scopes=["config"])
    assert steps(stored) == [("define", "config")]
    option = what.partition(" ")[0]
    value = spec.devices[0].stated[option]
    assert getattr(stored.after["config"].devices[0], option) == value
    made = plan(spec, live=live, config=config)
    assert ("define", "config") in steps(made)
    assert made.after["config"] == stored.after["config"]
    assert getattr(made.after["live"].devices[0], option) == getattr(LIVE, option)
    assert made.pending == (Pending("ua-a", {option: value}),)


def test_with_a_restart_the_stored_definition_counts_at_once():
    made = plan(one(size=16 * GIB, requested=3 * GIB), **BOTH, restart=True)
    assert steps(made) == [("define", "config"), ("shutdown", "live"), ("start", "live"), ("wait", "live", 3 * GIB)]
    assert (made.pending, made.restarts) == ((), True)
    assert made.postponed == (Pending("ua-a", {"size": 16 * GIB}),)
    assert [found.size for found in made.after["live"].devices] == [16 * GIB]
    assert [found.current for found in made.after["live"].devices] == [3 * GIB]
    assert made.awaited == {"ua-a": made.after["config"].devices[0]}
    waited = made.steps[-1]
    assert (waited.name, waited.before.current) == ("ua-a", 0)


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (CONFIG, "ua-a"),
        (replace(CONFIG, alias=None), "0000:04:00.0"),
        (replace(CONFIG, alias=None, pci_address=None), "0"),
    ],
)
def test_what_a_device_is_called_after_a_restart(found, name):
    made = plan(one(size=16 * GIB), live=domain(LIVE), config=domain(found), restart=True)
    assert list(made.awaited) == [name]
    assert [step.name for step in made.steps if step.action == "wait"] == [name]


@pytest.mark.parametrize(
    ("spec", "definitions", "scopes"),
    [
        (one(requested=3 * GIB), BOTH, None),
        (one(size=16 * GIB), {"config": domain(CONFIG)}, None),
        (one(requested=3 * GIB), BOTH, ["config"]),
    ],
    ids=["nothing waits", "the domain is off", "the task is not about the running guest"],
)
def test_no_restart_where_none_is_needed_or_possible(spec, definitions, scopes):
    made = plan(spec, **definitions, scopes=scopes, restart=True)
    assert made.restarts is False
    assert "shutdown" not in [step.action for step in made.steps]


# -------------------------------------------------------------------------------------------------- pending and the like


@pytest.mark.parametrize(
    ("spec", "definitions", "scopes", "pending"),
    [
        (one(requested=4 * GIB), BOTH, None, []),
        (one(requested=4 * GIB), BOTH, ["live"], []),
        (one(requested=4 * GIB), BOTH, ["config"], ["ua-a: requested=4 GiB at the next start"]),
        (
            one(size=16 * GIB, access="shared"),
            BOTH,
            ["config"],
            ["ua-a: size=16 GiB, access=shared at the next start"],
        ),
        (one(size=GIB), NONE, ["config"], ["ua-virtiomem0: is added at the next start"]),
        (one(absent=True), BOTH, ["config"], ["ua-a: leaves the guest when it is next powered off"]),
        (one(absent=True), BOTH, None, []),
        (one(absent=True), NONE, None, []),
        (one(size=GIB), {"config": domain()}, None, []),
    ],
)
def test_pending(spec, definitions, scopes, pending):
    assert list(map(str, plan(spec, **definitions, scopes=scopes).pending)) == pending


def test_live_size_is_rounded_up_and_that_is_no_drift():
    odd = replace(CONFIG, size=8 * GIB - 1024)
    made = plan(one(requested=2 * GIB), live=domain(LIVE), config=domain(odd))
    assert (made.steps, made.pending) == ((), ())


@pytest.mark.parametrize(
    ("versions", "machine", "stays"),
    [(OLD, "pc-q35-9.2", True), (NEW, "pc-q35-8.0", True), (NEW, "pc-q35-8.1", False)],
)
def test_absent_that_cannot_be_unplugged(versions, machine, stays):
    made = plan(one(absent=True), live=domain(LIVE, machine=machine), config=domain(CONFIG), versions=versions)
    assert (("detach", "live", 0) in steps(made)) is not stays
    assert ("detach", "config", 2 * GIB) in steps(made)
    assert len(made.pending) == stays
    for waits in made.pending:
        assert (waits.name, waits.leaves) == ("ua-a", True)
        assert waits.why
        assert str(waits) == f"ua-a: {waits.why}; leaves the guest when it is next powered off"
    assert made.awaited["ua-a"].requested == 0
    assert made.after["config"].devices == ()
    assert [(left.requested, left.current) for left in made.after["live"].devices] == ([(0, 0)] if stays else [])


def test_absent_that_cannot_be_unplugged_is_refused_where_only_the_running_guest_counts():
    machine = domain(LIVE, machine="pc-q35-8.0")
    with refused("unplug_unsupported", "ua-a", "pc-q35-8.0"):
        plan(one(absent=True), live=machine, config=domain(CONFIG), scopes=["live"], live_only=True)
    made = plan(one(absent=True), live=machine)
    assert [waits.leaves for waits in made.pending] == [True], "a transient domain, with scope=auto"


def test_before_and_after():
    made = plan(one(requested=4 * GIB), **BOTH)
    assert made.before == BOTH
    assert [found.devices for found in made.after.values()] == [
        (replace(LIVE, requested=4 * GIB, current=4 * GIB),),
        (replace(CONFIG, requested=4 * GIB),),
    ]
    assert list(made.after) == ["live", "config"]
    assert made.scopes == ("live", "config")
    assert [found.requested for found in made.awaited.values()] == [4 * GIB]


# ------------------------------------------------------------------------------------------------------- a whole domain

DIMM = device("dimm", GIB, alias="ua-dimm0", index=1)
PLAIN = {"live": definition(LIVE), "config": definition(CONFIG)}


def task(**parts):
    return DomainSpec(**parts)


DOMAIN = {
    "memory is there": (task(memory=4 * GIB), PLAIN, None, []),
    "memory grows": (
        task(memory=5 * GIB),
        PLAIN,
        None,
        [("resize", "live", 3 * GIB), ("resize", "config", 3 * GIB), ("wait", "live", 3 * GIB)],
    ),
    "memory of a stopped domain": (
        task(memory=5 * GIB),
        {"config": definition(CONFIG)},
        None,
        [("resize", "config", 3 * GIB)],
    ),
    "memory of a running guest that has no device yet": (
        task(memory=3 * GIB),
        {"live": definition(), "config": definition()},
        None,
        [*ATTACHED[:2], ("set_current_memory", "config", 2 * GIB), ATTACHED[2]],
    ),
    "a device goes, the stored definition keeps it until the guest has let go": (
        task(devices=(), purge=True),
        {"live": definition(LIVE), "config": definition(CONFIG, current=GIB)},
        None,
        [
            ("resize", "live", 0),
            ("wait", "live", 0),
            ("detach", "live", 0),
            ("detach", "config", 2 * GIB),
            ("set_current_memory", "config", GIB),
        ],
    ),
    "devices that are not listed stay": (task(devices=()), PLAIN, None, []),
    "a limit goes live and is stored": (
        task(tuning={"hard_limit": 9 * GIB}),
        PLAIN,
        None,
        [("set_limits", "live"), ("define", "config")],
    ),
    "a limit of a transient domain": (
        task(tuning={"hard_limit": 9 * GIB}),
        {"live": definition(LIVE)},
        None,
        [("set_limits", "live")],
    ),
    "boot memory is only stored": (task(boot=3 * GIB), PLAIN, None, [("define", "config")]),
    "a balloon that is there": (task(target=GIB), {"live": definition(current=GIB)}, None, []),
    "a balloon that is not": (
        task(target=GIB + MIB),
        {"live": definition(current=GIB)},
        None,
        [("set_balloon", "live"), ("wait_balloon", "live")],
    ),
    "all waits come last": (
        task(target=GIB + MIB, memory=5 * GIB),
        PLAIN,
        None,
        [
            ("resize", "live", 3 * GIB),
            ("set_balloon", "live"),
            ("define", "config"),
            ("wait", "live", 3 * GIB),
            ("wait_balloon", "live"),
        ],
    ),
}


@pytest.mark.parametrize("name", DOMAIN)
def test_steps_of_a_domain(name):
    spec, definitions, scopes, expected = DOMAIN[name]
    made = plan(spec, **definitions, scopes=scopes, actual=GIB)
    assert steps(made) == expected
    assert made.match is None


@pytest.mark.parametrize("wait", [True, False])
def test_a_device_that_is_kept_leaves_the_stored_definition_last(wait):
    """Not waited for: it stays in the guest, and nothing is detached there."""
    made = plan(task(devices=(), purge=True), **PLAIN, wait=wait)
    assert steps(made)[-1] == ("detach", "config", 2 * GIB)
    assert (("detach", "live", 0) in steps(made)) is wait


@pytest.mark.parametrize(
    ("spec", "definitions", "pending"),
    [
        (task(boot=3 * GIB), PLAIN, ["boot", "numa"]),
        (task(memory=5 * GIB), PLAIN, []),
        (task(devices=(device_spec("dimm", size=GIB),)), {"config": definition()}, []),
        (task(devices=(device_spec("dimm", size=GIB),)), {"live": definition(), "config": definition()}, []),
        (
            task(devices=(device_spec("dimm", size=GIB),)),
            {"live": definition(maximum=None), "config": definition()},
            ["maximum.size", "ua-dimm0"],
        ),
    ],
    ids=["boot", "memory", "a stopped domain", "a DIMM that fits", "a DIMM that does not"],
)
def test_what_of_a_domain_waits_for_a_restart(spec, definitions, pending):
    assert [waits.name for waits in plan(spec, **definitions).pending] == pending


REFUSED_DOMAIN = {
    "an option that the model has not": (
        task(devices=(device_spec("dimm", size=GIB, path="/x"),)),
        {"config": definition()},
        "unsupported",
    ),
    "a limit in session mode": (
        task(tuning={"hard_limit": GIB}),
        {"config": definition()},
        "unsupported",
    ),
    "two sums that differ": (
        task(boot=GIB, numa=(CellSpec(0, {"memory": 2 * GIB}),)),
        {"config": definition()},
        "unsupported",
    ),
    "a feature that is missing": (
        task(devices=(device_spec(size=GIB, iommu=True),)),
        {"config": definition()},
        "unsupported",
    ),
    "live only, what a running guest can't change": (
        task(boot=3 * GIB),
        {"live": definition(LIVE)},
        "immutable",
    ),
}


@pytest.mark.parametrize("name", REFUSED_DOMAIN)
def test_refused_of_a_domain(name):
    spec, definitions, code = REFUSED_DOMAIN[name]
    with refused(code):
        plan_domain(given(spec, **definitions, platform=replace(HOST, session=True)))


def test_a_device_of_a_virtio_mem_task_is_not_judged_as_one_of_a_list():
    """It has no place, so that no error names one."""
    with refused("unsupported") as caught:
        plan(one(size=GIB, guest_address=0x140000000), config=definition(), versions=OLD)
    assert caught[0].message.startswith("guest_address")


# --------------------------------------------------------------------------------------------------------------- warning


@pytest.mark.parametrize(
    ("target", "definitions", "warns"),
    [
        (GIB, PLAIN, True),
        (2 * GIB - 1, PLAIN, True),
        (2 * GIB, PLAIN, False),
        (None, PLAIN, False),
        (GIB, {"live": definition(), "config": definition()}, False),
        (GIB, {"live": definition(DIMM), "config": definition(DIMM)}, False),
        (GIB, {"config": definition(CONFIG)}, True),
        (GIB, {"live": definition(LIVE)}, True),
        # the running guest counts, if there is one
        (GIB, {"live": definition(), "config": definition(CONFIG)}, False),
        (GIB, {"live": definition(LIVE), "config": definition()}, True),
    ],
)
def test_a_balloon_beside_virtio_mem_is_warned_of(target, definitions, warns):
    made = plan(task(target=target), **definitions, actual=2 * GIB)
    assert len(made.warnings) == warns
    assert all("balloon" in text for text in made.warnings)
