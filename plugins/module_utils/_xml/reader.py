# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain's XML tree to the model. Called by _xml alone; walks the tree, and needs no lxml for that. Pure."""

from __future__ import annotations

import typing as t

from .._bitmap import parse_bitmap
from .._model import (
    LOCKED,
    Backing,
    Balloon,
    Binding,
    Definition,
    HugePage,
    MemoryDevice,
    NumaCell,
    Placement,
    Tuning,
    in_order,
)
from .._size import UNLIMITED, unit_factor

if t.TYPE_CHECKING:
    Element = t.Any  # lxml ships no types

_Pci = tuple[int, int, int, int]  # domain, bus, slot, function

# More than there are; each can name any number of nodes.
_MOST_PAGES: t.Final = 256

_PORT_MODELS: t.Final = ("pcie-root-port", "pcie-switch-downstream-port")

# Controllers that offer a device conventional slots, so that a lack of free ports is no obstacle.
_SLOT_MODELS: t.Final = ("pci-bridge", "dmi-to-pci-bridge", "pcie-to-pci-bridge", "pcie-expander-bus")


def definition(root: Element) -> Definition:
    os_type = root.find("os/type")
    maximum = root.find("maxMemory")
    cells = tuple(_cell(position, cell) for position, cell in enumerate(root.iterfind("cpu/numa/cell")))
    devices = tuple(device(position, memory) for position, memory in enumerate(device_elements(root)))
    total = size_of(root.find("memory"))
    if total is None:  # allowed on input where NUMA cells say it (virDomainDefPostParseMemory)
        total = sum(cell.memory for cell in cells) + sum(device.size for device in devices)
    current = size_of(root.find("currentMemory"))
    # Only a device's own address: a <source> has one on the host.
    addresses = list(filter(None, map(_pci, root.iterfind("devices/*/address"))))
    return Definition(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        arch="" if os_type is None else os_type.get("arch", ""),
        machine="" if os_type is None else os_type.get("machine", ""),
        total=total,
        current_memory=current or total,
        maximum=size_of(maximum),
        slots=0 if maximum is None else whole(maximum.get("slots", "0")),
        cells=cells,
        devices=devices,
        binding=_binding(root),
        anonymous=_is_anonymous(root),
        backing=_backing(root),
        tuning=_tuning(root),
        placement=_placement(root),
        memballoon=_memballoon(root),
        vcpus=whole(root.findtext("vcpu", "1")),
        free_pcie_ports=_free_pcie_ports(root, addresses),
        blockers=_blockers(root),
        shared_cells=frozenset(cell.id for cell in cells if cell.access == "shared"),
        pci_addresses=frozenset(map(_as_text, addresses)),
    )


def device_elements(root: Element) -> list[Element]:
    return list(root.iterfind("devices/memory"))


def size_of(element: Element | None) -> int | None:
    """A scaled integer in bytes; KiB where the unit is left out (virDomainParseMemory)."""
    return None if element is None else scaled(element.text or "", element.get("unit"))


def scaled(number: str, unit: str | None) -> int:
    factor = unit_factor(unit or "KiB")
    if factor is None:
        raise ValueError(f"unit {unit}")
    return whole(number.strip()) * factor


def whole(text: str, base: int = 10) -> int:
    """A number as libvirt reads it; int() would take underscores and other scripts' digits, too."""
    if "_" in text or not text.isascii():
        raise ValueError(f"number {text}")
    return int(text, base)


def _cell(position: int, cell: Element) -> NumaCell:
    return NumaCell(
        id=whole(cell.get("id", str(position))),
        memory=scaled(cell.get("memory", "0"), cell.get("unit")),
        cpus=cell.get("cpus"),
        access=cell.get("memAccess"),
        discard=_yes_no(cell.get("discard")),
    )


