# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""domain_memory on the fake hypervisor: check, real and again for each option, and tasks that are wrong."""

from __future__ import annotations

import functools
import re

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Versions
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB

DIMM = functools.partial(device, model="dimm")


@pytest.fixture
def domain_memory(monkeypatch, hypervisor):
    hypervisor.nodes = dict.fromkeys(range(2), (1024 * GIB, {}))
    return functools.partial(running.run, "domain_memory", monkeypatch, hypervisor, domain="web1")


def essence(steps):
    return [(step["action"], step["scope"], step["device"], step["from"], step["to"]) for step in steps]


def check_real_again(task, hypervisor, **options):
    """The three runs of one task, held together; the real one's result."""
    check = task(check=True, **options)
    assert hypervisor.writes == []
    real = task(**options)
    assert not check.failed
    assert not real.failed, real
    assert essence(check["steps"]) == essence(real["steps"])
    assert [step["done"] for step in real["steps"]] == [True] * len(real["steps"])
    for key in ("changed", "pending", "restart_required", "converged", "diff", "memory"):
        assert check[key] == real[key], key
    hypervisor.calls.clear()
    again = task(**options)
    assert (again["changed"], again["steps"], hypervisor.writes) == (False, [], [])
    assert again["pending"] == real["pending"]
    assert again["diff"]["before"] == again["diff"]["after"] == real["diff"]["after"]
    return real


# One row for each option: what a running guest gets at once, what its stored definition gets, what waits for a restart.
LIVE_AND_CONFIG = {
    "memory": ({"memory": "6GiB"}, 2, []),
    "memory down": ({"memory": "3GiB", "check_guest_memory": False}, 2, []),
    "devices requested": ({"devices": [{"model": "virtio-mem", "requested": "1GiB"}]}, 2, []),
    "devices new": (
        {"devices": [{"model": "virtio-mem", "alias": "ua-b", "size": "2GiB", "requested": "1GiB"}]},
        2,
        [],
    ),
    "devices dimm": ({"devices": [{"model": "dimm", "size": "1GiB"}]}, 2, []),
    "tuning": ({"tuning": {"hard_limit": "40GiB", "swap_hard_limit": "50GiB"}}, 2, []),
    "balloon stats_period": ({"balloon": {"stats_period": 5}}, 2, []),
    "maximum": ({"maximum": {"size": "128GiB", "slots": 20}}, 1, ["maximum.size: 128 GiB", "maximum.slots: 20"]),
    "boot": ({"boot": "4GiB"}, 1, ["boot: 4 GiB", "numa: node 0 with 4 GiB"]),
    "numa": ({"numa": [{"id": 0, "memory": "3GiB"}]}, 1, ["boot: 3 GiB", "numa: node 0 with 3 GiB"]),
    "backing source": ({"backing": {"source": "memfd", "access": "shared"}}, 1, ["backing.access", "backing.source"]),
    "backing hugepages": ({"backing": {"hugepages": [{"size": "2MiB"}]}}, 1, ["backing.hugepages: pages of 2 MiB"]),
    "backing default pages": ({"backing": {"hugepages": [{}]}}, 1, ["backing.hugepages: pages of the default size"]),
    "backing allocation": (
        {"backing": {"allocation": {"mode": "immediate", "threads": 2}}},
        1,
        ["backing.allocation.mode: immediate", "backing.allocation.threads: 2"],
    ),
    "backing switches": (
        {"backing": {"nosharepages": True, "discard": True}},
        1,
        ["backing.discard: true", "backing.nosharepages: true"],
    ),
    "placement": ({"placement": {"nodeset": "0,1"}}, 1, ["placement.nodeset: 0-1"]),
    "balloon attributes": (
        {"balloon": {"autodeflate": True, "free_page_reporting": True}},
        1,
        ["balloon.autodeflate: true", "balloon.free_page_reporting: true"],
    ),
    "balloon model": ({"balloon": {"model": "none"}}, 1, ["balloon.model: none"]),
    "devices size": (
        {"devices": [{"model": "virtio-mem", "size": "24GiB", "block": "4MiB"}]},
        1,
        ["ua-virtiomem0: size=24 GiB, block=4 MiB"],
    ),
    "devices nvdimm": (
        {"devices": [{"model": "nvdimm", "path": "/nv", "size": "1GiB", "label_size": "128KiB", "readonly": True}]},
        1,
        ["ua-nvdimm0: is added"],
    ),
}


