# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""./run bench: measures, shows a table, and writes it into the documentation.

Needs ansible-playbook on PATH, and the collection and community.libvirt where Ansible finds them.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Not our own folder, as Python has it: there this file would be what `import bench` finds.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from bench.course import main

    sys.exit(main())
