# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that modules share, as argument spec; their documentation is in doc_fragments of the same names.

First of all it says which Python is needed, before anything that an older one can't read: ansible-core 2.16 to 2.19 serve
older ones.
"""

import json
import sys
import typing as t

from ansible.module_utils.basic import env_fallback

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


require_python()  # here, because this is the first file that a module imports

Spec = dict[str, t.Any]


def connection_spec() -> Spec:
    return {
        "uri": {"type": "str", "fallback": (env_fallback, ["LIBVIRT_DEFAULT_URI"]), "default": "qemu:///system"},
        "auth_user": {"type": "str"},
        "auth_password": {"type": "str", "no_log": True},
    }


def change_spec() -> Spec:
    """For modules that change memory: where, how long to wait, and which guards hold."""
    return {
        "scope": {"type": "str", "choices": ["auto", "live", "config", "both"], "default": "auto"},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 120},
        "on_partial": {"type": "str", "choices": ["fail", "warn", "settle", "rollback"], "default": "fail"},
        "check_guest_memory": {"type": "bool", "default": True},
        "guest_reserve": {"type": "str", "default": "128MiB"},
        "check_host_memory": {"type": "bool", "default": True},
    }
