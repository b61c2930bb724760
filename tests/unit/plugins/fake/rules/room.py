# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a domain has room for one more device (qemuDomainDefValidateMemoryHotplug, qemuDomainAttachMemoryConfig)."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import Element
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import UNSUPPORTED, refuse
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of

_SLOTTED = ("dimm", "nvdimm")


@proven_by("libvirt_traps", "no_maximum")
def there_is_a_maximum(root: Element, scope: str) -> None:
    if root.find("maxMemory") is None:
        refuse(scope, UNSUPPORTED, "cannot use/hotplug a memory device when domain 'maxMemory' is not defined")


@proven_by("libvirt_errors", "no room")
def the_maximum_suffices(root: Element, memory: Element, scope: str) -> None:
    size, maximum = size_of(memory.find("target/size")), size_of(root.find("maxMemory"))
    if size_of(root.find("memory")) + size > maximum:
        whole = f"would exceed domain's maxMemory config size '{maximum // 1024}'"
        refuse(scope, UNSUPPORTED, f"Attaching memory device with size '{size // 1024}' {whole}")


@proven_by("libvirt_traps", "counted_slots")
@proven_by("hypervisor_differences", "It is stored where it has a slot")
def a_slot_is_left_to_store_it(root: Element, memory: Element, libvirt: tuple[int, ...]) -> None:
    """All devices count, and from 10.0 on only a DIMM is refused for it."""
    full = len(root.findall("devices/memory")) == _slots(root)
    if full and (libvirt < (10, 0, 0) or memory.get("model") in _SLOTTED):
        refuse("config", UNSUPPORTED, "no free memory device slot available")


@proven_by("libvirt_traps", "counted_slots")
def all_devices_have_slots(root: Element, scope: str, libvirt: tuple[int, ...]) -> None:
    """Up to 9.4, a virtio-mem device takes one, too."""
    count, slots = len(root.findall("devices/memory")), _slots(root)
    if libvirt < (9, 5, 0) and count >= slots:
        refuse(scope, UNSUPPORTED, f"memory device count '{count + 1}' exceeds slots count '{slots}'")


def _slots(root: Element) -> int:
    return int(root.find("maxMemory").get("slots", "0"))
