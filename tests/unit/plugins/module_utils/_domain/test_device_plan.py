# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted and what is there, to the steps between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.match import pair_devices
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.device_plan import Desired, plan_device, select
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Definition,
    DomainState,
    MemoryDevice,
    NumaCell,
    Observed,
    Versions,
)

MIB, GIB = 1024**2, 1024**3
OLD = Versions((9, 0, 0), (7, 2, 22))
NEW = Versions((11, 3, 0), (10, 0, 13))

CONFIG = MemoryDevice(
    "virtio-mem",
    8 * GIB,
    block=2 * MIB,
    requested=2 * GIB,
    node=0,
    alias="ua-a",
    pci_address="0000:04:00.0",
    index=0,
)
LIVE = replace(CONFIG, current=2 * GIB, guest_address=0x100000000, pci_address="0000:01:00.0")
SECOND = replace(CONFIG, alias="ua-b", node=1, pci_address="0000:05:00.0", index=1)


def definition(*devices, cells=1, current=None, **changes):
    total = cells * 2 * GIB + sum(device.size for device in devices)
    return replace(
        Definition(
            "web1",
            "",
            "x86_64",
            "pc-q35-9.2",
            total=total,
            current_memory=current or total,
            maximum=64 * GIB,
            slots=16,
            cells=tuple(NumaCell(number, 2 * GIB) for number in range(cells)),
            devices=devices,
            free_pcie_ports=4,
            pci_addresses=frozenset(device.pci_address for device in devices if device.pci_address),
        ),
        **changes,
    )


def observed(live=None, config=None):
    state = DomainState("web1", "", "running" if live else "shutoff", live is not None, config is not None)
    found = {"live": live, "config": config}
    return Observed(state, {scope: there for scope, there in found.items() if there})


def plan(desired, live=None, config=None, scopes=None, versions=NEW, thp=2 * MIB):
    scopes = scopes or [scope for scope, there in (("live", live), ("config", config)) if there]
    return plan_device(desired, observed(live, config), scopes, versions, thp)


def steps(made):
    return [
        (step.action, step.scope, step.size if step.action == "set_current_memory" else step.device.requested)
        for step in made.steps
    ]


BOTH = {"live": definition(LIVE), "config": definition(CONFIG)}
NONE = {"live": definition(), "config": definition()}
ATTACHED = [
    ("attach", "live", GIB),
    ("attach", "config", GIB),
    ("wait", "live", GIB),
]

