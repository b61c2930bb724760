# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes the place of libvirt, and is it, but opens only connections that can't write."""

from __future__ import annotations

import sys
from pathlib import Path

here = str(Path(__file__).resolve().parent)
sys.path = [folder for folder in sys.path if folder != here]
del sys.modules["libvirt"]

import libvirt as real  # noqa: E402

sys.modules["libvirt"] = real


def refuse(*_arguments):
    raise real.libvirtError("access denied")


open_any = real.openAuth
real.open = refuse
real.openAuth = lambda uri, auth, flags=0: open_any(uri, auth, real.VIR_CONNECT_RO)
