# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""host_memory on the fake hypervisor: policies, guests that don't do as they should, and the budget at every moment."""

from __future__ import annotations

import functools

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt.errors import translate
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import element
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import UUID, device
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import AT_ONCE, NEVER, Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB, size_of

STATS = "<memballoon model='virtio'><stats period='1'/></memballoon>"


@pytest.fixture
def host(monkeypatch, hypervisor):
    """host_memory on a host of 64 GiB that keeps nothing for itself; nobody asks guests whether they can spare it."""
    hypervisor.nodes = {0: (64 * GIB, {})}
    return functools.partial(running.run, "host_memory", monkeypatch, hypervisor, reserve="0", check_guest_memory=False)


@pytest.fixture
def add(hypervisor):
    """A running guest with 2 GiB of boot memory, and a device of 16 GiB that gives it the rest of `gib`."""

    def make(name, gib=4, guest=None, start=True, size=16 * GIB, block=2 * MIB, **options):
        requested = int((gib - 2) * GIB)
        domain = hypervisor.add(device(size=size, requested=requested, block=block), name=name, guest=guest, **options)
        return domain.start() if start else domain

    return make


class Ledger:
    """Looks at every tick, and after every call, at what running guests have or were promised."""

    def __init__(self, hypervisor, budget):
        self.hypervisor, self.budget = hypervisor, budget
        self.entries = []
        self.updates = []  # when, and of which domain
        self.last_return = 0
        hypervisor.clock.runners.append(self.look)
        hypervisor.before_call = self.note

    def note(self, domain, call, scope):
        self.look()
        if (call, scope) == ("update", "live"):
            self.updates.append((self.hypervisor.clock.now, domain.name))

    def look(self):
        total = 0
        for domain in self.hypervisor.all.values():
            if domain.live:
                root = element(domain.live)
                memory = root.find("devices/memory/target")
                current, requested = (size_of(memory.find(tag)) for tag in ("current", "requested"))
                total += 2 * GIB + max(current, requested)
                if current > requested:
                    self.last_return = self.hypervisor.clock.now
        self.entries.append(total)

    def check(self):
        assert len(self.entries) > 10
        assert max(self.entries) <= self.budget


def entries(left):
    return {entry["domain"]["name"]: entry for entry in left["domains"]}


def currents(left):
    return {name: entry["after"]["live"]["current"] / GIB for name, entry in entries(left).items()}


def specs(**memory):
    return [{"domain": name, "memory": f"{gib}GiB"} for name, gib in memory.items()]


def essence(left):
    return [
        (
            entry["domain"]["name"],
            [(step["action"], step["scope"], step["device"], step["from"], step["to"]) for step in entry["steps"]],
        )
        for entry in left["domains"]
    ]


def check_real_again(task, hypervisor, **options):
    """The three runs of one task, held together; the real one's result."""
    check = task(check=True, **options)
    assert hypervisor.writes == []
    real = task(**options)
    assert not check.failed
    assert not real.failed, real
    assert essence(check) == essence(real)
    for key in ("changed", "converged", "diff", "totals", "host"):
        assert check[key] == real[key], key
    for before, after in zip(check["domains"], real["domains"]):
        for key in ("changed", "planned", "before", "after", "converged"):
            assert before[key] == after[key], key
        assert all(step["done"] for step in after["steps"])
    hypervisor.calls.clear()
    again = task(**options)
    assert (again["changed"], hypervisor.writes) == (False, [])
    assert again["converged"]
    assert again["diff"]["before"] == again["diff"]["after"] == real["diff"]["after"]
    return real


# ------------------------------------------------------------------------------------------------------------- policies


def test_fixed(host, add, hypervisor):
    add("web1", 8), add("web2", 4), add("db1", 6)
    left = check_real_again(host, hypervisor, domains=specs(web1=4, web2=8))
    assert currents(left) == {"web1": 4, "web2": 8}
    assert left["host"] == {
        "total": 64 * GIB,
        "reserve": 0,
        "others": 6 * GIB,
        "budget": 58 * GIB,
        "limits": [{"where": "the host", "size": 58 * GIB}],
    }
    assert left["totals"] == {
        "domains": 2,
        "changed": 2,
        "failed": 0,
        "before": {"requested": 12 * GIB, "current": 12 * GIB},
        "after": {"requested": 12 * GIB, "current": 12 * GIB},
    }
    assert left["diff"] == {"before": "web1  8 GiB\nweb2  4 GiB\n", "after": "web1  4 GiB\nweb2  8 GiB\n"}
    for name, gib in (("web1", 2), ("web2", 6), ("db1", 4)):
        domain = hypervisor.all[name]
        assert (domain.requested("live"), domain.requested("config")) == (gib * GIB, gib * GIB)


