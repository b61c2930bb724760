# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host_memory task says of the host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._host.limits import HostLimit, HostMemoryTotals
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.plan import HostPlan
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.report import HostReport
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import HostNode, HostTopology
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import GIB, MIB, NEW

TOPOLOGY = HostTopology("x86_64", True, (HostNode(0, 64 * GIB, {GIB: 4 * GIB}),))
TOTALS = HostMemoryTotals(64 * GIB, 2 * GIB, TOPOLOGY, 2 * MIB, NEW)
HOST = HostLimit(frozenset("ab"), 50 * GIB, "the host")
POOL = replace(HOST, size=GIB, where="a pool", page_size=GIB)
NODE = replace(HOST, size=3 * GIB, where="a node", nodes=frozenset({0}))


@pytest.mark.parametrize("limits", [[HOST, POOL, NODE], [POOL, NODE, HOST]])
def test_the_host_is_told_by_its_ordinary_memory_as_a_whole(limits):
    """Neither a pool of huge pages nor one node is the host."""
    report = HostReport()
    report.of_host(TOTALS, HostPlan(limits=limits))
    assert report.result["host"] == {
        "total": 64 * GIB,
        "reserve": 2 * GIB,
        "others": 8 * GIB,
        "budget": 50 * GIB,
        "limits": [{"where": limit.where, "size": limit.size} for limit in limits],
    }
