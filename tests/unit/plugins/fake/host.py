# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a test says of the hypervisor, and what it finds noted there afterwards."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Versions
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.clock import FakeClock
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.libvirt import Libvirt
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.watch import FakeHostWatch, FakeWatch

BOOKWORM = Versions((9, 0, 0), (7, 2, 22))
TRIXIE = Versions((11, 3, 0), (10, 0, 13))
SID = Versions((12, 8, 0), (11, 1, 3))

READS = frozenset({"state", "xml", "statistics", "watch", "list_all", "capabilities", "host_total"})


@dataclass
class Host:
    """`calls`: all of them, as (name, scope). `before_call`: a test's chance to fail one, or to meddle."""

    versions_are: Versions = TRIXIE
    has_events: bool = True
    host: int = 1024 * GIB
    thp: int | None = 2 * MIB
    uri: str = "qemu:///system"
    clock: FakeClock = field(default_factory=FakeClock)
    read_only: bool = False
    opened: int = 0
    closed: int = 0
    calls: list[tuple[str, str | None]] = field(default_factory=list)
    asked_host: list[tuple[int | None, list[int] | None]] = field(default_factory=list)
    watches: list[FakeWatch] = field(default_factory=list)
    host_watches: list[FakeHostWatch] = field(default_factory=list)
    nodes: t.Mapping[int, tuple[int, t.Mapping[int, int]]] = field(default_factory=lambda: {0: (1024 * GIB, {})})
    before_call: t.Callable[[t.Any, str, str | None], None] = lambda *_args: None

    @property
    def writes(self) -> list[tuple[str, str | None]]:
        return [call for call in self.calls if call[0] not in READS]

    def count(self, name: str, scope: str | None) -> int:
        return self.calls.count((name, scope))

    @property
    def libvirt(self) -> Libvirt:
        """By what a test says now: it may change in between."""
        return Libvirt(self.versions_are.libvirt, self.thp)
