# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain as it lives: switched on and off, reset, and what its guest does while time passes."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.definitions import Definitions
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    Element,
    alias_of,
    drop,
    element,
    text_of,
    virtio_mem,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import AT_ONCE, NEVER, Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.host import Host
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.rules import running, sums, unplug
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of, write_kib
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.watch import FakeWatch


class Machine(Definitions):
    """`deaf`: to the power button. `actual`: the balloon's size."""

    def __init__(self, hypervisor: Host, config: str, guest: Guest | None = None, persistent: bool = True) -> None:
        super().__init__()
        self.hypervisor = hypervisor
        self.guest = guest or Guest()
        self.paused = False
        self.deaf = False
        self.actual = 0  # until it starts
        self.last_update = 0  # of the guest's statistics
        self.watches: list[FakeWatch] = []
        self.unplugging: set[str] = set()
        self._moved = 0.0  # when the guest last plugged or unplugged memory
        self._stuck = False
        self._told = 0.0  # when the last size event went out
        self._untold = False
        root = element(config)
        hypervisor.libvirt.define(root)
        self.name: str = root.findtext("name")
        self.config = text_of(root)
        self.persistent = persistent
        hypervisor.clock.runners.append(self._tick)

    def start(self, settled: bool = True) -> t.Any:
        """Power on: the live definition is made of the config, and the guest plugs what is requested.

        Returns the domain, for tests to go on with; the protocol's own start() returns nothing, which Any allows.
        """
        self._stuck, self.counted = False, 1
        root = self.root("config")
        root.set("id", "1")
        sums.a_start_aligns_devices(root)
        for memory in root.findall("devices/memory"):
            self.hypervisor.libvirt.make_live(root, memory)
        for memory in virtio_mem(root) if settled else ():
            requested = size_of(memory.find("target/requested"))
            write_kib(memory.find("target/current"), replace(self.guest, rate=AT_ONCE).next(0, requested, 1))
        self.actual = sums.a_balloon_counts_dimms(root)
        self.store("live", root)
        if not self.persistent:
            self.config = None
        return self

    def stop(self) -> None:
        self.live = None
        if not self.persistent:
            self.config = None
        self.wake()

    def reboot(self) -> None:
        """QEMU unplugs everything at reset; the guest plugs what is requested anew, and libvirt counts it twice."""
        root = self.root("live")
        for memory in virtio_mem(root):
            write_kib(memory.find("target/current"), 0)
        self.counted = 2
        self._stuck = False
        self.store("live", root)
        self.wake()

    def ask_to_leave(self, memory: Element) -> None:
        """What the guest is told when QEMU has accepted an unplug."""
        self.unplugging.add(t.cast(str, alias_of(memory)))
        since_it_moved = self.hypervisor.clock.now - self._moved
        self._stuck = self._stuck or unplug.linux_locks_up_if_hurried(memory, since_it_moved)

    def wake(self) -> None:
        for watch in self.watches:
            watch.wake()
        for host_watch in self.hypervisor.host_watches:
            host_watch.wake_for(self.name)

    def _tick(self) -> None:
        if self.live is None or self._ends():
            return
        now, root = self.hypervisor.clock.now, self.root("live")
        if root.find("devices/memballoon/stats") is not None and self.guest.answers:
            self.last_update = int(now)
        if not self.paused and not self._stuck:
            self._plug(root)
            self._let_go(root)
        if self._untold and running.qemu_tells_sizes_once_a_second(now - self._told):
            self._told, self._untold = now, False
            self.wake()

    def _ends(self) -> bool:
        """Whether the guest dies or is reset just now."""
        now = self.hypervisor.clock.now
        if now >= self.guest.dies_at:
            self.stop()
        elif now >= self.guest.reboots_at:
            self.guest.reboots_at = NEVER
            self.reboot()
        else:
            return False
        return True

    def _plug(self, root: Element) -> None:
        changed = False
        for memory in virtio_mem(root):
            now, requested, block = (size_of(memory.find(f"target/{tag}")) for tag in ("current", "requested", "block"))
            new = self.guest.next(now, requested, block)
            changed |= new != now
            write_kib(memory.find("target/current"), new)
        if changed:
            self._untold, self._moved = True, self.hypervisor.clock.now
            self.store("live", root)

    def _let_go(self, root: Element) -> None:
        if not self.unplugging or not self.guest.lets_go:
            return
        for memory in root.findall("devices/memory"):
            if alias_of(memory) in self.unplugging:
                write_kib(root.find("memory"), size_of(root.find("memory")) - size_of(memory.find("target/size")))
                drop(memory)
        self.unplugging.clear()
        self.counted = 1
        self.store("live", root)
        self.wake()