@pytest.mark.parametrize("row", LIVE_AND_CONFIG.values(), ids=LIVE_AND_CONFIG.keys())
def test_each_option(row, domain_memory, hypervisor):
    options, writes, pending = row
    hypervisor.add(device()).start()
    left = check_real_again(domain_memory, hypervisor, **options)
    assert len(left["steps"]) == writes
    assert len(left["pending"]) == len(pending)
    for told, expected in zip(left["pending"], pending):
        assert told.startswith(expected)
        assert told.endswith("at the next start")
    assert left["restart_required"] is bool(pending)


@pytest.mark.parametrize("row", LIVE_AND_CONFIG.values(), ids=LIVE_AND_CONFIG.keys())
def test_each_option_of_a_stopped_domain(row, domain_memory, hypervisor):
    hypervisor.add(device())
    left = check_real_again(domain_memory, hypervisor, **row[0])
    assert left["pending"] == []
    assert {step["scope"] for step in left["steps"]} == {"config"}


def test_calls_of_a_no_op(domain_memory, hypervisor):
    """However many devices there are: each definition once, and nothing is watched."""
    hypervisor.add(device(), device(alias="ua-b")).start()
    left = domain_memory(balloon={"stats_period": 0})
    assert (left["changed"], left["steps"]) == (False, [])
    assert hypervisor.calls == [("state", None), ("xml", "live"), ("xml", "config"), ("statistics", None)]


@pytest.mark.parametrize("name", [name for name, row in LIVE_AND_CONFIG.items() if row[2]])
def test_live_only_is_refused_where_it_can_not_be(name, domain_memory, hypervisor):
    domain = hypervisor.add(device()).start()
    before = domain.texts()
    left = domain_memory(scope="live", **LIVE_AND_CONFIG[name][0])
    assert (left.failed, left["error_code"], left["changed"]) == (True, "immutable", False)
    assert left["hint"]
    assert domain.texts() == before


def test_two_nodes_get_equal_shares(domain_memory, hypervisor):
    hypervisor.add(device("ua-a", requested=0), device("ua-b", node=1, requested=0), boot=(GIB, GIB)).start()
    left = check_real_again(domain_memory, hypervisor, memory="6GiB")
    assert [found["requested"] for found in left["after"]["live"]["devices"]] == [2 * GIB, 2 * GIB]
    assert left["memory"]["current"] == 6 * GIB


def test_a_domain_that_nobody_prepared(domain_memory, hypervisor):
    domain = hypervisor.add(boot=(2 * GIB,), maximum=None)
    domain.edit("config", lambda root: root.remove(root.find("cpu")))
    domain.start()
    left = check_real_again(domain_memory, hypervisor, memory="8GiB", maximum={"size": "32GiB"})
    assert left["restart_required"]
    (added,) = left["after"]["config"]["devices"]
    assert (added["alias"], added["size"], added["requested"]) == ("ua-virtiomem0", 30 * GIB, 6 * GIB)
    assert left["after"]["config"]["numa"][0]["memory"] == 2 * GIB
    assert left["memory"]["current"] == 2 * GIB