def test_others_count_with_what_they_have_still(host, add, hypervisor):
    """A guest that somebody else has asked to give back, and that has not yet."""
    add("a", 4)
    other = add("other", 20, Guest(lowest=18 * GIB), size=32 * GIB)
    other.edit("live", lambda root: setattr(root.find("devices/memory/target/requested"), "text", "0"))
    assert host(domains=[{"domain": "a"}])["host"]["budget"] == 44 * GIB


def test_fixed_keeps_what_is_within_bounds(host, add, hypervisor):
    add("a", 3), add("b", 8), add("c", 5)
    domains = [{"domain": "a", "min": "4GiB"}, {"domain": "b", "max": "6GiB"}, {"domain": "*"}]
    assert currents(check_real_again(host, hypervisor, domains=domains)) == {"a": 4, "b": 6, "c": 5}


def test_fair(host, add, hypervisor):
    add("a", 16), add("b", 4), add("c", 4), add("other", 10)
    domains = [{"domain": "a", "weight": 2}, {"domain": "[bc]", "max": "10GiB"}]
    left = check_real_again(host, hypervisor, domains=domains, policy="fair", reserve="22GiB")
    assert currents(left) == {"a": 16, "b": 8, "c": 8}  # 64 - 22 - 10 = 32, by 2 : 1 : 1
    left = check_real_again(host, hypervisor, domains=domains, policy="fair", reserve="34GiB")
    assert currents(left) == {"a": 10, "b": 5, "c": 5}


def test_demand(host, add, hypervisor):
    add("idle", 10, Guest(usable=9 * GIB), balloon=STATS)
    add("busy", 10, Guest(usable=0), balloon=STATS)
    hypervisor.clock.advance(1)
    domains = [{"domain": "*"}]
    left = host(domains=domains, policy="demand", reserve="48GiB", guest_reserve="1GiB")
    # 1 + 1 and 10 + 1 are needed, 16 are there: 1.5 more for each
    assert currents(left) == {"idle": 3.5, "busy": 12.5}
    assert left.warned == []


def test_demand_of_a_guest_that_says_nothing(host, add, hypervisor):
    add("deaf", 10, Guest(usable=None))
    add("idle", 10, Guest(usable=9 * GIB), balloon=STATS)
    hypervisor.clock.advance(1)
    left = host(domains=[{"domain": "*"}], policy="demand", reserve="52GiB", guest_reserve="0")
    assert currents(left) == {"deaf": 10, "idle": 2}
    assert left.warned == ["deaf: no fresh statistics; what it has now counts as what it needs (policy=demand)."]


def test_statistics_of_all_are_asked_for_at_once(host, add, hypervisor):
    for number in range(8):
        add(f"g{number}", 10, Guest(usable=8 * GIB))
    start = hypervisor.clock.now
    left = host(domains=[{"domain": "*"}], policy="demand", reserve="40GiB")
    assert not left.failed
    assert hypervisor.clock.now - start < 6
    assert all(domain.period_history == [1, 0] for domain in hypervisor.all.values())


def test_blocks(host, add, hypervisor):
    add("small", 4), add("large", 4, size=16 * GIB, block=GIB)
    left = check_real_again(host, hypervisor, domains=[{"domain": "*"}], policy="fair", reserve="53.5GiB")
    assert currents(left) == {"large": 5, "small": 5.5}


def test_guest_without_a_device(host, add, hypervisor):
    add("a", 4)
    hypervisor.add(name="plain").start()
    left = check_real_again(host, hypervisor, domains=[{"domain": "*"}], policy="fair", reserve="50GiB")
    assert currents(left) == {"a": 12, "plain": 2}
    left = host(domains=specs(plain=4, a=6))
    assert entries(left)["plain"]["error_code"] == "device_not_found"
    assert currents(left)["a"] == 6


