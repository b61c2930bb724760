# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.host import BOOKWORM, SID
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB


@pytest.fixture
def info(monkeypatch, hypervisor):
    return functools.partial(running.run, "host_memory_info", monkeypatch, hypervisor)


def test_host(info, hypervisor):
    hypervisor.nodes = {0: (32 * GIB, {2 * MIB: 8 * GIB, GIB: 0}), 1: (32 * GIB, {2 * MIB: 4 * GIB, GIB: 0})}
    hypervisor.host = 3 * GIB
    left = info()
    assert left["changed"] is False
    assert hypervisor.read_only
    assert hypervisor.writes == []
    host = left["host"]
    assert (host["arch"], host["total"], host["available"]) == ("x86_64", 64 * GIB, 3 * GIB)
    assert host["nodes"][1] == {
        "id": 1,
        "total": 32 * GIB,
        "available": 3 * GIB,
        "huge_pages": [
            {"size": 2 * MIB, "total": 4 * GIB, "free": 3 * GIB},
            {"size": GIB, "total": 0, "free": 0},
        ],
    }
    assert host["huge_pages"] == [
        {"size": 2 * MIB, "total": 12 * GIB, "free": 6 * GIB},
        {"size": GIB, "total": 0, "free": 0},
    ]
    assert host["versions"] == {"libvirt": "11.3.0", "qemu": "10.0.13"}


def test_guests(info, hypervisor):
    hypervisor.nodes = {0: (16 * GIB, {})}
    hypervisor.add(device(requested=6 * GIB), name="a", guest=Guest(highest=GIB)).start()
    hypervisor.add(device(requested=2 * GIB), name="b").start()
    hypervisor.add(device(size=4 * GIB, requested=GIB), name="c")
    host = info()["host"]
    assert host["guests"] == {
        "running": {
            "domains": 2,
            "boot": 4 * GIB,
            "requested": 12 * GIB,
            "current": 7 * GIB,
            "maximum": 36 * GIB,
        },
        "stopped": {"domains": 1, "boot": 2 * GIB, "requested": 3 * GIB, "current": 0, "maximum": 6 * GIB},
    }
    assert host["overcommit"] == {"requested": 0.75, "maximum": 2.25}


@pytest.mark.parametrize(
    ("versions", "missing"),
    [
        (SID, {"huge_pages", "kvm"}),
        (
            BOOKWORM,
            {
                "virtio_mem_unplug",
                "virtio_pmem",
                "guest_address",
                "dynamic_memslots",
                "device_driver",
                "numa_node_without_memory",
                "huge_pages",
                "kvm",
            },
        ),
    ],
)
def test_features(info, hypervisor, versions, missing):
    hypervisor.versions_are = versions
    features = info()["host"]["features"]
    assert {name for name, feature in features.items() if not feature["supported"]} == missing
    for feature in features.values():
        assert (feature["reason"] is None) is feature["supported"]
    assert features["virtio_mem"] == {"supported": True, "reason": None}


def test_why_not(info, hypervisor):
    hypervisor.versions_are = BOOKWORM
    features = info()["host"]["features"]
    assert features["virtio_mem_unplug"]["reason"] == "virtio_mem_unplug needs QEMU 8.1.0 or later, this is 7.2.22"
    assert features["dynamic_memslots"]["reason"].startswith("dynamic_memslots needs libvirt 10.1.0 or later")


@pytest.mark.parametrize("count", [1, 50])
def test_calls(info, hypervisor, count):
    """One definition of each domain; all else does not depend on how many there are."""
    for number in range(count):
        hypervisor.add(device(), name=f"on{number}").start()
        hypervisor.add(device(), name=f"off{number}")
    info()
    assert sorted(hypervisor.calls) == sorted(
        [("list_all", None), ("capabilities", None), ("host_total", None)]
        + [("xml", "live"), ("xml", "config")] * count
    )
    assert hypervisor.asked_host == [(None, [0]), (None, None)]


@pytest.mark.parametrize(("code", "failed"), [("domain_not_found", False), ("connection_lost", True)])
def test_domain_that_vanishes_meanwhile(info, hypervisor, code, failed):
    hypervisor.add(name="a").start()
    hypervisor.add(name="b").start()

    def gone(domain, name, _scope):
        if (domain.name, name) == ("a", "xml"):
            raise VirtmemError(code, "Gone.", hint="None.")

    hypervisor.before_call = gone
    left = info()
    assert left.failed is failed
    if not failed:
        assert left["host"]["guests"]["running"]["domains"] == 1
