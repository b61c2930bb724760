# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a device is: on a PCI bus or s390x's channel subsystem, and in the guest's memory."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    VIRTIO_MEM,
    Element,
    add,
    address_of,
    base_of,
    virtio_mem,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import not_proven, proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import INTERNAL, INVALID, refuse
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB

_VIRTIO = (VIRTIO_MEM, "virtio-pmem")
_ABOVE_4_GIB = 0x100000000


@proven_by("libvirt_traps", "taken_address")
def address_is_free(root: Element, memory: Element, scope: str) -> None:
    address = address_of(memory)
    if address and any(address_of(other) == address for other in root.findall("devices//*[address]")):
        refuse(scope, INVALID, "Domain already contains a device with the same address")


@proven_by("virtio_mem_device_machine_types", "Attach one")
@proven_by("libvirt_traps", "no_port")
def virtio_gets_a_pci_address(root: Element, memory: Element, scope: str) -> None:
    """On a free root port, or in a free slot of bus 0 where the machine has no PCIe."""
    if memory.find("address") is not None or memory.get("model") not in _VIRTIO:
        return
    taken = {(address_of(found) or ())[2:4] for found in root.findall("devices//*[address]") if found.tag != "target"}
    ports = [int(found.get("index")) for found in root.findall("devices/controller[@model='pcie-root-port']")]
    free = [(port, 0) for port in ports if (str(port), "0") not in taken]
    if root.find("devices/controller[@model='pcie-root']") is None:
        free = [(0, slot) for slot in range(5, 32) if ("0", str(slot)) not in taken]
    if not free:
        refuse(scope, INTERNAL, "No more available PCI slots")
    # The two definitions choose independently: the config takes the last port to show it.
    bus, slot = free[-1 if scope == "config" else 0]
    add(memory, "address", type="pci", domain="0x0000", bus=f"0x{bus:02x}", slot=f"0x{slot:02x}", function="0x0")


@not_proven("No lab has s390x. libvirt 11.1 and later: memory-hotplug-virtio-mem-ccw-s390x of qemuxmlconftest.")
def virtio_gets_a_channel_address(root: Element, memory: Element) -> None:
    if memory.find("address") is not None or memory.get("model") not in _VIRTIO:
        return
    used = {int(found.get("devno"), 0) for found in root.findall("devices//address[@type='ccw']")}
    devno = next(number for number in range(100) if number not in used)
    add(memory, "address", type="ccw", cssid="0xfe", ssid="0x0", devno=f"0x{devno:04x}")


@proven_by("libvirt_traps", "both_at_once")
def a_running_virtio_mem_has_a_guest_address(root: Element, memory: Element, libvirt: tuple[int, ...]) -> None:
    if libvirt >= (9, 4, 0) and memory.find("target/address") is None:
        bases = [base for found in virtio_mem(root) if (base := base_of(found))]
        add(memory.find("target"), "address", base=hex(max([_ABOVE_4_GIB, *(base + 64 * GIB for base in bases)])))
