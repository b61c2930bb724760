# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What domain_memory_info says of one domain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.info import drift, facts, statistics_facts
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Balloon, GuestStatistics, Tuning
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    LIVE,
    MIB,
    definition,
    device,
    observed,
)

SPOKE = GuestStatistics(usable=GIB, available=2 * GIB, actual=3 * GIB, last_update=100, fresh=True)
ON, OFF = definition(LIVE), definition(CONFIG)


def told(live, config, statistics):
    return facts(observed(live, config).domain, live, config, statistics, 130.6)


@pytest.mark.parametrize(
    ("live", "config", "statistics", "drifts", "speaks"),
    [
        (ON, OFF, SPOKE, True, True),
        (ON, OFF, None, True, False),
        (ON, None, SPOKE, False, True),
        (None, OFF, None, False, False),
        (None, OFF, SPOKE, False, False),
        (ON, None, None, False, False),
    ],
)
def test_what_is_known_of_a_domain(live, config, statistics, drifts, speaks):
    found = told(live, config, statistics)
    assert (found["drift"] is not None) is drifts
    assert (found["statistics"] is not None) is speaks
    assert (found["live"] is not None, found["config"] is not None) == (live is not None, config is not None)
    assert found["memory"]["current"] == (4 * GIB if live else 2 * GIB)
    assert found["memory"]["balloon"] == (statistics.actual if statistics else 2 * GIB)


@pytest.mark.parametrize(
    ("last_update", "now", "told_update", "age"),
    [(100, 130.6, 100, 31), (100, 90, 100, 0), (0, 130.6, None, None), (1, 1, 1, 0)],
)
def test_the_age_of_statistics(last_update, now, told_update, age):
    found = statistics_facts(replace(SPOKE, last_update=last_update), ON, now)
    assert (found["last_update"], found["age"], found["usable"]) == (told_update, age, GIB)
    assert "fresh" not in found


@pytest.mark.parametrize(("period", "offline"), [(0, None), (5, 2 * GIB)])
def test_offline_memory_is_told_only_of_statistics_that_come_by_themselves(period, offline):
    live = definition(LIVE, memballoon=Balloon("virtio", stats_period=period))
    assert statistics_facts(SPOKE, live, 130)["offline_in_guest"] == offline


NEW = device("dimm", GIB, alias="ua-d")
DRIFT = {
    "nothing": (ON, OFF, []),
    "addresses, and what is plugged": (definition(replace(LIVE, slot=3)), OFF, []),
    "the balloon": (ON, definition(CONFIG, current=GIB), []),
    "an option": (ON, definition(CONFIG, tuning=Tuning(GIB)), [(None, "tuning.hard_limit", None, GIB)]),
    "an option that only one has": (
        definition(LIVE, maximum=None),
        OFF,
        [(None, "maximum.size", None, 64 * GIB), (None, "maximum.slots", None, 16)],
    ),
    "a device's option": (
        ON,
        definition(replace(CONFIG, requested=GIB, access="shared")),
        [("ua-a", "requested", 2 * GIB, GIB), ("ua-a", "access", None, "shared")],
    ),
    "a device of one": (ON, definition(CONFIG, NEW), [("ua-d", "state", "absent", "present")]),
    "a device of the other": (
        definition(LIVE, replace(NEW, alias=None, pci_address="0000:09:00.0")),
        OFF,
        [("0000:09:00.0", "state", "present", "absent")],
    ),
    "a device without a name": (
        definition(LIVE, replace(NEW, alias=None)),
        OFF,
        [(None, "state", "present", "absent")],
    ),
    "a device that only the stored definition names": (
        definition(replace(LIVE, alias=None, pci_address=None)),
        definition(replace(CONFIG, requested=GIB)),
        [("ua-a", "requested", 2 * GIB, GIB)],
    ),
}


@pytest.mark.parametrize("name", DRIFT)
def test_drift(name):
    live, config, expected = DRIFT[name]
    found = drift(observed(live, config).domain, live, config)
    assert [tuple(entry[key] for key in ("device", "option", "live", "config")) for entry in found] == expected


def test_boot_memory_drifts_with_its_cells():
    found = drift(observed(ON, OFF).domain, ON, definition(CONFIG, boot=2 * GIB + MIB))
    assert [entry["option"] for entry in found] == ["boot", "numa"]
