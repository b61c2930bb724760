# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A domain's XML tree to the model. Called by _xml alone; walks the tree, and needs no lxml for that. Pure."""

from __future__ import annotations

import typing as t

from .._bitmap import parse_bitmap
from .._model import (
    UNLIMITED,
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
from .._option_table import TABLE, Kind, Option
from .._size import unit_factor

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
        backing=_backing(root),
        tuning=_tuning(root),
        placement=_placement(root),
        memballoon=_memballoon(root),
        vcpus=whole(root.findtext("vcpu", "1")),
        free_pcie_ports=_free_pcie_ports(root, addresses),
        lasting_blockers=_lasting_blockers(root),
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
    nodeset = page.get("nodeset")
    if nodeset is not None:
        parse_bitmap(nodeset)  # what is no set is no part of a model
    return HugePage(scaled(page.get("size", "0"), page.get("unit")), nodeset)


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
    found: dict[str, Element] = {"": memory}
    _collect(found, "", memory)
    values = {}
    for name, path, attribute, read in _READERS:
        node = found.get(path)
        if node is not None and attribute:
            node = node.get(attribute)
        if node is not None:
            values[name] = read(node)
    if "size" not in values:  # libvirt always has one (virDomainMemoryTargetDefParseXML)
        raise ValueError("a memory device without a size")
    return MemoryDevice(
        model=memory.get("model", ""),
        current=size_of(found.get("target/current")),
        alias=_get(found.get("alias"), "name"),
        index=position,
        **values,
    )


def _collect(found: dict[str, Element], prefix: str, element: Element) -> None:
    """The elements in it by their path, the first of each; quicker than a search for every one of many."""
    for child in element:
        path = f"{prefix}{child.tag}"
        if path not in found:
            found[path] = child
            if len(child):
                _collect(found, f"{path}/", child)


def _get(element: Element | None, name: str) -> str | None:
    return None if element is None else element.get(name)


def _text(element: Element) -> str:
    return element.text or ""


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


# How a value of a kind is read: from its element, or from the text of its attribute.
_BY_KIND: t.Final[t.Mapping[Kind, t.Callable[[t.Any], t.Any]]] = {
    "size": size_of,
    "int": lambda element: whole(element.text or ""),
    "set": _text,
    "path": _text,
    "uuid": _text,
    "choice": str,
    "yes_no": _yes_no,
    "on_off": _on_off,
    "presence": lambda _: True,
    "hex": lambda text: whole(text, 0),
    "pci": pci_text,
    "slot": dimm_slot,
}


def _reader(option: Option) -> tuple[str, str, str, t.Callable[[t.Any], t.Any]]:
    """Name, path of the element, attribute (or none), and what reads it: prepared once, for a domain has many devices."""
    path, _at, attribute = option.xml.partition("@")
    return option.name, path.rstrip("/"), attribute, _BY_KIND[option.kind]


_READERS: t.Final = tuple(map(_reader, TABLE))


def _binding(root: Element) -> Binding:
    memory = root.find("numatune/memory")
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
    )


def _is_loose(tune: Element) -> bool:
    # Only these modes keep memory off other nodes; preferred and interleave fall back (numa(7), libvirt numatune).
    return tune.get("mode", "strict") not in ("strict", "restrictive")


def _bound_nodes(tune: Element | None) -> str | None:
    if tune is None or _is_loose(tune):
        return None
    nodeset: str | None = tune.get("nodeset")
    return nodeset


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


def _lasting_blockers(root: Element) -> tuple[str, ...]:
    """Whatever disables RAM discard, and can't be lifted here; see Definition.blockers."""
    found = (
        (root.find("launchSecurity"), "it is a confidential guest (<launchSecurity>)"),
        (root.find("devices/disk[@type='nvme']"), "it has a disk of type nvme"),
        (root.find("devices/interface[@type='vdpa']"), "it has an interface of type vdpa"),
    )
    return tuple(reason for element, reason in found if element is not None)
