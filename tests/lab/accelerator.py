# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""KVM, where a guest really boots under it: /dev/kvm may be there, open, and of no use."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import libvirt

from .errors import LabError

if TYPE_CHECKING:
    from .laboratory import Lab

CHOICES = ("tcg", "kvm", "auto")
_PROBE = "kvm-probe"
_TIMEOUT = 20.0


def accelerator_for(lab: Lab, wanted: str) -> str:
    """Return `tcg` or `kvm`; a lab asks once and keeps the answer."""
    if wanted not in CHOICES:
        raise LabError(f"no accelerator {wanted!r}; there are {', '.join(CHOICES)}")
    if wanted == "tcg":
        return wanted
    trouble = _trouble(lab)
    if trouble and wanted == "kvm":
        raise LabError(f"no guest boots under KVM here: {trouble}")
    return "tcg" if trouble else "kvm"


def _trouble(lab: Lab) -> str | None:
    """Boot a guest under KVM; return what was in the way."""
    try:
        lab.start_guest(_PROBE, transient=True, timeout=_TIMEOUT, accelerator="kvm")
    except (LabError, libvirt.libvirtError) as error:
        return str(error)
    finally:
        with contextlib.suppress(libvirt.libvirtError):
            lab.guest(_PROBE).stop()
    return None
