# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a memory device must be (virDomainMemoryDefValidate, qemuDomainDefValidateMemoryHotplugDevice)."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import Element, alias_of
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import (
    INTERNAL,
    UNSUPPORTED,
    XML_DETAIL,
    refuse,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of


@proven_by("libvirt_errors", "block")
@proven_by("domain_memory_arithmetic", "no block", "a block that is no power of two")
def block_is_a_power_of_two(memory: Element, scope: str) -> None:
    block = size_of(memory.find("target/block"))
    if block == 0 or block & (block - 1):
        refuse(scope, XML_DETAIL, "block size must be a power of two")


@proven_by("libvirt_errors", "small block")
@proven_by("domain_memory_arithmetic", "a block that is too small")
def block_is_a_huge_page(memory: Element, scope: str, smallest: int) -> None:
    """`smallest`: a transparent huge page of the host, which libvirt asks."""
    if size_of(memory.find("target/block")) < smallest:
        refuse(scope, XML_DETAIL, f"block size too small, must be at least {smallest // 1024}KiB")


@proven_by("libvirt_errors", "part of a block")
@proven_by("domain_memory_arithmetic", "requested is no whole number of blocks")
def requested_is_in_blocks(memory: Element, scope: str) -> None:
    if size_of(memory.find("target/requested")) % size_of(memory.find("target/block")):
        refuse(scope, XML_DETAIL, "requested size must be an integer multiple of block size")


@proven_by("libvirt_errors", "more than the size")
@proven_by("domain_memory_arithmetic", "more requested than there is")
def requested_is_within_size(memory: Element, scope: str) -> None:
    size = size_of(memory.find("target/size"))
    if size_of(memory.find("target/requested")) > size:
        text = f"requested size must be smaller than or equal to @size ({size // 1024}KiB)"
        refuse(scope, XML_DETAIL, text)


@proven_by("libvirt_traps", "nodes")
@proven_by("libvirt_errors", "no such node")
def node_is_there(root: Element, memory: Element, scope: str) -> None:
    """libvirt 9.0 looks for a node that is left out when it defines a domain, not when it stores one more device."""
    cells = len(root.findall("cpu/numa/cell"))
    node = memory.findtext("target/node")
    if memory.get("model") == "virtio-pmem":
        if node is not None:
            refuse(scope, UNSUPPORTED, "virtio-pmem does not support NUMA nodes")
        return
    if not cells and root.find("os/type").get("arch") == "x86_64":
        refuse(scope, XML_DETAIL, "can't add memory backend as guest has no NUMA nodes configured")
    if cells and node is None:
        refuse(scope, UNSUPPORTED, "target NUMA node needs to be specified for memory device")
    if cells and int(node) >= cells:
        text = f"can't add memory backend for guest node '{node}' as the guest has only '{cells}' NUMA nodes configured"
        refuse(scope, XML_DETAIL, text)


@proven_by("libvirt_errors", "same alias")
def alias_is_its_own(root: Element, memory: Element, scope: str) -> None:
    alias = alias_of(memory)
    others = [alias_of(other) for other in root.findall("devices/memory") if other is not memory]
    if alias is not None and alias in others:
        refuse(scope, UNSUPPORTED, f"non unique alias detected: {alias}")


@proven_by("libvirt_traps", "part_of_a_block")
def size_is_in_blocks(memory: Element) -> None:
    """QEMU's rule (memory_device_pre_plug), so only for a guest that runs: libvirt stores what will not start."""
    block = size_of(memory.find("target/block"))
    if block and size_of(memory.find("target/size")) % block:
        text = f"'memdev' property memdev size has to be multiples of'block-size' ({block:#x})"
        refuse("live", INTERNAL, text)
