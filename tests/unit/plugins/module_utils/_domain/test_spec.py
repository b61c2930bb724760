# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says of a domain's memory, read; and which definitions it means."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import (
    CellSpec,
    DomainSpec,
    read_domain_spec,
    resolve_scopes,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import DomainState, HugePage
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    LIVE,
    MIB,
    definition,
    device_spec,
    given,
    one,
    refused,
)

NAMES = ("memory", "maximum", "boot", "numa", "backing", "tuning", "placement", "balloon", "devices")


def read(**params):
    return read_domain_spec({**dict.fromkeys(NAMES), "purge_devices": False, **params})


BACKING = dict.fromkeys(("hugepages", "source", "access", "allocation", "locked", "nosharepages", "discard"))
TUNING = dict.fromkeys(("hard_limit", "soft_limit", "swap_hard_limit"))
PAGE = {"size": None, "nodeset": None}
DEVICE = dict.fromkeys(("model", "alias", "size", "requested"))

READ = {
    "nothing": ({}, {}),
    "memory": ({"memory": "4GiB"}, {"memory": 4 * GIB}),
    "no memory at all": ({"memory": "0"}, {"memory": 0}),
    "boot": ({"boot": "512MiB"}, {"boot": 512 * MIB}),
    "maximum": ({"maximum": {"size": "8GiB", "slots": 3}}, {"maximum": 8 * GIB, "slots": 3}),
    "slots alone": ({"maximum": {"size": None, "slots": 0}}, {"slots": 0}),
    "numa": (
        {"numa": [{"id": 1, "memory": "1GiB", "cpus": "2,3", "access": None}, {"id": 0, "memory": None, "cpus": None}]},
        {"numa": (CellSpec(1, {"memory": GIB, "cpus": "2-3"}), CellSpec(0, {}))},
    ),
    "no cells": ({"numa": []}, {"numa": ()}),
    "backing": (
        {
            "backing": {
                **BACKING,
                "source": "memfd",
                "locked": False,
                "allocation": {"mode": "immediate", "threads": None},
            }
        },
        {"backing": {"source": "memfd", "locked": False, "allocation_mode": "immediate"}},
    ),
    "no huge pages": ({"backing": {**BACKING, "hugepages": []}}, {"backing": {"hugepages": None}}),
    "huge pages of the default size": ({"backing": {**BACKING, "hugepages": [PAGE]}}, {"backing": {"hugepages": ()}}),
    "huge pages, in order": (
        {"backing": {**BACKING, "hugepages": [{"size": "1GiB", "nodeset": "0,1"}, {"size": "2MiB", "nodeset": None}]}},
        {"backing": {"hugepages": (HugePage(2 * MIB), HugePage(GIB, "0-1"))}},
    ),
    "one huge page": (
        {"backing": {**BACKING, "hugepages": [{"size": "2MiB", "nodeset": None}]}},
        {"backing": {"hugepages": (HugePage(2 * MIB),)}},
    ),
    "tuning": (
        {"tuning": {**TUNING, "hard_limit": " unlimited ", "soft_limit": "1GiB"}},
        {"tuning": {"hard_limit": None, "soft_limit": GIB}},
    ),
    "placement": ({"placement": {"mode": None, "nodeset": "1,0"}}, {"placement": {"nodeset": "0-1"}}),
    "a mode": ({"placement": {"mode": "strict", "nodeset": None}}, {"placement": {"mode": "strict"}}),
    "balloon": (
        {"balloon": {"model": "virtio", "target": "1GiB", "stats_period": 0}},
        {"balloon": {"model": "virtio", "stats_period": 0}, "target": GIB},
    ),
    "no target": ({"balloon": {"model": None, "target": None}}, {"balloon": {}}),
    "devices": (
        {"devices": [{**DEVICE, "model": "dimm", "size": "1GiB"}, {**DEVICE, "model": "virtio-mem", "alias": "ua-a"}]},
        {"devices": (device_spec("dimm", size=GIB), device_spec(alias="ua-a", place="devices[1]"))},
    ),
    "no devices": ({"devices": [], "purge_devices": True}, {"devices": (), "purge": True}),
}