def test_restart(domain_memory, hypervisor):
    domain = hypervisor.add(boot=(2 * GIB,), maximum=None).start()
    left = domain_memory(memory="8GiB", restart="if_required")
    assert not left.failed
    assert [step["action"] for step in left["steps"]] == ["define", "shutdown", "start"]
    assert (left["memory"]["current"], left["pending"], left["converged"]) == (8 * GIB, [], True)
    assert domain.current() == 6 * GIB
    assert domain_memory(memory="8GiB", restart="if_required")["changed"] is False


def test_a_guest_that_ignores_the_button_is_left_running(domain_memory, hypervisor):
    domain = hypervisor.add(boot=(2 * GIB,), maximum=None).start()
    domain.deaf = True
    left = domain_memory(memory="8GiB", restart="if_required", shutdown_timeout=60)
    assert (left["error_code"], left["domain"]["state"]) == ("timeout", "running")
    assert left["changed"]
    assert left["restart_required"]
    assert left["pending"]
    assert [(step["action"], step["done"]) for step in left["steps"]] == [
        ("define", True),
        ("shutdown", True),
        ("start", False),
    ]


@pytest.mark.parametrize("hopeless", [False, True])
def test_a_guest_that_does_not_start_gets_its_definition_back(hopeless, domain_memory, hypervisor):
    domain = hypervisor.add(boot=(2 * GIB,), maximum=None).start()
    config, start = domain.config, domain.start

    def refuse_once(*_):
        if not hopeless:
            domain.start = start
        raise VirtmemError("libvirt_error", "libvirt could not start the domain: no.")

    domain.start = refuse_once
    left = domain_memory(memory="8GiB", restart="if_required")
    assert left["error_code"] == "libvirt_error"
    assert domain.config == config
    assert (left["pending"], left["restart_required"], left["changed"]) == ([], False, True)
    assert left["domain"]["state"] == ("shutoff" if hopeless else "running")
    assert ("is now off" in left["msg"]) is hopeless


@pytest.mark.parametrize("policy", ["fail", "warn", "settle", "rollback"])
def test_on_partial(policy, domain_memory, hypervisor):
    domain = hypervisor.add(
        device("ua-a", requested=0), device("ua-b", node=1, requested=0), boot=(GIB, GIB), guest=Guest(highest=GIB)
    ).start()
    left = domain_memory(memory="6GiB", on_partial=policy, wait_timeout=30)
    assert left.failed is (policy in ("fail", "rollback"))
    if left.failed:
        assert left["error_code"] == "partial"
        assert len(left["details"]["devices"]) == 2
    else:
        assert left.warned
    asked = {"fail": 2 * GIB, "warn": 2 * GIB, "settle": GIB, "rollback": 0}[policy]
    for scope in ("live", "config"):
        assert [domain.requested(scope, alias) for alias in ("ua-a", "ua-b")] == [asked, asked]
    assert left["converged"] is False or policy == "settle"


def test_rollback_of_a_definition(domain_memory, hypervisor):
    domain = hypervisor.add(device(requested=0), guest=Guest(highest=GIB)).start()
    config = domain.config
    left = domain_memory(memory="6GiB", tuning={"hard_limit": "20GiB"}, on_partial="rollback", wait_timeout=30)
    assert (left["error_code"], left["changed"]) == ("partial", False)
    assert domain.config == config
    assert left["after"]["live"]["tuning"]["hard_limit"] is None


def test_purge_in_a_running_guest(domain_memory, hypervisor):
    hypervisor.add(device("ua-a"), device("ua-b")).start()
    left = check_real_again(
        domain_memory,
        hypervisor,
        devices=[{"model": "virtio-mem", "alias": "ua-a"}],
        purge_devices=True,
        check_guest_memory=False,
    )
    assert [found["alias"] for found in left["after"]["live"]["devices"]] == ["ua-a"]
    assert [found["alias"] for found in left["after"]["config"]["devices"]] == ["ua-a"]


