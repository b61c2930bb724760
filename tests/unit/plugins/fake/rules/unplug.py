# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What QEMU lets go, and the stored definition."""

from __future__ import annotations

import re

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    VIRTIO_MEM,
    Element,
    address_of,
    alias_of,
    base_of,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import not_proven, proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import INTERNAL, NO_DEVICE, refusal, refuse
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of

_FAILED = "unable to execute QEMU command 'device_del': virtio"
_COMPARED = (
    "target/node",
    "target/size",
    "target/block",
    "target/requested",
    "source/pagesize",
    "source/nodemask",
)
_RELEASE = 0.5  # seconds for which Linux takes offline what it has given back


@proven_by("libvirt_traps", "no_such_alias")
def by_alias(root: Element, alias: str) -> Element:
    for memory in root.findall("devices/memory"):
        if alias_of(memory) == alias:
            return memory
    raise refusal("live", INTERNAL, f"no device found with alias {alias}")


@proven_by("libvirt_traps", "old_machine")
def qemu_can_unplug(qemu: tuple[int, ...]) -> None:
    if qemu < (8, 1, 0):
        refuse("live", INTERNAL, f"{_FAILED} based memory devices cannot be unplugged.")


@proven_by("libvirt_traps", "early_unplug")
def the_guest_has_nothing_of_it(memory: Element) -> None:
    if size_of(memory.find("target/current")):
        refuse("live", INTERNAL, f"{_FAILED}-mem device cannot get unplugged while some of its memory is still plugged")
    if size_of(memory.find("target/requested")):
        refuse("live", INTERNAL, f"{_FAILED}-mem device cannot get unplugged while 'requested-size' != '0'")


@proven_by("libvirt_traps", "old_machine")
def unplugged_memory_is_inaccessible(root: Element, memory: Element) -> None:
    """It always is from machine type 8.1 on; from 7.0 on where the memory has a file behind it."""
    machine = root.find("os/type").get("machine")
    middle_aged = re.search(r"-(7\.\d|8\.0)$", machine)
    if "old" in machine or re.search(r"-[2-6]\.\d+$", machine) or (middle_aged and _is_anonymous(root, memory)):
        text = f"{_FAILED}-mem device cannot get unplugged while 'unplugged-inaccessible' != 'on'"
        refuse("live", INTERNAL, text)


@not_proven("Linux 6.1 to 6.12 does it now and then: see the page on compatibility. A test that waits for it is none.")
def linux_locks_up_if_hurried(memory: Element, since_it_moved: float) -> bool:
    """Two of its workers wait for each other, and it handles no memory until it is reset."""
    return memory.get("model") == VIRTIO_MEM and since_it_moved < _RELEASE


@proven_by("libvirt_errors", "no such device")
@proven_by("virtio_mem_device_absent", "Remove it from the stored definition alone")
def by_all_that_it_is(root: Element, given: Element) -> Element:
    """virDomainMemoryFindByDef: the stored device that is detached."""
    for memory in root.findall("devices/memory"):
        if (
            address_of(given) in (None, address_of(memory))
            and alias_of(given) in (None, alias_of(memory))
            and given.get("model") == memory.get("model")
            and all(given.findtext(path) == memory.findtext(path) for path in _COMPARED)
            and base_of(given) == base_of(memory)
        ):
            return memory
    raise refusal("config", NO_DEVICE, "matching memory device was not found")


def _is_anonymous(root: Element, memory: Element) -> bool:
    """Whether a device's memory has no file behind it, by qemuBuildMemoryBackendProps."""
    backing = root.find("memoryBacking")
    sized = memory.find("source/pagesize") is not None
    backed = backing is not None and bool(backing.xpath("hugepages | source[@type != 'anonymous']"))
    access = memory.get("access") or (backing is not None and backing.xpath("string(access/@mode)"))
    return not sized and not backed and access != "shared"
