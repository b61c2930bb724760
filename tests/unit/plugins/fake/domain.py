# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the code under test may ask of a domain."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import DomainState, GuestStatistics, Scope
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    add,
    child,
    drop,
    element,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import UUID
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.host import Host
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.machine import Machine
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.rules import (
    address,
    device,
    running,
    sums,
    unplug,
    update,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, size_of, write_kib
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.watch import FakeWatch


class FakeDomain(Machine):
    """See _protocol.Domain."""

    def __init__(self, hypervisor: Host, config: str, guest: Guest | None = None, persistent: bool = True) -> None:
        super().__init__(hypervisor, config, guest, persistent)
        self.period_history: list[int] = []

    # ---------------------------------------------------------------------------------------------------- reads

    def state(self) -> DomainState:
        self._note("state", None)
        return self.state_now()

    def state_now(self) -> DomainState:
        word = "shutoff" if self.live is None else "paused" if self.paused else "running"
        return DomainState(self.name, UUID, word, self.live is not None, self.persistent)

    def xml(self, scope: Scope, secure: bool = False) -> str:
        self._note("xml", scope)
        if secure:
            running.the_connection_may_read_passwords(self.hypervisor.read_only)
        text = running.it_runs(self.live, "live") if scope == "live" else running.it_is_stored(self.config)
        return text if secure else running.passwords_are_left_out(text)

    def statistics(self) -> GuestStatistics:
        self._note("statistics", None)
        running.it_runs(self.live, "read the guest's statistics")
        return self.statistics_now()

    def statistics_now(self) -> GuestStatistics:
        balloon = self.root("live").find("devices/memballoon")
        if balloon is None or balloon.get("model") == "none" or self.guest.usable is None:
            return GuestStatistics(rss=GIB)
        if not self.last_update:
            return GuestStatistics(actual=self.actual, rss=GIB)
        return GuestStatistics(
            usable=self.guest.usable,
            available=self.guest.counted,
            actual=self.actual,
            rss=GIB,
            last_update=self.last_update,
        )

    @contextmanager
    def watch(self) -> t.Iterator[FakeWatch]:
        self._note("watch", None)
        watch = FakeWatch(self.hypervisor.clock, self.hypervisor.has_events)
        self.watches.append(watch)
        self.hypervisor.watches.append(watch)
        try:
            yield watch
        finally:
            self.watches.remove(watch)
            watch.closed = True

    # -------------------------------------------------------------------------------------------------- devices

    def attach(self, device_xml: str, scope: Scope) -> None:
        self._write("attach", scope)
        root, memory = self.root(scope), element(device_xml)
        libvirt, size = self.hypervisor.libvirt, size_of(memory.find("target/size"))
        libvirt.check_room(root, memory, scope)
        libvirt.parse(root, memory, scope)
        device.alias_is_its_own(root, memory, scope)
        address.address_is_free(root, memory, scope)
        if scope == "live":
            device.size_is_in_blocks(memory)
        root.find("devices").append(memory)
        libvirt.place(root, memory, scope)
        write_kib(root.find("memory"), size_of(root.find("memory")) + size)
        if scope == "live":
            libvirt.make_live(root, memory)
            self.counted = 1
            self.actual += size if memory.get("model") == "dimm" else 0  # a balloon counts DIMMs
        else:
            sums.an_attach_counts_all_as_current(root, memory)
        self.store(scope, root)

    def update(self, device_xml: str, scope: Scope) -> None:
        self._write("update", scope)
        root, given = self.root(scope), element(device_xml)
        own = update.by_address_and_alias(root, given, scope)
        if scope == "live":
            update.only_virtio_mem_changes(own)
            drop(given.find("target/current"))
            self.hypervisor.libvirt.check(root, given, scope)
            update.only_requested_changes(own, given, self.hypervisor.versions_are.libvirt)
            update.the_alias_is_said(given)
            update.it_is_not_about_to_leave(given, self.unplugging)
            update.the_rest_is_ignored(own, given)
        else:
            root.find("devices").replace(own, given)
            self.hypervisor.libvirt.parse(root, given, scope)
            sums.total_holds_the_devices(root, scope)
        self.store(scope, root)

    def unplug(self, alias: str) -> None:
        self._write("unplug", "live")
        root = self.root("live")
        memory = unplug.by_alias(root, alias)
        unplug.qemu_can_unplug(self.hypervisor.versions_are.qemu)
        unplug.the_guest_has_nothing_of_it(memory)
        unplug.unplugged_memory_is_inaccessible(root, memory)
        self.ask_to_leave(memory)

    def detach_config(self, device_xml: str) -> None:
        self._write("detach_config", "config")
        root = self.root("config")
        own = unplug.by_all_that_it_is(root, element(device_xml))
        size = size_of(own.find("target/size"))
        drop(own)
        write_kib(root.find("memory"), size_of(root.find("memory")) - size)
        sums.a_detach_takes_all_off_current(root, size)
        self.store("config", root)

    # -------------------------------------------------------------------------------------------- all the rest

    def define(self, domain_xml: str) -> None:
        self._write("define", "config")
        root = element(domain_xml)
        self.hypervisor.libvirt.define(root)
        self.store("config", root)

    def set_current_memory(self, size: int) -> None:
        self._write("set_current_memory", "config")
        root = self.root("config")
        sums.current_fits_without_virtio_mem(root, size)
        write_kib(root.find("currentMemory"), size)
        self.store("config", root)

    def set_balloon(self, size: int) -> None:
        self._write("set_balloon", "live")
        self.actual = size

    def set_limits(self, limits: t.Mapping[str, int | None]) -> None:
        self._write("set_limits", "live")
        root = self.root("live")
        tune = child(root, "memtune")
        for name, limit in limits.items():
            if limit is None:
                drop(tune.find(name))
            else:
                write_kib(child(tune, name), limit)
        self.store("live", root)

    def set_nodeset(self, nodeset: str) -> None:
        self._write("set_nodeset", "live")
        root = self.root("live")
        running.nodes_change_if_the_placement_is_restrictive(root).set("nodeset", nodeset)
        self.store("live", root)

    def set_stats_period(self, seconds: int) -> None:
        self._write("set_stats_period", "live")
        self.period_history.append(seconds)
        root = self.root("live")
        balloon = running.statistics_come_from_a_balloon(root)
        drop(balloon.find("stats"))
        if seconds:
            add(balloon, "stats", period=str(seconds))
        self.store("live", root)

    def shutdown(self) -> None:
        self._write("shutdown", "live")
        if not self.deaf:
            self.stop()

    def _note(self, name: str, scope: Scope | None) -> None:
        self.hypervisor.calls.append((name, scope))
        self.hypervisor.before_call(self, name, scope)

    def _write(self, name: str, scope: Scope) -> None:
        assert scope in ("live", "config")
        self._note(name, scope)
        running.the_connection_may_write(self.hypervisor.read_only, scope, name)
        if scope == "live":
            running.it_runs(self.live, scope)
        else:
            running.it_is_stored(self.config if self.persistent else None)