def test_bounds_between_blocks(host, add, hypervisor):
    add("a", 3), add("b", 8)
    domains = [{"domain": "a", "min": "4097MiB"}, {"domain": "b", "max": "4097MiB"}]
    left = check_real_again(host, hypervisor, domains=domains)
    assert [entry["planned"] / MIB for entry in left["domains"]] == [4098, 4096]


def test_offline_memory_is_no_use(host, add, hypervisor):
    add("offline", 10, Guest(usable=GIB, counted=2 * GIB), balloon=STATS)
    hypervisor.clock.advance(1)
    add("rest", 10, Guest(usable=None))
    left = host(domains=[{"domain": "*"}], policy="demand", reserve="52GiB", guest_reserve="0")
    assert currents(left) == {"offline": 2, "rest": 10}


def test_what_is_known_is_not_asked_again(host, add, hypervisor):
    add("a", 10, Guest(usable=9 * GIB), balloon=STATS), add("b", 10, Guest(usable=9 * GIB), balloon=STATS)
    hypervisor.clock.advance(1)
    left = host(domains=[{"domain": "*"}], policy="demand", reserve="52GiB", check_guest_memory=True)
    assert currents(left) == {"a": 6, "b": 6}
    assert hypervisor.count("statistics", None) == 2


# ------------------------------------------------------------------------------------------------------- nodes, huge pages


def bound(nodes):
    return f"<numatune><memory mode='strict' nodeset='{nodes}'/></numatune>"


def test_nodes(host, add, hypervisor):
    hypervisor.nodes = {0: (16 * GIB, {}), 1: (32 * GIB, {})}
    add("a", 2, backing=bound(0)), add("b", 2, backing=bound(0)), add("other", 4, backing=bound(0))
    add("c", 2, backing=bound(1)), add("d", 2)
    domains = [{"domain": "[a-d]", "max": "18GiB"}]
    left = check_real_again(host, hypervisor, domains=domains, policy="fair")
    assert currents(left) == {"a": 6, "b": 6, "c": 16, "d": 16}
    assert [limit["where"] for limit in left["host"]["limits"]] == [
        "the host",
        "NUMA node 0 of the host",
        "NUMA node 1 of the host",
    ]


def test_nodes_that_overlap(host, add, hypervisor):
    """Each set by itself could give 16, both together have but 24."""
    hypervisor.nodes = {0: (8 * GIB, {}), 1: (8 * GIB, {}), 2: (8 * GIB, {}), 3: (40 * GIB, {})}
    add("a", 2, backing=bound("0-1")), add("b", 2, backing=bound("1-2"))
    assert currents(host(domains=[{"domain": "*"}], policy="fair")) == {"a": 12, "b": 12}


def test_all_nodes_are_the_host(host, add, hypervisor):
    hypervisor.nodes = {0: (32 * GIB, {}), 1: (32 * GIB, {})}
    add("a", 4, backing=bound("0-1"))
    assert len(host(domains=[{"domain": "*"}])["host"]["limits"]) == 1


def test_huge_pages(host, add, hypervisor):
    hypervisor.nodes = {0: (64 * GIB, {2 * MIB: 24 * GIB})}
    huge = "<memoryBacking><hugepages/></memoryBacking>"
    add("a", 4, backing=huge), add("b", 4, backing=huge), add("c", 4)
    left = check_real_again(host, hypervisor, domains=[{"domain": "*"}], policy="fair", reserve="30GiB")
    assert currents(left) == {"a": 12, "b": 12, "c": 10}
    assert (2 * MIB, None) in hypervisor.asked_host


# ------------------------------------------------------------------------------------------------------------ the budget


