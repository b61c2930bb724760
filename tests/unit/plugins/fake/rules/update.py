# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an update of a device may be (qemuDomainChangeMemoryLiveValidateChange, and QEMU behind it)."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    VIRTIO_MEM,
    Element,
    address_of,
    alias_of,
    base_of,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import not_proven, proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import (
    INTERNAL,
    INVALID_ARG,
    UNSUPPORTED,
    refusal,
    refuse,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of, write_kib

_FIXED = {
    "targetNode": "target/node",
    "size": "target/size",
    "block size": "target/block",
    "pagesize": "source/pagesize",
    "source nodes": "source/nodemask",
}


@proven_by("libvirt_errors", "not there to update")
@proven_by("libvirt_traps", "nameless")
def by_address_and_alias(root: Element, given: Element, scope: str) -> Element:
    """The device that is meant; an alias that is left out fits any."""
    alias, address = alias_of(given), address_of(given)
    for memory in root.findall("devices/memory"):
        if address is not None and address_of(memory) == address and alias in (None, alias_of(memory)):
            return memory
    if scope == "live":
        refuse(scope, UNSUPPORTED, f"memory '{alias or given.get('model')}' not found")
    raise refusal(scope, INVALID_ARG, "memory not found")


@proven_by("libvirt_traps", "other_size")
def only_virtio_mem_changes(own: Element) -> None:
    """Of a DIMM, libvirt says that its slot is taken: by itself."""
    if own.get("model") != VIRTIO_MEM:
        refuse("live", UNSUPPORTED, "memory device slot '0' is already being used by another memory device")


@proven_by("libvirt_traps", "unchangeable")
def only_requested_changes(own: Element, given: Element, libvirt: tuple[int, ...]) -> None:
    changes = [(name, own.findtext(path), given.findtext(path)) for name, path in _FIXED.items()]
    changes += [(name, own.get(name), given.get(name)) for name in ("access", "discard")]
    if libvirt >= (9, 4, 0):
        changes.append(("address", f"{base_of(own) or 0:#x}", f"{base_of(given) or 0:#x}"))
    for name, old, new in changes:
        if old != new:
            refuse("live", UNSUPPORTED, f"cannot modify memory {name} from '{old}' to '{new}'")


@proven_by("libvirt_traps", "nameless")
def the_alias_is_said(given: Element) -> None:
    """libvirt hands QEMU the name that it was given."""
    if alias_of(given) is None:
        text = "unable to execute QEMU command 'qom-set': Device '/machine/peripheral/(null)' not found"
        refuse("live", INTERNAL, text)


@not_proven("A guest never is between the two for long. QEMU 8.1 to 11.1: virtio_mem_set_requested_size.")
def it_is_not_about_to_leave(given: Element, unplugging: set[str]) -> None:
    if alias_of(given) in unplugging:
        text = "'requested-size' cannot be changed if the device is in the process of unplug"
        refuse("live", INTERNAL, text)


@proven_by("libvirt_traps", "ignored")
@proven_by("virtio_mem_device_resize", "Grow")
def the_rest_is_ignored(own: Element, given: Element) -> None:
    """Nobody compares dynamicMemslots and <driver>."""
    write_kib(own.find("target/requested"), size_of(given.find("target/requested")))
