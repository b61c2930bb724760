# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of a `<memory>` device's XML tree; see editor, whose rules hold here, too."""

from __future__ import annotations

import typing as t

from .._model import MemoryDevice
from .._option_table import TABLE, Kind, Option, Value
from .editor import child, on_off, remove, set_attribute, set_child_size, set_child_text, set_presence, yes_no
from .reader import device_elements, dimm_slot, pci_text

if t.TYPE_CHECKING:
    Element = t.Any

# In libvirt's order.
_PARTS: t.Final = ("uuid", "driver", "source", "target")


def build(make: t.Callable[..., Element], device: MemoryDevice) -> Element:
    """A new element for the device; `make` makes elements. Its children stand in libvirt's order."""
    memory = make("memory", model=device.model)
    used = {option.xml.split("/")[0] for option in TABLE if option.of(device) is not None}
    for tag in _PARTS:
        if tag in used:
            memory.append(memory.makeelement(tag))
    child(memory.find("target"), "size")  # before the node
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
    if device.alias is not None and memory.find("alias") is None:
        child(memory, "alias").set("name", device.alias)
    for option in TABLE:
        _edit(memory, option, option.of(device))


def _edit(memory: Element, option: Option, value: Value) -> None:
    """None takes the element or attribute away, and one around it that is there for its sake alone."""
    path, _slash, last = option.xml.rpartition("/")
    parent = memory.find(path) if path else memory
    if value is not None:
        parent = _make(memory, path) if parent is None else parent
        _WRITERS[option.kind](parent, last.lstrip("@"), value)
    elif parent is not None and not option.group:  # no task takes virtio's own settings away
        if "/" in path:
            parent.getparent().remove(parent)
        else:
            _WRITERS[option.kind](parent, last.lstrip("@"), None)


def _make(memory: Element, path: str) -> Element:
    """The element at the path, and what is around it; libvirt writes a source before the target."""
    parent = memory
    for tag in path.split("/"):
        if tag == "source" and parent.find(tag) is None:
            parent.find("target").addprevious(parent.makeelement(tag))
        parent = child(parent, tag)
    return parent


def _set_pci(memory: Element, tag: str, pci_address: str | None) -> None:
    if pci_text(memory.find(tag)) == pci_address:  # or of another kind (ccw, dimm) that the model does not know
        return
    if pci_address is None:
        remove(memory, tag)
        return
    domain, bus, rest = pci_address.split(":")
    slot, function = rest.split(".")
    numbers = {"domain": domain, "bus": bus, "slot": slot, "function": function}
    _set_address(child(memory, tag), {"type": "pci", **{name: f"0x{number}" for name, number in numbers.items()}})


def _set_slot(memory: Element, tag: str, slot: int | None) -> None:
    if slot is not None and dimm_slot(memory.find(tag)) != slot:
        _set_address(child(memory, tag), {"type": "dimm", "slot": str(slot)})


def _set_address(address: Element, attributes: t.Mapping[str, str]) -> None:
    address.attrib.clear()
    for name, value in attributes.items():
        address.set(name, value)


# How a value of a kind is written: into a parent, as an element or attribute of that name.
_WRITERS: t.Final[t.Mapping[Kind, t.Callable[[Element, str, t.Any], None]]] = {
    "size": set_child_size,
    "int": set_child_text,
    "set": set_child_text,
    "path": set_child_text,
    "uuid": set_child_text,
    "choice": set_attribute,
    "yes_no": lambda parent, name, value: set_attribute(parent, name, yes_no(value)),
    "on_off": lambda parent, name, value: set_attribute(parent, name, on_off(value)),
    "presence": set_presence,
    "hex": lambda parent, name, value: set_attribute(parent, name, hex(value)),
    "pci": _set_pci,
    "slot": _set_slot,
}