def test_the_budget_holds_at_every_moment(host, add, hypervisor):
    """Six give back slowly, each in its own time, six grow; no GiB is given twice."""
    for number in range(6):
        add(f"down{number}", 6, Guest(rate=(number + 1) * 64 * MIB))
        add(f"up{number}", 4, Guest(rate=512 * MIB if number % 2 else AT_ONCE))
    ledger = Ledger(hypervisor, 60 * GIB)
    domains = [{"domain": "down*", "memory": "4GiB"}, {"domain": "up*", "memory": "6GiB"}]
    left = host(domains=domains, reserve="4GiB")
    ledger.check()
    assert not left.failed, left
    assert left["converged"]
    assert {gib for name, gib in currents(left).items() if name.startswith("up")} == {6}
    assert hypervisor.count("update", "config") == 12
    first_growth = min(when for when, name in ledger.updates if name.startswith("up"))
    assert first_growth < ledger.last_return
    for domain in hypervisor.all.values():
        assert domain.requested("live") == domain.requested("config")


def test_one_refuses_one_vanishes_one_stops_short(host, add, hypervisor):
    for number in range(4):
        add(f"down{number}", 8, Guest(rate=256 * MIB))
        add(f"up{number}", 4)
    hypervisor.all["down1"].guest.lowest = 5 * GIB  # stops at 7
    hypervisor.all["up1"].guest.driver = False
    start = hypervisor.clock.now
    hypervisor.all["down2"].guest.dies_at = start + 2
    ledger = Ledger(hypervisor, 48 * GIB)

    def both(*arguments):
        ledger.note(*arguments)
        refuse_call("down3", *arguments)

    hypervisor.before_call = both
    domains = [{"domain": "down*", "memory": "4GiB"}, {"domain": "up*", "memory": "8GiB"}]
    left = host(domains=domains, reserve="16GiB", wait_timeout=60)
    ledger.check()
    found = entries(left)
    assert {name: entry.get("error_code") for name, entry in found.items()} == {
        "down0": None,
        "down1": "partial",
        "down2": "domain_not_found",
        "down3": "domain_busy",
        "up0": None,
        "up1": "timeout",
        "up2": None,
        "up3": None,
    }
    assert left.failed
    assert left["error_code"] == "partial"
    assert left["details"]["domains"]["down3"] == "domain_busy"
    assert left["totals"]["failed"] == 4
    assert found["down0"]["after"]["live"]["current"] == 4 * GIB
    assert found["down1"]["after"]["live"]["current"] == 7 * GIB
    assert found["down2"]["after"]["live"] is None
    assert found["down3"]["after"]["live"]["current"] == 8 * GIB
    # 48 in all, 4 + 7 + 0 + 8 that stay: 29 for the four that grow
    requested = [found[f"up{number}"]["after"]["live"]["requested"] for number in range(4)]
    assert sum(requested) == 29 * GIB
    for number in (0, 2, 3):
        assert found[f"up{number}"]["after"]["live"]["current"] == requested[number]
        assert found[f"up{number}"]["converged"] is (requested[number] == 8 * GIB)
        assert found[f"up{number}"]["after"]["config"]["requested"] == requested[number]


def refuse_call(name, domain, call, _scope):
    if domain.name == name and call == "update":
        raise VirtmemError("domain_busy", "Another job holds the domain.", hint="Wait.")


def refuse(hypervisor, name):
    hypervisor.before_call = functools.partial(refuse_call, name)


def test_stop(host, add, hypervisor):
    add("a", 8, Guest(rate=64 * MIB)), add("b", 8), add("c", 4)
    refuse(hypervisor, "b")
    options = {"domains": specs(a=4, b=4, c=12), "reserve": "44GiB", "wait_timeout": 30}
    left = host(on_error="stop", **options)
    assert (left["error_code"], hypervisor.all["c"].requested()) == ("domain_busy", 2 * GIB)
    left = host(on_error="continue", **options)
    assert (left["error_code"], hypervisor.all["c"].requested()) == ("domain_busy", 6 * GIB)


def test_stop_before_anything_is_asked(host, add, hypervisor):
    add("a", 8), add("b", 4)
    left = host(on_error="stop", domains=specs(a=4, b=100))
    assert left["error_code"] == "exceeds_device_size"
    assert hypervisor.writes == []
    left = host(domains=specs(a=4, b=100))
    assert left["error_code"] == "exceeds_device_size"
    assert currents(left) == {"a": 4, "b": 4}


