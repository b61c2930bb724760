# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt's errors mean to a user: a table from its numbers and words to our codes and sentences.

Pure: it takes numbers and text, so it needs no libvirt. Numbers are virErrorNumber and virErrorDomain (virterror.h),
which never change. Texts are those of libvirt 9.0, 11.3 and 12.8 and QEMU 7.2 to 11.1.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._errors import VirtmemError

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
    "open": "org.libvirt.unix.manage (to read only: org.libvirt.unix.monitor) and connect.getattr",
    "read its version": "connect.getattr",
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

# How SASL says no: the daemon tells the client no more than the last of these (libvirt 9.0).
_NO_SUCH_USER: t.Final = r"SASL|collect auth credentials|: authentication failed$"

_READ_AGAIN: t.Final = "Another client changed the domain at the same time; run the task again."


@dataclass(frozen=True, eq=False, repr=False)
class _Meaning:
    """Where `pattern` is in libvirt's text, the error is `code`; `sentence` says so, with what the pattern caught."""

    pattern: str
    code: str
    sentence: str
    hint: str = ""


# What libvirt and QEMU say while another job holds the domain.
_JOB: t.Final = (
    r"cannot acquire state change lock|another (migration )?job|domain is being migrated|is in the process of unplug"
)

_MEANINGS: t.Final = (
    _Meaning(
        _JOB,
        "domain_busy",
        "Another job holds the domain.",
        "Run the task again when the other job (a migration, a backup, an unplug) is over.",
    ),
    _Meaning(
        r"cannot be unplugged|unplugged while 'unplugged-inaccessible'|hot unplug is not supported",
        "unplug_unsupported",
        "QEMU can't unplug this device.",
        "A virtio-mem device needs QEMU 8.1 and a machine type of 8.1 or later; others but DIMMs stay until a power-off.",
    ),
    _Meaning(
        r"some of its memory is still plugged|unplugged while 'size' != '0'|rejected by the guest",
        "partial",
        "The guest has not released the device.",
        "It may need the memory. Run the task again later.",
    ),
    _Meaning(
        r"unplugged while 'requested-size' != '0'",
        "domain_busy",
        "Another client asked the guest to use the device again.",
        "Run the task again.",
    ),
    _Meaning(
        r"No more available PCI slots",
        "not_hotpluggable",
        "The running guest has no free PCIe port.",
        "Add a pcie-root-port controller to the stored definition and restart the guest.",
    ),
    _Meaning(
        r"maxMemory' is not defined|no NUMA nodes configured|At least one numa node|nvdimm is not enabled",
        "not_hotpluggable",
        "The domain is not prepared for memory devices.",
        "It needs <maxMemory> and a <numa> cell; a running guest takes an NVDIMM only if it was started with one.",
    ),
    _Meaning(
        r"exceed domain's maxMemory|exceeds hotplug space|exceeds slots count|no free memory device slot"
        r"|could not find position in guest address space|equal or greater than the actual memory size"
        r"|greater than the maximum memory size|invalid value of maxmem",
        "exceeds_max_memory",
        "The domain's maxMemory has no room for the device.",
        "Raise maxMemory in the stored definition, or make the device smaller.",
    ),
    _Meaning(
        r"cannot modify memory|changing device '.*' is not allowed|cannot resize the maximum memory"
        r"|requires restrictive numa mode|can't change numatune mode",
        "immutable",
        "This can't change in a running guest.",
        "Of a device, only requested of a virtio-mem device does; use scope=config for the rest.",
    ),
    # What follows is checked before any call; only somebody else's change in between can bring it about.
    _Meaning(
        r"only '\d+' NUMA nodes|target NUMA node needs|hugepages: node .* not found",
        "node_not_found",
        "The guest has no such NUMA node.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"block size must be a power of two|block size too small|'block-size' property has to be",
        "block_invalid",
        "libvirt does not accept this block size.",
        "Omit the option block, or give a larger power of two.",
    ),
    _Meaning(
        r"integer multiple of block size|has to be multiples of|must be multiple of 0x|address must be aligned to",
        "not_multiple_of_block",
        "The size or address is not a whole number of blocks.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"smaller than or equal to @size",
        "exceeds_device_size",
        "The task requests more than the size of the device.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"empty memory slot",
        "exceeds_max_memory",
        "The domain has no free memory slot.",
        "Raise the slots of <maxMemory>.",
    ),
    _Meaning(
        r"no device found with alias|memory device was not found|memory device not present|memory ('.*' )?not found"
        r"|Device '/machine/.*' not found",
        "device_not_found",
        "The device no longer exists.",
        _READ_AGAIN,
    ),
    _Meaning(
        r"dynamic-memslots|does not support dynamicMemslots",
        "unsupported",
        "This QEMU or machine type has no dynamic_memslots.",
        "Omit the option.",
    ),
    _Meaning(
        r"does not support machine type",  # QEMU 11.1 dropped those before 5.2; a resize still works
        "unsupported",
        "This QEMU no longer has the domain's machine type, and libvirt accepts no new definition of it.",
        "Give the domain a newer machine type first: virsh edit.",
    ),
    _Meaning(
        r"overlaps with other memory device",
        "unsupported",
        "Another memory device is at this guest_address.",
        "Omit the option, and libvirt chooses a free address.",
    ),
    _Meaning(
        r"NUMA node \d+ is unavailable|cellNum in virHostMemGetStats",
        "unsupported",
        "The host has no such NUMA node.",
        "Check the options node_mask and placement.nodeset.",
    ),
    _Meaning(
        r"unable to map backing store|Cannot allocate memory|hugetlbfs|hugepage path",
        "host_lacks_memory",
        "The host can't back the memory with the requested pages.",
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
        "host_memory_info shows which features it supports, and why it lacks others.",
    ),
    _Meaning(
        r"[Ss][Gg][Xx].*(isn't|not) supported",
        "unsupported",
        "This host has no SGX, and no guest can have EPC memory.",
        "Leave the device out, or use a host with SGX.",
    ),
    _Meaning(
        r"can't open backing store",
        "unsupported",
        "QEMU can't open the file that backs the device.",
        "Check that the option path names a file or device of the hypervisor, and that QEMU's user may read and write it.",
    ),
    _Meaning(
        r"not available in session mode|memory controller is not mounted",
        "unsupported",
        "This daemon can't set memory limits or host nodes: it has no control groups.",
        "Use qemu:///system, on a host that mounts the memory controller.",
    ),
    _Meaning(
        r"cannot limit locked memory",
        "unsupported",
        "The hypervisor's daemon may not lock as much memory as the guest needs.",
        "A hard_limit and locked memory need a daemon with CAP_SYS_RESOURCE.",
    ),
    _Meaning(
        r"than or equal to swap_hard_limit|Invalid value .* for 'memory\.memsw",
        "unsupported",
        "swap_hard_limit counts memory and swap together: it needs a hard_limit that is not larger.",
        "Give both, or neither.",
    ),
    _Meaning(
        r"memory\.(limit_in_bytes|max).*Device or resource busy",
        "guest_needs_memory",
        "The guest's process uses more than the new limit, and the kernel could not reclaim enough.",
        "Set a higher limit, or take memory from the guest first.",
    ),
    _Meaning(
        r"No space left on device",
        "libvirt_error",
        "The hypervisor's disk is full, and libvirt could not store its files.",
        "Make room where libvirt keeps its definitions, and run the task again: it does the remaining steps.",
    ),
    _Meaning(
        r"non unique alias detected|slot '\d+' is already being used|device with the same address",
        "domain_busy",
        "Another client added a device with this alias, slot or address at the same time.",
        "Run the task again.",
    ),
    _Meaning(
        r"higher than max memory|without the balloon device",
        "unsupported",
        "The balloon can't do that: it takes from boot memory and DIMMs, and gives back what it took.",
        "Give the guest more with the option memory, which uses its virtio-mem devices.",
    ),
    # Whatever else a version, a driver or a model does not have. Last: many of the texts above say so, too.
    _Meaning(
        r"transient domains do not have|failed to validate against schema|mutually exclusive"
        r"|(is|are) not (supported|allowed)\b|does not support|not supported by QEMU|(is|are) only supported|only '.*' address"
        r"|unsupported flags|doesn't take value|is required for model|required for virtio-pmem|different page size"
        r"|two master hugepages|hugepages of sizes|must be specified when|slot count must be specified|modified with this API",
        "unsupported",
        "This libvirt, QEMU or domain can't do that.",
        "See libvirt_message in details.",
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
    if number == _AUTH_FAILED and re.search(_NO_SUCH_USER, text):
        return VirtmemError(
            "permission_denied",
            "libvirt rejected the user name or password.",
            hint="Check the options auth_user (which may need its realm: user@realm) and auth_password, and that the"
            " target has the SASL mechanism that the daemon requires.",
            details=details,
        )
    if _is_denied(number, text):
        return _denied(call, details)
    # The socket's; ssh says "root@host: Permission denied (publickey)".
    if call == "open" and re.search(r"Permission denied(?! \()", text) and "ssh" not in text:
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
            f"The connection to libvirt broke during the call: {call}.",
            hint="steps lists what was done before. It is not known whether the last step was done. Run the task again.",
            details=details,
        )
    if number == _NO_DOMAIN:
        return VirtmemError(
            "domain_not_found",
            "The domain does not exist, or no longer exists.",
            hint="Check whether it was undefined or renamed meanwhile.",
            details=details,
        )
    if number == _OPERATION_TIMEOUT:
        text += " (cannot acquire state change lock)"
    for meaning in _MEANINGS:
        if re.search(meaning.pattern, text):
            error = VirtmemError(meaning.code, meaning.sentence, hint=meaning.hint, details=details)
            error.passing = meaning.pattern == _JOB
            return error
    return VirtmemError(
        "libvirt_error",
        f"libvirt could not {call}: {_tidy(text)}",
        hint="steps lists what was done before; the log of libvirt's daemon may have more.",
        details=details,
    )


def no_answer(call: str, timeout: float) -> VirtmemError:
    """libvirt itself never says so: a QEMU that does not answer its monitor holds a call for ever (9.0 to 12.8)."""
    return VirtmemError(
        "timeout",
        f"libvirt did not {call} in {timeout:g} s and reports no error: QEMU does not answer, or the daemon hangs.",
        hint="Check whether the guest's QEMU process is stopped or stuck on its disk. The call may still be carried out once"
        " that answers; then run the task again.",
        details={"call": call, "call_timeout": timeout},
    )


def is_lost(number: int, domain: int) -> bool:
    """Whether the link itself broke: the RPC layer's errors, or those of ssh transports."""
    return (domain == _DOMAIN_RPC and number in (_INTERNAL, _SYSTEM)) or number in (_LIBSSH, _LIBSSH2)


def _is_denied(number: int, text: str) -> bool:
    """Whether it is the access control that says no. A certificate that is not trusted has polkit's number, too."""
    if number == _OPERATION_DENIED:
        # On a read-only connection also "virDomainGetXMLDesc with secure flag"; the other one is about an ACPI index.
        return "changing device" not in text
    return number in (_ACCESS_DENIED, _AUTH_FAILED, _AUTH_UNAVAILABLE) and "certificate" not in text


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
