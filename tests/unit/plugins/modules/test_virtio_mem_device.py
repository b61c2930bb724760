# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole module against the fake hypervisor: check is real, again is unchanged, failures change nothing."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES, VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Versions
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import canonical, element, without_memory
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain import FakeDomain
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device, domain_xml
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.host import BOOKWORM, SID, TRIXIE
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB

KEYS = {
    "changed",
    "domain",
    "before",
    "after",
    "device",
    "steps",
    "converged",
    "duration",
    "restart_required",
    "pending",
    "diff",
}
FAILURE_KEYS = KEYS | {"error_code", "details", "hint", "msg"}
# What Ansible itself adds.
OWN_KEYS = {"invocation", "failed", "warnings", "deprecations", "exception"}
DEVICE_KEYS = {
    *("alias", "model", "node", "size", "block", "requested", "current", "page_size", "node_mask", "access", "discard"),
    *("dynamic_memslots", "guest_address", "pci_address", "offline_in_guest"),
}
SMALL = {"size": 4 * GIB, "requested": 0}


def planned(left):
    return [{**step, "done": None} for step in left["steps"]]


def done(left):
    return [(step["action"], step["scope"]) for step in left["steps"] if step["done"]]


def running_domain(hypervisor, *devices, **options):
    return hypervisor.add(*(devices or (device(),)), **options).start()


def drifted(hypervisor):
    """The config asks for less than the live definition."""
    domain = running_domain(hypervisor)
    domain.edit("config", lambda root: root.find("devices/memory/target/requested").__setattr__("text", "0"))
    return domain


def live_only(hypervisor):
    domain = running_domain(hypervisor)
    domain.edit("config", lambda root: root.find("devices").remove(root.find("devices/memory")))
    return domain


def config_only(hypervisor):
    domain = hypervisor.add().start()
    other = FakeHypervisor().add(device())
    domain.config = other.config
    return domain


SCENARIOS = {
    "attach": (lambda hv: hv.add().start(), {"size": "16GiB", "requested": "6GiB"}),
    "attach-empty": (lambda hv: hv.add().start(), {"size": "16GiB"}),
    "attach-shut-off": (lambda hv: hv.add(), {"size": "16GiB", "requested": "6GiB"}),
    "attach-everything": (
        lambda hv: hv.add(boot=(2 * GIB, 2 * GIB)).start(),
        {
            "alias": "ua-all",
            "node": 1,
            "size": "8GiB",
            "block": "4MiB",
            "requested": "1GiB",
            "page_size": "2MiB",
            "node_mask": "0-1",
            "access": "shared",
            "discard": True,
            "dynamic_memslots": True,
            "guest_address": "0x180000000",
            "pci_address": "0000:03:00.0",
        },
    ),
    "attach-config-with-running-guest": (lambda hv: hv.add().start(), {"size": "16GiB", "scope": "config"}),
    "attach-transient": (lambda hv: hv.add(persistent=False).start(), {"size": "16GiB", "requested": "1GiB"}),
    "attach-second": (
        lambda hv: running_domain(hv, device(size=8 * GIB)),
        {"alias": "ua-two", "size": "8GiB", "requested": "1GiB"},
    ),
    "attach-balloon-target": (
        lambda hv: hv.add(device("ua-a", **SMALL), current=GIB),
        {"alias": "ua-b", "size": "4GiB"},
    ),
    "grow": (running_domain, {"requested": "6GiB"}),
    "grow-strings-with-blanks": (running_domain, {"requested": " 6 GiB "}),
    "shrink": (running_domain, {"requested": "1GiB"}),
    "shrink-to-nothing": (running_domain, {"requested": "0"}),
    "grow-live-only": (running_domain, {"requested": "6GiB", "scope": "live"}),
    "grow-config-only": (running_domain, {"requested": "6GiB", "scope": "config"}),
    "grow-both": (running_domain, {"requested": "6GiB", "scope": "both"}),
    "grow-by-uuid": (running_domain, {"domain": "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e", "requested": "6GiB"}),
    "grow-adopted": (lambda hv: running_domain(hv, device(alias=None)), {"requested": "6GiB"}),
    "grow-adopted-by-its-live-alias": (
        lambda hv: running_domain(hv, device(alias=None)),
        {"alias": "virtiomem0", "requested": "6GiB"},
    ),
    "grow-drifted": (drifted, {"requested": "6GiB"}),
    "heal-drift": (drifted, {"requested": "2GiB"}),
    "heal-live-only": (live_only, {"requested": "2GiB"}),
    "heal-config-only": (config_only, {"requested": "2GiB"}),
    "second-node": (
        lambda hv: running_domain(hv, device("ua-a", 8 * GIB), device("ua-b", 8 * GIB, node=1), boot=(GIB, GIB)),
        {"node": 1, "requested": "6GiB"},
    ),
    "redefine": (running_domain, {"size": "32GiB", "scope": "config"}),
    "redefine-smaller": (lambda hv: hv.add(device()), {"size": "8GiB", "block": "4MiB", "requested": "4GiB"}),
    "redefine-source": (lambda hv: hv.add(device()), {"page_size": "2MiB", "node_mask": "1", "access": "shared"}),
    "absent": (running_domain, {"state": "absent"}),
    "absent-shut-off": (lambda hv: hv.add(device()), {"state": "absent"}),
    "absent-config": (running_domain, {"state": "absent", "scope": "config"}),
    "absent-live": (running_domain, {"state": "absent", "scope": "live"}),
    "absent-already": (lambda hv: hv.add().start(), {"state": "absent"}),
    "absent-adopted": (lambda hv: running_domain(hv, device(alias=None)), {"state": "absent"}),
    "absent-balloon-target": (
        lambda hv: hv.add(device("ua-a", **SMALL), device("ua-b", **SMALL), current=GIB),
        {"state": "absent", "alias": "ua-a"},
    ),
    "slow": (lambda hv: running_domain(hv, device(), guest=Guest(rate=256 * MIB)), {"requested": "6GiB"}),
    "no-balloon": (lambda hv: running_domain(hv, device(), balloon="<memballoon model='none'/>"), {"requested": "0"}),
}


