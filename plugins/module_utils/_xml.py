# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""libvirt XML to the model and back. The only file that knows lxml.

A domain's XML is edited, never rebuilt: what this file does not understand passes through untouched.
"""

from __future__ import annotations

import traceback
import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    VIRTIO_MEM,
    Binding,
    Definition,
    MemoryDevice,
    NumaCell,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._sets import parse_set
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import kib, unit_factor

try:
    from lxml import etree

    LXML_IMPORT_ERROR: str | None = None
except ImportError:
    LXML_IMPORT_ERROR = traceback.format_exc()

if t.TYPE_CHECKING:
    Element = t.Any  # lxml ships no types

_PORT_MODELS: t.Final = ("pcie-root-port", "pcie-switch-downstream-port")
# Controllers that offer a device conventional slots, so that a lack of free ports is no obstacle.
_SLOT_MODELS: t.Final = ("pci-bridge", "dmi-to-pci-bridge", "pcie-to-pci-bridge", "pcie-expander-bus")


def _parse(text: str) -> Element:
    # Domain XML comes from libvirt, but a hypervisor may be hostile: no entities, no network, lxml's own size limits.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, strip_cdata=False
    )
    try:
        root = etree.fromstring(text.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise VirtmemError(
            "libvirt_error", "libvirt's XML of the domain can't be read.", details={"reason": str(exc)}
        ) from None
    if root.getroottree().docinfo.doctype:  # libvirt writes none; one can hold entities
        raise VirtmemError("libvirt_error", "libvirt's XML of the domain has a document type, which is not expected.")
    if root.tag != "domain":
        raise VirtmemError(
            "libvirt_error", "libvirt's XML is not that of a domain.", details={"element": str(root.tag)}
        )
    return root


def parse_definition(text: str) -> Definition:
    """The model of one `<domain>` document. Raises VirtmemError(libvirt_error) for what is not one."""
    root = _parse(text)
    try:
        return _definition(root)
    except (ValueError, ArithmeticError) as exc:
        raise VirtmemError(
            "libvirt_error", "libvirt's XML of the domain has a value that is no number.", details={"reason": str(exc)}
        ) from None


def _definition(root: Element) -> Definition:
    os_type = root.find("os/type")
    maximum = root.find("maxMemory")
    cells = tuple(_cell(position, cell) for position, cell in enumerate(root.iterfind("cpu/numa/cell")))
    devices = tuple(_device(position, memory) for position, memory in enumerate(_device_elements(root)))
    total = _bytes(root.find("memory"))
    if total is None:  # allowed on input where NUMA cells say it (virDomainDefPostParseMemory)
        total = sum(cell.memory for cell in cells) + sum(device.size for device in devices)
    current = _bytes(root.find("currentMemory"))
    return Definition(
        name=root.findtext("name", ""),
        uuid=root.findtext("uuid", ""),
        arch="" if os_type is None else os_type.get("arch", ""),
        machine="" if os_type is None else os_type.get("machine", ""),
        total=total,
        current_memory=current or total,
        maximum=_bytes(maximum),
        slots=0 if maximum is None else int(maximum.get("slots", "0")),
        cells=cells,
        devices=devices,
        binding=_binding(root),
        anonymous=_is_anonymous(root),
        balloon=root.find("devices/memballoon") is not None and not root.xpath("devices/memballoon[@model='none']"),
        stats_period=int(root.xpath("string(devices/memballoon/stats/@period)") or 0),
        free_pcie_ports=_free_pcie_ports(root),
        blockers=_blockers(root),
        shared_cells=frozenset(
            int(cell.get("id", "0")) for cell in root.iterfind("cpu/numa/cell[@memAccess='shared']")
        ),
        pci_addresses=frozenset(filter(None, map(_pci_text, root.iterfind("devices/*/address")))),
    )


def _device_elements(root: Element) -> list[Element]:
    return list(root.iterfind("devices/memory"))


def _bytes(element: Element | None) -> int | None:
    """A scaled integer in bytes; KiB where the unit is left out (virDomainParseMemory)."""
    if element is None or element.text is None:
        return None
    return _scaled(element.text, element.get("unit"))


def _scaled(number: str, unit: str | None) -> int:
    factor = unit_factor(unit or "KiB")
    if factor is None:
        raise ValueError(f"unit {unit}")
    return int(number.strip()) * factor


def _cell(position: int, cell: Element) -> NumaCell:
    return NumaCell(int(cell.get("id", position)), _scaled(cell.get("memory", "0"), cell.get("unit")))


def _yes_no(value: str | None) -> bool | None:
    return None if value is None else value == "yes"


def _device(position: int, memory: Element) -> MemoryDevice:
    node = memory.findtext("target/node")
    base = memory.find("target/address")
    target = memory.find("target")
    alias = memory.find("alias")
    return MemoryDevice(
        model=memory.get("model", ""),
        size=_bytes(memory.find("target/size")) or 0,
        block=_bytes(memory.find("target/block")) or 0,
        requested=_bytes(memory.find("target/requested")) or 0,
        current=_bytes(memory.find("target/current")),
        node=None if node is None else int(node),
        alias=None if alias is None else alias.get("name"),
        page_size=_bytes(memory.find("source/pagesize")),
        node_mask=memory.findtext("source/nodemask"),
        access=memory.get("access"),
        discard=_yes_no(memory.get("discard")),
        dynamic_memslots=None if target is None else _yes_no(target.get("dynamicMemslots")),
        guest_address=None if base is None else int(base.get("base", "0"), 0),
        pci_address=_pci_text(memory.find("address")),
        index=position,
    )


def _pci_text(address: Element | None) -> str | None:
    """A PCI address as people and lspci write it: domain:bus:slot.function."""
    if address is None or address.get("type") != "pci":
        return None
    domain, bus, slot, function = (int(address.get(part, "0"), 0) for part in ("domain", "bus", "slot", "function"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"


def _binding(root: Element) -> Binding:
    memory = root.find("numatune/memory")
    page_size: int | None = None
    cell_pages: dict[int, int] = {}
    hugepages = root.find("memoryBacking/hugepages")
    if hugepages is not None and len(hugepages) == 0:
        page_size = 0  # the host's default huge page size
    for page in root.iterfind("memoryBacking/hugepages/page"):
        size = _scaled(page.get("size", "0"), page.get("unit"))
        if page.get("nodeset") is None:
            page_size = size
        else:
            cell_pages.update(dict.fromkeys(parse_set(page.get("nodeset")), size))
    return Binding(
        nodes=_bound_nodes(memory),
        cell_nodes={
            int(memnode.get("cellid", "0")): nodes
            for memnode in root.iterfind("numatune/memnode")
            if (nodes := _bound_nodes(memnode))
        },
        page_size=page_size,
        cell_page_sizes=cell_pages,
    )


def _bound_nodes(tune: Element | None) -> str | None:
    # Only these modes keep memory off other nodes; preferred and interleave fall back (numa(7), libvirt numatune).
    if tune is None or tune.get("mode", "strict") not in ("strict", "restrictive"):
        return None
    nodeset: str | None = tune.get("nodeset")
    return nodeset


def _is_anonymous(root: Element) -> bool:
    return not root.xpath(
        "memoryBacking/hugepages | memoryBacking/source[@type='file' or @type='memfd']"
        " | memoryBacking/access[@mode='shared']"
    )


def _free_pcie_ports(root: Element) -> int | None:
    models = {
        int(controller.get("index", "0")): controller
        for controller in root.iterfind("devices/controller")
        if controller.get("type") == "pci"
    }
    if not any(controller.get("model") == "pcie-root" for controller in models.values()):
        return None
    if any(controller.get("model") in _SLOT_MODELS for controller in models.values()):
        return None
    # Only a device's own address: a <source> has one on the host.
    taken = {int(address.get("bus", "0"), 0) for address in root.iterfind("devices/*/address[@type='pci']")}
    return sum(
        controller.get("model") in _PORT_MODELS
        and controller.find("target[@hotplug='off']") is None
        and index not in taken
        for index, controller in models.items()
    )


def _blockers(root: Element) -> tuple[str, ...]:
    """What makes QEMU refuse virtio-mem: locked memory ("Incompatible with mlock") and whatever disables RAM discard."""
    found = (
        (root.find("memoryBacking/locked"), "its memory is locked (<memoryBacking><locked/>)"),
        (root.find("launchSecurity"), "it is a confidential guest (<launchSecurity>)"),
        (root.find("devices/disk[@type='nvme']"), "it has a disk of type nvme"),
        (root.find("devices/interface[@type='vdpa']"), "it has an interface of type vdpa"),
    )
    return tuple(reason for element, reason in found if element is not None)


def device_xml(text: str, index: int, requested: int | None = None) -> str:
    """The XML of memory device `index` of the domain document `text`, with `requested` (bytes) put in if given.

    This is what an update of that same definition needs: libvirt finds the device by its address (and alias), and
    refuses, or resets, whatever else differs (virDomainMemoryFindByDeviceInfo, 9.0 to 12.8).
    """
    memory = _device_elements(_parse(text))[index]
    if requested is not None:
        _set_size(memory.find("target"), "requested", requested)
    memory.tail = None
    return _text(memory)


def new_device_xml(device: MemoryDevice) -> str:
    """The XML that makes `device`, for an attach: nothing in it that the model leaves open."""
    return _text(_build(device))


def redefined_domain(text: str, index: int, device: MemoryDevice) -> str:
    """The domain document `text` with memory device `index` made into `device`, for virDomainDefineXML.

    `<memory>` takes the change of size along; where NUMA cells exist, libvirt works it out itself and gets the same.
    """
    root = _parse(text)
    memory = _device_elements(root)[index]
    before = _device(index, memory)
    _edit(memory, device)
    total, current = root.find("memory"), root.find("currentMemory")
    old_total = _bytes(total)
    if total is not None and old_total is not None:
        new_total = old_total + device.size - before.size
        _write_kib(total, new_total)
        # virDomainDefPostParseMemory clamps it to <memory>; a value at the old total means "all of it".
        if current is not None and _bytes(current) == old_total:
            _write_kib(current, new_total)
    return _text(root)


def canonical_device(device: MemoryDevice) -> str:
    """The device as a person reads it in a diff: one element per line, in one order, sizes in KiB."""
    memory = _build(device)
    etree.indent(memory)
    return _text(memory) + "\n"


def _text(element: Element) -> str:
    text: str = etree.tostring(element, encoding="unicode")
    return text


def _write_kib(element: Element, size: int) -> None:
    element.set("unit", "KiB")
    element.text = str(kib(size))


def _set_size(parent: Element, tag: str, size: int | None) -> None:
    """Give `parent` exactly one or no child `tag` with this size, at the place that an old one had."""
    child = parent.find(tag)
    if size is None:
        if child is not None:
            parent.remove(child)
        return
    _write_kib(etree.SubElement(parent, tag) if child is None else child, size)


def _set_text(parent: Element, tag: str, value: str | int | None) -> None:
    child: Element = parent.find(tag)
    if value is None:
        if child is not None:
            parent.remove(child)
        return
    if child is None:
        child = etree.SubElement(parent, tag)
    child.text = str(value)


def _set_attribute(element: Element, name: str, value: str | None) -> None:
    if value is not None:
        element.set(name, value)
    elif name in element.attrib:
        del element.attrib[name]


def _set_flag(element: Element, name: str, value: bool | None) -> None:
    _set_attribute(element, name, None if value is None else "yes" if value else "no")


def _build(device: MemoryDevice) -> Element:
    memory = etree.Element("memory", model=device.model)
    if device.page_size is not None or device.node_mask is not None:
        etree.SubElement(memory, "source")
    etree.SubElement(memory, "target")
    _edit(memory, device)
    return memory


def _edit(memory: Element, device: MemoryDevice) -> None:
    """Make the element say what `device` says, and leave in place whatever the model does not know."""
    _set_attribute(memory, "access", device.access)
    _set_flag(memory, "discard", device.discard)
    _edit_source(memory, device)
    target = memory.find("target")
    _set_flag(target, "dynamicMemslots", device.dynamic_memslots)
    _set_size(target, "size", device.size)
    _set_text(target, "node", device.node)
    if device.model == VIRTIO_MEM:
        _set_size(target, "block", device.block)
        _set_size(target, "requested", device.requested)
    base = target.find("address")
    if device.guest_address is not None:
        (etree.SubElement(target, "address") if base is None else base).set("base", hex(device.guest_address))
    elif base is not None:
        target.remove(base)
    if device.alias is not None and memory.find("alias") is None:
        etree.SubElement(memory, "alias", name=device.alias)
    _edit_pci(memory, device.pci_address)


def _edit_source(memory: Element, device: MemoryDevice) -> None:
    source = memory.find("source")
    if source is None and (device.page_size is not None or device.node_mask is not None):
        source = etree.Element("source")
        memory.find("target").addprevious(source)
    if source is not None:
        _set_size(source, "pagesize", device.page_size)
        _set_text(source, "nodemask", device.node_mask)


def _edit_pci(memory: Element, pci_address: str | None) -> None:
    address = memory.find("address")
    if _pci_text(address) == pci_address:  # the same, or of another kind (ccw) that the model does not know
        return
    if pci_address is None:
        memory.remove(address)
        return
    if address is None:
        address = etree.SubElement(memory, "address")
    domain, bus, rest = pci_address.split(":")
    slot, function = rest.split(".")
    address.attrib.clear()
    for name, value in (("type", "pci"), ("domain", domain), ("bus", bus), ("slot", slot), ("function", function)):
        address.set(name, value if name == "type" else f"0x{value}")
