# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the place of libvirt, and is it, but kills the process (SIGKILL) as soon as it has made so many changes."""

from __future__ import annotations

import functools
import os
import signal
import sys
from pathlib import Path

here = str(Path(__file__).resolve().parent)
sys.path = [folder for folder in sys.path if folder != here]
del sys.modules["libvirt"]

import libvirt as real  # noqa: E402

sys.modules["libvirt"] = real

CHANGES = {
    "virDomain": (
        *("attachDeviceFlags", "updateDeviceFlags", "detachDeviceFlags", "detachDeviceAlias"),
        *("setMemoryFlags", "setMemoryStatsPeriod", "create", "shutdown"),
    ),
    "virConnect": ("defineXML",),
}
left = [int(os.environ["VIRTMEM_DIES_AFTER"])]


def counting(change):
    @functools.wraps(change)
    def changed(*arguments):
        result = change(*arguments)
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return changed


for kind, names in CHANGES.items():
    for name in names:
        setattr(getattr(real, kind), name, counting(getattr(getattr(real, kind), name)))