NEW = {"model": "virtio-mem", "alias": "ua-b", "size": "2GiB", "requested": "1GiB"}
# `<currentMemory>` in GiB before, a task, and after: 2 GiB of boot memory, one device of 16 GiB.
CURRENT_MEMORY = [
    (2, {"boot": "4GiB"}, 4),
    (18, {"boot": "4GiB"}, 20),
    (1, {"boot": "4GiB"}, 1),
    (1, {"balloon": {"target": "2GiB"}}, 2),
    (2, {"balloon": {"target": "1GiB"}}, 1),
    (2, {"maximum": {"size": "128GiB"}}, 2),
    (2, {"devices": [NEW]}, 2),
    (1, {"devices": [NEW]}, 1),
    (18, {"devices": [NEW]}, 20),
    (2, {"devices": [{"model": "nvdimm", "path": "/nv", "size": "1GiB"}]}, 2),
    (2, {"devices": [{"model": "dimm", "size": "1GiB"}]}, 3),
    (1, {"devices": [{"model": "dimm", "size": "1GiB"}]}, 1),
    (2, {"devices": [], "purge_devices": True}, 2),
    (1, {"devices": [], "purge_devices": True}, 1),
    (18, {"devices": [], "purge_devices": True}, 2),
    (2, {"devices": [], "purge_devices": True, "boot": "3GiB"}, 3),
]


@pytest.mark.parametrize(("before", "task", "after"), CURRENT_MEMORY)
def test_current_memory_is_about_boot_memory(before, task, after, domain_memory, hypervisor):
    hypervisor.add(device(), current=before * GIB)
    left = check_real_again(domain_memory, hypervisor, **task)
    assert left["before"]["config"]["current_memory"] == before * GIB
    assert left["after"]["config"]["current_memory"] == after * GIB


def test_purge_keeps_the_stored_device_until_the_guest_has_let_go(domain_memory, hypervisor):
    domain = hypervisor.add(device("ua-a"), guest=Guest(lowest=64 * MIB)).start()
    purge = functools.partial(domain_memory, devices=[], purge_devices=True, check_guest_memory=False, wait_timeout=30)
    left = purge()
    assert left["error_code"] == "partial"
    assert domain.requested("config", "ua-a") is not None
    assert [(step["action"], step["scope"], step["done"]) for step in left["steps"]] == [
        ("resize", "live", True),
        ("detach", "live", False),
        ("detach", "config", False),
    ]
    domain.guest = Guest(lets_go=False)
    left = purge()
    assert left["error_code"] == "timeout"
    assert domain.requested("config", "ua-a") is not None
    domain.guest = Guest()
    assert not purge().failed
    assert domain.requested("config", "ua-a") is None


def test_a_purged_device_comes_back_if_the_guest_does_not_start(domain_memory, hypervisor):
    hypervisor.versions_are = Versions((9, 0, 0), (7, 2, 22))
    domain = hypervisor.add(device("ua-a"), device("ua-b"), current=GIB).start()
    config, start = domain.config, domain.start

    def refuse_once(*_):
        domain.start = start
        raise VirtmemError("libvirt_error", "libvirt could not start the domain: no.")

    domain.start = refuse_once
    left = domain_memory(devices=[{"model": "virtio-mem", "alias": "ua-a"}], purge_devices=True, restart="if_required")
    assert left["error_code"] == "libvirt_error"
    assert left["domain"]["state"] == "running"
    assert domain.config == config


def test_an_address_that_is_taken(domain_memory, hypervisor):
    hypervisor.add(device()).start()
    taken = domain_memory()["before"]["config"]["devices"][0]["pci_address"]
    left = domain_memory(devices=[{"model": "virtio-mem", "alias": "ua-z", "size": "1GiB", "pci_address": taken}])
    assert (left["error_code"], left["changed"]) == ("unsupported", False)
    assert "taken" in left["msg"]