def _backing(root: Element) -> Backing:
    """`<memoryBacking>`; elements whose mere presence means yes are true."""
    backing = root.find("memoryBacking")
    if backing is None:
        return Backing()
    hugepages = backing.find("hugepages")
    allocation = backing.find("allocation")
    threads = None if allocation is None else allocation.get("threads")
    return Backing(
        hugepages=None if hugepages is None else in_order(map(_huge_page, _pages(hugepages))),
        source=_attribute(backing, "source", "type"),
        access=_attribute(backing, "access", "mode"),
        allocation_mode=_attribute(backing, "allocation", "mode"),
        allocation_threads=None if threads is None else whole(threads),
        locked=backing.find("locked") is not None,
        nosharepages=backing.find("nosharepages") is not None,
        discard=backing.find("discard") is not None,
    )


def _pages(hugepages: Element) -> list[Element]:
    pages = hugepages.findall("page")
    if len(pages) > _MOST_PAGES:
        raise ValueError(f"{len(pages)} sizes of huge pages")
    return t.cast("list[Element]", pages)


def _huge_page(page: Element) -> HugePage:
    return HugePage(scaled(page.get("size", "0"), page.get("unit")), page.get("nodeset"))


def _attribute(parent: Element, path: str, name: str) -> str | None:
    return _get(parent.find(path), name)


def _tuning(root: Element) -> Tuning:
    def limit(tag: str) -> int | None:
        size = size_of(root.find(f"memtune/{tag}"))
        return None if size is None or size >= UNLIMITED else size

    return Tuning(limit("hard_limit"), limit("soft_limit"), limit("swap_hard_limit"))


def _placement(root: Element) -> Placement:
    memory = root.find("numatune/memory")
    # libvirt's default mode is strict (virDomainNumatuneParseXML)
    if memory is None:
        return Placement()
    return Placement(memory.get("mode", "strict"), memory.get("nodeset"), memory.get("placement") == "auto")


def _memballoon(root: Element) -> Balloon:
    balloon = root.find("devices/memballoon")
    if balloon is None:
        return Balloon()
    return Balloon(
        model=balloon.get("model", "none"),
        autodeflate=_on_off(balloon.get("autodeflate")),
        free_page_reporting=_on_off(balloon.get("freePageReporting")),
        stats_period=whole(_attribute(balloon, "stats", "period") or "0"),
    )


def _on_off(value: str | None) -> bool | None:
    return None if value is None else value == "on"


def _yes_no(value: str | None) -> bool | None:
    return None if value is None else value == "yes"


def device(position: int, memory: Element) -> MemoryDevice:
    own = _children(memory)
    source, target = _children(own.get("source")), _children(own.get("target"))
    size = size_of(target.get("size"))
    if size is None:  # libvirt always has one (virDomainMemoryTargetDefParseXML)
        raise ValueError("a memory device without a size")
    driver, node, base = own.get("driver"), target.get("node"), target.get("address")
    return MemoryDevice(
        model=memory.get("model", ""),
        size=size,
        block=size_of(target.get("block")) or 0,
        requested=size_of(target.get("requested")) or 0,
        current=size_of(target.get("current")),
        node=None if node is None else whole(node.text or ""),
        alias=_get(own.get("alias"), "name"),
        page_size=size_of(source.get("pagesize")),
        node_mask=_text(source.get("nodemask")),
        access=memory.get("access"),
        discard=_yes_no(memory.get("discard")),
        dynamic_memslots=_yes_no(_get(own.get("target"), "dynamicMemslots")),
        guest_address=None if base is None else whole(base.get("base", "0"), 0),
        pci_address=pci_text(own.get("address")),
        path=_text(source.get("path")),
        align_size=size_of(source.get("alignsize")),
        pmem=True if "pmem" in source else None,
        label_size=size_of(_children(target.get("label")).get("size")),
        readonly=True if "readonly" in target else None,
        uuid=_text(own.get("uuid")),
        slot=dimm_slot(own.get("address")),
        iommu=_on_off(_get(driver, "iommu")),
        ats=_on_off(_get(driver, "ats")),
        packed=_on_off(_get(driver, "packed")),
        index=position,
    )


def _children(element: Element | None) -> dict[str, Element]:
    """The elements in it by name, the first of each; quicker than a search for every one of many."""
    return {} if element is None else {child.tag: child for child in reversed(element)}


