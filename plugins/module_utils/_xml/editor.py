# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of a domain's XML tree, each to make one part of it say what the model says. Called by _xml alone.

An edit touches an element only where the model differs from what it says, and leaves attributes and children that the
model does not know. Elements are made with `makeelement`, so lxml is not imported here.
"""

from __future__ import annotations

import typing as t

from .._model import Backing, Balloon, Definition, NumaCell, Placement, Tuning, kib

if t.TYPE_CHECKING:
    Element = t.Any


def child(parent: Element, tag: str) -> Element:
    """The child `tag`, made if it is not there."""
    found = parent.find(tag)
    if found is None:
        found = parent.makeelement(tag)
        parent.append(found)
    return found


def remove(parent: Element, tag: str) -> None:
    found = parent.find(tag)
    if found is not None:
        parent.remove(found)


def set_size(element: Element, size: int) -> None:
    element.set("unit", "KiB")
    element.text = str(kib(size))


def set_child_size(parent: Element, tag: str, size: int | None) -> None:
    """Give `parent` exactly one or no child `tag` with this size, at the place that an old one had."""
    if size is None:
        remove(parent, tag)
    else:
        set_size(child(parent, tag), size)


def set_child_text(parent: Element, tag: str, value: str | int | None) -> None:
    if value is None:
        remove(parent, tag)
    else:
        child(parent, tag).text = str(value)


def set_presence(parent: Element, tag: str, present: bool | None) -> None:
    """An element whose mere presence means yes."""
    if present:
        child(parent, tag)
    else:
        remove(parent, tag)


def set_attribute(element: Element, name: str, value: str | int | None) -> None:
    """An attribute as given; None takes it away."""
    if value is not None:
        element.set(name, str(value))
    elif name in element.attrib:
        del element.attrib[name]


def yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def on_off(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"


def edit_sums(root: Element, before: Definition, after: Definition) -> None:
    """`<maxMemory>`, `<memory>` and `<currentMemory>`."""
    if (before.maximum, before.slots) != (after.maximum, after.slots):
        if after.maximum is None:
            remove(root, "maxMemory")
        else:
            maximum = child(root, "maxMemory")
            set_size(maximum, after.maximum)
            set_attribute(maximum, "slots", after.slots or None)
    if before.total != after.total:
        set_size(child(root, "memory"), after.total)
    if before.current_memory != after.current_memory:
        set_size(child(root, "currentMemory"), after.current_memory)


def edit_cells(root: Element, before: tuple[NumaCell, ...], after: tuple[NumaCell, ...]) -> None:
    """`<numa>`: cells that stay keep their distances and caches."""
    if before == after:
        return
    if not after:
        numa = root.find("cpu/numa")
        numa.getparent().remove(numa)
        return
    numa = child(child(root, "cpu"), "numa")
    elements = {int(cell.get("id", position)): cell for position, cell in enumerate(numa.findall("cell"))}
    for cell in after:
        element = elements.pop(cell.id, None)
        if element is None:
            element = numa.makeelement("cell")
            numa.append(element)
        for name, value in (
            ("id", cell.id),
            ("cpus", cell.cpus),
            ("memory", kib(cell.memory)),
            ("unit", "KiB"),
            ("memAccess", cell.access),
            ("discard", yes_no(cell.discard)),
        ):
            set_attribute(element, name, value)
    for element in elements.values():
        numa.remove(element)


def edit_backing(root: Element, before: Backing, after: Backing) -> None:
    """`<memoryBacking>`, without what is empty."""
    if before == after:
        return
    backing = child(root, "memoryBacking")
    if before.hugepages != after.hugepages:
        _edit_hugepages(backing, after)
    for tag, present in (
        ("nosharepages", after.nosharepages),
        ("locked", after.locked),
        ("discard", after.discard),
    ):
        set_presence(backing, tag, present)
    for tag, name, value in (("source", "type", after.source), ("access", "mode", after.access)):
        if value is None:
            remove(backing, tag)
        else:
            child(backing, tag).set(name, value)
    if after.allocation_mode is None and after.allocation_threads is None:
        remove(backing, "allocation")
    else:
        set_attribute(child(backing, "allocation"), "mode", after.allocation_mode)
        set_attribute(child(backing, "allocation"), "threads", after.allocation_threads)
    if len(backing) == 0:
        root.remove(backing)


def _edit_hugepages(backing: Element, after: Backing) -> None:
    remove(backing, "hugepages")
    if after.hugepages is None:
        return
    hugepages = child(backing, "hugepages")
    for page in after.hugepages:
        element = hugepages.makeelement("page", {"size": str(kib(page.size)), "unit": "KiB"})
        set_attribute(element, "nodeset", page.nodeset)
        hugepages.append(element)


def edit_tuning(root: Element, before: Tuning, after: Tuning) -> None:
    """`<memtune>`: an unlimited value is no element at all, as libvirt writes it."""
    if before == after:
        return
    tune = child(root, "memtune")
    for tag in ("hard_limit", "soft_limit", "swap_hard_limit"):
        size = getattr(after, tag)
        if size is None:
            remove(tune, tag)
        else:
            set_size(child(tune, tag), size)
    if len(tune) == 0:
        root.remove(tune)


def edit_placement(root: Element, before: Placement, after: Placement) -> None:
    """`<numatune><memory>`: a nodeset of its own ends placement='auto'."""
    if before == after:
        return
    memory = child(child(root, "numatune"), "memory")
    set_attribute(memory, "mode", after.mode)
    set_attribute(memory, "nodeset", after.nodeset)
    set_attribute(memory, "placement", "auto" if after.auto else None)


def edit_balloon(root: Element, before: Balloon, after: Balloon) -> None:
    """`<memballoon>`: a changed model is another device, whose address libvirt chooses anew."""
    if before == after:
        return
    devices = child(root, "devices")
    if before.model != after.model:
        remove(devices, "memballoon")
    balloon = child(devices, "memballoon")
    balloon.set("model", after.model)
    set_attribute(balloon, "autodeflate", on_off(after.autodeflate))
    set_attribute(balloon, "freePageReporting", on_off(after.free_page_reporting))
    if after.stats_period:
        child(balloon, "stats").set("period", str(after.stats_period))
    else:
        remove(balloon, "stats")