def test_the_order_of_pages_is_no_difference(domain_memory, hypervisor):
    pages = "".join(f"<page size='{size}' unit='KiB' nodeset='{node}'/>" for size, node in ((1048576, 1), (2048, 0)))
    hypervisor.add(boot=(GIB, GIB), backing=f"<memoryBacking><hugepages>{pages}</hugepages></memoryBacking>")
    left = domain_memory(backing={"hugepages": [{"size": "2MiB", "nodeset": "0"}, {"size": "1GiB", "nodeset": "1"}]})
    assert (left["changed"], left.failed) == (False, False)


def test_a_balloon_where_it_shall_be_shows_no_difference(domain_memory, hypervisor):
    hypervisor.add(device()).start()
    check_real_again(domain_memory, hypervisor, balloon={"target": "1GiB"})


def test_a_balloon_is_as_qemu_says_and_not_as_libvirt_has_last_heard(domain_memory, hypervisor):
    """QEMU tells libvirt of it once a second at most; until then the XML has what it had, as the fake's always has."""
    hypervisor.add(boot=(GIB, GIB)).start()
    real = domain_memory(scope="live", balloon={"target": "1GiB"})
    again = domain_memory(scope="live", balloon={"target": "1GiB"})
    assert (real["changed"], again["changed"], again["converged"]) == (True, False, True)
    assert real["before"]["live"]["balloon"]["target"] == 2 * GIB
    assert real["after"] == again["before"] == again["after"]
    assert real["after"]["live"]["balloon"]["target"] == GIB


def test_dimms_are_told_how_large_they_can_be(domain_memory, hypervisor):
    hypervisor.add(device()).start()
    hypervisor.host = 300 * MIB
    left = domain_memory(devices=[{"model": "dimm", "size": "1GiB"}])
    assert left["error_code"] == "host_lacks_memory"
    assert left["details"]["nearest"] == 300 * MIB
    assert "DIMM" in left["msg"]


def test_what_libvirt_drops_is_an_error_also_without_an_alias(domain_memory, hypervisor):
    """As libvirt before 12 drops what it does not know."""
    domain = hypervisor.add(DIMM(None, GIB))
    define = domain.define
    domain.define = lambda text: define(re.sub(r" access=.shared.", "", text))
    left = domain_memory(devices=[{"model": "dimm", "access": "shared"}])
    assert left["error_code"] == "unsupported"
    assert left["details"]["lost"] == ["dimm.access"]


def test_purge_where_qemu_can_not_unplug(domain_memory, hypervisor):
    hypervisor.versions_are = Versions((9, 0, 0), (7, 2, 22))
    hypervisor.add(device("ua-a")).start()
    left = check_real_again(domain_memory, hypervisor, devices=[], purge_devices=True, check_guest_memory=False)
    assert (left["restart_required"], left["memory"]["plugged"]) == (True, 0)
    assert "8.1" in left["pending"][0]


def test_order_and_units_are_no_difference(domain_memory, hypervisor):
    hypervisor.add(device("ua-a"), DIMM(None, GIB), DIMM(None, 2 * GIB), boot=(GIB, GIB)).start()
    left = domain_memory(
        boot=None,
        numa=[{"id": 1, "memory": "1048576KiB"}, {"id": 0, "cpus": "0,1"}],
        devices=[
            {"model": "dimm", "size": "2048MiB"},
            {"model": "virtio-mem", "size": "16GiB", "node": 0},
            {"model": "dimm", "size": "1GiB"},
        ],
        purge_devices=True,
    )
    assert (left["changed"], left["steps"]) == (False, [])


