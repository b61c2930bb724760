# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host_memory task says, read; and which domains it means."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._host.spec import (
    GuestSpec,
    HostSpec,
    chosen,
    read_host_spec,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import DomainState
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import GIB, MIB, refused

GUEST = {"domain": "web1", "memory": None, "min": None, "max": None, "weight": 1}


def read(*guests, **params):
    domains = [{**GUEST, **guest} for guest in guests]
    return read_host_spec(
        {"policy": "fair", "reserve": "1GiB", "guest_reserve": "128MiB", "domains": domains, **params}
    )


@pytest.mark.parametrize(
    ("guest", "expected"),
    [
        ({}, {}),
        ({"memory": "4GiB"}, {"memory": 4 * GIB}),
        ({"memory": "0"}, {"memory": 0}),
        ({"min": "1GiB", "max": "2GiB"}, {"minimum": GIB, "maximum": 2 * GIB}),
        ({"min": "1GiB", "max": "1GiB"}, {"minimum": GIB, "maximum": GIB}),
        ({"min": "1GiB"}, {"minimum": GIB}),
        ({"max": "1GiB"}, {"maximum": GIB}),
        ({"weight": 10000}, {"weight": 10000}),
    ],
)
def test_a_guest(guest, expected):
    assert read(guest).guests == (GuestSpec("domains[0]", "web1", **expected),)


def test_the_whole():
    found = read({"domain": "a"}, {"domain": "b*", "weight": 3})
    guests = (GuestSpec("domains[0]", "a"), GuestSpec("domains[1]", "b*", weight=3))
    assert found == HostSpec(guests, "fair", GIB, 128 * MIB)


@pytest.mark.parametrize(
    ("guest", "params", "code", "words"),
    [
        ({"memory": "4"}, {}, "invalid_size", "domains[1].memory:"),
        ({"min": "4"}, {}, "invalid_size", "domains[1].min:"),
        ({"max": "4"}, {}, "invalid_size", "domains[1].max:"),
        ({"min": "2GiB", "max": "1GiB"}, {}, "unsupported", "domains[1]: min, 2 GiB, is more than max, 1 GiB."),
        ({"weight": 0}, {}, "unsupported", "domains[1].weight: 0 is not a number from 1 to 10000."),
        ({"weight": 10001}, {}, "unsupported", "domains[1].weight: 10001"),
        ({}, {"reserve": "1"}, "invalid_size", "reserve:"),
        ({}, {"guest_reserve": "1"}, "invalid_size", "guest_reserve:"),
    ],
)
def test_what_can_not_be_read(guest, params, code, words):
    with refused(code, words):
        read({}, guest, **params)


UUID = "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"
STATES = [
    DomainState(name, uuid, "running", True, True) for name, uuid in (("web2", "x"), ("web1", UUID), ("db[1]", "y"))
]


@pytest.mark.parametrize(
    ("wanted", "found", "missing"),
    [
        (["web1"], {"web1": 0}, []),
        (["web*"], {"web2": 0, "web1": 0}, []),
        (["web1", "web*"], {"web1": 0, "web2": 1}, []),
        (["*", "web1"], {"web2": 0, "web1": 0, "db[1]": 0}, []),
        ([UUID.upper()], {"web1": 0}, []),
        (["db[1]"], {"db[1]": 0}, []),
        (["web3", "x*", "web1"], {"web1": 2}, [0, 1]),
        ([], {}, []),
    ],
    ids=[
        "name",
        "pattern",
        "the first that means it",
        "all",
        "UUID",
        "a name that looks like a pattern",
        "missing",
        "none",
    ],
)
def test_which_domains_are_meant(wanted, found, missing):
    spec = HostSpec(tuple(GuestSpec(f"domains[{number}]", text) for number, text in enumerate(wanted)))
    pairs, lost = chosen(spec, STATES)
    assert {state.name: spec.guests.index(guest) for state, guest in pairs} == found
    assert [state.name for state, _guest in pairs] == list(found)
    assert [spec.guests.index(guest) for guest in lost] == missing


def test_a_name_before_a_uuid():
    states = [DomainState("web1", UUID, "running", True, True), DomainState(UUID, "z", "running", True, True)]
    pairs, _lost = chosen(HostSpec((GuestSpec("domains[0]", UUID),)), states)
    assert [state.uuid for state, _guest in pairs] == ["z"]
