# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Says which Python is needed before anything that an older one can't read; ansible-core 2.16 to 2.19 serve older ones."""

import json
import sys

_OLDEST = (3, 9)


def require_python() -> None:
    """Leave with a result that Ansible understands, instead of a traceback, where this Python is too old."""
    if sys.version_info >= _OLDEST:
        return
    present = ".".join(str(part) for part in sys.version_info[:3])
    result = {
        "failed": True,
        "changed": False,
        "error_code": "unsupported",
        "msg": f"virtmem.libvirt needs Python 3.9 or later on the target, and {sys.executable} is {present}.",
        "hint": "Point ansible_python_interpreter at a newer Python that has the packages python3-libvirt and python3-lxml.",
        "details": {"interpreter": sys.executable, "python": present},
    }
    sys.stdout.write(json.dumps(result) + "\n")
    raise SystemExit(1)