@pytest.mark.parametrize(
    ("versions", "events"),
    [(BOOKWORM, True), (TRIXIE, True), (TRIXIE, False), (SID, True)],
    ids=["bookworm", "trixie", "trixie-polling", "sid"],
)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_check_is_real_and_again_is_unchanged(play, hypervisor, scenario, events, versions):
    arrange, options = SCENARIOS[scenario]
    hypervisor.versions_are, hypervisor.has_events = versions, events
    if versions == BOOKWORM and ("everything" in scenario or scenario == "absent-live"):
        pytest.skip("libvirt 9.0 has no guest_address and no dynamic_memslots, QEMU 7.2 no unplug: see the bad inputs")
    domain = arrange(hypervisor)
    before = domain.texts()

    checked = play(check=True, **options)
    assert not checked.failed, checked["msg"]
    assert hypervisor.read_only
    assert hypervisor.writes == []
    assert domain.texts() == before

    hypervisor.calls.clear()
    real = play(**options)
    assert not real.failed, real["msg"]
    assert not hypervisor.read_only
    assert checked["changed"] == real["changed"]
    assert checked["diff"] == real["diff"]
    assert planned(checked) == planned(real)
    assert all(step["done"] for step in real["steps"])
    assert checked["converged"] is True
    assert real["converged"] is True
    assert checked["pending"] == real["pending"]
    assert checked["restart_required"] == real["restart_required"] == bool(real["pending"])
    assert real["changed"] == ("already" not in scenario)

    hypervisor.calls.clear()
    after = domain.texts()
    again = play(**options)
    assert not again.failed
    assert (again["changed"], again["steps"], again["converged"]) == (False, [], True)
    assert hypervisor.writes == []
    assert domain.texts() == after
    assert again["diff"]["before"] == again["diff"]["after"] == real["diff"]["after"]
    assert again["before"] == real["after"]
    assert (hypervisor.opened, hypervisor.closed) == (3, 3)

    for left in (checked, real, again):
        assert set(left) - OWN_KEYS == KEYS
        assert left["device"] is None or set(left["device"]) == DEVICE_KEYS
    if domain.live:
        assert without_memory(domain.live) == without_memory(before[0])
    if domain.config:
        assert without_memory(domain.config) == without_memory(before[1])


@pytest.mark.parametrize("scenario", ["attach", "grow", "shrink", "absent"])
def test_reads_and_order(play, hypervisor, scenario):
    arrange, options = SCENARIOS[scenario]
    arrange(hypervisor)
    play(wait=False, **options)
    calls = hypervisor.calls
    writes = [position for position, call in enumerate(calls) if call in hypervisor.writes]
    before, after = calls[: writes[0]], calls[writes[-1] :]
    for scope in ("live", "config"):
        assert before.count(("xml", scope)) == 1
        assert after.count(("xml", scope)) <= 1
    scopes = [scope for name, scope in hypervisor.writes if name != "set_stats_period"]
    assert scopes == sorted(scopes, reverse=True), "live first, config second"
    assert set(scopes) <= {"live", "config"}


def test_calls_of_a_no_op(play, hypervisor):
    """Each definition once, and nothing is watched: there is nothing to wait for."""
    running_domain(hypervisor)
    left = play()
    assert (left["changed"], left["converged"]) == (False, True)
    assert hypervisor.calls == [("state", None), ("xml", "live"), ("xml", "config")]


def test_live_fails_so_config_is_not_touched(play, hypervisor):
    domain = running_domain(hypervisor)
    config = domain.config
    hypervisor.before_call = fail_at("update", "live")
    left = play(requested="6GiB")
    assert (left["error_code"], left["changed"], done(left)) == ("libvirt_error", False, [])
    assert domain.config == config


def fail_at(name, scope, code="libvirt_error", number=1):
    """Let the number-th call of this kind fail."""
    count = [0]

    def hook(_domain, called, where):
        count[0] += (called, where) == (name, scope)
        if (called, where) == (name, scope) and count[0] == number:
            raise VirtmemError(code, "It did not work.", hint="None.")

    return hook


@pytest.mark.parametrize("scope", ["live", "config"])
@pytest.mark.parametrize("code", ["libvirt_error", "timeout", "domain_busy"])
def test_failure_reports_what_was_done(play, hypervisor, scope, code):
    running_domain(hypervisor)
    hypervisor.before_call = fail_at("update", scope, code)
    left = play(requested="6GiB")
    assert left["error_code"] == code
    assert set(left) - OWN_KEYS >= FAILURE_KEYS
    assert done(left) == ([("resize", "live")] if scope == "config" else [])
    assert len(left["steps"]) == 2
    assert left["changed"] == (scope == "config")
    assert left["after"]["config"]["requested"] == 2 * GIB


def test_connection_that_stays_lost(play, hypervisor):
    """After a write the domain can't be read any more: what was done is still told."""
    running_domain(hypervisor)

    def lost(_domain, name, scope):
        if (name, scope) == ("update", "config") or (name == "xml" and ("update", "config") in hypervisor.calls):
            raise VirtmemError("connection_lost", "The link broke.", hint="Again.")

    hypervisor.before_call = lost
    left = play(requested="6GiB")
    assert (left["error_code"], left["changed"], left["converged"]) == ("connection_lost", True, False)
    assert done(left) == [("resize", "live")]
    assert set(left) - OWN_KEYS >= FAILURE_KEYS


def test_unreachable_hypervisor_has_all_keys(play, hypervisor):
    def nobody(*_args):
        raise VirtmemError("connection_failed", "No connection to libvirt.", hint="Check the option uri.")

    hypervisor.connect = nobody
    left = play(requested="6GiB")
    assert set(left) - OWN_KEYS >= FAILURE_KEYS
    assert left["error_code"] == "connection_failed"


def test_a_failure_tells_nothing_internal_and_keeps_its_warnings(play, hypervisor):
    running_domain(hypervisor, guest=Guest(usable=None, lowest=GIB))
    left = play(requested="0", wait_timeout=3)
    assert left.failed
    assert not [key for key in left if key.startswith("_")]
    assert any("not checked" in warning for warning in left.warned)


# ------------------------------------------------------------------------------------------------------- bad inputs


def nodes(hypervisor):
    return running_domain(hypervisor, boot=(2 * GIB, 2 * GIB))


def empty(hypervisor):
    return hypervisor.add().start()


def two(hypervisor):
    return running_domain(hypervisor, device("ua-a", 4 * GIB), device("ua-b", 4 * GIB))


def pool_is_empty(hypervisor):
    hypervisor.host = 100 * MIB
    return running_domain(hypervisor)


def old(*libvirt, qemu=(7, 2, 22)):
    def arrange(hypervisor):
        hypervisor.versions_are = Versions(libvirt, qemu)
        return hypervisor.add().start()

    return arrange


def old_with_device(hypervisor):
    hypervisor.versions_are = BOOKWORM
    return running_domain(hypervisor, slots=1)


