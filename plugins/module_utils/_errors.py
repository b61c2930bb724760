# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way this collection says no: a code, a sentence with the numbers, and what to do about it. Pure."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager

# The table that the documentation prints, too. Codes are stable: playbooks branch on them.
ERROR_CODES: t.Final[t.Mapping[str, str]] = {
    "domain_not_found": "No such domain on this hypervisor, or it went away.",
    "device_not_found": "The domain has no such virtio-mem device, and the task has not enough options to add one.",
    "device_ambiguous": "More than one device matches the task.",
    "invalid_size": "Not a size: no unit, an unknown unit, a negative number or a part of a byte.",
    "not_multiple_of_block": "The size is not a whole number of blocks.",
    "block_invalid": "The block size is not a power of two, or smaller than the host allows, or unknown.",
    "exceeds_device_size": "The task requests more than the size of the device.",
    "exceeds_max_memory": "The domain's maxMemory has no room, or no slot, for the device.",
    "node_not_found": "The guest has no such NUMA node, or it has several and the task names none.",
    "not_hotpluggable": "The domain is not prepared for memory devices.",
    "immutable": "The running guest can't make this change.",
    "unplug_unsupported": "This QEMU or machine type can't unplug a virtio-mem device.",
    "partial": "The guest gave back or took only a part.",
    "timeout": "The guest, or libvirt for it, did not react in time.",
    "guest_needs_memory": "The guest's statistics show that it needs the memory.",
    "host_lacks_memory": "The host does not have enough memory.",
    "domain_busy": "Another job holds the domain.",
    "connection_failed": "No connection to libvirt.",
    "connection_lost": "The connection to libvirt broke during the task.",
    "permission_denied": "libvirt does not allow this user the call.",
    "missing_library": "A Python library is missing on the target.",
    "unsupported": "This libvirt, QEMU, architecture or domain state does not support the task.",
    "libvirt_error": "libvirt or QEMU refused for a reason that this collection does not know.",
}


def on_one_line(text: str) -> str:
    """A sentence that may hold others' words: what would end a line, or steer a terminal, as Python writes it (\\n, \\x1b)."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class VirtmemError(Exception):
    """A refusal or failure, in the words that the user reads.

    Attributes: `code` is a key of `ERROR_CODES`; `message` is one sentence with the numbers in it; `hint` says what
    to do; `details` holds the same numbers for programs (sizes in bytes) and libvirt's own text where there is one.
    `passing`: another job holds the domain, which will end: the same call can succeed later.
    """

    def __init__(self, code: str, message: str, *, hint: str = "", details: t.Mapping[str, t.Any] | None = None):
        if code not in ERROR_CODES:
            raise KeyError(code)
        message = on_one_line(message)
        super().__init__(message)
        self.code = code
        self.passing = False
        self.message = message
        self.hint = on_one_line(hint)
        self.details: dict[str, t.Any] = dict(details or {})

    def amended(self, *, prefix: str = "", suffix: str = "", hint: str | None = None) -> VirtmemError:
        """The same error, with more said of it; `hint` replaces the one that it has."""
        self.message = on_one_line(f"{prefix}{self.message}{suffix}")
        self.args = (self.message,)
        self.hint = self.hint if hint is None else on_one_line(hint)
        return self


def failure_facts(error: VirtmemError) -> dict[str, t.Any]:
    return {"error_code": error.code, "details": error.details, "hint": error.hint}


@contextmanager
def at(place: str) -> t.Iterator[None]:
    """Errors of the block name the element of `devices` that they are about, if the task has such a list."""
    try:
        yield
    except VirtmemError as error:
        raise error.amended(prefix=f"{place}: " if place else "") from None
