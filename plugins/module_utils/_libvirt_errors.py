# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What libvirt's errors mean to a user: a table from its numbers and words to our codes and sentences.

Pure: it takes numbers and text, so it needs no libvirt. Numbers are virErrorNumber and virErrorDomain (virterror.h),
which never change. Texts are those of libvirt 9.0, 11.3 and 12.8 and QEMU 7.2 to 11.1.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError

_INTERNAL: t.Final = 1
_OPERATION_DENIED: t.Final = 29
_SYSTEM: t.Final = 38
_NO_DOMAIN: t.Final = 42
_AUTH_FAILED: t.Final = 45
_OPERATION_TIMEOUT: t.Final = 68
_LIBSSH2: t.Final = 85
_ACCESS_DENIED: t.Final = 88
_AUTH_UNAVAILABLE: t.Final = 94
_LIBSSH: t.Final = 98
_DOMAIN_RPC: t.Final = 7

# What a call asks of libvirt's access control (remote_protocol.x, the same from 9.0 to 11.3).
_PERMISSIONS: t.Final[t.Mapping[str, str]] = {
    "open": "org.libvirt.unix.manage, or org.libvirt.unix.monitor to read only",
    "look up the domain": "domain.getattr",
    "list the domains": "connect.search-domains and domain.getattr",
    "read the domain's definition": "domain.read",
    "read the definition with passwords": "domain.read and domain.read-secure",
    "read the guest's statistics": "domain.read",
    "read the host's memory": "connect.read",
    "read the host's capabilities": "connect.read",
    "change the running guest": "domain.write",
    "change the stored definition": "domain.write and domain.save",
    "shut the guest down": "domain.init-control",
    "start the domain": "domain.start",
}


_READ_AGAIN: t.Final = "Somebody else changed the domain at the same time; run the task again."


@dataclass(frozen=True)
class _Meaning:
    """Where `pattern` is in libvirt's text, the error is `code`; `sentence` says so, with what the pattern caught."""

    pattern: str
    code: str
    sentence: str
    hint: str = ""


_MEANINGS: t.Final = (
    _Meaning(
        r"cannot acquire state change lock|another (migration )?job|domain is being migrated|is in the process of unplug",
        "domain_busy",
        "Another job holds the domain.",
        "Run the task again when the other job (a migration, a backup, an unplug) is over.",
    ),
    _Meaning(
        r"cannot be unplugged|unplugged while 'unplugged-inaccessible'",
        "unplug_unsupported",
        "QEMU can't unplug this device.",
        "It needs QEMU 8.1 and a machine type of 8.1 or later.",
    ),
    _Meaning(
        r"No more available PCI slots",
        "not_hotpluggable",
        "The running guest has no free PCIe port.",
        "Add a pcie-root-port controller to the stored definition and restart the guest.",
    ),
    _Meaning(
        r"maxMemory' is not defined|no NUMA nodes configured|At least one numa node",
        "not_hotpluggable",
        "The domain is not prepared for memory devices.",
        "It needs <maxMemory> and a <numa> cell.",
    ),
    _Meaning(
        r"exceed domain's maxMemory|exceeds hotplug space|exceeds slots count|no free memory device slot"
        r"|could not find position in guest address space|equal or greater than the actual memory size",
        "exceeds_max_memory",
        "The domain's maxMemory has no room for the device.",
        "Raise maxMemory in the stored definition, or make the device smaller.",
    ),
    _Meaning(
        r"cannot modify memory",
        "immutable",
        "A running guest's device can't change so.",
        "Only requested of a virtio-mem device changes in a running guest; say scope=config for the rest.",
    ),
    # What follows is checked before any call; only somebody else's change in between can bring it about.
    _Meaning(
        r"only '\d+' NUMA nodes|target NUMA node needs",
        "node_not_found",
        "The guest has no such NUMA node.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"block size must be a power of two|block size too small",
        "block_invalid",
        "libvirt does not take this block size.",
        "Leave the option block out, or give a larger power of two.",
    ),
    _Meaning(
        r"integer multiple of block size|has to be multiples of|must be multiple of 0x",
        "not_multiple_of_block",
        "The size is not a whole number of blocks.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"smaller than or equal to @size",
        "exceeds_device_size",
        "More is requested than the device is large.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"empty memory slot",
        "exceeds_max_memory",
        "The domain has no free memory slot.",
        "Raise the slots of <maxMemory>.",
    ),
    _Meaning(
        r"no device found with alias|memory device was not found|memory device not present|memory ('.*' )?not found",
        "device_not_found",
        "The device is no longer there.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"dynamic-memslots|does not support dynamicMemslots",
        "unsupported",
        "This QEMU or machine type has no dynamic_memslots.",
        "Leave the option out.",
    ),
    _Meaning(
        r"does not support machine type",  # QEMU 11.1 dropped those before 5.2; a resize still works
        "unsupported",
        "This QEMU no longer has the domain's machine type, so libvirt takes no new definition of it.",
        "Give the domain a newer machine type first: virsh edit.",
    ),
    _Meaning(
        r"transient domains do not have|is not supported$|unsupported flags|failed to validate against schema",
        "unsupported",
        "This libvirt can't do that.",
        "Its own words are in details.",
    ),
    _Meaning(
        r"NUMA node \d+ is unavailable|cellNum in virHostMemGetStats",
        "unsupported",
        "The host has no such NUMA node.",
        "Look at the options node_mask and placement.nodeset.",
    ),
    _Meaning(
        r"unable to map backing store|Cannot allocate memory|hugetlbfs",
        "host_lacks_memory",
        "The host can't back the memory with the pages that are asked for.",
        "Reserve huge pages of that size on the host, or use another page_size.",
    ),
    _Meaning(
        r"Incompatible with mlock|Discarding RAM is disabled",
        "not_hotpluggable",
        "QEMU can't use virtio-mem in this domain: its memory is locked, or another device pins it.",
        "Remove <locked/>, or the device that pins memory; or use DIMMs.",
    ),
    _Meaning(
        r"virtio-mem isn't supported by this QEMU binary|is not a valid device model name|not supported by the connection",
        "unsupported",
        "This hypervisor has no virtio-mem devices.",
        "host_memory_info says what it can do, and why not.",
    ),
    _Meaning(
        r"[Ss][Gg][Xx].*(isn't|not) supported",
        "unsupported",
        "This host has no SGX, so no guest can have EPC memory.",
        "Leave the device out, or use a host with SGX.",
    ),
    _Meaning(
        r"can't open backing store",
        "unsupported",
        "QEMU can't open the file that backs the device.",
        "See that the option path names a file or device of the hypervisor, and that QEMU's user may read and write it.",
    ),
    _Meaning(
        r"not available in session mode",
        "unsupported",
        "A user's own daemon can't set memory limits or host nodes.",
        "Use qemu:///system.",
    ),
    _Meaning(
        r"memory\.(limit_in_bytes|max).*Device or resource busy",
        "guest_needs_memory",
        "The guest's process uses more than the new limit, and the kernel could not take enough away.",
        "Set a higher limit, or take memory from the guest first.",
    ),
    _Meaning(
        r"non unique alias detected",
        "domain_busy",
        "Somebody else made a device with this alias at the same time.",
        "Run the task again.",
    ),
    _Meaning(
        r"domain is not running",
        "domain_not_found",
        "The domain is no longer running.",
        "Start it, or run the task again: it then changes the stored definition only.",
    ),
)


