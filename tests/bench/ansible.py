# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a play several times in one ansible-playbook, and says how long its tasks took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable  # the target's, which has libvirt and lxml
PATIENCE = 900  # seconds for one play and all of its rounds


# What makes Ansible keep the target's Python from one task to the next.
ASK_MITOGEN = "import ansible_mitogen; print(ansible_mitogen.__path__[0])"


def with_mitogen():
    """Return the environment in which a play runs with Mitogen."""
    folder = subprocess.run(["python", "-c", ASK_MITOGEN], check=True, capture_output=True, text=True).stdout.strip()
    return {
        "ANSIBLE_STRATEGY_PLUGINS": f"{folder}/plugins/strategy",
        "ANSIBLE_STRATEGY": "mitogen_linear",
        # Mitogen lists every collection that is installed, before each task that is not one of ansible.builtin's. What we
        # compare ourselves with brings the package `ansible` along, and that 93 of them.
        "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "False",
    }


def play(name, rounds, more_environment=None, interpreter=PYTHON, **facts):
    """Return {tag: [seconds, one number for each round]}.

    A round is the whole play, so that what is compared takes turns. A task's tag says on whose account its time goes;
    tasks with the same tag in a row are one thing. What a `program` (ansible.builtin.command) took is its own time,
    without Ansible's.
    """
    programs = {"bench_python": PYTHON, "bench_programs": str(HERE / "programs")}
    facts = {**facts, **programs, "ansible_python_interpreter": interpreter}
    with tempfile.TemporaryDirectory() as folder:
        laps = Path(folder, "laps")
        environment = dict(
            os.environ,
            ANSIBLE_CALLBACK_PLUGINS=str(HERE / "callback_plugins"),
            ANSIBLE_STDOUT_CALLBACK="stopwatch",
            ANSIBLE_LOCALHOST_WARNING="False",
            ANSIBLE_INVENTORY_UNPARSED_WARNING="False",
            VIRTMEM_STOPWATCH=str(laps),
            **(more_environment or {}),
        )
        command = ["ansible-playbook", "-e", json.dumps(facts), *[str(HERE / "plays" / f"{name}.yml")] * rounds]
        if subprocess.run(command, check=False, env=environment, timeout=PATIENCE).returncode:
            sys.exit(f"plays/{name}.yml failed")
        return accounts([json.loads(line) for line in laps.read_text().splitlines()])


def accounts(laps):
    """Add up laps by tag."""
    result = {}
    for tag, group in groupby(laps, key=lambda lap: lap["tags"][0] if lap["tags"] else None):
        if tag:
            result.setdefault(tag, []).append(sum(lap["own" if tag == "program" else "seconds"] for lap in group))
    return result
