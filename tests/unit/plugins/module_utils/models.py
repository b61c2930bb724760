# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small models for tests of what is pure: built here only, by keyword, so that the model can change in one place."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.match import Match
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.spec import DeviceSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import DomainSpec, PlanInput
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Balloon,
    Definition,
    DomainState,
    MemoryDevice,
    NumaCell,
    Observed,
    Platform,
    Versions,
)

KIB, MIB, GIB = 1024, 1024**2, 1024**3
OLD = Versions((9, 0, 0), (7, 2, 22))  # Debian 12
NEW = Versions((11, 3, 0), (10, 0, 13))  # Debian 13
OLD_HOST, HOST = Platform(OLD, 2 * MIB), Platform(NEW, 2 * MIB)
# One device, as the stored definition has it and as the running guest does; and another one.
CONFIG = MemoryDevice(
    "virtio-mem",
    8 * GIB,
    block=2 * MIB,
    requested=2 * GIB,
    node=0,
    alias="ua-a",
    pci_address="0000:04:00.0",
    index=0,
)
LIVE = replace(CONFIG, current=2 * GIB, guest_address=0x100000000, pci_address="0000:01:00.0")
# One that the guest has plugged a quarter of.
PLUGGED = replace(LIVE, size=4 * GIB, requested=GIB, current=GIB, guest_address=0x140000000, pci_address="0000:04:00.0")
SECOND = replace(CONFIG, alias="ua-b", node=1, pci_address="0000:05:00.0", index=1)


def device(model="virtio-mem", size=8 * GIB, **changes):
    """A device of 8 GiB on node 0, a virtio-mem one with whole blocks of 2 MiB."""
    block = 2 * MIB if model == "virtio-mem" else 0
    return replace(MemoryDevice(model, size, block=block, node=0), **changes)


def definition(*devices, boot=2 * GIB, cells=1, current=None, **changes):
    """web1: x86_64, libvirt's q35, `boot` on each of its `cells`, maxMemory of 64 GiB with 16 slots, a balloon."""
    total = max(cells, 1) * boot + sum(found.size for found in devices)
    return replace(
        Definition(
            name="web1",
            uuid="",
            arch="x86_64",
            machine="pc-q35-9.2",
            total=total,
            current_memory=max(cells, 1) * boot if current is None else current,
            maximum=64 * GIB,
            slots=16,
            cells=tuple(NumaCell(number, boot, None if number else "0") for number in range(cells)),  # as it reads back
            devices=tuple(devices),
            memballoon=Balloon("virtio"),
            free_pcie_ports=4,
            pci_addresses=frozenset(found.pci_address for found in devices if found.pci_address),
        ),
        **changes,
    )


def observed(live=None, config=None, name="web1"):
    state = DomainState(name, "", "running" if live else "shutoff", live is not None, config is not None)
    found = {"live": live, "config": config}
    return Observed(state, {scope: definition for scope, definition in found.items() if definition})


def device_spec(model="virtio-mem", alias=None, place="devices[0]", absent=False, **stated):
    """One element of `devices`."""
    return DeviceSpec(place, model, alias, stated, absent)


def one(alias=None, absent=False, **stated):
    """A virtio_mem_device task."""
    return DomainSpec(devices=(device_spec(alias=alias, place="", absent=absent, **stated),), one_device=True)


def match(spec=None, live=None, config=None, name="ua-a"):
    return Match(spec, live, config, name)


def given(spec, live=None, config=None, scopes=None, platform=HOST, **more):
    """What a plan is made from; a task is about all definitions that there are, if `scopes` says nothing else."""
    found = observed(live, config)
    return PlanInput(spec, found, tuple(scopes or found.definitions), platform, **more)


@contextmanager
def refused(code, *words):
    """The block raises VirtmemError(code), and its message is one sentence with all the words; what it raised is in the list."""
    caught = []
    with pytest.raises(VirtmemError) as raised:
        yield caught
    caught.append(raised.value)
    assert raised.value.code == code, raised.value.message
    assert raised.value.message.endswith(".")
    assert "\n" not in raised.value.message
    for word in words:
        assert word in raised.value.message


def refusal(code, rule, *arguments):
    """What the rule raises, which is VirtmemError(code)."""
    with refused(code) as caught:
        rule(*arguments)
    return caught[0]


def holds(rule, *arguments):
    """Whether the rule raises nothing."""
    try:
        rule(*arguments)
    except VirtmemError:
        return False
    return True