@pytest.mark.parametrize(
    ("policy", "failed", "requested"),
    [("fail", True, (2, 10)), ("warn", False, (2, 10)), ("settle", False, (5, 10)), ("rollback", True, (6, 2))],
)
def test_partial(host, add, hypervisor, policy, failed, requested):
    add("a", 8, Guest(lowest=5 * GIB)), add("b", 4)
    left = host(domains=specs(a=4, b=12), on_partial=policy, wait_timeout=20)
    assert left.failed is failed
    assert left["converged"] is False
    assert entries(left)["b"]["converged"] is (policy != "rollback")
    for scope in ("live", "config"):
        assert tuple(hypervisor.all[name].requested(scope) / GIB for name in "ab") == requested
    assert left["changed"] is (policy != "rollback")
    if failed:
        assert entries(left)["a"]["error_code"] == "partial"
    else:
        assert left.warned[-1].startswith("a: The guest gave back 1 GiB of 4 GiB in 20 s: it has 7 GiB, 4 GiB are")


def test_rollback_keeps_to_the_budget(host, add, hypervisor):
    """The one that gave back gets its memory again only as the one that took it lets go of it."""
    add("a", 8, Guest(rate=512 * MIB)), add("b", 4, Guest(rate=256 * MIB)), add("c", 4, Guest(driver=False))
    ledger = Ledger(hypervisor, 16 * GIB)
    left = host(domains=specs(a=4, b=7, c=5), reserve="48GiB", on_partial="rollback", wait_timeout=30)
    ledger.check()
    assert entries(left)["c"]["error_code"] == "timeout"
    assert [hypervisor.all[name].requested() / GIB for name in "abc"] == [6, 2, 2]


def test_rollback_where_memory_does_not_come_back(host, add, hypervisor):
    """The next start brings what was there before, and one that is off was never written to."""
    add("a", 8), add("b", 4, Guest(lowest=5 * GIB)), add("c", 4, Guest(driver=False)), add("off", 4, start=False)
    ledger = Ledger(hypervisor, 20 * GIB)
    left = host(domains=specs(a=4, b=7, c=5, off=3), reserve="44GiB", on_partial="rollback", wait_timeout=20)
    ledger.check()
    assert left.failed
    assert [hypervisor.all[name].requested("config") / GIB for name in ("a", "b", "c", "off")] == [6, 2, 2, 2]
    # 20 in all, 7 that b keeps, 4 for c, and 4 that are kept for the one that is off
    assert [hypervisor.all[name].requested() / GIB for name in "abc"] == [3, 2, 2]
    assert entries(left)["off"]["changed"] is False


def two_devices(hypervisor, guest):
    """A guest that gives 3 GiB from one node and 1 GiB from the other."""
    devices = [device("ua-x", 8 * GIB, 3 * GIB), device("ua-y", 8 * GIB, GIB, node=1)]
    return hypervisor.add(*devices, name="two", boot=(GIB, GIB), guest=guest).start()


def test_rollback_puts_each_device_back(host, add, hypervisor):
    domain = two_devices(hypervisor, Guest(rate=64 * MIB))
    add("c", 4, Guest(driver=False))
    left = host(domains=specs(two=10, c=5), on_partial="rollback", wait_timeout=30)
    assert left.failed
    for scope in ("live", "config"):
        assert [domain.requested(scope, alias) for alias in ("ua-x", "ua-y")] == [3 * GIB, GIB]
    assert left["changed"] is False


def test_guest_of_which_but_one_device_could_be_asked(host, add, hypervisor):
    domain = two_devices(hypervisor, Guest())

    def refuse_second(_domain, call, scope):
        if (call, scope) == ("update", "live") and domain.requested("live", "ua-x") > 3 * GIB:
            raise VirtmemError("domain_busy", "Another job holds the domain.", hint="Wait.")

    hypervisor.before_call = refuse_second
    entry = host(domains=specs(two=10))["domains"][0]
    assert entry["error_code"] == "domain_busy"
    asked = sum(domain.requested("live", alias) for alias in ("ua-x", "ua-y"))
    assert 4 * GIB < asked < 8 * GIB
    assert entry["after"]["live"]["requested"] == 2 * GIB + asked


