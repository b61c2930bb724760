# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How libvirt says no, as it comes through the one door."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import errors

# libvirt's numbers (virErrorNumber), and what it puts before the text (virErrorMsg).
INTERNAL = 1
INVALID_ARG = 8
XML = 27
DENIED = 29
XML_DETAIL = 35
NO_DOMAIN = 42
INVALID = 55
UNSUPPORTED = 67
NO_DEVICE = 99
_PREFIX = {
    INTERNAL: "internal error: ",
    INVALID_ARG: "invalid argument: ",
    XML: "XML error: ",
    DENIED: "operation forbidden: ",
    INVALID: "Requested operation is not valid: ",
    UNSUPPORTED: "unsupported configuration: ",
    NO_DEVICE: "device not found: ",
}
_DOING = {"live": "change the running guest", "config": "change the stored definition"}
_QEMU = 10  # virErrorDomain


def refusal(doing: str, number: int, text: str, source: int = _QEMU) -> VirtmemError:
    """What the real door makes of libvirt's error. `doing`: the scope of a write, or what a read is called."""
    return errors.translate(_DOING.get(doing, doing), number, source, _PREFIX.get(number, "") + text)


def refuse(doing: str, number: int, text: str) -> t.NoReturn:
    raise refusal(doing, number, text)
