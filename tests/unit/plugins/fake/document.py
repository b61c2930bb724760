# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain's XML as a tree: reading, writing, comparing, and the parts by which libvirt knows a memory device."""

from __future__ import annotations

import typing as t

from lxml import etree

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of

VIRTIO_MEM = "virtio-mem"
# lxml's own type would have every find() asked for None; a document without <memory> is a mistake of the test.
Element = t.Any


def element(text: str) -> Element:
    return etree.fromstring(text.encode(), etree.XMLParser(remove_blank_text=True))


def text_of(root: Element) -> str:
    etree.indent(root, space="  ")
    return etree.tostring(root, encoding="unicode")


def canonical(text: str) -> str:
    """The document without its layout, for comparing."""
    return etree.tostring(element(text), method="c14n").decode()


def without_memory(text: str) -> str:
    """The domain without what a memory device may change: itself, <memory> and <currentMemory>."""
    root = element(text)
    for found in [*root.findall("devices/memory"), *root.findall("memory"), *root.findall("currentMemory")]:
        drop(found)
    return canonical(text_of(root))


def add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    found: Element = etree.SubElement(parent, tag, attributes)
    found.text = text
    return found


def child(parent: Element, tag: str) -> Element:
    """The child `tag`, made if it is not there."""
    found = parent.find(tag)
    return add(parent, tag) if found is None else found


def drop(found: Element | None) -> None:
    if found is not None:
        found.getparent().remove(found)


def virtio_mem(root: Element) -> list[Element]:
    return t.cast("list[Element]", root.findall(f"devices/memory[@model='{VIRTIO_MEM}']"))


def devices_size(root: Element, model: str | None = None) -> int:
    """What all memory devices, or those of a model, can have at most."""
    which = "memory" if model is None else f"memory[@model='{model}']"
    return sum(size_of(found) for found in root.findall(f"devices/{which}/target/size"))


def alias_of(memory: Element) -> str | None:
    alias = memory.find("alias")
    return None if alias is None else t.cast(str, alias.get("name"))


def address_of(memory: Element) -> tuple[str, ...] | None:
    """Its place on a bus or in a slot, in a form that can be compared."""
    address = memory.find("address")
    if address is None:
        return None
    parts = ("domain", "bus", "slot", "function", "cssid", "ssid", "devno")
    return (address.get("type"), *(str(int(address.get(part, "0"), 0)) for part in parts))


def base_of(memory: Element) -> int | None:
    """Where the guest has a virtio-mem device in its memory."""
    found = memory.find("target/address")
    return None if found is None else int(found.get("base"), 0)
