# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks by hand, by their full names, on both hypervisors: what AWX has no word for."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from hypervisor import MIB


@pytest.fixture
def play(tmp_path, hypervisors):
    """Run a playbook; return its exit code, its changed counts by host, and what it said."""

    def run(name, *words, declared=None, **variables):
        hosts = {
            hypervisor.host: hypervisor.variables(
                ansible_ssh_private_key_file=hypervisor.ssh["key"], **(declared or {}).get(hypervisor.host, {})
            )
            for hypervisor in hypervisors
        }
        inventory = tmp_path / "hosts.json"
        inventory.write_text(json.dumps({"hypervisors": {"hosts": hosts}}))
        command = ["ansible-playbook", "-i", str(inventory), f"virtmem.libvirt.{name}", *words]
        done = subprocess.run(
            [*command, "-e", json.dumps(variables)],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "ANSIBLE_SHOW_CUSTOM_STATS": "1", "ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp_path / "cp")},
        )
        said = done.stdout + done.stderr
        return done.returncode, dict(re.findall(r"^(kvm\d) .*changed=(\d+)", said, re.MULTILINE)), said

    return run


DECLARED = {
    "kvm1": {
        "virtmem_domains": [{"domain": "web1", "memory": "384MiB", "weight": 2}, {"domain": "web2", "memory": "320MiB"}]
    },
    "kvm2": {
        "virtmem_domains": [
            {"domain": "off1", "memory": "1GiB", "maximum": "8GiB", "device_size": "2GiB"},
            {"domain": "db1", "memory": "512MiB"},
        ]
    },
}


def test_as_declared(play, kvm1, kvm2):
    code, changed, said = play("converge", "--check", declared=DECLARED)
    assert code == 0, said
    assert "it would have 512 MiB" in said
    assert kvm2.plugged("db1") != 320

    code, changed, _said = play("converge", "--limit", "kvm2", declared=DECLARED)
    assert (code, changed) == (0, {"kvm2": "2"})
    assert kvm2.plugged("db1") == 320
    assert kvm2.requested("off1") == 832
    assert "<size unit='KiB'>2097152</size>" in kvm2.xml("off1", "--config")

    code, changed, said = play("converge", "--forks", "1", declared=DECLARED, virtmem_serial=1)
    assert (code, changed) == (0, {"kvm1": "1", "kvm2": "0"})
    assert said.count("PLAY [Guests are as declared]") == 2
    assert (kvm1.plugged("web1"), kvm1.plugged("web2")) == (192, 128)
    guests = json.loads(re.search(r"RUN: (\{.*\})", said, re.DOTALL).group(1))["virtmem_guests"]
    assert {host: sorted(guests[host]) for host in guests} == {"kvm1": ["web1", "web2"], "kvm2": ["db1", "off1"]}
    assert guests["kvm2"]["off1"]["requested"] == 1024 * MIB

    # The same list serves to balance by; what only converge knows is left out.
    code, _changed, said = play("balance", "--check", declared=DECLARED)
    assert code == 0, said


def test_domains_of_no_form(play):
    code, changed, said = play("balance", virtmem_domains=[{"memory": "1GiB"}])
    assert (code, changed) == (2, {"kvm1": "0", "kvm2": "0"})
    assert "virtmem_domains is a list of names" in said


def test_report_into_a_file(play, tmp_path):
    for ending in ("json", "md"):
        code, _changed, said = play("report", virtmem_report_path=str(tmp_path / f"report.{ending}"))
        assert code == 0, said
    report = json.loads((tmp_path / "report.json").read_text())
    assert sorted(report["hosts"]) == ["kvm1", "kvm2"]
    assert sorted(guest["domain"]["name"] for guest in report["guests"]["kvm2"]) == ["db1", "off1", "web1"]
    table = (tmp_path / "report.md").read_text()
    assert "## kvm2" in table
    assert re.search(r"\| off1 \| shutoff \| .* \| 192 MiB \|", table)


def test_no_hypervisor_there(play):
    code, _changed, said = play("report", "--limit", "kvm1", virtmem_uri="qemu+unix:///system?socket=/nowhere")
    assert code == 2
    assert "connection_failed" in said