def test_without_waiting(host, add, hypervisor):
    add("a", 8, Guest(rate=64 * MIB)), add("b", 4)
    assert host(check=True, domains=specs(a=4), wait=False)["converged"] is False
    left = host(domains=specs(a=4, b=8), reserve="51GiB", wait=False)
    assert not left.failed
    assert left["converged"] is False
    assert hypervisor.all["a"].requested() == 2 * GIB
    assert hypervisor.all["b"].requested() == 3 * GIB  # 13 are there, and a has 8 still
    assert hypervisor.all["b"].requested("config") == 3 * GIB


def test_somebody_else(host, add, hypervisor):
    add("a", 8, Guest(rate=64 * MIB))

    def meddle(root):
        root.find("devices/memory/target/requested").text = str(8 * 1024**2)

    hypervisor.clock.runners.append(lambda: hypervisor.clock.now > 1002 and hypervisor.all["a"].edit("live", meddle))
    left = host(domains=specs(a=4))
    assert left["error_code"] == "domain_busy"


LOCK = "cannot acquire state change lock (held by monitor=remoteDispatchDomainMigratePerform3Params)"


def held_until(hypervisor, name, end):
    """Another job holds that guest until then."""

    def hook(domain, called, _scope):
        if (domain.name, called) == (name, "update") and hypervisor.clock.now < end:
            raise translate("change the running guest", 68, 10, LOCK)

    hypervisor.before_call = hook


def test_a_guest_that_is_busy_is_asked_again_while_the_others_go_on(host, add, hypervisor):
    for name in ("a", "b"):
        add(name, 4)
    start = hypervisor.clock.now
    held_until(hypervisor, "a", start + 12)
    left = host(domains=specs(a=6, b=6))
    assert not left.failed
    assert left["converged"]
    assert currents(left) == {"a": 6, "b": 6}
    assert 12 <= hypervisor.clock.now - start < 20


@pytest.mark.parametrize("wait", [True, False])
def test_a_guest_that_stays_busy(host, add, hypervisor, wait):
    for name in ("a", "b"):
        add(name, 4)
    start = hypervisor.clock.now
    held_until(hypervisor, "a", NEVER)
    left = host(domains=specs(a=6, b=6), wait=wait, wait_timeout=30)
    assert left["error_code"] == "domain_busy"
    assert (hypervisor.clock.now - start >= 30) is wait
    a, b = left["domains"]
    assert (a["error_code"], a["converged"], [step["done"] for step in a["steps"]]) == (
        "domain_busy",
        False,
        [False] * 2,
    )
    assert a["details"]["libvirt_message"] == LOCK
    assert (b.get("error_code"), [step["done"] for step in b["steps"]]) == (None, [True] * 2)
    held_until(hypervisor, "a", 0)
    left = host(domains=specs(a=6, b=6))
    assert (left.failed, currents(left)) == (False, {"a": 6, "b": 6})


def test_lost_connection(host, add, hypervisor):
    add("a", 8), add("b", 4)

    def lose(domain, call, scope):
        if (domain.name, call, scope) == ("b", "update", "live"):
            raise VirtmemError("connection_lost", "Gone.", hint="None.")

    hypervisor.before_call = lose
    left = host(domains=specs(a=4, b=6))
    assert (left["error_code"], left["msg"]) == ("connection_lost", "Gone.")
    assert entries(left)["a"]["after"]["live"]["requested"] == 4 * GIB
    assert left["changed"]


def test_connection_lost_while_reading(host, add, hypervisor):
    add("a", 8)

    def lose(_domain, call, _scope):
        if call == "xml":
            raise VirtmemError("connection_lost", "Gone.", hint="None.")

    hypervisor.before_call = lose
    left = host(domains=specs(a=4))
    assert (left["error_code"], left["msg"], left["domains"]) == ("connection_lost", "Gone.", [])


def test_domain_that_can_not_be_read(host, add, hypervisor):
    """A pattern leaves out what is gone, and not what is denied."""
    add("a", 8), add("b", 8)
    code = "permission_denied"

    def deny(domain, call, _scope):
        if (domain.name, call) == ("b", "xml"):
            raise VirtmemError(code, "No.", hint="None.")

    hypervisor.before_call = deny
    left = host(domains=[{"domain": "*", "memory": "4GiB"}])
    assert (left["error_code"], list(entries(left))) == ("permission_denied", ["a", "b"])
    code = "domain_not_found"
    left = host(domains=[{"domain": "*", "memory": "4GiB"}])
    assert (left.failed, list(entries(left))) == (False, ["a"])