def _get(element: Element | None, name: str) -> str | None:
    return None if element is None else element.get(name)


def _text(element: Element | None) -> str | None:
    return None if element is None else element.text or ""


def pci_text(address: Element | None) -> str | None:
    """A PCI address as people and lspci write it: domain:bus:slot.function."""
    parts = None if address is None else _pci(address)
    return None if parts is None else _as_text(parts)


def _pci(address: Element) -> _Pci | None:
    if address.get("type") != "pci":
        return None
    number = address.get
    return (
        whole(number("domain", "0"), 0),
        whole(number("bus", "0"), 0),
        whole(number("slot", "0"), 0),
        whole(number("function", "0"), 0),
    )


def _as_text(pci: _Pci) -> str:
    return "{:04x}:{:02x}:{:02x}.{:x}".format(*pci)


def dimm_slot(address: Element | None) -> int | None:
    if address is None or address.get("type") != "dimm" or address.get("slot") is None:
        return None
    return whole(address.get("slot"), 0)


def _binding(root: Element) -> Binding:
    memory = root.find("numatune/memory")
    page_size: int | None = None
    cell_pages: dict[int, int] = {}
    hugepages = root.find("memoryBacking/hugepages")
    if hugepages is not None and len(hugepages) == 0:
        page_size = 0  # the host's default huge page size
    for page in [] if hugepages is None else _pages(hugepages):
        size = scaled(page.get("size", "0"), page.get("unit"))
        if page.get("nodeset") is None:
            page_size = size
        else:
            cell_pages.update(dict.fromkeys(parse_bitmap(page.get("nodeset")), size))
    return Binding(
        nodes=_bound_nodes(memory),
        cell_nodes={
            whole(memnode.get("cellid", "0")): nodes
            for memnode in root.iterfind("numatune/memnode")
            if (nodes := _bound_nodes(memnode))
        },
        loose=memory is not None and _is_loose(memory),
        loose_cells=frozenset(
            whole(memnode.get("cellid", "0")) for memnode in root.iterfind("numatune/memnode") if _is_loose(memnode)
        ),
        page_size=page_size,
        cell_page_sizes=cell_pages,
    )


def _is_loose(tune: Element) -> bool:
    # Only these modes keep memory off other nodes; preferred and interleave fall back (numa(7), libvirt numatune).
    return tune.get("mode", "strict") not in ("strict", "restrictive")


def _bound_nodes(tune: Element | None) -> str | None:
    if tune is None or _is_loose(tune):
        return None
    nodeset: str | None = tune.get("nodeset")
    return nodeset


def _is_anonymous(root: Element) -> bool:
    return not root.xpath(
        "memoryBacking/hugepages | memoryBacking/source[@type='file' or @type='memfd']"
        " | memoryBacking/access[@mode='shared']"
    )


def _free_pcie_ports(root: Element, pci: t.Iterable[_Pci]) -> int | None:
    models = {
        whole(controller.get("index", "0")): controller
        for controller in root.iterfind("devices/controller")
        if controller.get("type") == "pci"
    }
    if not any(controller.get("model") == "pcie-root" for controller in models.values()):
        return None
    if any(controller.get("model") in _SLOT_MODELS for controller in models.values()):
        return None
    taken = {bus for _domain, bus, _slot, _function in pci}
    return sum(
        controller.get("model") in _PORT_MODELS
        and index not in taken
        and controller.find("target[@hotplug='off']") is None
        for index, controller in models.items()
    )


def _blockers(root: Element) -> tuple[str, ...]:
    """What makes QEMU refuse virtio-mem: locked memory ("Incompatible with mlock") and whatever disables RAM discard."""
    found = (
        (root.find("memoryBacking/locked"), LOCKED),
        (root.find("launchSecurity"), "it is a confidential guest (<launchSecurity>)"),
        (root.find("devices/disk[@type='nvme']"), "it has a disk of type nvme"),
        (root.find("devices/interface[@type='vdpa']"), "it has an interface of type vdpa"),
    )
    return tuple(reason for element, reason in found if element is not None)
