# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does to a guest's stored definition what a person does with an editor.

edit.py LAB_SCRIPT LAB GUEST PATTERN REPLACEMENT
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path[0] = str(Path(sys.argv[1]).resolve().parent.parent)

from lab import Lab  # noqa: E402


def main(name, guest_name, pattern, replacement):
    lab = Lab.attach(name)
    before = lab.guest(guest_name).xml(config=True)
    after = re.sub(pattern, replacement, before, flags=re.DOTALL)
    if after == before:
        sys.exit(f"{pattern} is not in the definition of {guest_name}")
    lab.connection.defineXML(after)


main(*sys.argv[2:])