def test_without_events(host, add, hypervisor):
    hypervisor.has_events = False
    add("a", 8, Guest(rate=512 * MIB)), add("b", 4)
    left = host(domains=specs(a=4, b=8), reserve="52GiB")
    assert currents(left) == {"a": 4, "b": 8}


# --------------------------------------------------------------------------------------------------- what is refused


def test_host_lacks_memory(host, add, hypervisor):
    add("a", 8), add("b", 4), add("other", 10)
    left = host(domains=[{"domain": "a", "memory": "16GiB"}, {"domain": "b", "min": "8GiB"}], reserve="40GiB")
    assert left["error_code"] == "host_lacks_memory"
    assert left["details"] == {"needed": 24 * GIB, "available": 14 * GIB, "missing": 10 * GIB}
    assert "2 guests must have at least 24 GiB together, and the host has 14 GiB for them" in left["msg"]
    assert hypervisor.writes == []
    assert entries(left)["a"]["before"]["live"]["current"] == 8 * GIB


def test_host_has_not_got_it_now(host, add, hypervisor):
    add("a", 8), add("b", 4)
    hypervisor.host = 3 * GIB
    assert currents(host(domains=specs(a=7, b=8)))["b"] == 8
    left = host(domains=specs(a=8, b=12))
    assert (left["error_code"], left["details"]) == ("host_lacks_memory", {"growth": 5 * GIB, "available": 3 * GIB})
    assert not host(domains=specs(a=8, b=12), check_host_memory=False).failed


def test_what_is_off_needs_nothing_of_the_host_now(host, add, hypervisor):
    add("a", 4, start=False)
    hypervisor.host = GIB
    assert not host(domains=specs(a=12)).failed


def test_a_refused_guest_keeps_what_it_has(host, add, hypervisor):
    add("a", 18), add("b", 4), add("c", 4)
    left = host(domains=[*specs(a=100), {"domain": "*"}], policy="fair", reserve="24GiB")
    assert entries(left)["a"]["error_code"] == "exceeds_device_size"
    assert currents(left) == {"a": 18, "b": 11, "c": 11}


def test_guest_needs_memory(host, add, hypervisor):
    """Who can't spare it keeps it, and there is so much less for the others; check mode says so, too."""
    add("a", 8, Guest(usable=GIB), balloon=STATS), add("b", 8, Guest(usable=7 * GIB), balloon=STATS), add("c", 4)
    hypervisor.clock.advance(1)
    options = {"domains": specs(a=4, b=4, c=12), "reserve": "44GiB", "check_guest_memory": True}
    check = host(check=True, **options)
    real = host(**options)
    for left in (check, real):
        assert left["error_code"] == "guest_needs_memory"
        assert currents(left) == {"a": 8, "b": 4, "c": 8}
        assert [entry["converged"] for entry in left["domains"]] == [False, True, False]
        assert entries(left)["c"]["planned"] == 12 * GIB
    assert essence(check) == essence(real)


def test_unchecked_guests_are_warned_of_together(host, add, hypervisor):
    add("a", 8, Guest(usable=None)), add("b", 8, Guest(usable=None))
    left = host(domains=specs(a=4, b=4), check_guest_memory=True)
    assert left.warned == [
        "a, b: Whether the guest can spare the memory was not checked: the guest reports no statistics."
    ]


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ({"memory": "1GiB"}, "immutable"),
        ({"max": "1GiB"}, "immutable"),
        ({"memory": "100GiB"}, "exceeds_device_size"),
        ({"min": "100GiB"}, "exceeds_device_size"),
        ({"memory": "4097MiB"}, "not_multiple_of_block"),
        ({"min": "4097MiB", "max": "4097MiB"}, "not_multiple_of_block"),
        ({"memory": "4"}, "invalid_size"),
        ({"min": "5GiB", "max": "4GiB"}, "unsupported"),
        ({"weight": 0}, "unsupported"),
    ],
)
def test_wrong(host, add, hypervisor, element, code):
    add("a", 4)
    left = host(domains=[{"domain": "a", **element}])
    assert left["error_code"] == code
    assert hypervisor.writes == []
    assert left["msg"].endswith(".")


