# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What automation controller counts as nodes: the jq of event_query.yml, run as the controller runs it."""

from __future__ import annotations

import ast

import awx
import jq
import pytest
import yaml

QUERIES = yaml.safe_load((awx.ROOT / "extensions/audit/event_query.yml").read_text())
MODULES = awx.ROOT / "plugins/modules"
WITHOUT_DOMAINS = {"host_memory_info"}


def counted(module, result):
    """Return what a result of the module counts as: a record for each node."""
    return jq.compile(QUERIES[f"virtmem.libvirt.{module}"]["query"]).input(result).all()


def nodes(records):
    """Return the nodes that they are: who has the same canonical facts is the same."""
    return {hashable(record["canonical_facts"]): record["name"] for record in records}


def hashable(value):
    """Turn facts into something to compare by, as the controller does; it drops a record with a null in them."""
    if isinstance(value, dict):
        assert value
        return tuple(sorted((key, hashable(each)) for key, each in value.items()))
    if isinstance(value, list):
        return tuple(map(hashable, value))
    assert isinstance(value, (str, int, float, bool)), value
    return value


def sample(module):
    """Return the module's own example of a result, from its RETURN."""
    for statement in ast.parse((MODULES / f"{module}.py").read_text()).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "RETURN":
            returned = yaml.safe_load(ast.literal_eval(statement.value))
            return {name: value["sample"] for name, value in returned.items() if "sample" in value}
    raise AssertionError(module)


def modules():
    return sorted(path.stem for path in MODULES.glob("[!_]*.py"))


def test_every_module_that_has_domains():
    assert set(QUERIES) == {f"virtmem.libvirt.{name}" for name in modules() if name not in WITHOUT_DOMAINS}


@pytest.mark.parametrize("module", sorted(WITHOUT_DOMAINS))
def test_what_is_not_counted_has_nothing_to_count(module):
    assert "uuid" not in str(sample(module))


@pytest.mark.parametrize("module", [name for name in modules() if name not in WITHOUT_DOMAINS])
def test_samples(module):
    """All samples are of one domain, so they are one node."""
    (record,) = counted(module, sample(module))
    assert nodes([record]) == {(("uuid", "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"),): "web1"}
    assert record["facts"]["device_type"] == "VM"
    loop = {"results": [sample(module)], "msg": "All items completed"}
    for nothing in ({}, loop, {"skipped": True}, {"msg": "failed"}):
        assert counted(module, nothing) == []


def test_domains_that_were_not_found():
    gone = {"name": "gone", "uuid": None, "state": None}
    assert counted("domain_memory", {"domain": gone, "failed": True}) == []
    assert counted("virtio_mem_device", {"domain": None, "failed": True}) == []
    assert counted("host_memory", {"domains": [{"domain": gone}], "failed": True}) == []


PLAY = """
- hosts: kvm1
  gather_facts: false
  module_defaults:
    group/virtmem.libvirt.memory:
      uri: "{{ uri }}"
  tasks:
    - virtmem.libvirt.virtio_mem_device: {domain: web1, requested: 0}
    - virtmem.libvirt.virtio_mem_device: {domain: web2, requested: 0}
    - virtmem.libvirt.domain_memory: {domain: "{{ item }}", memory: 192MiB}
      loop: [web1, web2]
    - virtmem.libvirt.domain_memory: {domain: nobody, memory: 192MiB}
      ignore_errors: true
    - virtmem.libvirt.host_memory: {domains: [{domain: "*"}]}
    - virtmem.libvirt.domain_memory_info:
    - virtmem.libvirt.host_memory_info:
"""


def test_real_results(tmp_path, hypervisors, kvm1):
    """Seven events of four modules saw two domains: two nodes. Their action group has its defaults."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/all.yml").write_text(PLAY)
    plain = {"playbook": "all.yml", "job_type": "run", "name": "all", "survey_spec": {}}
    # Not what the host itself says: if the group's default did not count, nothing would be reached.
    hosts = {"kvm1": {"uri": kvm1.facts["uri"], "ansible_ssh_extra_args": "-o SetEnv=LIBVIRT_DEFAULT_URI=test:///none"}}
    job = awx.run(tmp_path, plain, [kvm1], host_variables=hosts)
    assert job.status == "successful", job.failures
    every = []
    for name in QUERIES:
        found = [record for _host, result in job.results(name) for record in counted(name.rpartition(".")[2], result)]
        assert sorted(nodes(found).values()) == ["web1", "web2"], name
        every += found
    assert len(every) == 8
    assert nodes(every) == {(("uuid", kvm1.uuid(name)),): name for name in ("web1", "web2")}
