# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools

import pytest
from hypothesis import HealthCheck, settings

from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB

# The same examples each time: a unit test that fails now and then helps nobody.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no fault of the code
)
# ./run fuzz wants new ones, and says the seed by which they come again.
settings.register_profile("new", parent=settings.get_profile("steady"), derandomize=False, print_blob=True)
settings.load_profile("steady")


@pytest.fixture
def hypervisor():
    return FakeHypervisor()


@pytest.fixture
def play(monkeypatch, hypervisor):
    """Run virtio_mem_device on the fake, whose host has four nodes: play(check=False, requested="4GiB")."""
    hypervisor.nodes = dict.fromkeys(range(4), (1024 * GIB, {}))
    return functools.partial(running.run, "virtio_mem_device", monkeypatch, hypervisor, domain="web1")