def test_memory_and_bounds_exclude_each_other(host, add):
    add("a")
    assert "mutually exclusive" in host(domains=[{"domain": "a", "memory": "4GiB", "min": "2GiB"}])["msg"]


def test_no_such_domain(host, add):
    add("a", 4)
    left = host(domains=[*specs(a=6, b=4), {"domain": "c*"}])
    assert entries(left)["b"]["error_code"] == "domain_not_found"
    assert currents({"domains": left["domains"][:1]}) == {"a": 6}
    assert left.warned == ["No domain matches the pattern c*."]


# --------------------------------------------------------------------------------------------------- guests that are off


def test_a_guest_that_is_off_counts_with_what_it_gets(host, add, hypervisor):
    add("a", 4), add("off", 4, start=False), add("out", 40, start=False, size=60 * GIB)
    left = check_real_again(
        host, hypervisor, domains=[{"domain": "a"}, {"domain": "off"}], policy="fair", reserve="44GiB"
    )
    assert hypervisor.all["a"].requested() == 8 * GIB
    assert hypervisor.all["off"].requested("config") == 8 * GIB
    off = entries(left)["off"]
    assert (off["after"]["live"], off["after"]["config"]["requested"], off["converged"]) == (None, 10 * GIB, True)
    assert (off["after"]["config"]["plugged"], off["after"]["config"]["current"]) == (None, None)
    assert [(step["action"], step["scope"]) for step in off["steps"]] == [("resize", "config")]


def test_scopes(host, add, hypervisor):
    add("a", 4), add("b", 4, start=False)
    left = host(domains=[{"domain": "*", "memory": "6GiB"}], scope="live")
    assert list(entries(left)) == ["a"]
    assert (hypervisor.all["a"].requested(), hypervisor.all["a"].requested("config")) == (4 * GIB, 2 * GIB)
    left = host(domains=specs(a=4, b=6), scope="live")
    assert entries(left)["b"]["error_code"] == "unsupported"
    left = host(domains=specs(a=8, b=6), scope="config")
    assert (hypervisor.all["a"].requested(), hypervisor.all["a"].requested("config")) == (2 * GIB, 6 * GIB)
    assert left["converged"]


def test_by_uuid(host, add):
    add("a", 4)
    assert currents(host(domains=[{"domain": UUID.upper(), "memory": "6GiB"}])) == {"a": 6}


def test_first_element_counts(host, add):
    add("web1", 4), add("web2", 4)
    left = host(domains=[{"domain": "web2", "memory": "6GiB"}, {"domain": "web*", "memory": "3GiB"}])
    assert currents(left) == {"web2": 6, "web1": 3}


# ----------------------------------------------------------------------------------------------------------------- calls


@pytest.mark.parametrize("count", [1, 30])
def test_calls_of_a_no_op(host, add, hypervisor, count):
    """Each definition once; all else does not depend on how many there are."""
    hypervisor.nodes = {0: (1024 * GIB, {})}
    for number in range(count):
        add(f"g{number}", 4)
    left = host(domains=[{"domain": "*", "memory": "4GiB"}], check_guest_memory=True)
    assert (left["changed"], left["converged"]) == (False, True)
    assert sorted(hypervisor.calls) == sorted(
        [("list_all", None), ("capabilities", None), ("host_total", None)]
        + [("xml", "live"), ("xml", "config")] * count
    )


def test_calls_of_a_change(host, add, hypervisor):
    """Guests that do as they are asked: two writes and two looks each, whatever the others do."""
    hypervisor.nodes = {0: (1024 * GIB, {})}
    for number in range(20):
        add(f"g{number}", 6, Guest(rate=AT_ONCE))
    left = host(domains=[{"domain": "*", "memory": "4GiB"}])
    assert left["converged"]
    assert hypervisor.count("update", "live") == hypervisor.count("update", "config") == 20
    assert hypervisor.count("xml", "live") <= 3 * 20
    assert hypervisor.count("xml", "config") <= 3 * 20
    assert hypervisor.count("watch", None) == 1
    assert hypervisor.host_watches == []
