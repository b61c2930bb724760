# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands in for the target's Python: runs what Ansible gives it, and notes what that took.

weigh.py FILE ARGUMENTS: appends a line of JSON to FILE: the module, the peak of its memory in bytes, its requests to libvirt.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

# libvirt's client library tells of each message to the daemon; a call is of type 0, and the keepalive is no call.
CALL = b" prog=536903814 vers=1 proc="
REQUEST = b" type=0 "


def main(file, *arguments):
    with tempfile.NamedTemporaryFile() as log:
        environment = dict(os.environ, LIBVIRT_LOG_FILTERS="2:rpc", LIBVIRT_LOG_OUTPUTS=f"2:file:{log.name}")
        code = subprocess.run([sys.executable, *arguments], check=False, env=environment).returncode
        calls = sum(b"TX_QUEUE" in line and CALL in line and REQUEST in line for line in log)
    module = Path(arguments[0]).stem.removeprefix("AnsiballZ_") if arguments else ""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    with open(file, "a", encoding="utf-8") as weights:
        weights.write(json.dumps({"module": module, "peak": peak, "calls": calls}) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
