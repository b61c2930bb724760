# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
from collections import Counter

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.info import time
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import UUID, device
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB

STATS = "<memballoon model='virtio'><stats period='2'/></memballoon>"


@pytest.fixture
def info(monkeypatch, hypervisor):
    return functools.partial(running.run, "domain_memory_info", monkeypatch, hypervisor)


def test_all_domains(info, hypervisor):
    hypervisor.add(device(), name="web1").start()
    hypervisor.add(name="db1")
    left = info()
    assert [found["domain"]["name"] for found in left["domains"]] == ["web1", "db1"]
    assert left["changed"] is False
    assert hypervisor.writes == []
    assert hypervisor.read_only
    assert (hypervisor.count("xml", "live"), hypervisor.count("xml", "config")) == (1, 2)
    stopped = left["domains"][1]
    assert (stopped["live"], stopped["drift"], stopped["statistics"]) == (None, None, None)
    assert set(left["domains"][0]) == {"domain", "memory", "live", "config", "drift", "statistics"}


def test_sums(info, hypervisor):
    domain = hypervisor.add(device(), device("ua-d", GIB, model="dimm"), guest=Guest(highest=GIB)).start(settled=False)
    domain.edit("live", lambda root: root.find("devices/memory/target/current").__setattr__("text", "1048576"))
    memory = info(domains=["web1"])["domains"][0]["memory"]
    assert memory == {
        "boot": 2 * GIB,
        "plugged": 2 * GIB,
        "requested": 5 * GIB,
        "current": 4 * GIB,
        "total": 19 * GIB,
        "maximum": 64 * GIB,
        "balloon": 3 * GIB,
    }


def test_trap_05_sums_after_a_reboot(info, hypervisor):
    domain = hypervisor.add(device()).start()
    domain.reboot()
    hypervisor.clock.advance(1)
    found = info()["domains"][0]
    assert found["memory"]["current"] == 4 * GIB
    assert found["live"]["current_memory"] == 6 * GIB


def test_balloon(info, hypervisor):
    hypervisor.add(device(), current=GIB)
    assert info()["domains"][0]["memory"]["balloon"] == GIB
    hypervisor.add(balloon="<memballoon model='none'/>").start()
    assert info()["domains"][0]["memory"]["balloon"] is None


def test_drift(info, hypervisor):
    domain = hypervisor.add(device(), device("ua-b", 4 * GIB)).start()
    assert info()["domains"][0]["drift"] == []
    domain.edit("config", lambda root: root.find("devices/memory/target/requested").__setattr__("text", "0"))
    domain.edit("config", lambda root: root.find("devices").remove(root.findall("devices/memory")[1]))
    assert {"device": "ua-virtiomem0", "option": "requested", "live": 2 * GIB, "config": 0} in info()["domains"][0][
        "drift"
    ]
    assert {"device": "ua-b", "option": "state", "live": "present", "config": "absent"} in info()["domains"][0]["drift"]
    domain.edit("config", lambda root: root.find("maxMemory").set("slots", "3"))
    assert {"device": None, "option": "maximum.slots", "live": 16, "config": 3} in info()["domains"][0]["drift"]


def test_drift_of_what_is_only_stored(info, hypervisor):
    domain = hypervisor.add(device(alias=None)).start()
    domain.edit("live", lambda root: root.find("devices").remove(root.find("devices/memory")))
    assert {"device": "0000:04:00.0", "option": "state", "live": "absent", "config": "present"} in info()["domains"][0][
        "drift"
    ]


def test_statistics(info, hypervisor, monkeypatch):
    hypervisor.add(device(), guest=Guest(usable=300 * MIB, counted=1900 * MIB), balloon=STATS).start()
    hypervisor.clock.advance(1)
    monkeypatch.setattr(time, "time", lambda: hypervisor.clock.now + 30)
    found = info()["domains"][0]["statistics"]
    assert (found["usable"], found["available"], found["age"]) == (300 * MIB, 1900 * MIB, 30)
    assert found["offline_in_guest"] == 2 * GIB
    assert "fresh" not in found