BAD = {
    "size-no-unit": (empty, {"size": "1024"}, "invalid_size"),
    "size-bad-unit": (empty, {"size": "16GiBs"}, "invalid_size"),
    "size-negative": (empty, {"size": "-1GiB"}, "invalid_size"),
    "size-empty-is-left-out": (empty, {"size": ""}, "device_not_found"),
    "size-word": (empty, {"size": "much"}, "invalid_size"),
    "size-part-of-a-byte": (empty, {"size": "0.3B"}, "invalid_size"),
    "size-too-large": (empty, {"size": "8EiB"}, "invalid_size"),
    "requested-no-unit": (running_domain, {"requested": "1024"}, "invalid_size"),
    "reserve-no-unit": (running_domain, {"requested": "0", "guest_reserve": "128"}, "invalid_size"),
    "block-bad-unit": (empty, {"size": "1GiB", "block": "2 MiBi"}, "invalid_size"),
    "page-size-no-unit": (empty, {"size": "1GiB", "page_size": "2048"}, "invalid_size"),
    "size-zero": (empty, {"size": "0"}, "invalid_size"),
    "page-size-odd": (empty, {"size": "1GiB", "page_size": "3MiB"}, "unsupported"),
    "mask-empty": (empty, {"size": "1GiB", "node_mask": "1,^1"}, "unsupported"),
    "size-odd": (empty, {"size": "4097MiB"}, "not_multiple_of_block"),
    "size-not-in-blocks": (empty, {"size": "4GiB", "block": "1GiB", "requested": "1.5GiB"}, "not_multiple_of_block"),
    "requested-odd": (running_domain, {"requested": "2049MiB"}, "not_multiple_of_block"),
    "address-odd": (empty, {"size": "1GiB", "guest_address": "0x100000001"}, "not_multiple_of_block"),
    "requested-too-large": (running_domain, {"requested": "17GiB"}, "exceeds_device_size"),
    "block-3": (empty, {"size": "6GiB", "block": "3MiB"}, "block_invalid"),
    "block-small": (empty, {"size": "6GiB", "block": "1MiB"}, "block_invalid"),
    "block-zero": (empty, {"size": "6GiB", "block": "0"}, "block_invalid"),
    "block-smaller-than-page": (empty, {"size": "6GiB", "block": "2MiB", "page_size": "1GiB"}, "block_invalid"),
    "too-large-for-the-domain": (empty, {"size": "63GiB"}, "exceeds_max_memory"),
    "redefined-too-large": (running_domain, {"size": "63GiB", "scope": "config"}, "exceeds_max_memory"),
    "no-slot": (old_with_device, {"alias": "ua-2", "size": "1GiB"}, "exceeds_max_memory"),
    "no-max-memory": (lambda hv: hv.add(maximum=None).start(), {"size": "1GiB"}, "not_hotpluggable"),
    "no-numa": (lambda hv: hv.add(boot=()), {"size": "1GiB"}, "not_hotpluggable"),
    "no-port": (lambda hv: hv.add(ports=0).start(), {"size": "1GiB", "scope": "live"}, "not_hotpluggable"),
    "locked": (
        lambda hv: hv.add(backing="<memoryBacking><locked/></memoryBacking>").start(),
        {"size": "1GiB"},
        "not_hotpluggable",
    ),
    "node-unknown": (nodes, {"size": "1GiB", "node": 2}, "node_not_found"),
    "node-missing": (lambda hv: hv.add(boot=(GIB, GIB)).start(), {"size": "1GiB"}, "node_not_found"),
    "node-negative": (empty, {"size": "1GiB", "node": -1}, "node_not_found"),
    "live-size": (running_domain, {"size": "32GiB", "scope": "live"}, "immutable"),
    "live-block": (running_domain, {"block": "4MiB", "scope": "live"}, "immutable"),
    "live-memslots": (running_domain, {"dynamic_memslots": True, "scope": "live"}, "immutable"),
    "live-page-size": (running_domain, {"page_size": "2MiB", "scope": "live"}, "immutable"),
    "live-pci-address": (running_domain, {"pci_address": "0000:03:00.0", "scope": "live"}, "immutable"),
    "no-device-to-resize": (empty, {"requested": "1GiB"}, "device_not_found"),
    "no-such-alias": (running_domain, {"alias": "ua-other", "requested": "1GiB"}, "device_not_found"),
    "two-devices": (two, {"requested": "1GiB"}, "device_ambiguous"),
    "two-devices-on-the-node": (two, {"node": 0, "requested": "1GiB"}, "device_ambiguous"),
    "two-devices-absent": (two, {"state": "absent"}, "device_ambiguous"),
    "alias-of-a-dimm": (
        lambda hv: running_domain(hv, device("ua-d", GIB, model="dimm")),
        {"alias": "ua-d", "size": "1GiB"},
        "device_ambiguous",
    ),
    "alias-not-kept": (empty, {"alias": "web1-mem", "size": "1GiB"}, "unsupported"),
    "alias-with-a-dot": (empty, {"alias": "ua-v.m0", "size": "1GiB"}, "unsupported"),
    "pci-nonsense": (empty, {"size": "1GiB", "pci_address": "3"}, "unsupported"),
    "pci-taken": (
        lambda hv: hv.add(device(**SMALL), ports=4),
        {"alias": "ua-2", "size": "1GiB", "pci_address": "0000:04:00.0"},
        "unsupported",
    ),
    "mask-nonsense": (empty, {"size": "1GiB", "node_mask": "all"}, "unsupported"),
    "address-nonsense": (empty, {"size": "1GiB", "guest_address": "top"}, "unsupported"),
    "old-libvirt-address": (old(9, 3, 0), {"size": "1GiB", "guest_address": "0x180000000"}, "unsupported"),
    "old-libvirt-memslots": (old(10, 0, 0), {"size": "1GiB", "dynamic_memslots": True}, "unsupported"),
    "no-virtio-mem-at-all": (old(7, 8, 0), {"size": "1GiB"}, "unsupported"),
    "no-virtio-mem-in-qemu": (old(7, 9, 0, qemu=(5, 0, 1)), {"size": "1GiB"}, "unsupported"),
    "live-of-a-stopped-domain": (lambda hv: hv.add(device()), {"requested": "0", "scope": "live"}, "unsupported"),
    "both-of-a-stopped-domain": (lambda hv: hv.add(device()), {"requested": "0", "scope": "both"}, "unsupported"),
    "config-of-a-transient": (
        lambda hv: running_domain(hv, persistent=False),
        {"requested": "0", "scope": "config"},
        "unsupported",
    ),
    "no-such-domain": (empty, {"domain": "web2", "size": "1GiB"}, "domain_not_found"),
    "unplug-live": (old_with_device, {"state": "absent", "scope": "live"}, "unplug_unsupported"),
    "starves-the-guest": (
        lambda hv: running_domain(hv, guest=Guest(usable=300 * MIB), balloon=STATS),
        {"requested": "1GiB"},
        "guest_needs_memory",
    ),
    "host-has-not-got-it": (pool_is_empty, {"requested": "4GiB"}, "host_lacks_memory"),
}
STATS = "<memballoon model='virtio'><stats period='2'/></memballoon>"


