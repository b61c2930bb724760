# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What <memory> and <currentMemory> say, and what comes of it when devices come and go."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    Element,
    add,
    child,
    devices_size,
    virtio_mem,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import INVALID_ARG, XML, refuse
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import MIB, size_of, write_kib


@proven_by(
    "domain_memory_arithmetic",
    *("a cell that is more than <memory>", "a virtio-mem device, and a <memory> of boot alone"),
)
def total_is_of_cells_and_devices(root: Element) -> None:
    """virDomainDefPostParseMemory, where there are NUMA cells."""
    cells = sum(int(found.get("memory")) * 1024 for found in root.findall("cpu/numa/cell"))
    if cells:
        write_kib(root.find("memory"), cells + devices_size(root))


@proven_by("libvirt_traps", "invented_node", "outgrown")
def total_holds_the_devices(root: Element, scope: str) -> None:
    if devices_size(root) > size_of(root.find("memory")):
        refuse(scope, XML, "Total size of memory devices exceeds the total memory size")


@proven_by("libvirt_errors", "more than maxMemory")
@proven_by("domain_memory_arithmetic", "more than the maximum")
def maximum_holds_the_total(root: Element, scope: str) -> None:
    maximum = root.find("maxMemory")
    if maximum is not None and size_of(root.find("memory")) > size_of(maximum):
        refuse(scope, XML, "maximum memory size must be equal or greater than the actual memory size")


@proven_by("domain_memory_arithmetic", "no current memory of its own", "current memory above the total")
def current_is_at_most_the_total(root: Element) -> None:
    memory, current = root.find("memory"), root.find("currentMemory")
    if current is None:
        current = add(root, "currentMemory", "0")
        memory.addnext(current)
    if not 0 < size_of(current) <= size_of(memory):
        write_kib(current, size_of(memory))


@proven_by("libvirt_traps", "wrong_sum")
def an_attach_counts_all_as_current(root: Element, memory: Element) -> None:
    """In the stored definition, whatever is requested."""
    current = root.find("currentMemory")
    write_kib(current, size_of(current) + size_of(memory.find("target/size")))


@proven_by("libvirt_traps", "wrong_sum")
@proven_by(
    "domain_memory_arithmetic",
    *(
        "current memory of boot alone, which a detach takes below zero",
        "current memory of just the device, of which a detach leaves none",
    ),
)
def a_detach_takes_all_off_current(root: Element, size: int) -> None:
    """Below zero, too: the number is unsigned, and then cut to the total."""
    total = size_of(root.find("memory"))
    left = size_of(root.find("currentMemory")) - size
    write_kib(root.find("currentMemory"), left if 0 <= left <= total else total)


@proven_by("libvirt_errors", "balloon")
def current_fits_without_virtio_mem(root: Element, size: int) -> None:
    """qemuDomainSetMemoryFlags of the stored definition."""
    largest = sum(size_of(memory.find("target/size")) for memory in virtio_mem(root))
    if size > size_of(root.find("memory")) - largest:
        refuse("config", INVALID_ARG, "cannot set memory higher than max memory")


@proven_by("domain_memory_arithmetic", "a DIMM of an odd size")
def a_start_aligns_devices(root: Element) -> None:
    """qemuDomainAlignMemorySizes: each is made larger, to whole 2 MiB."""
    for size in root.findall("devices/memory/target/size"):
        write_kib(size, -(-size_of(size) // (2 * MIB)) * 2 * MIB)


@proven_by("virtio_mem_device_attach", "It starts with both devices, and its boot memory is whole")
@proven_by("libvirt_traps", "balloon_of_a_dimm")
def a_balloon_counts_dimms(root: Element) -> int:
    """What a start leaves the balloon at: <currentMemory>, of boot memory and DIMMs at most."""
    ram = size_of(root.find("memory")) - devices_size(root) + devices_size(root, "dimm")
    return min(size_of(root.find("currentMemory")) or ram, ram)


@proven_by("virtio_mem_device_interruptions", "It has what it had, whatever libvirt's sum says")
@proven_by("domain_memory_info", "Ours is right")
@proven_by("libvirt_traps", "without_balloon")
def a_running_current_is_of_what_is_plugged(root: Element, times: int) -> None:
    """`times`: twice after a reset. Without a balloon, it is the total."""
    total = size_of(root.find("memory"))
    plugged = sum(size_of(memory.find("target/current")) for memory in virtio_mem(root))
    largest = sum(size_of(memory.find("target/size")) for memory in virtio_mem(root))
    without = root.find("devices/memballoon[@model='none']") is not None
    write_kib(child(root, "currentMemory"), total if without else total - largest + plugged * times)
