# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.facts import (
    both_facts,
    definition_facts,
    device_facts,
    domain_facts,
    memory_device_facts,
    memory_facts,
    saved_warning,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Balloon,
    DomainState,
    GuestStatistics,
    HugePage,
    Placement,
    Tuning,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    LIVE,
    MIB,
    PLUGGED as DEVICE,
    definition,
    device,
)

GIB = 1024**3


def test_domain_facts():
    assert domain_facts(DomainState("web1", "u", "paused", True, True)) == {
        "name": "web1",
        "uuid": "u",
        "state": "paused",
    }


def test_device_facts():
    facts = device_facts(DEVICE)
    assert facts["guest_address"] == "0x140000000"
    assert (facts["size"], facts["requested"], facts["current"]) == (4 * GIB, GIB, GIB)
    assert "index" not in facts
    assert device_facts(None) is None
    assert device_facts(replace(DEVICE, guest_address=None))["guest_address"] is None
    assert both_facts({"live": DEVICE}) == {"live": facts, "config": None}


def test_a_saved_state_is_warned_of():
    assert saved_warning(DomainState("web1", "u", "shutoff", False, True, saved=True)).startswith(
        "web1 has a managed-save image"
    )


DIMM, PMEM = device("dimm", GIB), device("nvdimm", 3 * GIB)


@pytest.mark.parametrize(
    ("changes", "statistics", "balloon"),
    [
        ({}, None, 3 * GIB),
        ({"current_memory": 99 * GIB}, None, 3 * GIB),
        ({"current_memory": GIB}, None, GIB),
        ({"current_memory": GIB}, GuestStatistics(actual=2 * GIB), 2 * GIB),
        ({}, GuestStatistics(), None),
        ({"memballoon": Balloon("none")}, GuestStatistics(actual=2 * GIB), None),
    ],
)
def test_memory_in_sums(changes, statistics, balloon):
    found = replace(
        definition(replace(LIVE, requested=4 * GIB, current=GIB), CONFIG, DIMM, PMEM, current=3 * GIB), **changes
    )
    assert memory_facts(found, statistics) == {
        "boot": 2 * GIB,
        "plugged": 2 * GIB,
        "requested": 9 * GIB,
        "current": 4 * GIB,
        "total": 22 * GIB,
        "maximum": 64 * GIB,
        "balloon": balloon,
    }


@pytest.mark.parametrize(
    ("available", "current", "boot", "offline"),
    [
        (None, 8 * GIB, 2 * GIB, None),
        (10 * GIB, 8 * GIB, 2 * GIB, 0),
        (2 * GIB, 8 * GIB, 2 * GIB, 8 * GIB),
        (0, 8 * GIB, 2 * GIB, 8 * GIB),  # what boot memory lacks is not the devices'
        (10 * GIB - 288 * MIB, 8 * GIB, 2 * GIB, 0),  # 160 MiB and a sixteenth of boot memory are the kernel's
        (10 * GIB - 288 * MIB - 1, 8 * GIB, 2 * GIB, 288 * MIB + 1),
        (8 * GIB, None, 8 * GIB, 0),
    ],
)
def test_offline_memory(available, current, boot, offline):
    live = definition(replace(LIVE, current=current), DIMM, boot=boot)
    assert live.offline(GuestStatistics(available=available)) == offline


@pytest.mark.parametrize(
    ("current", "balloon", "target"),
    [(GIB, "virtio", GIB), (2 * GIB, "virtio", 2 * GIB), (9 * GIB, "virtio", 2 * GIB), (GIB, "none", None)],
)
def test_balloon_target(current, balloon, target):
    assert definition(CONFIG, current=current, memballoon=Balloon(balloon)).balloon_target == target


def test_options_by_dotted_names():
    full = definition(
        backing=Backing(
            hugepages=(HugePage(GIB, "0"),), source="memfd", allocation_mode="immediate", allocation_threads=2
        ),
        tuning=Tuning(GIB, MIB),
        placement=Placement("strict", "0"),
        memballoon=Balloon("virtio", True, None, 5),
    )
    assert full.flat_options == {
        "boot": 2 * GIB,
        "maximum.size": 64 * GIB,
        "maximum.slots": 16,
        "numa": [{"id": 0, "memory": 2 * GIB, "cpus": "0", "access": None, "discard": None}],
        "backing.hugepages": [{"size": GIB, "nodeset": "0"}],
        "backing.source": "memfd",
        "backing.access": None,
        "backing.allocation.mode": "immediate",
        "backing.allocation.threads": 2,
        "backing.locked": False,
        "backing.nosharepages": False,
        "backing.discard": False,
        "tuning.hard_limit": GIB,
        "tuning.soft_limit": MIB,
        "tuning.swap_hard_limit": None,
        "placement.mode": "strict",
        "placement.nodeset": "0",
        "balloon.model": "virtio",
        "balloon.autodeflate": True,
        "balloon.free_page_reporting": None,
        "balloon.stats_period": 5,
        "balloon.target": 2 * GIB,
    }


@pytest.mark.parametrize(
    ("pages", "facts"),
    [(None, []), ((), [{"size": None, "nodeset": None}]), ((HugePage(GIB),), [{"size": GIB, "nodeset": None}])],
)
def test_huge_pages(pages, facts):
    assert definition(backing=Backing(hugepages=pages)).flat_options["backing.hugepages"] == facts


def test_a_definition():
    facts = definition_facts(definition(CONFIG, maximum=None))
    assert (facts["maximum"], facts["total"], facts["current_memory"]) == (None, 10 * GIB, 2 * GIB)
    assert (facts["arch"], facts["machine"]) == ("x86_64", "pc-q35-9.2")
    assert facts["devices"] == [memory_device_facts(CONFIG)]
    assert definition_facts(None) is None


def test_a_device_of_any_model():
    facts = memory_device_facts(replace(LIVE, iommu=True))
    assert (facts["block"], facts["requested"], facts["current"]) == (2 * MIB, 2 * GIB, 2 * GIB)
    assert facts["guest_address"] == "0x100000000"
    assert facts["driver"] == {"iommu": True, "ats": None, "packed": None}
    assert "iommu" not in facts
    facts = memory_device_facts(DIMM)
    assert (facts["block"], facts["requested"], facts["size"], facts["guest_address"]) == (None, None, GIB, None)
