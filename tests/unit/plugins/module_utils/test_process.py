# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that has many tasks, with the real libvirt: its own test driver, which needs no daemon."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

COLLECTIONS = Path(__file__).resolve().parents[7]
PYTHON = "/usr/bin/python3"  # the one that has the distribution's libvirt
TASKS = """
import json, os, threading
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor as _hypervisor

def state():
    return {"threads": [thread.name for thread in threading.enumerate()], "files": len(os.listdir("/proc/self/fd"))}

states = []
for number in range(100):
    hypervisor = _hypervisor.connect("test:///default", False)
    domain = hypervisor.domain("test")
    with domain.watch():
        assert domain.state().active
        during = threading.active_count()
    hypervisor.close()
    states.append(state())
print(json.dumps({"during": during, "states": states}))
"""


def has_libvirt():
    return not subprocess.run([PYTHON, "-c", "import libvirt"], check=False, capture_output=True).returncode


@pytest.mark.skipif(not Path(PYTHON).exists() or not has_libvirt(), reason="the system's Python has no libvirt")
def test_nothing_stays_from_one_task_to_the_next():
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [PYTHON, "-c", TASKS], check=False, capture_output=True, text=True, timeout=120, env=environment
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert told["during"] == 3, "one thread runs the event loop, and one makes calls"
    assert [state["threads"] for state in told["states"]] == [["MainThread"]] * 100
    assert len({state["files"] for state in told["states"]}) == 1
