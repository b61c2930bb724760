# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each job template's playbook, run as AWX runs it: run, the same again, and check."""

from __future__ import annotations

import fcntl
from pathlib import Path

import awx
import pytest
from hypervisor import MIB

HUGE_PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")


@pytest.fixture
def job(tmp_path, hypervisors):
    """Run jobs, each in a folder of its own."""
    count = iter(range(100))

    def run(playbook, hosts=hypervisors, template_type="run", **more):
        folder = tmp_path / str(next(count))
        folder.mkdir()
        return awx.run(folder, awx.template(playbook, template_type), hosts, **more)

    return run


def test_resize(job, kvm1):
    first = kvm1.total("web2")
    check = job("resize.yml", template_type="check", virtmem_domain="web2", virtmem_memory="448MiB")
    assert check.outcome == ["kvm1"]
    assert "it would have 448 MiB" in check.said["kvm1"][0]
    assert (kvm1.plugged("web2"), kvm1.requested("web2")) == (0, 0)

    real = job("resize.yml", virtmem_domain="web2", virtmem_memory="448MiB")
    assert real.outcome == ["kvm1"]
    assert "web2 (running): 448 MiB = 192 MiB at boot + 256 MiB plugged" in real.said["kvm1"][0]
    assert (kvm1.plugged("web2"), kvm1.requested("web2")) == (256, 256)
    kvm1.await_total("web2", first + 256 * MIB)
    assert real.artifacts["virtmem_guests"]["kvm1"]["web2"]["current"] == 448 * MIB

    again = job("resize.yml", virtmem_domain=kvm1.uuid("web2"), virtmem_memory="448MiB", virtmem_hosts="kvm1")
    assert again.outcome == []


def test_resize_says_what_is_wrong(job, kvm1):
    both = job("resize.yml", virtmem_domain="web1", virtmem_memory="1GiB")
    assert both.status == "failed"
    assert list(both.failures.values()) == [
        "Domain web1 is on kvm1 and kvm2; virtmem_hosts must say which one is meant."
    ]
    none = job("resize.yml", virtmem_domain="web*", virtmem_memory="1GiB")
    assert list(none.failures.values()) == ["There is no domain web* on kvm1, kvm2."]
    size = job("resize.yml", virtmem_domain="web2", virtmem_memory="{{ 1 }}GB", virtmem_hosts="kvm1")
    assert size.status == "failed"
    assert "{{ 1 }}GB" in size.failures["kvm1"]  # as it was typed
    assert "web2 (running)" in size.said["kvm1"][0]
    assert kvm1.requested("web1") == 0


def test_prepare(job, kvm2):
    answers = {"virtmem_domain": "off1", "virtmem_maximum": "4GiB", "virtmem_device_size": "1GiB"}
    check = job("prepare.yml", job_type="check", **answers)
    assert check.outcome == ["kvm2"]
    assert "maxMemory" not in kvm2.xml("off1", "--config")

    real = job("prepare.yml", **answers)
    assert real.outcome == ["kvm2"]
    assert "off1 (shutoff): 192 MiB = 192 MiB at boot + 0 MiB plugged, 1.19 GiB at most" in real.said["kvm2"]
    assert "<maxMemory slots='16' unit='KiB'>4194304</maxMemory>" in kvm2.xml("off1", "--config")
    assert "<size unit='KiB'>1048576</size>" in kvm2.xml("off1", "--config")

    again = job("prepare.yml", **answers)
    assert again.outcome == []
    nothing = job("prepare.yml", virtmem_domain="off1")
    assert "virtmem_maximum or virtmem_device_size" in nothing.failures["kvm1"]


@pytest.fixture(scope="module")
def steady_pools():
    """Have the machine's huge pages stay as they are: a lab takes this lock to set some aside, and to give them back."""
    if not HUGE_PAGES.exists():
        yield
        return
    with HUGE_PAGES.open() as pool:
        fcntl.flock(pool, fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory, hypervisors, steady_pools):
    """A job of the report, which tells what guests can have until the last of these tests."""
    return awx.run(tmp_path_factory.mktemp("report"), awx.template("report.yml"), hypervisors)


def test_balance(job, report, kvm1):
    # What the machine has beyond 960 MiB is kept, so web1 and web2 have 480 MiB each.
    host = report.results("virtmem.libvirt.host_memory_info")[0][1]["host"]
    total = host["total"] - sum(pool["total"] for pool in host["huge_pages"])
    answers = {
        "virtmem_domains": "web1\nweb2\n",
        "virtmem_reserve": f"{total - 960 * MIB} bytes",
        "virtmem_hosts": "kvm1",
    }
    before = [kvm1.plugged("web1"), kvm1.plugged("web2")]
    check = job("balance.yml", template_type="check", **answers)
    assert check.outcome == ["kvm1"]
    assert "it would have 480 MiB" in check.said["kvm1"][0]
    assert [kvm1.plugged("web1"), kvm1.plugged("web2")] == before != [288, 288]

    real = job("balance.yml", **answers)
    assert real.outcome == ["kvm1"]
    assert [kvm1.plugged("web1"), kvm1.plugged("web2")] == [288, 288]
    again = job("balance.yml", **{**answers, "virtmem_domains": "web*"})
    assert again.outcome == []

    poor = job("balance.yml", **{**answers, "virtmem_domains": "web1,nobody"})
    assert poor.status == "failed"
    assert "nobody" in poor.failures["kvm1"]


def test_as_declared_in_slices(job, kvm1, kvm2, hypervisors):
    """Two slices end where one job ends; the third job has nothing to do."""
    declared = {
        "kvm1": {"virtmem_domains": [{"domain": "web1", "memory": "320MiB"}, {"domain": "web2", "memory": "576MiB"}]},
        "kvm2": {"virtmem_domains": [{"domain": "db1", "memory": "448MiB"}]},
    }
    check = job("converge.yml", job_type="check", host_variables=declared)
    assert check.outcome == ["kvm1", "kvm2"]
    slices = [
        job("converge.yml", hosts=awx.sliced(hypervisors, number, 2), host_variables=declared) for number in (1, 2)
    ]
    assert [part.outcome for part in slices] == [["kvm1"], ["kvm2"]]
    assert [kvm1.plugged("web1"), kvm1.plugged("web2"), kvm2.plugged("db1")] == [128, 384, 256]
    whole = job("converge.yml", host_variables=declared)
    assert whole.outcome == []
    guests = whole.artifacts["virtmem_guests"]
    assert {host: {name: memory["current"] // MIB for name, memory in guests[host].items()} for host in guests} == {
        "kvm1": {"web1": 320, "web2": 576},
        "kvm2": {"db1": 448},
    }


def test_report(report):
    assert report.outcome == []
    assert report.said["kvm1"][0].startswith("kvm1: ")
    assert [line.split(" (")[0] for line in report.said["kvm2"][1:]] == ["db1", "off1", "web1"]
    assert sorted(report.artifacts["virtmem_guests"]) == ["kvm1", "kvm2"]
