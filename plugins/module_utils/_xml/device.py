# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of a `<memory>` device's XML tree; see _xml_edit, whose rules hold here, too."""

from __future__ import annotations

import typing as t

from .._model import VIRTIO_MEM, MemoryDevice
from .editor import child, on_off, remove, set_attribute, set_child_size, set_child_text, set_presence, yes_no
from .reader import device_elements, dimm_slot, pci_text

if t.TYPE_CHECKING:
    Element = t.Any


def build(make: t.Callable[..., Element], device: MemoryDevice) -> Element:
    """A new element for the device; `make` makes elements. Its children stand in libvirt's order."""
    memory = make("memory", model=device.model)
    for tag, needed in (
        ("uuid", device.uuid is not None),
        ("driver", _has_driver(device)),
        ("source", _has_source(device)),
        ("target", True),
    ):
        if needed:
            memory.append(memory.makeelement(tag))
    edit_device(memory, device)
    return memory


def edit_devices(root: Element, devices: t.Sequence[MemoryDevice]) -> None:
    """Make the domain have just these devices: those of the document by their index, others (-1) are new."""
    elements = device_elements(root)
    kept = {device.index for device in devices}
    for device in devices:
        if device.index >= 0:
            edit_device(elements[device.index], device)
        else:
            child(root, "devices").append(build(root.makeelement, device))
    for index, element in enumerate(elements):
        if index not in kept:
            element.getparent().remove(element)


def edit_device(memory: Element, device: MemoryDevice) -> None:
    """Make the element say what `device` says, and leave in place whatever the model does not know."""
    set_attribute(memory, "access", device.access)
    set_attribute(memory, "discard", yes_no(device.discard))
    if device.uuid is not None:
        set_child_text(memory, "uuid", device.uuid)
    if _has_driver(device):
        driver = child(memory, "driver")
        for name in ("iommu", "ats", "packed"):
            set_attribute(driver, name, on_off(getattr(device, name)))
    _edit_source(memory, device)
    _edit_target(memory.find("target"), device)
    if device.alias is not None and memory.find("alias") is None:
        child(memory, "alias").set("name", device.alias)
    _edit_pci(memory, device.pci_address)
    if device.slot is not None and dimm_slot(memory.find("address")) != device.slot:
        _new_address(memory, {"type": "dimm", "slot": str(device.slot)})


def _has_driver(device: MemoryDevice) -> bool:
    return any(value is not None for value in (device.iommu, device.ats, device.packed))


def _has_source(device: MemoryDevice) -> bool:
    return any((device.page_size, device.node_mask, device.path, device.align_size, device.pmem))


def _edit_source(memory: Element, device: MemoryDevice) -> None:
    source = memory.find("source")
    if source is None and _has_source(device):
        source = memory.makeelement("source")
        memory.find("target").addprevious(source)
    if source is not None:
        set_child_text(source, "path", device.path)
        set_child_size(source, "alignsize", device.align_size)
        set_presence(source, "pmem", device.pmem)
        set_child_size(source, "pagesize", device.page_size)
        set_child_text(source, "nodemask", device.node_mask)


def _edit_target(target: Element, device: MemoryDevice) -> None:
    set_attribute(target, "dynamicMemslots", yes_no(device.dynamic_memslots))
    set_child_size(target, "size", device.size)
    set_child_text(target, "node", device.node)
    if device.label_size is not None:
        set_child_size(child(target, "label"), "size", device.label_size)
    set_presence(target, "readonly", device.readonly)
    if device.model == VIRTIO_MEM:
        set_child_size(target, "block", device.block)
        set_child_size(target, "requested", device.requested)
    if device.guest_address is not None:
        child(target, "address").set("base", hex(device.guest_address))
    else:
        remove(target, "address")


def _edit_pci(memory: Element, pci_address: str | None) -> None:
    if pci_text(memory.find("address")) == pci_address:  # or of another kind (ccw, dimm) that the model does not know
        return
    if pci_address is None:
        remove(memory, "address")
        return
    domain, bus, rest = pci_address.split(":")
    slot, function = rest.split(".")
    numbers = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    _new_address(memory, {"type": "pci", **{name: f"0x{number}" for name, number in numbers.items()}})


def _new_address(memory: Element, attributes: t.Mapping[str, str]) -> None:
    address = child(memory, "address")
    address.attrib.clear()
    for name, value in attributes.items():
        address.set(name, value)
