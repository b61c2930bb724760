# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.facts import (
    both_facts,
    device_facts,
    domain_facts,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES, VirtmemError, failure_facts
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import DomainState, MemoryDevice

GIB = 1024**3
DEVICE = MemoryDevice(
    "virtio-mem",
    4 * GIB,
    block=2 << 20,
    requested=GIB,
    current=GIB,
    node=0,
    alias="ua-a",
    guest_address=0x140000000,
    pci_address="0000:04:00.0",
    index=0,
)


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


@pytest.mark.parametrize("code", ERROR_CODES)
def test_failure(code):
    error = VirtmemError(code, "What.", hint="Do.", details={"size": 1})
    assert failure_facts(error) == {"error_code": code, "details": {"size": 1}, "hint": "Do."}
    assert str(error) == error.message == "What."
    assert ERROR_CODES[code].endswith(".")


def test_an_unknown_code_is_a_mistake():
    with pytest.raises(KeyError):
        raise VirtmemError("nonsense", "What.")


def test_details_are_the_errors_own():
    details = {"a": 1}
    error = VirtmemError("timeout", "What.", details=details)
    details["a"] = 2
    assert error.details == {"a": 1}