def test_statistics_of_a_guest_that_says_nothing(info, hypervisor):
    hypervisor.add(device()).start()
    found = info()["domains"][0]["statistics"]
    assert (found["usable"], found["last_update"], found["age"], found["offline_in_guest"]) == (None, None, None, None)


@pytest.mark.parametrize(
    ("wanted", "names", "warned"),
    [
        (["web1"], ["web1"], 0),
        (["web1", "web1"], ["web1"], 0),
        (["web*"], ["web1", "web2"], 0),
        (["web?", "db1"], ["web1", "web2", "db1"], 0),
        (["[dw]*"], ["web1", "web2", "db1"], 0),
        (["db1", "*1"], ["db1", "web1"], 0),
        (["app*"], [], 1),
        ([], ["web1", "web2", "db1"], 0),
    ],
)
def test_which_domains(info, hypervisor, wanted, names, warned):
    for name in ("web1", "web2", "db1"):
        hypervisor.add(name=name)
    left = info(domains=wanted)
    assert [found["domain"]["name"] for found in left["domains"]] == names
    assert len(left.warned) == warned


def test_by_uuid(info, hypervisor):
    hypervisor.add()
    assert len(info(domains=[UUID])["domains"]) == 1


def test_no_such_domain(info, hypervisor):
    hypervisor.add()
    left = info(domains=["web2"])
    assert left["error_code"] == "domain_not_found"
    assert left["domains"] == []


@pytest.mark.parametrize(
    ("wanted", "code", "failed"),
    [
        ([], "domain_not_found", False),
        (["web*"], "domain_not_found", False),
        (["web1"], "domain_not_found", True),
        ([], "connection_lost", True),
    ],
)
def test_domain_that_vanishes_while_all_are_read(info, hypervisor, wanted, code, failed):
    hypervisor.add(name="web1")
    hypervisor.add(name="web2")

    def gone(domain, name, _scope):
        if domain.name == "web1" and name == "xml":
            raise VirtmemError(code, "Gone.", hint="None.")

    hypervisor.before_call = gone
    left = info(domains=wanted)
    assert left.failed is failed
    if not failed:
        assert [found["domain"]["name"] for found in left["domains"]] == ["web2"]


def test_transient_domain(info, hypervisor):
    hypervisor.add(device(), persistent=False).start()
    found = info()["domains"][0]
    assert (found["config"], found["drift"]) == (None, None)
    assert found["live"]["devices"][0]["alias"] == "ua-virtiomem0"


@pytest.mark.parametrize("count", [1, 50])
def test_calls(info, hypervisor, count):
    """All in one list; then each definition once, and what guests that run report."""
    for number in range(count):
        hypervisor.add(device(), name=f"on{number}").start()
        hypervisor.add(device(), name=f"off{number}")
    info()
    each = [("xml", "live"), ("xml", "config"), ("statistics", None), ("xml", "config")]
    assert hypervisor.calls[0] == ("list_all", None)
    assert Counter(hypervisor.calls[1:]) == Counter(each * count)  # several at a time, in no order


def test_domain_that_stops_once_it_is_listed(info, hypervisor):
    guest = hypervisor.add(device(), name="web1").start()

    def stop(_domain, name, scope):
        if (name, scope) == ("xml", "live") and guest.live:
            guest.stop()

    hypervisor.before_call = stop
    found = info()["domains"][0]
    assert found["domain"]["state"] == "shutoff"
    assert found["live"] is None
    assert found["config"]["devices"][0]["alias"] == "ua-virtiomem0"


def test_domain_that_is_undefined_while_all_are_listed(info, hypervisor):
    hypervisor.add(name="web1", persistent=False)
    hypervisor.add(name="web2")
    assert [found["domain"]["name"] for found in info()["domains"]] == ["web2"]