WRONG = {
    "below boot": ({"memory": "1GiB"}, "immutable"),
    "above all devices": ({"memory": "80GiB"}, "exceeds_device_size"),
    "no whole blocks": ({"memory": "3073MiB"}, "not_multiple_of_block"),
    "no unit": ({"memory": "3"}, "invalid_size"),
    "maximum too small": ({"maximum": {"size": "4GiB"}}, "exceeds_max_memory"),
    "device too large": (
        {"devices": [{"model": "virtio-mem", "alias": "ua-z", "size": "80GiB"}]},
        "exceeds_max_memory",
    ),
    "no such node": ({"devices": [{"model": "dimm", "size": "1GiB", "node": 7}]}, "node_not_found"),
    "gap in nodes": ({"numa": [{"id": 0}, {"id": 2, "memory": "1GiB"}]}, "unsupported"),
    "new node without memory": ({"numa": [{"id": 0}, {"id": 1}]}, "unsupported"),
    "no such vcpu": ({"numa": [{"id": 0, "cpus": "0-99"}]}, "unsupported"),
    "vcpu twice": ({"numa": [{"id": 0, "cpus": "0-1"}, {"id": 1, "cpus": "1", "memory": "1GiB"}]}, "unsupported"),
    "boot contradicts numa": ({"boot": "3GiB", "numa": [{"id": 0, "memory": "2GiB"}]}, "unsupported"),
    "memory contradicts devices": (
        {"memory": "8GiB", "devices": [{"model": "virtio-mem", "requested": "1GiB"}]},
        "unsupported",
    ),
    "anonymous huge pages": ({"backing": {"hugepages": [{"size": "2MiB"}], "source": "anonymous"}}, "unsupported"),
    "huge pages on demand": (
        {"backing": {"hugepages": [{"size": "2MiB"}], "allocation": {"mode": "ondemand"}}},
        "unsupported",
    ),
    "huge pages of no node": ({"backing": {"hugepages": [{"size": "2MiB", "nodeset": "5"}]}}, "node_not_found"),
    "two sizes for all": ({"backing": {"hugepages": [{"size": "2MiB"}, {"size": "1GiB"}]}}, "unsupported"),
    "odd huge page": ({"backing": {"hugepages": [{"size": "3MiB"}]}}, "invalid_size"),
    "locked": ({"backing": {"locked": True}}, "not_hotpluggable"),
    "hard above swap": ({"tuning": {"hard_limit": "9GiB", "swap_hard_limit": "8GiB"}}, "unsupported"),
    "swap alone": ({"tuning": {"swap_hard_limit": "8GiB"}}, "unsupported"),
    "no limit at all": ({"tuning": {"hard_limit": "0"}}, "unsupported"),
    "mode of nothing": ({"placement": {"mode": "strict"}}, "unsupported"),
    "nodeset of nothing": ({"placement": {"nodeset": "x"}}, "unsupported"),
    "balloon above boot": ({"balloon": {"target": "8GiB"}}, "unsupported"),
    "no balloon": ({"balloon": {"model": "none", "stats_period": 5}}, "unsupported"),
    "slots used up": (
        {"maximum": {"slots": 1}, "devices": [{"model": "dimm", "size": "1GiB"}] * 2},
        "exceeds_max_memory",
    ),
    "dimm with a block": ({"devices": [{"model": "dimm", "size": "1GiB", "block": "2MiB"}]}, "unsupported"),
    "nvdimm of nowhere": ({"devices": [{"model": "nvdimm", "size": "1GiB"}]}, "unsupported"),
    "small label": (
        {"devices": [{"model": "nvdimm", "size": "1GiB", "path": "/nv", "label_size": "4KiB"}]},
        "unsupported",
    ),
    "private pmem": (
        {"devices": [{"model": "virtio-pmem", "size": "1GiB", "path": "/pm", "access": "private"}]},
        "unsupported",
    ),
    "pmem on a node": (
        {"devices": [{"model": "virtio-pmem", "size": "1GiB", "path": "/pm", "node": 0}]},
        "unsupported",
    ),
    "no size": ({"devices": [{"model": "dimm"}]}, "device_not_found"),
    "size of half a device": ({"devices": [{"model": "dimm", "size": "129MiB"}]}, "not_multiple_of_block"),
    "alias": ({"devices": [{"model": "dimm", "size": "1GiB", "alias": "dimm.9"}]}, "unsupported"),
    "model of an alias": ({"devices": [{"model": "dimm", "alias": "ua-virtiomem0"}]}, "unsupported"),
    "driver": ({"devices": [{"model": "virtio-mem", "driver": {"packed": True}}]}, "unsupported"),
    "no slot": ({"devices": [{"model": "dimm", "size": "1GiB", "slot": 16}]}, "exceeds_max_memory"),
    "one slot for two": ({"devices": [{"model": "dimm", "size": "1GiB", "slot": 3}] * 2}, "unsupported"),
    "odd page": ({"devices": [{"model": "dimm", "size": "1GiB", "page_size": "9KiB"}]}, "unsupported"),
    "no size at all": ({"devices": [{"model": "dimm", "size": "0"}]}, "invalid_size"),
    "odd alignment": (
        {"devices": [{"model": "nvdimm", "size": "1GiB", "path": "/nv", "align_size": "2KiB"}]},
        "unsupported",
    ),
    "no such host node": ({"placement": {"nodeset": "1-2"}}, "unsupported"),
    "no such host node for a device": (
        {"devices": [{"model": "dimm", "size": "1GiB", "node_mask": "2"}]},
        "unsupported",
    ),
    "host bridge": (
        {"devices": [{"model": "virtio-mem", "alias": "ua-z", "size": "1GiB", "pci_address": "0:0:0.0"}]},
        "unsupported",
    ),
    "purge what": ({"purge_devices": True}, "unsupported"),
}


