# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt makes of a memory device's XML when it reads it, and says nothing (virDomainMemoryDefParseXML)."""

from __future__ import annotations

import re

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.bitmap import members, ranges
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import VIRTIO_MEM, Element, add
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of, write_kib


@proven_by("hypervisor_differences", "It is there where libvirt has it")
@proven_by("libvirt_traps", "validated")
@proven_by(
    "domain_memory_device_options",
    *("devices.guest_address", "devices.dynamic_memslots", "devices.driver.iommu"),
)
def unknown_words_are_lost(memory: Element, libvirt: tuple[int, ...]) -> None:
    target = memory.find("target")
    known = {"source", "target", "address", "alias", "acpi", "uuid"} | ({"driver"} if libvirt >= (11, 9, 0) else set())
    sizes = {"size", "node", "block", "requested", "label", "readonly"} | (
        {"address"} if libvirt >= (9, 4, 0) else set()
    )
    flags = {"dynamicMemslots"} if libvirt >= (10, 1, 0) else set()
    for parent, tags, names in ((memory, known, {"model", "access", "discard"}), (target, sizes, flags)):
        for child in [child for child in parent if child.tag not in tags]:
            parent.remove(child)
        for name in set(parent.attrib) - names:
            del parent.attrib[name]


@proven_by("libvirt_traps", "validated")
def only_a_users_alias_stays(memory: Element) -> None:
    alias = memory.find("alias")
    if alias is not None and not re.fullmatch(r"ua-[A-Za-z0-9_-]+", alias.get("name", "")):
        memory.remove(alias)


@proven_by("domain_memory_arithmetic", "a virtio-mem device of which nothing is requested, in other units")
def nothing_is_requested_by_default(memory: Element) -> None:
    target = memory.find("target")
    if memory.get("model") == VIRTIO_MEM and target.find("requested") is None:
        add(target, "requested", "0")


@proven_by(
    "domain_memory_arithmetic",
    *("a virtio-mem device of which nothing is requested, in other units", "a DIMM that is no whole KiB"),
)
def sizes_are_in_kib(memory: Element) -> None:
    for sized in [*memory.xpath("target/size | target/block | target/requested"), *memory.xpath("source/pagesize")]:
        write_kib(sized, size_of(sized))


@proven_by("libvirt_traps", "rewritten")
def nodes_are_in_ranges(memory: Element) -> None:
    mask = memory.find("source/nodemask")
    if mask is not None:
        mask.text = ranges(members(mask.text))


@proven_by("libvirt_traps", "rewritten")
def addresses_are_in_hex(memory: Element) -> None:
    address = memory.find("target/address")
    if address is not None:
        address.set("base", hex(int(address.get("base"), 16)))
