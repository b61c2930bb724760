# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt XML to the model and back. The only file that imports lxml.

A domain's XML is edited, never rebuilt: what this file does not understand passes through untouched.
"""

from __future__ import annotations

import traceback
import typing as t
from dataclasses import replace

from .._errors import VirtmemError
from .._model import Definition, HostTopology, MemoryDevice
from . import editor, reader
from .device import build, edit_devices

try:
    from lxml import etree

    LXML_IMPORT_ERROR: str | None = None
except ImportError:
    LXML_IMPORT_ERROR = traceback.format_exc()

if t.TYPE_CHECKING:
    Element = t.Any  # lxml ships no types

# REMOTE_STRING_MAX: libvirt sends no longer text (remote_protocol.x). A bound to what a hostile hypervisor can cost us.
_LONGEST: t.Final = 4 * 1024 * 1024


def _parse(text: str, kind: str = "domain") -> Element:
    if len(text) > _LONGEST:
        raise VirtmemError(
            "libvirt_error",
            f"libvirt's XML of the {kind} is longer than libvirt can send.",
            details={"length": len(text), "longest": _LONGEST},
        )
    # Domain XML comes from libvirt, but a hypervisor may be hostile: no entities, no network, lxml's own size limits.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, strip_cdata=False
    )
    try:
        root = etree.fromstring(text.encode("utf-8"), parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise VirtmemError(
            "libvirt_error", f"libvirt's XML of the {kind} can't be read.", details={"reason": str(exc)}
        ) from None
    if root.getroottree().docinfo.doctype:  # libvirt writes none; one can hold entities
        raise VirtmemError("libvirt_error", f"libvirt's XML of the {kind} has a document type, which is not expected.")
    if root.tag != kind:
        raise VirtmemError(
            "libvirt_error", f"libvirt's XML is not that of a {kind}.", details={"element": str(root.tag)}
        )
    return root


def parse_definition(text: str) -> Definition:
    """The model of one `<domain>` document. Raises VirtmemError(libvirt_error) for what is not one."""
    root = _parse(text)
    try:
        return reader.definition(root)
    except (ValueError, ArithmeticError) as exc:
        raise VirtmemError(
            "libvirt_error", "The domain's XML from libvirt has an invalid value.", details={"reason": str(exc)}
        ) from None


def parse_capabilities(text: str) -> HostTopology:
    """The model of a host's `<capabilities>`. Raises VirtmemError(libvirt_error) for what is not one."""
    from .capabilities import topology

    root = _parse(text, "capabilities")
    try:
        return topology(root)
    except ValueError as exc:
        raise VirtmemError(
            "libvirt_error", "The host's XML from libvirt has an invalid value.", details={"reason": str(exc)}
        ) from None


def device_xml(text: str, index: int, requested: int | None = None) -> str:
    """The XML of memory device `index` of the domain document `text`, with `requested` (bytes) put in if given.

    This is what an update of that same definition needs: libvirt finds the device by its address (and alias), and
    refuses, or resets, whatever else differs (virDomainMemoryFindByDeviceInfo, 9.0 to 12.8).
    """
    memory = reader.device_elements(_parse(text))[index]
    if requested is not None:
        editor.set_child_size(memory.find("target"), "requested", requested)
    memory.tail = None
    return _text(memory)


def new_device_xml(device: MemoryDevice) -> str:
    """The XML that makes `device`, for an attach: nothing in it that the model leaves open."""
    return _text(_build(device))


def edited_domain(text: str, after: Definition) -> str:
    """The domain document `text`, made to say what `after` says about memory, for virDomainDefineXML.

    Devices of `after` are those of the document by their `index`; one without (-1) is new.
    """
    root = _parse(text)
    _edit(root, reader.definition(root), after)
    return _text(root)


def _edit(root: Element, before: Definition, after: Definition) -> None:
    editor.edit_sums(root, before, after)
    editor.edit_backing(root, before.backing, after.backing)
    editor.edit_tuning(root, before.tuning, after.tuning)
    editor.edit_placement(root, before.placement, after.placement)
    editor.edit_cells(root, before.cells, after.cells)
    editor.edit_balloon(root, before.memballoon, after.memballoon)
    edit_devices(root, after.devices)


def canonical_device(device: MemoryDevice) -> str:
    """The device as a person reads it in a diff: one element per line, in one order, sizes in KiB."""
    return _pretty(_build(device))


def canonical_memory(definition: Definition) -> str:
    """All that a domain's XML says about its memory, as a person reads it in a diff; see canonical_device.

    `<currentMemory>` is only there if `definition` has one that is less than boot memory and DIMMs: a balloon at the next
    start. Other values mean nothing, and libvirt changes them by itself.
    """
    root = etree.Element("domain")
    shown = replace(definition, devices=tuple(replace(device, index=-1) for device in definition.devices))
    _edit(root, _NOTHING, replace(shown, current_memory=definition.current_memory if definition.inflated else 0))
    return _pretty(root)


_NOTHING: t.Final = Definition(name="", uuid="", arch="", machine="", total=0, current_memory=0)


def _pretty(element: Element) -> str:
    etree.indent(element)
    return _text(element) + "\n"


def _text(element: Element) -> str:
    text: str = etree.tostring(element, encoding="unicode")
    return text


def _build(device: MemoryDevice) -> Element:
    return build(etree.Element, device)