def translate(call: str, number: int, domain: int, text: str) -> VirtmemError:
    """The user's error for a libvirt error in `call` (a key of the permissions table, or words to follow "could not")."""
    details = {"libvirt_code": number, "libvirt_domain": domain, "libvirt_message": text, "call": call}
    if number in (_ACCESS_DENIED, _AUTH_FAILED, _AUTH_UNAVAILABLE) or (
        number == _OPERATION_DENIED and "read only" in text
    ):
        return _denied(call, details)
    if call == "open" and "Permission denied" in text and "ssh" not in text:
        return _denied(call, details)
    if call == "open":
        return VirtmemError(
            "connection_failed",
            f"No connection to libvirt: {_tidy(text)}",
            hint="Check the option uri, and that the daemon (libvirtd or virtqemud) runs there.",
            details=details,
        )
    if is_lost(number, domain):
        return VirtmemError(
            "connection_lost",
            f"The connection to libvirt broke while it should {call}.",
            hint="What was done before is in steps; whether the last step was done is not known. Run the task again.",
            details=details,
        )
    if number == _NO_DOMAIN:
        return VirtmemError(
            "domain_not_found",
            "The domain is not there, or no longer.",
            hint="See whether somebody undefined or renamed it meanwhile.",
            details=details,
        )
    if number == _OPERATION_TIMEOUT:
        text += " (cannot acquire state change lock)"
    for meaning in _MEANINGS:
        if re.search(meaning.pattern, text):
            return VirtmemError(meaning.code, meaning.sentence, hint=meaning.hint, details=details)
    return VirtmemError(
        "libvirt_error",
        f"libvirt could not {call}: {_tidy(text)}",
        hint="steps says what was done before; the log of libvirt's daemon may say more.",
        details=details,
    )


def is_lost(number: int, domain: int) -> bool:
    """Whether the link itself broke: the RPC layer's errors, or those of ssh transports."""
    return (domain == _DOMAIN_RPC and number in (_INTERNAL, _SYSTEM)) or number in (_LIBSSH, _LIBSSH2)


def _denied(call: str, details: t.Mapping[str, t.Any]) -> VirtmemError:
    needed = _PERMISSIONS.get(call, "domain.write")
    return VirtmemError(
        "permission_denied",
        f"libvirt does not let this user {'connect' if call == 'open' else call}.",
        hint=f"The call needs {needed}. Run the task with become, in the group libvirt, or with a polkit rule for it.",
        details={**details, "permissions": needed},
    )


def _tidy(text: str) -> str:
    """libvirt's text as the end of a sentence, on one line."""
    return " ".join(text.split()).rstrip(".") + "."