@pytest.mark.parametrize("running_guest", [True, False], ids=["running", "stopped"])
@pytest.mark.parametrize(("options", "code"), WRONG.values(), ids=WRONG.keys())
def test_wrong_tasks(options, code, running_guest, domain_memory, hypervisor):
    domain = hypervisor.add(device())
    if running_guest:
        domain.start()
    before = domain.texts()
    for check in (True, False):
        left = domain_memory(check=check, **options)
        assert left.failed
        assert (left["error_code"], left["changed"]) == (code, False), left["msg"]
        assert left["msg"].endswith(".")
        assert left["pending"] == []
        assert domain.texts() == before
        assert hypervisor.writes == []


def test_session_mode_has_no_limits(domain_memory, hypervisor):
    hypervisor.add(device())
    hypervisor.uri = "qemu:///session"
    assert domain_memory(tuning={"hard_limit": "40GiB"}, uri="qemu:///session")["error_code"] == "unsupported"


def test_info_as_a_task_is_unchanged(monkeypatch, domain_memory, hypervisor):
    hypervisor.add(
        device("ua-a"), DIMM("ua-d", GIB), balloon="<memballoon model='virtio'><stats period='2'/></memballoon>"
    ).start()
    config = running.run("domain_memory_info", monkeypatch, hypervisor)["domains"][0]["config"]
    left = domain_memory(**as_task(config), purge_devices=True)
    assert (left["changed"], left["steps"], left["pending"]) == (False, [], [])


def as_task(config):
    """domain_memory_info's words as a task: bytes get their unit, and what is null is left out."""
    options = ("boot", "maximum", "numa", "backing", "tuning", "placement", "balloon", "devices")
    task = _with_units({name: config[name] for name in options})
    if len(config["numa"]) > 1 or not config["numa"]:
        task.pop("boot" if config["numa"] else "numa", None)
    return task


def _with_units(value, name=""):
    if isinstance(value, dict):
        unneeded = ("current",)
        return {
            key: _with_units(found, key) for key, found in value.items() if found is not None and key not in unneeded
        }
    if isinstance(value, list):
        return [_with_units(found, name) for found in value]
    sizes = ("boot", "size", "memory", "block", "requested", "page_size", "align_size", "label_size", "target")
    if name in (*sizes, "hard_limit", "soft_limit", "swap_hard_limit"):
        return f"{value}B"
    return value