@pytest.mark.parametrize("name", READ)
def test_read(name):
    params, expected = READ[name]
    empty = {"backing": {}, "tuning": {}, "placement": {}, "balloon": {}}
    assert read(**params) == DomainSpec(**{**empty, **expected})


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"memory": "4"}, "invalid_size", "memory: '4' has no unit"),
        ({"boot": "4"}, "invalid_size", "boot:"),
        ({"maximum": {"size": "4"}}, "invalid_size", "maximum.size:"),
        ({"numa": [{"id": 3, "memory": "4"}]}, "invalid_size", "numa[3].memory:"),
        ({"numa": [{"id": 3, "cpus": "x"}]}, "unsupported", "numa[3].cpus:"),
        ({"backing": {"hugepages": [{"size": "4", "nodeset": None}]}}, "invalid_size", "backing.hugepages[0].size:"),
        (
            {"backing": {"hugepages": [{"size": "1GiB", "nodeset": None}, {"size": "1GiB", "nodeset": "x"}]}},
            "unsupported",
            "backing.hugepages[1].nodeset:",
        ),
        ({"backing": {"hugepages": [PAGE, PAGE]}}, "unsupported", "backing.hugepages[0]: a page needs a size"),
        ({"backing": {"hugepages": [{**PAGE, "nodeset": "0"}]}}, "unsupported", "backing.hugepages[0]: a page needs"),
        ({"tuning": {"hard_limit": "4"}}, "invalid_size", "tuning.hard_limit:"),
        ({"placement": {"nodeset": "x"}}, "unsupported", "placement.nodeset:"),
        ({"balloon": {"target": "4"}}, "invalid_size", "balloon.target:"),
        ({"devices": [{**DEVICE, "model": "dimm", "size": "4"}]}, "invalid_size", "devices[0].size:"),
        ({"purge_devices": True}, "unsupported", "purge_devices: the task must list"),
    ],
)
def test_what_can_not_be_read(params, code, words):
    with refused(code, words):
        read(**params)


def test_values_that_devices_state():
    spec = DomainSpec(devices=(device_spec(node=0, slot=1), device_spec(node=1), device_spec()))
    assert (spec.stated_values("node"), spec.stated_values("slot")) == ({0, 1}, {1})
    assert spec.stated_values("access") == frozenset()
    assert DomainSpec().stated_values("node") == frozenset()


def test_what_is_so_unless_somebody_says_otherwise():
    what = given(DomainSpec(), definition(LIVE))
    assert (what.actual, what.restart, what.wait, what.live_only) == (None, False, True, False)
    assert (what.spec.purge, what.spec.one_device) == (False, False)


def test_a_plans_definitions():
    what = given(one(), definition(LIVE), definition(CONFIG))
    assert what.scopes == ("live", "config")
    assert (what.definition("live"), what.definition("config")) == (definition(LIVE), definition(CONFIG))


# ------------------------------------------------------------------------------------------------------------- scope


@pytest.mark.parametrize(
    ("scope", "active", "persistent", "scopes"),
    [
        ("auto", True, True, ("live", "config")),
        ("auto", True, False, ("live",)),
        ("auto", False, True, ("config",)),
        ("live", True, True, ("live",)),
        ("live", True, False, ("live",)),
        ("live", False, True, None),
        ("config", True, True, ("config",)),
        ("config", False, True, ("config",)),
        ("config", True, False, None),
        ("both", True, True, ("live", "config")),
        ("both", False, True, None),
        ("both", True, False, None),
    ],
)
def test_scopes(scope, active, persistent, scopes):
    state = DomainState("web1", "", "running" if active else "shutoff", active, persistent)
    if scopes is None:
        with refused("unsupported", f"scope={scope}", "web1") as caught:
            resolve_scopes(scope, state)
        assert "scope=" in caught[0].hint
    else:
        assert resolve_scopes(scope, state) == scopes


@pytest.mark.parametrize("scope", ["auto", "live", "config"])
def test_a_transient_domain_that_stopped_meanwhile_is_gone(scope):
    gone = DomainState("web1", "", "shutoff", active=False, persistent=False)
    with refused("domain_not_found" if scope == "auto" else "unsupported", "web1"):
        resolve_scopes(scope, gone)
