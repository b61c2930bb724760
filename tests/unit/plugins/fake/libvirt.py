# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order in which libvirt goes by its rules, for a device and for a whole domain."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import VIRTIO_MEM, Element
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.rules import (
    address,
    device,
    parsing,
    room,
    running,
    sums,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import MIB

_HUGE_PAGE = 2 * MIB


class Libvirt:
    """One version of it. `thp`: a transparent huge page of the host, None where it does not say."""

    def __init__(self, version: tuple[int, ...], thp: int | None) -> None:
        self.version = version
        self._smallest_block = thp or _HUGE_PAGE

    def parse(self, root: Element, memory: Element, scope: str) -> None:
        parsing.unknown_words_are_lost(memory, self.version)
        parsing.only_a_users_alias_stays(memory)
        parsing.nothing_is_requested_by_default(memory)
        parsing.sizes_are_in_kib(memory)
        parsing.nodes_are_in_ranges(memory)
        parsing.addresses_are_in_hex(memory)
        self.check(root, memory, scope)

    def check(self, root: Element, memory: Element, scope: str) -> None:
        if memory.get("model") == VIRTIO_MEM:
            device.block_is_a_power_of_two(memory, scope)
            device.block_is_a_huge_page(memory, scope, self._smallest_block)
            device.requested_is_in_blocks(memory, scope)
            device.requested_is_within_size(memory, scope)
        device.node_is_there(root, memory, scope)

    def check_room(self, root: Element, memory: Element, scope: str) -> None:
        room.there_is_a_maximum(root, scope)
        room.the_maximum_suffices(root, memory, scope)
        if scope == "config":
            room.a_slot_is_left_to_store_it(root, memory, self.version)
        room.all_devices_have_slots(root, scope, self.version)

    def place(self, root: Element, memory: Element, scope: str) -> None:
        if root.find("os/type").get("arch") == "s390x":
            address.virtio_gets_a_channel_address(root, memory)
        else:
            address.virtio_gets_a_pci_address(root, memory, scope)

    def make_live(self, root: Element, memory: Element) -> None:
        running.every_device_has_an_alias(root, memory)
        running.virtio_mem_says_what_is_plugged(memory)
        if memory.get("model") == VIRTIO_MEM:
            address.a_running_virtio_mem_has_a_guest_address(root, memory, self.version)

    def define(self, root: Element) -> None:
        for memory in root.findall("devices/memory"):
            self.parse(root, memory, "config")
            self.place(root, memory, "config")
        sums.total_is_of_cells_and_devices(root)
        sums.total_holds_the_devices(root, "config")
        sums.maximum_holds_the_total(root, "config")
        sums.current_is_at_most_the_total(root)
