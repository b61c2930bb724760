# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls that are made again, and calls that are not."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt.errors import translate
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt.retry import apply_once, retry_while_busy
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB

LOCK = "Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchDomainSaveFlags)"
QUEUE = "operation failed: cannot acquire state change lock (held by monitor=x) due to max_queued limit"


@pytest.fixture
def hypervisor():
    made = FakeHypervisor()
    made.add(device()).start()
    return made


def busy(hypervisor, until, number=68, text=LOCK, name="state"):
    """Another job holds the domain for so many seconds."""
    end = hypervisor.clock.now + until

    def hook(_domain, called, _scope):
        if called == name and hypervisor.clock.now < end:
            raise translate("change the running guest", number, 10, text)

    hypervisor.before_call = hook


@pytest.mark.parametrize(("number", "text"), [(68, LOCK), (9, QUEUE), (68, "Timed out: whatever")])
def test_a_job_that_ends_in_time(hypervisor, number, text):
    busy(hypervisor, 6, number, text)
    start = hypervisor.clock.now
    assert retry_while_busy(hypervisor.domain("web1"), 20, hypervisor.clock).state().state == "running"
    assert hypervisor.clock.now - start == 6


def test_a_job_that_does_not(hypervisor):
    busy(hypervisor, 60)
    start = hypervisor.clock.now
    domain = retry_while_busy(hypervisor.domain("web1"), 20, hypervisor.clock)
    with pytest.raises(VirtmemError) as caught:
        domain.state()
    assert (caught.value.code, hypervisor.clock.now - start) == ("domain_busy", 20)
    assert (caught.value.details["waited"], caught.value.details["libvirt_message"]) == (20, LOCK)
    assert "20 s" in caught.value.message
    with pytest.raises(VirtmemError):
        domain.state()
    assert hypervisor.clock.now - start == 20, "the patience is for all calls together"


@pytest.mark.parametrize(
    ("number", "text", "passing"),
    [
        (68, LOCK, True),
        (9, QUEUE, True),
        (55, "Requested operation is not valid: another migration job is already running for domain web1", True),
        (67, "unsupported configuration: non unique alias detected: ua-a", False),
        (9, "operation failed: no", False),
    ],
)
def test_what_passes(hypervisor, number, text, passing):
    assert translate("change the running guest", number, 10, text).passing is passing
    busy(hypervisor, 60, number, text)
    start = hypervisor.clock.now
    with pytest.raises(VirtmemError):
        retry_while_busy(hypervisor.domain("web1"), 5, hypervisor.clock).state()
    assert (hypervisor.clock.now > start) is passing


def test_it_is_the_domain_in_all_else(hypervisor):
    domain = retry_while_busy(hypervisor.domain("web1"), 5, hypervisor.clock)
    assert domain.name == "web1"
    assert domain.xml("config", secure=True).count("secret") == 1
    with domain.watch() as watch:
        assert watch.has_events
    domain.set_balloon(GIB)
    assert domain.statistics().actual == GIB


@pytest.mark.parametrize(("made", "calls"), [(True, 1), (False, 2), (None, 1)])
def test_a_change_whose_answer_is_lost(made, calls):
    done = []

    def change():
        done.append(1)
        if len(done) == 1:
            raise VirtmemError("connection_lost", "It broke.")

    if made is None:
        with pytest.raises(VirtmemError):
            apply_once(change, lambda: made)
    else:
        apply_once(change, lambda: made)
    assert len(done) == calls


def test_any_other_failure_of_a_change():
    def change():
        raise VirtmemError("permission_denied", "No.")

    with pytest.raises(VirtmemError):
        apply_once(change, lambda: pytest.fail("nobody looks"))
