# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""host_memory_info from options to result: what the host has, what its guests were promised, and what it can do."""

from __future__ import annotations

import typing as t

from .. import _capabilities
from .._domain.facts import memory_facts
from .._errors import VirtmemError
from .._model import Definition, Facts, HostNode, HostTopology, Versions
from .._xml.observe import read_definition, read_topology

if t.TYPE_CHECKING:
    from .._protocol import Clock, DomainEntry, Hypervisor

EMPTY: t.Final[t.Mapping[str, t.Any]] = {"changed": False, "host": None}


class HostMemoryInfo:
    """One run of the module; see _protocol.Work."""

    def __init__(self, _params: t.Mapping[str, t.Any], hypervisor: Hypervisor, _check: bool, _clock: Clock) -> None:
        self.result: dict[str, t.Any] = dict(EMPTY, _warnings=[])
        self._hypervisor = hypervisor

    def run(self) -> None:
        hypervisor = self._hypervisor
        topology = read_topology(hypervisor)
        versions = hypervisor.versions()
        total = hypervisor.host_total()
        nodes = [self._node_facts(node) for node in topology.nodes]
        guests = self._guest_facts()
        self.result["host"] = {
            "arch": topology.arch,
            "total": total,
            "available": hypervisor.host_memory(None, None).available,
            "nodes": nodes,
            "huge_pages": _sum_pools(nodes),
            "guests": guests,
            "overcommit": {name: round(guests["running"][name] / total, 3) for name in ("requested", "maximum")},
            "versions": {
                "libvirt": _capabilities.version_text(versions.libvirt),
                "qemu": _capabilities.version_text(versions.qemu),
            },
            "features": features(topology, versions),
        }

    def _node_facts(self, node: HostNode) -> Facts:
        return {
            "id": node.id,
            "total": node.total,
            "available": self._hypervisor.host_memory(None, [node.id]).available,
            "huge_pages": [
                {
                    "size": size,
                    "total": pool,
                    "free": self._hypervisor.host_memory(size, [node.id]).available if pool else 0,
                }
                for size, pool in node.pools.items()
            ],
        }

    def _guest_facts(self) -> Facts:
        """Sums over the guests that run, as they are, and over the others, as their start would make them."""
        running: list[Definition] = []
        stopped: list[Definition] = []
        for entry in self._hypervisor.list_all():
            definition = _read(entry)
            if definition is not None:
                (running if entry.state.active else stopped).append(definition)
        return {"running": _sums(running), "stopped": {**_sums(stopped), "current": 0}}


def _read(entry: DomainEntry) -> Definition | None:
    """The definition that counts now; None for a domain that went, or stopped, since the survey."""
    try:
        return read_definition(entry.domain, "live" if entry.state.active else "config")
    except VirtmemError as error:
        if error.code != "domain_not_found":
            raise
        return None


def _sums(definitions: t.Sequence[Definition]) -> Facts:
    """`maximum` is what the guests could be asked to use with the devices that they have."""
    facts = [memory_facts(definition, None) for definition in definitions]
    sums: Facts = {"domains": len(facts)}
    for name, source in (("boot", "boot"), ("requested", "requested"), ("current", "current"), ("maximum", "total")):
        sums[name] = sum(fact[source] for fact in facts)
    return sums


def _sum_pools(nodes: t.Sequence[Facts]) -> list[Facts]:
    """The pools of the host as a whole, by page size."""
    pools: dict[int, Facts] = {}
    for node in nodes:
        for pool in node["huge_pages"]:
            known = pools.setdefault(pool["size"], {"size": pool["size"], "total": 0, "free": 0})
            known["total"] += pool["total"]
            known["free"] += pool["free"]
    return [pools[size] for size in sorted(pools)]


def features(topology: HostTopology, versions: Versions) -> Facts:
    """What can be done here, and for each no, why not."""
    reasons = _capabilities.all_reasons(versions, topology.arch)
    pools = any(size for node in topology.nodes for size in node.pools.values())
    reasons["huge_pages"] = None if pools else "the host has no huge pages (vm.nr_hugepages)"
    reasons["kvm"] = (
        None if topology.accelerated else "libvirt offers no KVM for this architecture: guests are emulated"
    )
    return {name: {"supported": reason is None, "reason": reason} for name, reason in reasons.items()}
