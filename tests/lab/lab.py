# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command line; for Python, put the folder above this one on sys.path and import the package `lab`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Not our own folder, as Python has it: there this file would be what `import lab` finds.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from lab.cli import main

    sys.exit(main())
