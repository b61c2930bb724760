# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of options that are read the same way wherever they stand: text in, the model's values out. Pure."""

from __future__ import annotations

import re
import typing as t
import uuid

from .._bitmap import format_bitmap, parse_bitmap
from .._errors import VirtmemError

HIGHEST_ADDRESS: t.Final = 2**64 - 1

# virDomainDeviceInfoParseXML keeps such aliases and silently drops all others (libvirt 3.9 to 12.8).
_USER_ALIAS: t.Final = re.compile(r"ua-[A-Za-z0-9_-]+", re.ASCII)
_ADDRESS: t.Final = re.compile(r"0x[0-9a-f]{1,16}|[0-9]{1,20}", re.ASCII | re.IGNORECASE)
_PCI_ADDRESS: t.Final = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.ASCII | re.IGNORECASE)


def is_user_alias(alias: str) -> bool:
    return _USER_ALIAS.fullmatch(alias) is not None


def check_alias(alias: str) -> None:
    """A new device's alias must be one that libvirt keeps."""
    if not is_user_alias(alias):
        better = "ua-" + (re.sub(r"[^A-Za-z0-9_-]+", "-", alias.removeprefix("ua-")).strip("-") or "virtiomem0")
        raise VirtmemError(
            "unsupported",
            f"alias: libvirt would drop the alias {alias!r}, and the device could not be found again.",
            hint=f"An alias is ua- and then letters, digits, _ or -, for example {better}.",
            details={"alias": alias, "nearest": better},
        )


def normal_pci_address(text: str) -> str:
    """A PCI address as domain:bus:slot.function in lower case; the domain may be left out."""
    match = _PCI_ADDRESS.fullmatch(text.strip())
    if not match or int(match[3], 16) > 0x1F:
        raise VirtmemError(
            "unsupported",
            f"pci_address: {text!r} is not a PCI address.",
            hint="Write domain:bus:slot.function, for example 0000:04:00.0.",
            details={"pci_address": text},
        )
    return f"{match[1] or '0000'}:{match[2]}:{match[3]}.{match[4]}".lower()


def normal_node_mask(text: str) -> str:
    """A set of host NUMA nodes as libvirt reads it back: 0,1 is 0-1."""
    return _normal_set(text, "node_mask", "host NUMA nodes", {"node_mask": text})


def normal_guest_address(text: str) -> int:
    """A guest physical address, as libvirt writes it (0x140000000) or in decimal."""
    text = text.strip()
    address = int(text, 16 if text[:2] in ("0x", "0X") else 10) if _ADDRESS.fullmatch(text) else 0
    if not 0 < address <= HIGHEST_ADDRESS:
        raise VirtmemError(
            "unsupported",
            f"guest_address: {text!r} is not an address.",
            hint="Write it as libvirt does, for example 0x140000000.",
            details={"guest_address": text},
        )
    return address


Params = t.Mapping[str, t.Any]

# Control characters, halves of surrogate pairs, and what is no character: XML has no way to write most of them.
_LOST_IN_XML: t.Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufffe\\uffff]")


def stated_of(params: Params) -> dict[str, t.Any]:
    return {name: value for name, value in params.items() if value is not None}


def read_set(text: str, option: str) -> str:
    """A set as libvirt writes it. Raises VirtmemError(unsupported)."""
    return _normal_set(text, option, "numbers", {"option": option, "value": text})


def _normal_set(text: str, option: str, members: str, details: Params) -> str:
    try:
        return format_bitmap(parse_bitmap(text))
    except ValueError:
        raise VirtmemError(
            "unsupported",
            f"{option}: {text!r} is not a set of {members}.",
            hint="Write numbers and rising ranges with commas, for example 0-1,3.",
            details=details,
        ) from None


def read_path(text: str, option: str) -> str:
    """libvirt's schema wants an absolute path (absFilePath), which it checks only if asked to."""
    if not text.startswith("/"):
        raise VirtmemError(
            "unsupported",
            f"{option}: {text!r} is not an absolute path.",
            hint="Use the full path of the file or device on the hypervisor, from / on.",
            details={"path": text},
        )
    if _LOST_IN_XML.search(text):
        raise VirtmemError(
            "unsupported",
            f"{option}: {text!r} has a character that libvirt can't store.",
            hint="Rename the file, without line ends and control characters.",
            details={"path": text},
        )
    return text


def read_uuid(text: str, option: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise VirtmemError("unsupported", f"{option}: {text!r} is not a UUID.") from None
