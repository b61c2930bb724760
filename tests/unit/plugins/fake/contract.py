# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""For mypy alone: the fake speaks the protocol, and so does what it hands out."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.virtmem.libvirt.plugins.module_utils import _protocol
    from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.clock import FakeClock
    from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain import FakeDomain
    from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor
    from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.watch import FakeHostWatch, FakeWatch

    def hypervisor(fake: FakeHypervisor) -> _protocol.Hypervisor:
        return fake

    def domain(fake: FakeDomain) -> _protocol.Domain:
        return fake

    def watch(fake: FakeWatch) -> _protocol.Watch:
        return fake

    def host_watch(fake: FakeHostWatch) -> _protocol.HostWatch:
        return fake

    def clock(fake: FakeClock) -> _protocol.Clock:
        return fake