TABLE = {
    # name: desired, definitions, scopes, steps
    "nothing to do": (Desired(requested=2 * GIB), BOTH, None, []),
    "nothing stated": (Desired(), BOTH, None, []),
    "grow": (
        Desired(requested=4 * GIB),
        BOTH,
        None,
        [("resize", "live", 4 * GIB), ("resize", "config", 4 * GIB), ("wait", "live", 4 * GIB)],
    ),
    "shrink to 0": (
        Desired(requested=0),
        BOTH,
        None,
        [("resize", "live", 0), ("resize", "config", 0), ("wait", "live", 0)],
    ),
    "grow live": (
        Desired(requested=4 * GIB),
        BOTH,
        ["live"],
        [("resize", "live", 4 * GIB), ("wait", "live", 4 * GIB)],
    ),
    "grow config": (Desired(requested=4 * GIB), BOTH, ["config"], [("resize", "config", 4 * GIB)]),
    "only the config lags": (
        Desired(requested=2 * GIB),
        {"live": definition(LIVE), "config": definition(replace(CONFIG, requested=0))},
        None,
        [("resize", "config", 2 * GIB)],
    ),
    "only the guest lags": (
        Desired(requested=2 * GIB),
        {"live": definition(replace(LIVE, current=GIB)), "config": definition(CONFIG)},
        None,
        [("wait", "live", 2 * GIB)],
    ),
    "a guest above the request lags, too": (
        Desired(),
        {"live": definition(replace(LIVE, current=3 * GIB)), "config": definition(CONFIG)},
        None,
        [("wait", "live", 2 * GIB)],
    ),
    "attach": (
        Desired(size=8 * GIB, requested=GIB),
        NONE,
        None,
        ATTACHED,
    ),
    "attach, balloon below boot memory": (
        Desired(size=8 * GIB, requested=GIB),
        {"live": definition(), "config": definition(current=GIB)},
        None,
        [*ATTACHED[:2], ("set_current_memory", "config", GIB), ATTACHED[2]],
    ),
    "attach without a request": (
        Desired(size=8 * GIB),
        NONE,
        None,
        [("attach", "live", 0), ("attach", "config", 0)],
    ),
    "live only, wanted in both": (
        Desired(requested=2 * GIB),
        {"live": definition(LIVE), "config": definition()},
        None,
        [("attach", "config", 2 * GIB)],
    ),
    "config only, wanted in both": (
        Desired(),
        {"live": definition(), "config": definition(CONFIG)},
        None,
        [("attach", "live", 2 * GIB), ("wait", "live", 2 * GIB)],
    ),
    "redefine": (
        Desired(size=16 * GIB, requested=3 * GIB),
        BOTH,
        ["config"],
        [("redefine", "config", 3 * GIB)],
    ),
    "a stopped domain": (
        Desired(requested=GIB),
        {"config": definition(CONFIG)},
        None,
        [("resize", "config", GIB)],
    ),
    "a transient domain": (
        Desired(requested=GIB),
        {"live": definition(LIVE)},
        None,
        [("resize", "live", GIB), ("wait", "live", GIB)],
    ),
    "absent": (
        Desired(present=False),
        BOTH,
        None,
        [
            ("resize", "live", 0),
            ("wait", "live", 0),
            ("detach", "live", 0),
            ("detach", "config", 2 * GIB),
        ],
    ),
    "absent, balloon below boot memory": (
        Desired(present=False),
        {"config": definition(CONFIG, current=GIB)},
        None,
        [("detach", "config", 2 * GIB), ("set_current_memory", "config", GIB)],
    ),
    "absent, asked to shrink before": (
        Desired(present=False),
        {"live": definition(replace(LIVE, requested=0)), "config": definition(CONFIG)},
        ["live"],
        [("wait", "live", 0), ("detach", "live", 0)],
    ),
    "absent and empty": (
        Desired(present=False),
        {"live": definition(replace(LIVE, requested=0, current=0)), "config": definition()},
        None,
        [("detach", "live", 0)],
    ),
    "absent already": (Desired(present=False), NONE, None, []),
    "absent from the config": (
        Desired(present=False),
        BOTH,
        ["config"],
        [("detach", "config", 2 * GIB)],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_steps(name):
    desired, definitions, scopes, expected = TABLE[name]
    made = plan(desired, **definitions, scopes=scopes)
    cosmetic = [step for step in steps(made) if step[0] == "set_current_memory" and step[2] == 2 * GIB]
    assert [step for step in steps(made) if step not in cosmetic] == expected
    writes = [step.scope for step in made.writes]
    assert writes == sorted(writes, reverse=True)
    assert all(step.action != "wait" for step in made.writes)


def test_current_memory_above_boot_memory_is_left_alone():
    """Such a value says "no balloon", and libvirt's interface takes none above boot memory."""
    for state in (Desired(present=False), Desired(alias="ua-c", size=GIB)):
        made = plan(state, config=definition(CONFIG, current=2 * GIB + MIB))
        assert "set_current_memory" not in [step.action for step in made.steps]
    made = plan(Desired(requested=0), config=definition(CONFIG, current=GIB))
    assert [step.action for step in made.steps] == ["resize"]


# ------------------------------------------------------------------------------------------------------------- pairing


def bare(device, **changes):
    return replace(device, alias=None, **changes)


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
    "twins pair in order": (
        [replace(LIVE, alias="virtiomem0"), replace(LIVE, alias="virtiomem1")],
        [bare(CONFIG, pci_address=None), bare(CONFIG, pci_address=None, index=1)],
        [("virtiomem0", None), ("virtiomem1", None)],
    ),
    "a dimm is none": ([replace(LIVE, model="dimm")], [CONFIG], [("-", "ua-a")]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    live, config, expected = PAIRS[name]
    found = pair_devices(observed(definition(*live), definition(*config)))
    assert [tuple("-" if side is None else side.alias for side in pair) for pair in found] == expected


@pytest.mark.parametrize(
    ("desired", "alias"),
    [
        (Desired(alias="ua-a"), "ua-a"),
        (Desired(alias="ua-b"), "ua-b"),
        (Desired(node=1), "ua-b"),
        (Desired(alias="ua-b", node=0), "ua-b"),
        (Desired(alias="ua-x"), None),
        (Desired(node=2), None),
    ],
)
def test_select(desired, alias):
    found = select(desired, observed(None, definition(CONFIG, SECOND)))
    assert (found["config"] and found["config"].alias) == alias


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize(
    ("desired", "second", "hint"),
    [(Desired(), SECOND, "alias or node"), (Desired(node=0), replace(SECOND, node=0, alias=None), "give them one")],
)
def test_ambiguous(desired, second, hint, present):
    with pytest.raises(VirtmemError) as caught:
        plan(replace(desired, present=present), config=definition(CONFIG, second))
    error = caught.value
    assert error.code == "device_ambiguous"
    assert "ua-a (8 GiB on node 0)" in error.message
    assert (second.alias or second.pci_address) in error.message
    assert hint in error.hint
    assert [device["node"] for device in error.details["devices"]] == [0, second.node]


# ------------------------------------------------------------------------------------------------------------ attaching


def test_new_device_has_what_is_stated_and_defaults():
    made = plan(
        Desired(size=8 * GIB, page_size=GIB, access="shared", pci_address="0000:02:00.0", guest_address=0x140000000),
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
    assert made.after["live"].current == 0


def test_new_device_of_another_node_is_called_after_it():
    made = plan(Desired(size=GIB, node=1), config=definition(CONFIG, cells=2))
    assert made.steps[0].device.alias == "ua-virtiomem1"


def test_twin_lends_all_but_addresses():
    made = plan(Desired(), live=definition(LIVE), config=definition())
    (attach,) = (step for step in made.steps if step.action == "attach")
    assert attach.device == replace(CONFIG, pci_address=None, index=-1)


def test_twin_without_a_user_alias_gets_one_in_the_config():
    made = plan(Desired(), live=definition(replace(LIVE, alias="virtiomem0")), config=definition())
    assert made.steps[0].device.alias == "ua-virtiomem0"


def test_twin_that_is_called_by_libvirts_alias_gets_a_user_alias_in_the_config():
    live = definition(replace(LIVE, alias="virtiomem0"))
    made = plan(Desired(alias="virtiomem0"), live=live, config=definition())
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
    desired = Desired(size=GIB, page_size=page_size)
    versions = Versions((12, 8, 0), (11, 1, 3))
    if block is None:
        with pytest.raises(VirtmemError) as caught:
            plan(desired, config=definition(arch=arch), versions=versions, thp=thp)
        assert caught.value.code == "block_invalid"
        assert arch in caught.value.message
        assert caught.value.hint
    else:
        made = plan(desired, config=definition(arch=arch), versions=versions, thp=thp)
        assert made.steps[0].device.block == block


REFUSED = {
    "no size": (Desired(requested=GIB), NONE, "device_not_found"),
    "no such alias": (Desired(alias="ua-x"), BOTH, "device_not_found"),
    "no such node and no size": (Desired(node=1, requested=0), BOTH, "device_not_found"),
    "alias that is dropped": (Desired(alias="x", size=GIB), NONE, "unsupported"),
    "no max memory": (Desired(size=GIB), {"config": definition(maximum=None)}, "not_hotpluggable"),
    "blocked": (Desired(size=GIB), {"config": definition(lasting_blockers=("no",))}, "not_hotpluggable"),
    "no port": (Desired(size=GIB), {"live": definition(free_pcie_ports=0)}, "not_hotpluggable"),
    "no room live": (
        Desired(size=8 * GIB),
        {"live": definition(maximum=9 * GIB), "config": definition()},
        "exceeds_max_memory",
    ),
    "no room in the config": (
        Desired(size=8 * GIB),
        {"live": definition(), "config": definition(maximum=9 * GIB)},
        "exceeds_max_memory",
    ),
    "no room to redefine": (
        Desired(size=16 * GIB),
        {"config": definition(CONFIG, maximum=17 * GIB)},
        "exceeds_max_memory",
    ),
    "node unknown": (Desired(size=GIB, node=1), NONE, "node_not_found"),
    "redefined node unknown": (Desired(alias="ua-a", node=1), {"config": definition(CONFIG)}, "node_not_found"),
    "redefined address taken": (
        Desired(alias="ua-a", pci_address="0000:05:00.0"),
        {"config": definition(CONFIG, replace(SECOND, node=0))},
        "unsupported",
    ),
    "new address taken": (Desired(alias="ua-c", size=GIB, pci_address="0000:04:00.0"), BOTH, "unsupported"),
    "block": (Desired(size=GIB, block=3 * MIB), NONE, "block_invalid"),
    "redefined block": (Desired(block=MIB), {"config": definition(CONFIG)}, "block_invalid"),
    "size": (Desired(size=GIB + MIB), NONE, "not_multiple_of_block"),
    "requested": (Desired(requested=MIB), BOTH, "not_multiple_of_block"),
    "too much": (Desired(requested=9 * GIB), BOTH, "exceeds_device_size"),
    "redefined below the request": (Desired(size=GIB), {"config": definition(CONFIG)}, "exceeds_device_size"),
    "address": (Desired(size=GIB, guest_address=MIB), NONE, "not_multiple_of_block"),
    "arch": (Desired(size=GIB), {"config": definition(arch="ppc64le")}, "unsupported"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    desired, definitions, code = REFUSED[name]
    with pytest.raises(VirtmemError) as caught:
        plan(desired, **definitions)
    assert caught.value.code == code


def test_device_not_found_lists_what_there_is():
    with pytest.raises(VirtmemError) as caught:
        plan(Desired(alias="ua-x"), **BOTH)
    assert "called ua-x" in caught.value.message
    assert "ua-a" in caught.value.message


@pytest.mark.parametrize(("current", "detaches"), [(2 * GIB, False), (0, True)])
def test_absent_without_waiting(current, detaches):
    """Nothing can be unplugged before the guest has given it back."""
    live = definition(replace(LIVE, current=current))
    made = plan_device(
        Desired(present=False), observed(live, definition(CONFIG)), ["live", "config"], NEW, 2 * MIB, wait=False
    )
    assert (("detach", "live", 0) in steps(made)) is detaches
    assert ("detach", "config", 2 * GIB) in steps(made)
    assert (made.after["live"] is None) is detaches
    assert bool(made.pending) is not detaches


def test_new_device_of_a_stated_block_of_nothing():
    with pytest.raises(VirtmemError) as caught:
        plan(Desired(size=GIB, block=0), **NONE)
    assert caught.value.code == "block_invalid"


@pytest.mark.parametrize("page_size", [0, 2048, 3 * MIB])
def test_page_size(page_size):
    with pytest.raises(VirtmemError) as caught:
        plan(Desired(size=6 * GIB, page_size=page_size), **NONE)
    assert "page_size" in caught.value.message


def test_slots_of_old_libvirt():
    full = definition(CONFIG, slots=1)
    with pytest.raises(VirtmemError) as caught:
        plan(Desired(alias="ua-b", size=GIB), config=full, versions=OLD)
    assert caught.value.code == "exceeds_max_memory"
    assert plan(Desired(alias="ua-b", size=GIB), config=full, versions=NEW).steps


@pytest.mark.parametrize("option", ["guest_address", "dynamic_memslots"])
def test_features_of_newer_versions(option):
    desired = Desired(size=GIB, **{option: 0x140000000 if option == "guest_address" else True})
    with pytest.raises(VirtmemError) as caught:
        plan(desired, config=definition(), versions=OLD)
    assert caught.value.code == "unsupported"
    assert plan(desired, config=definition(), versions=NEW).steps


# ------------------------------------------------------------------------------------------------------------- immutable


@pytest.mark.parametrize(
    ("desired", "words"),
    [
        (Desired(size=16 * GIB), "size from 8 GiB to 16 GiB"),
        (Desired(block=4 * MIB), "block from 2 MiB to 4 MiB"),
        (Desired(alias="ua-a", node=1), "node from 0 to 1"),
        (Desired(page_size=2 * MIB), "page_size from none to 2 MiB"),
        (Desired(node_mask="0"), "node_mask from none to 0"),
        (Desired(access="shared"), "access from none to shared"),
        (Desired(discard=True), "discard from none to True"),
        (Desired(dynamic_memslots=False), "dynamic_memslots from none to False"),
        (Desired(guest_address=0x200000000), "guest_address from 0x100000000 to 0x200000000"),
        (Desired(pci_address="0000:07:00.0"), "pci_address from 0000:01:00.0 to 0000:07:00.0"),
        (Desired(size=16 * GIB, requested=0), "size from 8 GiB to 16 GiB"),
    ],
)
def test_immutable(desired, words):
    live = definition(LIVE, cells=2)
    with pytest.raises(VirtmemError) as caught:
        plan(desired, live=live, config=definition(CONFIG, cells=2))
    error = caught.value
    assert error.code == "immutable"
    assert words in error.message
    assert "requested from" not in error.message
    assert "scope=config" in error.hint
    assert "requested" not in error.details
    made = plan(desired, live=live, config=definition(CONFIG, cells=2), scopes=["config"])
    assert [step.action for step in made.steps] == ["redefine"]


# -------------------------------------------------------------------------------------------------- pending and the like


@pytest.mark.parametrize(
    ("desired", "definitions", "scopes", "pending"),
    [
        (Desired(requested=4 * GIB), BOTH, None, ()),
        (Desired(requested=4 * GIB), BOTH, ["live"], ()),
        (Desired(requested=4 * GIB), BOTH, ["config"], ("ua-a: requested=4 GiB at the next start",)),
        (
            Desired(size=16 * GIB, access="shared"),
            BOTH,
            ["config"],
            ("ua-a: size=16 GiB, access=shared at the next start",),
        ),
        (Desired(size=GIB), NONE, ["config"], ("ua-virtiomem0: is added at the next start",)),
        (Desired(present=False), BOTH, ["config"], ("ua-a: leaves the guest when it is next powered off",)),
        (Desired(present=False), BOTH, None, ()),
        (Desired(present=False), NONE, None, ()),
        (Desired(size=GIB), {"config": definition()}, None, ()),
    ],
)
def test_pending(desired, definitions, scopes, pending):
    assert plan(desired, **definitions, scopes=scopes).pending == pending


def test_live_size_is_rounded_up_and_that_is_no_drift():
    odd = replace(CONFIG, size=8 * GIB - 1024)
    made = plan(Desired(requested=2 * GIB), live=definition(LIVE), config=definition(odd))
    assert (made.steps, made.pending) == ((), ())


@pytest.mark.parametrize(
    ("versions", "machine", "stays"),
    [(OLD, "pc-q35-9.2", True), (NEW, "pc-q35-8.0", True), (NEW, "pc-q35-8.1", False)],
)
def test_absent_that_cannot_be_unplugged(versions, machine, stays):
    made = plan(
        Desired(present=False), live=definition(LIVE, machine=machine), config=definition(CONFIG), versions=versions
    )
    assert bool(made.stays) is stays
    assert (("detach", "live", 0) in steps(made)) is not stays
    assert ("detach", "config", 2 * GIB) in steps(made)
    assert made.pending == (("ua-a: leaves the guest when it is next powered off",) if stays else ())
    assert made.target == 0
    assert made.after["config"] is None
    left = made.after["live"]
    assert (left and (left.requested, left.current)) == ((0, 0) if stays else None)


@pytest.mark.parametrize(
    ("desired", "current", "change"),
    [
        (Desired(requested=4 * GIB), 2 * GIB, 2 * GIB),
        (Desired(requested=4 * GIB), 0, 4 * GIB),
        (Desired(requested=0), 2 * GIB, -2 * GIB),
        (Desired(requested=2 * GIB), GIB, 0),  # asked before: not this task's own doing
        (Desired(present=False), 2 * GIB, -2 * GIB),
    ],
)
def test_live_change(desired, current, change):
    made = plan(desired, live=definition(replace(LIVE, current=current)), config=definition(CONFIG))
    assert made.live_change == change


def test_live_change_of_a_stopped_domain_and_of_a_new_device():
    assert plan(Desired(requested=0), config=definition(CONFIG)).live_change == 0
    assert plan(Desired(size=GIB, requested=GIB), **NONE).live_change == GIB


def test_before_and_after():
    made = plan(Desired(requested=4 * GIB), **BOTH)
    assert made.before == {"live": LIVE, "config": CONFIG}
    assert made.after == {
        "live": replace(LIVE, requested=4 * GIB, current=4 * GIB),
        "config": replace(CONFIG, requested=4 * GIB),
    }
    assert made.scopes == ("live", "config")
    assert made.target == 4 * GIB