@pytest.mark.parametrize("check", [False, True], ids=["real", "check"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input(play, hypervisor, name, check, request):
    arrange, options, code = BAD[name]
    domain = arrange(hypervisor)
    hypervisor.clock.advance(1)  # statistics come by themselves
    before = domain.texts()
    left = play(check=check, **options)
    assert left.failed
    assert left["error_code"] == code
    assert code in ERROR_CODES
    assert domain.texts() == before
    assert hypervisor.writes == []
    assert hypervisor.closed == hypervisor.opened == 1
    assert set(left) - OWN_KEYS >= FAILURE_KEYS
    message = left["msg"]
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 300
    assert isinstance(left["details"], dict)
    assert not any(step["done"] for step in left["steps"])
    assert left["hint"].strip()


@pytest.mark.parametrize("name", ["starves-the-guest", "host-has-not-got-it", "unplug-live"])
def test_a_refused_check_has_not_changed_anything(play, hypervisor, name):
    arrange, options, _code = BAD[name]
    arrange(hypervisor)
    hypervisor.clock.advance(1)
    left = play(check=True, **options)
    assert left["changed"] is False


def test_thirty_bad_inputs():
    assert len(BAD) >= 30


# ---------------------------------------------------------------------------------------------------- guests that differ


PARTIAL = {
    # on_partial: failed, requested live, requested config, steps done after a shrink from 2 GiB to 0 that stops at 1 GiB
    "fail": (True, 0, 0, [("resize", "live"), ("resize", "config")]),
    "warn": (False, 0, 0, [("resize", "live"), ("resize", "config")]),
    "settle": (False, GIB, GIB, [("resize", "live"), ("resize", "config")] * 2),
    "rollback": (True, 2 * GIB, 2 * GIB, [("resize", "live"), ("resize", "config")] * 2),
}


@pytest.mark.parametrize("events", [True, False], ids=["events", "polling"])
@pytest.mark.parametrize("policy", PARTIAL)
def test_shrink_that_stops_short(play, hypervisor, policy, events):
    failed, live, config, steps = PARTIAL[policy]
    hypervisor.has_events = events
    domain = running_domain(hypervisor, guest=Guest(lowest=GIB))
    before = domain.texts()
    left = play(requested="0", on_partial=policy, wait_timeout=30)
    assert left.failed == failed
    assert (domain.requested("live"), domain.requested("config")) == (live, config)
    assert done(left) == steps
    assert left["converged"] is False or policy == "rollback"
    assert left["changed"] == (policy != "rollback")
    text = left["msg"] if failed else " ".join(left.warned)
    for number in ("1 GiB", "2 GiB", "30 s"):
        assert number in text
    if failed:
        assert left["error_code"] == "partial"
        assert left["details"]["moved"] == GIB
    if policy == "rollback":
        assert [canonical(text) for text in domain.texts()] == [canonical(text) for text in before]


@pytest.mark.parametrize("policy", PARTIAL)
def test_guest_without_driver_times_out_with_numbers(play, hypervisor, policy):
    domain = hypervisor.add(guest=Guest(driver=False)).start()
    left = play(size="4GiB", requested="1GiB", on_partial=policy, wait_timeout=20)
    assert left.failed == (policy in ("fail", "rollback"))
    text = left["msg"] if left.failed else " ".join(left.warned)
    assert "took 0 of 1 GiB in 20 s" in text
    if left.failed:
        assert left["error_code"] == "timeout"
        assert left["details"]["current"] == 0
    assert domain.requested() == {"fail": GIB, "warn": GIB, "settle": 0, "rollback": None}[policy]
    if policy == "rollback":
        assert domain.requested("config") is None
        assert element(domain.config).findtext("currentMemory") == str(2 * GIB // 1024)


def test_rollback_where_nothing_can_be_unplugged(play, hypervisor):
    hypervisor.versions_are = BOOKWORM
    domain = hypervisor.add(guest=Guest(driver=False)).start()
    left = play(size="4GiB", requested="1GiB", on_partial="rollback", wait_timeout=20)
    assert left["error_code"] == "timeout"
    assert (domain.requested("live"), domain.requested("config")) == (0, None)
    assert left["changed"] is True
    assert left["restart_required"] is True
    assert left["pending"]


def test_settle_counts_a_request_of_an_earlier_task(play, hypervisor):
    """The live request is older than this task, which only brings the config up to it: both are settled."""
    domain = drifted(hypervisor)
    domain.guest.highest = GIB
    domain.edit("live", lambda root: root.find("devices/memory/target/current").__setattr__("text", str(MIB)))
    left = play(requested="2GiB", on_partial="settle", wait_timeout=10)
    assert not left.failed
    assert (domain.requested("live"), domain.requested("config")) == (GIB, GIB)


def test_settle_of_nothing_but_an_earlier_request(play, hypervisor):
    domain = hypervisor.add(device(), guest=Guest(highest=GIB)).start(settled=False)
    left = play(requested="2GiB", on_partial="settle", wait_timeout=10)
    assert not left.failed
    assert left["changed"] is True
    assert domain.requested("live") == GIB


@pytest.mark.parametrize("policy", ["warn", "settle"])
def test_absent_that_stops_short_says_that_something_is_left(play, hypervisor, policy):
    domain = running_domain(hypervisor, guest=Guest(lowest=GIB))
    left = play(state="absent", on_partial=policy, wait_timeout=10)
    assert not left.failed
    assert domain.current() == GIB
    assert domain.requested("config") is None
    assert left["converged"] is False
    assert ("detach", "live") not in done(left)
    assert left["restart_required"] is True
    assert left["pending"]


def test_absent_of_a_guest_that_does_not_let_go(play, hypervisor):
    running_domain(hypervisor, guest=Guest(lets_go=False))
    left = play(state="absent", wait_timeout=10)
    assert left["error_code"] == "timeout"
    assert left["changed"] is True
    assert ("detach", "live") in done(left)
    assert ("detach", "config") not in done(left)


def test_one_deadline_for_all_waiting(play, hypervisor):
    running_domain(hypervisor, guest=Guest(rate=64 * MIB, lets_go=False))  # 8 s to give back 2 GiB
    start = hypervisor.clock.now
    left = play(state="absent", wait_timeout=12)
    assert left["error_code"] == "timeout"
    assert hypervisor.clock.now - start == pytest.approx(12, abs=2.5)


def test_paused_guest_times_out_and_follows_later(play, hypervisor):
    domain = running_domain(hypervisor)
    domain.paused = True
    left = play(requested="4GiB", wait_timeout=10)
    assert left["error_code"] == "timeout"
    assert left["domain"]["state"] == "paused"
    domain.paused = False
    again = play(requested="4GiB")
    assert (again["changed"], again["converged"]) == (False, True)


def test_guest_dies_half_way(play, hypervisor):
    domain = running_domain(hypervisor, guest=Guest(rate=64 * MIB))
    domain.guest.dies_at = hypervisor.clock.now + 3
    left = play(requested="8GiB")
    assert left["error_code"] == "domain_not_found"
    assert done(left) == [("resize", "live"), ("resize", "config")]
    assert left["changed"] is True
    assert left["converged"] is False


@pytest.mark.parametrize("wait", [True, False])
def test_wait_false_asks_and_leaves(play, hypervisor, wait):
    domain = running_domain(hypervisor, guest=Guest(rate=64 * MIB))
    start = hypervisor.clock.now
    left = play(requested="4GiB", wait=wait)
    assert left["changed"] is True
    assert left["converged"] is wait
    assert (hypervisor.clock.now > start) is wait
    assert domain.requested() == 4 * GIB


def test_absent_without_waiting_leaves_what_is_plugged(play, hypervisor):
    domain = running_domain(hypervisor)
    left = play(state="absent", wait=False)
    assert not left.failed
    assert domain.requested() == 0
    assert left["converged"] is False


def test_wait_for_a_guest_that_was_asked_before(play, hypervisor):
    hypervisor.add(device(), guest=Guest(rate=64 * MIB)).start(settled=False)
    left = play(requested="2GiB")
    assert (left["changed"], left["converged"], left["device"]["current"]) == (False, True, 2 * GIB)
    assert hypervisor.writes == []


# ---------------------------------------------------------------------------------------------------------- guards


def test_stale_statistics_are_made_fresh_and_the_period_is_put_back(play, hypervisor):
    domain = running_domain(hypervisor, guest=Guest(usable=300 * MIB))
    before = canonical(domain.live)
    left = play(requested="1GiB")
    assert left["error_code"] == "guest_needs_memory"
    assert domain.period_history == [1, 0]
    assert canonical(domain.live) == before
    assert left["details"]["usable"] == 300 * MIB
    assert left["details"]["nearest"] == 2 * GIB - 172 * MIB


def test_long_period_is_put_back(play, hypervisor):
    domain = running_domain(hypervisor, balloon=STATS.replace("'2'", "'60'"))
    assert not play(requested="1GiB").failed
    assert domain.period_history == [1, 60]


@pytest.mark.parametrize(
    ("guest", "balloon", "words"),
    [
        (Guest(usable=None), "<memballoon model='virtio'/>", "reports no statistics"),
        (Guest(answers=False), "<memballoon model='virtio'/>", "reports no statistics"),
        (Guest(), "<memballoon model='none'/>", "no memory balloon"),
    ],
    ids=["none", "silent", "no-balloon"],
)
def test_unknown_need_is_a_warning(play, hypervisor, guest, balloon, words):
    running_domain(hypervisor, guest=guest, balloon=balloon)
    left = play(requested="1GiB")
    assert not left.failed
    assert any(words in warning for warning in left.warned)


def test_check_mode_does_not_write_a_period_and_warns(play, hypervisor):
    domain = running_domain(hypervisor)
    left = play(check=True, requested="1GiB")
    assert not left.failed
    assert domain.period_history == []
    assert left.warned


@pytest.mark.parametrize("guard", ["check_guest_memory", "check_host_memory"])
def test_guards_can_be_switched_off(play, hypervisor, guard):
    hypervisor.host = 0
    domain = running_domain(hypervisor, guest=Guest(usable=0))
    requested = "1GiB" if guard == "check_guest_memory" else "4GiB"
    assert play(requested=requested).failed
    domain.period_history.clear()
    assert not play(requested=requested, **{guard: False}).failed
    assert domain.period_history == [], "the guest is not asked for anything"


EVERY_SECOND = "<memballoon model='virtio'><stats period='1'/></memballoon>"


@pytest.mark.parametrize(
    ("guest", "balloon", "said"),
    [
        ({"usable": 0}, EVERY_SECOND, "has 0 usable.*Continuing because check_guest_memory=false"),
        ({"usable": 0}, "<memballoon model='virtio'/>", "not checked.*nothing lately"),
        ({"usable": 64 * GIB}, EVERY_SECOND, None),
        ({"usable": None}, EVERY_SECOND, "not checked.*nothing lately"),
        ({}, "<memballoon model='none'/>", None),
    ],
    ids=["needs it", "old", "can spare it", "says nothing", "no balloon"],
)
def test_without_the_guard_there_is_a_warning(play, hypervisor, guest, balloon, said):
    domain = running_domain(hypervisor, guest=Guest(**guest), balloon=balloon)
    hypervisor.clock.advance(5)
    left = play(requested="1GiB", check_guest_memory=False)
    assert not left.failed
    assert domain.current() == GIB
    assert len(left.warned) == (said is not None)
    assert said is None or re.search(said, left.warned[0])


@pytest.mark.parametrize(
    ("usable", "check", "code"),
    [(129, True, "guest_needs_memory"), (256, True, None), (129, False, None)],
)
def test_a_guest_without_memory_for_page_structures(play, hypervisor, usable, check, code):
    """12 GiB take 192 MiB of a guest that has 129 MiB: measured, it stopped at 7808 MiB."""
    guest = Guest(usable=usable * MIB)
    domain = running_domain(hypervisor, device(requested=0), boot=(256 * MIB,), guest=guest, balloon=EVERY_SECOND)
    hypervisor.clock.advance(5)
    left = play(requested="12GiB", check_guest_memory=check)
    assert left.get("error_code") == code
    if code:
        assert left["details"]["page_structures"] == 192 * MIB
        assert 7 * GIB < left["details"]["nearest"] <= 7808 * MIB
        assert domain.requested() == 0
        guest.usable -= 4 * MIB  # no guest stands still
        assert not play(requested=str(left["details"]["nearest"]) + " bytes").failed
    else:
        assert any("192 MiB" in warning for warning in left.warned) is not check


def test_little_growth_asks_the_guest_for_nothing(play, hypervisor):
    running_domain(hypervisor, guest=Guest(usable=0))
    assert not play(requested="8GiB").failed
    assert ("statistics", None) not in hypervisor.calls


@pytest.mark.parametrize(
    ("backing", "source", "asked"),
    [
        ("", "", (None, None)),
        ("", "<source><nodemask>0-1</nodemask></source>", (None, [0, 1])),
        ("", "<source><pagesize unit='KiB'>2048</pagesize></source>", (2 * MIB, None)),
        ("<memoryBacking><hugepages/></memoryBacking>", "", (0, None)),
        ("<numatune><memory mode='strict' nodeset='1'/></numatune>", "", (None, [1])),
    ],
)
def test_host_is_asked_for_what_backs_the_device(play, hypervisor, backing, source, asked):
    running_domain(hypervisor, device(source=source), backing=backing)
    play(requested="4GiB")
    assert hypervisor.asked_host == [asked]


@pytest.mark.parametrize(("devices", "nearest"), [([], 98 * MIB), ([device()], 2 * GIB + 98 * MIB)], ids=["new", "old"])
def test_host_memory_offers_what_it_has(play, hypervisor, devices, nearest):
    hypervisor.host = 99 * MIB
    hypervisor.add(*devices).start()
    left = play(size="16GiB", requested="4GiB")
    assert left["error_code"] == "host_lacks_memory"
    assert left["details"]["nearest"] == nearest
    assert not play(size="16GiB", requested=f"{nearest}B").failed


def test_offline_memory_is_told(play, hypervisor):
    running_domain(hypervisor, guest=Guest(counted=1900 * MIB), balloon=STATS)
    hypervisor.clock.advance(1)
    left = play(requested="2GiB")
    assert left["device"]["offline_in_guest"] == 2 * GIB
    assert any("offline" in warning for warning in left.warned)


def test_online_memory_is_told(play, hypervisor):
    running_domain(hypervisor, guest=Guest(counted=4 * GIB - 150 * MIB), balloon=STATS)
    hypervisor.clock.advance(1)
    left = play(requested="2GiB")
    assert left["device"]["offline_in_guest"] == 0
    assert not left.warned


# ------------------------------------------------------------------------------------------------------------ unplug


@pytest.mark.parametrize(
    ("versions", "machine", "stays"),
    [
        (BOOKWORM, "pc-q35-7.2", True),
        (TRIXIE, "pc-q35-8.0", True),
        (TRIXIE, "pc-q35-8.1", False),
        (TRIXIE, "pc-i440fx-9.2", False),
        (SID, "pc-q35-11.1", False),
    ],
)
def test_absent_where_unplug_is_impossible(play, hypervisor, versions, machine, stays):
    hypervisor.versions_are = versions
    domain = running_domain(hypervisor, machine=machine)
    left = play(state="absent")
    assert not left.failed
    assert left["restart_required"] is stays
    assert bool(left["pending"]) is stays
    assert (domain.requested(), domain.current()) == ((0, 0) if stays else (None, None))
    assert domain.requested("config") is None
    assert left["converged"] is True
    assert ("unplug", "live") not in hypervisor.calls or not stays


def test_absent_where_only_qemu_knows(play, hypervisor):
    """A machine type with a distribution's own number: QEMU has the last word, and it is told."""
    domain = running_domain(hypervisor, machine="pc-q35-rhel-old")
    left = play(state="absent")
    assert not left.failed
    assert (domain.requested(), domain.requested("config")) == (0, None)
    assert left["restart_required"] is True
    assert "leaves the guest" in left["pending"][0]


# ------------------------------------------------------------------------------------------------------------- traps
# Numbers are those of section 11 of the fact sheet.


def test_trap_01_live_and_config_in_one_update(play, hypervisor):
    running_domain(hypervisor)
    play(requested="4GiB")
    assert hypervisor.writes[-2:] == [("update", "live"), ("update", "config")]


@pytest.mark.parametrize("alias", ["ua-virtiomem0", None], ids=["user-alias", "auto-alias"])
@pytest.mark.parametrize("versions", [BOOKWORM, TRIXIE, SID], ids=["bookworm", "trixie", "sid"])
def test_trap_02_update_without_address_or_alias(play, hypervisor, alias, versions):
    hypervisor.versions_are = versions
    domain = running_domain(hypervisor, device(alias=alias))
    before = canonical(domain.config)
    assert not play(requested="4GiB").failed
    assert domain.requested("live", alias or "virtiomem0") == 4 * GIB
    expected = before.replace(str(2 * GIB // 1024) + "</requested>", str(4 * GIB // 1024) + "</requested>")
    assert canonical(domain.config) == expected, "alias and address of the config are kept"


def test_trap_03_qemu_that_cannot_unplug(play, hypervisor):
    hypervisor.versions_are = BOOKWORM
    running_domain(hypervisor)
    assert not play(state="absent").failed
    assert ("unplug", "live") not in hypervisor.calls


def test_trap_04_detach_says_ok_while_the_device_stays(play, hypervisor):
    domain = running_domain(hypervisor)
    left = play(state="absent")
    assert left["after"]["live"] is None
    assert domain.current() is None


def test_trap_05_current_memory_after_a_reboot(play, hypervisor):
    domain = running_domain(hypervisor)
    domain.reboot()
    hypervisor.clock.advance(1)
    doubled = int(element(domain.live).findtext("currentMemory"))
    assert doubled == (2 * GIB + 2 * 2 * GIB) // 1024, "the fake has libvirt's bug"
    left = play(requested="4GiB")
    assert (left["converged"], left["device"]["current"]) == (True, 4 * GIB)


def test_trap_05_reboot_while_waiting(play, hypervisor):
    domain = running_domain(hypervisor, guest=Guest(rate=128 * MIB))
    domain.guest.reboots_at = hypervisor.clock.now + 2
    left = play(requested="8GiB")
    assert (left["converged"], left["device"]["current"]) == (True, 8 * GIB)


@pytest.mark.parametrize("state", ["present", "absent"])
def test_trap_05_current_memory_of_the_config(play, hypervisor, state):
    """Attach adds the device's size to it, detach subtracts unsigned: a balloon set for the next start is kept."""
    small = {"size": 4 * GIB, "requested": 0}
    domain = hypervisor.add(device("ua-a", **small), device("ua-b", **small), current=512 * MIB)
    options = {"alias": "ua-c", "size": "4GiB"} if state == "present" else {"alias": "ua-a", "state": "absent"}
    assert not play(**options).failed
    assert element(domain.config).findtext("currentMemory") == str(512 * 1024)


def test_trap_06_block_is_not_defaulted(play, hypervisor):
    hypervisor.add()
    left = play(size="4GiB")
    assert left["device"]["block"] == 2 * MIB


def test_trap_06_size_that_is_no_multiple_of_the_block(play, hypervisor):
    hypervisor.add().start()
    left = play(size="4098MiB", block="4MiB")
    assert left["error_code"] == "not_multiple_of_block"
    assert "4096 MiB" in left["hint"] or "4 GiB" in left["hint"]
    assert "4100 MiB" in left["hint"]


def test_trap_07_shrink_that_never_completes(play, hypervisor):
    running_domain(hypervisor, guest=Guest(lowest=20 * MIB))
    start = hypervisor.clock.now
    left = play(requested="0", wait_timeout=60)
    assert left["error_code"] == "partial"
    assert left["details"]["current"] == 20 * MIB
    assert hypervisor.clock.now - start == pytest.approx(60, abs=1)


def test_trap_08_current_counts_offline_memory(play, hypervisor):
    running_domain(hypervisor, guest=Guest(counted=1900 * MIB), balloon=STATS)
    hypervisor.clock.advance(1)
    assert play(requested="2GiB")["device"]["offline_in_guest"] > GIB


def test_trap_09_unknown_xml_is_dropped_without_a_word(play, hypervisor, monkeypatch):
    """Our version table is wrong, say: what libvirt dropped is found by reading again."""
    hypervisor.versions_are = Versions((10, 0, 0), (8, 2, 0))
    monkeypatch.setattr(hypervisor, "versions", lambda: TRIXIE)
    hypervisor.add().start()
    left = play(size="4GiB", dynamic_memslots=True)
    assert left["error_code"] == "unsupported"
    assert "dropped dynamic_memslots" in left["msg"]


def test_trap_10_alias_that_libvirt_drops(play, hypervisor):
    hypervisor.add().start()
    left = play(size="4GiB", alias="vm.0")
    assert left["error_code"] == "unsupported"
    assert left["details"]["nearest"] == "ua-vm-0"


def test_trap_11_max_memory_counts_whole_sizes(play, hypervisor):
    hypervisor.add(maximum=10 * GIB).start()
    left = play(size="16GiB", requested="1GiB")
    assert left["error_code"] == "exceeds_max_memory"
    assert left["details"]["nearest"] == 8 * GIB
    assert not play(size="8GiB", requested="1GiB").failed


@pytest.mark.parametrize(("libvirt", "fits"), [((9, 4, 0), False), ((9, 5, 0), True)])
def test_trap_11_slots(play, hypervisor, libvirt, fits):
    hypervisor.versions_are = Versions(libvirt, (8, 2, 0))
    running_domain(hypervisor, device(**SMALL), slots=1)
    left = play(alias="ua-2", size="4GiB", scope="live")
    assert left.failed is not fits
    if not fits:
        assert left["error_code"] == "exceeds_max_memory"


@pytest.mark.parametrize(("libvirt", "fits"), [((9, 5, 0), False), ((9, 10, 0), False), ((10, 0, 0), True)])
def test_trap_15_cold_plug_counts_all_devices(play, hypervisor, libvirt, fits):
    hypervisor.versions_are = Versions(libvirt, (8, 2, 0))
    domain = hypervisor.add(device(**SMALL), slots=1)
    before = domain.texts()
    left = play(alias="ua-2", size="4GiB")
    assert left.failed is not fits
    if not fits:
        assert left["error_code"] == "exceeds_max_memory"
        assert domain.texts() == before
        assert hypervisor.writes == []


@pytest.mark.parametrize(("thp", "block"), [(512 * MIB, 512 * MIB), (2 * MIB, 2 * MIB)])
def test_trap_13_arm_with_large_pages(play, hypervisor, thp, block):
    hypervisor.thp = thp
    hypervisor.add(arch="aarch64", machine="virt-9.2")
    left = play(size="16GiB")
    assert left["device"]["block"] == block


def test_trap_13_arm_says_the_nearest_whole_block(play, hypervisor):
    hypervisor.thp = 512 * MIB
    large = device(size=16 * GIB, block=512 * MIB, requested=GIB)
    domain = hypervisor.add(large, arch="aarch64", machine="virt-9.2").start()
    left = play(requested="1300MiB")
    assert left["error_code"] == "not_multiple_of_block"
    assert "512 MiB" in left["msg"]
    assert left["details"]["nearest"] == 1536 * MIB
    assert hypervisor.writes == []
    left = play(requested="1536MiB")
    assert (left["device"]["current"], left["changed"]) == (1536 * MIB, True)
    assert ">1572864</requested>" in domain.texts()[1]


def s390x(hypervisor, *devices):
    """A domain as libvirt 11.1 and later have it for s390x: no NUMA node, no PCI."""
    hypervisor.versions_are, hypervisor.thp = Versions((11, 3, 0), (10, 0, 13)), MIB
    text = domain_xml(*devices, arch="s390x", machine="s390-ccw-virtio-10.0")
    domain = FakeDomain(hypervisor, re.sub(r"<numa>.*?</numa>|<controller [^>]*/>", "", text, flags=re.DOTALL))
    hypervisor.all[domain.name] = domain
    return domain


def test_s390x_has_a_ccw_address_and_no_node(play, hypervisor):
    ccw = "<address type='ccw' cssid='0xfe' ssid='0x0' devno='0x0003'/>"
    domain = s390x(hypervisor, device(node=None, block=MIB, requested=GIB, extra=ccw)).start()
    left = play(requested="1025MiB")
    assert (left["device"]["node"], left["device"]["current"]) == (None, 1025 * MIB)
    assert left["device"]["pci_address"] is None
    assert [step["done"] for step in left["steps"]] == [True, True]
    live, config = domain.texts()
    assert canonical(ccw) in canonical(config)
    assert 'devno="0x0003"' in live
    assert not play(requested="1025MiB")["changed"]


def test_s390x_takes_a_device_without_a_node(play, hypervisor):
    s390x(hypervisor)
    left = play(size="4GiB", requested="1GiB")
    assert (left["device"]["node"], left["device"]["block"]) == (None, MIB)
    assert play(size="4GiB", node=0, alias="ua-b")["error_code"] == "node_not_found"


def test_trap_13_arm_of_a_remote_host(play, hypervisor):
    hypervisor.thp = None
    hypervisor.add(arch="aarch64", machine="virt-9.2")
    assert play(size="16GiB")["error_code"] == "block_invalid"
    assert not play(size="16GiB", block="512MiB").failed


def test_trap_14_free_pcie_ports(play, hypervisor):
    domain = hypervisor.add(ports=1).start()
    assert not play(size="4GiB").failed
    left = play(size="4GiB", alias="ua-2")
    assert left["error_code"] == "not_hotpluggable"
    assert "PCIe port" in left["msg"]
    assert len(element(domain.live).findall("devices/memory")) == 1


@pytest.mark.parametrize("versions", [TRIXIE, SID], ids=["trixie", "sid"])
def test_trap_16_live_address_base_leaks(play, hypervisor, versions):
    hypervisor.versions_are = versions
    domain = running_domain(hypervisor)
    assert not play(requested="4GiB").failed
    assert element(domain.live).find("devices/memory/target/address") is not None
    assert element(domain.config).find("devices/memory/target/address") is None


def test_trap_16_attach_to_the_config_what_is_live(play, hypervisor):
    domain = live_only(hypervisor)
    assert not play(requested="2GiB").failed
    memory = element(domain.config).find("devices/memory")
    assert memory.find("target/address") is None
    assert memory.find("alias").get("name") == "ua-virtiomem0"


@pytest.mark.parametrize(
    "extra",
    [
        {"backing": "<memoryBacking><locked/></memoryBacking>"},
        {"balloon": "<memballoon model='none'/><interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"},
        {
            "balloon": "<memballoon model='none'/><disk type='nvme' device='disk'><source type='pci' managed='yes' "
            "namespace='1'/></disk>"
        },
    ],
    ids=["mlock", "vdpa", "nvme"],
)
def test_trap_17_what_excludes_virtio_mem(play, hypervisor, extra):
    hypervisor.add(**extra)
    assert play(size="4GiB")["error_code"] == "not_hotpluggable"


def test_trap_18_identical_attach_duplicates(play, hypervisor):
    domain = hypervisor.add().start()
    for _time in range(3):
        play(size="4GiB", requested="1GiB")
    assert [len(element(text).findall("devices/memory")) for text in domain.texts()] == [1, 1]


def test_trap_19_memory_is_overwritten_where_numa_exists(play, hypervisor):
    domain = hypervisor.add(device())
    assert not play(size="32GiB").failed
    assert element(domain.config).findtext("memory") == str(34 * GIB // 1024)
    assert ("update", "config") not in hypervisor.calls


# --------------------------------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("mask", ["0-1", " 0 - 1 ", "0-1,3", "0,1", "1,0", "0-2,^2"])
def test_node_mask_is_a_set(play, hypervisor, mask):
    """libvirt writes 0-1, however it was given."""
    hypervisor.add()
    first = play(size="4GiB", node_mask=mask)
    assert not first.failed, first["msg"]
    again = play(size="4GiB", node_mask=mask)
    assert again["changed"] is False


def test_redefinition_keeps_the_vnc_password(play, hypervisor):
    domain = hypervisor.add(device())
    assert not play(size="32GiB").failed
    assert element(domain.config).find("devices/graphics").get("passwd") == "secret"


def test_redefinition_needs_the_passwords(play, hypervisor):
    domain = hypervisor.add(device())
    before = domain.texts()

    def denied(_domain, name, scope):
        if (name, scope) == ("xml", "config") and hypervisor.count("xml", "config") == 2:
            raise VirtmemError("permission_denied", "libvirt does not let this user read the definition.", hint="So.")

    hypervisor.before_call = denied
    assert play(size="32GiB")["error_code"] == "permission_denied"
    assert domain.texts() == before


def test_somebody_else_removes_the_device_meanwhile(play, hypervisor):
    domain = running_domain(hypervisor, guest=Guest(rate=64 * MIB))

    def meddle(_domain, name, scope):
        if (name, scope) == ("update", "config"):
            domain.edit("live", lambda root: root.find("devices").remove(root.find("devices/memory")))

    hypervisor.before_call = meddle
    left = play(requested="4GiB")
    assert left["error_code"] == "device_not_found"
    assert "another client" in left["msg"]


def test_failure_after_the_guest_stopped_tells_what_is_there(play, hypervisor):
    domain = running_domain(hypervisor, guest=Guest(rate=64 * MIB))
    domain.guest.dies_at = hypervisor.clock.now + 3
    left = play(requested="8GiB")
    assert left["domain"]["state"] == "shutoff"
    assert left["after"]["live"] is None
    assert left["after"]["config"]["requested"] == left["device"]["requested"] == 8 * GIB


def test_saved_state_is_a_warning(play, hypervisor, monkeypatch):
    domain = hypervisor.add(device())
    state = domain.state()
    monkeypatch.setattr(domain, "state", lambda: replace(state, saved=True))
    left = play(requested="4GiB")
    assert any("managed-save image" in warning for warning in left.warned)
    assert not play(requested="4GiB").warned


def test_pending_tells_what_the_next_start_brings(play, hypervisor):
    running_domain(hypervisor)
    left = play(requested="4GiB", scope="config")
    assert left["restart_required"] is True
    assert left["pending"] == ["ua-virtiomem0: requested=4 GiB at the next start"]
    assert left["converged"] is True


def test_uri_and_password_reach_the_connection(play, hypervisor):
    seen = []
    connect = hypervisor.connect
    hypervisor.connect = lambda *args: (seen.append(args), connect(*args))[1]
    hypervisor.add()
    play(check=True, size="1GiB", uri="qemu+tcp://host/system", auth_user="u", auth_password="p")
    assert seen == [("qemu+tcp://host/system", True, "u", "p")]


def test_uri_from_the_environment(play, hypervisor, monkeypatch):
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "qemu:///session")
    hypervisor.add()
    play(size="1GiB")
    assert hypervisor.uri == "qemu:///session"


def test_main_hands_over(monkeypatch):
    module = running.import_module("virtio_mem_device")
    handed = []
    monkeypatch.setattr(module, "run_task", lambda *args: handed.append(args))
    with running.module_args({"domain": "web1"}):
        module.main()
    assert handed[0][1:3] == (module.VirtioMemDevice, module.EMPTY_DEVICE)
    assert handed[0][0].supports_check_mode


# ------------------------------------------------------------------------------------------- stored for the next start


def larger(play, check=False, **options):
    return play(check=check, size="24GiB", requested="4GiB", **options)


@pytest.mark.parametrize("scope", ["auto", "both"])
def test_what_a_running_guest_can_not_change_is_stored_and_named(play, hypervisor, scope):
    domain = running_domain(hypervisor)
    check, left = larger(play, check=True, scope=scope), larger(play, scope=scope)
    again = larger(play, scope=scope)
    for result in (check, left, again):
        assert not result.failed
        assert result["pending"] == ["ua-virtiomem0: size=24 GiB at the next start"]
        assert (result["restart_required"], result["converged"]) == (True, False)
    assert (left["changed"], again["changed"]) == (True, False)
    assert check["diff"] == left["diff"]
    assert (domain.requested("live"), domain.requested("config")) == (4 * GIB, 4 * GIB)
    assert (left["after"]["live"]["size"], left["after"]["config"]["size"]) == (16 * GIB, 24 * GIB)
    assert [step["action"] for step in left["steps"]] == ["resize", "redefine"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": "4MiB"}, "block=4 MiB"),
        ({"page_size": "2MiB"}, "page_size=2 MiB"),
        ({"access": "shared"}, "access=shared"),
        ({"dynamic_memslots": True}, "dynamic_memslots=true"),
        ({"size": "24GiB", "requested": "20GiB"}, "size=24 GiB, requested=20 GiB"),
    ],
)
def test_each_option_that_waits(play, hypervisor, options, words):
    domain = running_domain(hypervisor)
    live = domain.live
    left = play(**options)
    assert left["pending"] == [f"ua-virtiomem0: {words} at the next start"]
    assert domain.live == live
    refused = play(scope="live", **options)
    assert refused["error_code"] in ("immutable", "exceeds_device_size")
    assert domain.live == live


def test_a_device_that_the_running_guest_has_no_port_for_is_stored(play, hypervisor):
    domain = hypervisor.add(ports=2).start()
    domain.edit("live", lambda root: root.find("devices").remove(root.findall("devices/controller")[-1]))
    domain.edit("live", lambda root: root.find("devices").remove(root.findall("devices/controller")[-1]))
    left = play(size="4GiB", requested="1GiB")
    assert left["pending"] == ["ua-virtiomem0: is added at the next start"]
    assert (left["restart_required"], left["converged"], left["changed"]) == (True, False, True)
    assert (domain.requested("live"), domain.requested("config")) == (None, GIB)


def test_rolled_back_leaves_nothing_pending(play, hypervisor):
    """The larger size was stored, and taken back, because the guest took nothing of what it was asked to."""
    domain = running_domain(hypervisor, guest=Guest(highest=2 * GIB))
    before = [canonical(text) for text in domain.texts()]
    left = larger(play, on_partial="rollback", wait_timeout=20)
    assert left.failed
    assert (left["pending"], left["restart_required"], left["changed"]) == ([], False, False)
    assert [canonical(text) for text in domain.texts()] == before


# ---------------------------------------------------------------------------------------------------- what stays as it was


def test_a_device_without_an_alias_is_found_again(play, hypervisor):
    """The stored definition has it without an alias, and the running guest gets one of libvirt's choice."""
    hypervisor.add(device(alias=None))
    domain = hypervisor.all["web1"].start()
    domain.edit("live", lambda root: root.find("devices").remove(root.find("devices/memory")))
    check, left = play(check=True, requested="3GiB"), play(requested="3GiB")
    for result in (check, left):
        assert not result.failed, result
        assert (result["pending"], result["converged"]) == ([], True)


def test_an_unplug_that_is_not_waited_for_needs_no_restart(play, hypervisor):
    running_domain(hypervisor, device(requested=0), guest=Guest(lets_go=False))
    left = play(state="absent", wait=False)
    assert left["pending"] == ["ua-virtiomem0: leaves as soon as the guest handles the unplug"]
    assert (left["restart_required"], left["converged"]) == (False, True)


def test_an_unplug_that_takes_too_long_is_pending(play, hypervisor):
    running_domain(hypervisor, device(requested=0), guest=Guest(lets_go=False))
    left = play(state="absent", wait_timeout=10)
    assert left["error_code"] == "timeout"
    assert left["pending"] == ["ua-virtiomem0: leaves as soon as the guest handles the unplug"]


def test_live_alone_and_not_waited_for_says_nothing_of_the_next_start(play, hypervisor):
    running_domain(hypervisor, guest=Guest(rate=MIB))
    left = play(state="absent", scope="live", wait=False)
    assert (left["pending"], left["restart_required"], left["converged"]) == ([], False, False)


def test_a_second_device_is_attached_though_the_slots_are_used_up(play, hypervisor):
    """Only DIMMs take slots from libvirt 9.5 on, and a definition of the whole would need more rights."""
    hypervisor.add(device(), slots=1, ports=4).start()
    left = play(size="4GiB", alias="ua-2")
    assert done(left) == [("attach", "live"), ("attach", "config")]


def test_a_change_of_requested_is_judged_by_requested_alone(play, hypervisor):
    """Whatever else is wrong with a stored device was so before the task."""
    domain = hypervisor.add(device(), backing="<memoryBacking><locked/></memoryBacking>")
    assert play(requested="1025KiB")["error_code"] == "not_multiple_of_block"
    assert not play(requested="0").failed
    assert domain.requested("config") == 0
