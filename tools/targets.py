# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the integration targets with ansible-test, two at a time, tells of each as it ends, and leaves no lab behind.

A target mostly waits for a guest, so two fit on two cores. Each worker has a home, a copy of the collection and a lab of
its own (two that shared a home would both make ansible-test's key there); the lab stays up from one target to the next.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tools import tree

FOLDER = tree.ROOT / "tests/integration/targets"
LAB = tree.ROOT / "tests/lab/lab.py"
LAB_VARIABLES = ("VIRTMEM_LAB_", "VIRTMEM_CORPUS", "XDG_CACHE_HOME")
WORKERS = 2


def names() -> list[str]:
    """Every target that a person can ask for, which leaves out the roles that others depend on."""
    found = (path.parent for path in FOLDER.glob("*/aliases"))
    return sorted(path.name for path in found if "hidden" not in (path / "aliases").read_text().split())


@dataclass
class Run:
    """The targets to run, with whose Python, in which environments, and what came of those that have ended."""

    wanted: list[str]
    python: str
    environments: list[dict[str, str]]  # one for each worker
    results: dict[str, tuple[bool, float]] = field(default_factory=dict)
    speaking: threading.Lock = field(default_factory=threading.Lock)

    def all(self) -> bool:
        """Run all of them, whatever becomes of each, and end with a table."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in self.wanted:
            waiting.put(name)
        labs = [f"test-{os.getpid()}-{number}" for number in range(min(len(self.environments), len(self.wanted)))]
        trees = [tree.arrange(f"integration-{number}") for number in range(len(labs))]
        try:
            with ThreadPoolExecutor(len(labs)) as pool:
                for worker in [pool.submit(self._work, waiting, *own) for own in zip(trees, labs, self.environments)]:
                    worker.result()
        finally:
            for lab in (*labs, *(f"{lab}-s" for lab in labs)):  # what a target that was killed may have left, too
                subprocess.run([self.python, str(LAB), "down", "--name", lab], check=False)
        print()
        for name in self.wanted:
            print(self._row(name))
        passed = sum(result[0] for result in self.results.values())
        print(f"{passed} of {len(self.wanted)} targets passed", flush=True)
        return passed == len(self.wanted)

    def _work(self, waiting: queue.SimpleQueue[str], place: Path, lab: str, environment: dict[str, str]) -> None:
        _configure(place, lab)
        command = _command(self.python)
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            self._target(name, command, place, environment)

    def _target(self, name: str, command: list[str], place: Path, environment: dict[str, str]) -> None:
        self._say(f"{name:<36} ...")
        started = time.monotonic()
        ended = subprocess.run(
            [*command, name],
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        self.results[name] = (ended.returncode == 0, time.monotonic() - started)
        told = re.findall(r'"msg": "(skipped: .*)"', ended.stdout) if ended.returncode == 0 else [ended.stdout.rstrip()]
        self._say("\n".join([*told, self._row(name)]))

    def _say(self, text: str) -> None:
        with self.speaking:
            print(text, flush=True)

    def _row(self, name: str) -> str:
        passed, seconds = self.results[name]
        return f"{name:<36} {'ok' if passed else 'FAILED':<7} {seconds:4.0f} s"


def _configure(place: Path, lab: str) -> None:
    """Tell the targets which lab is theirs: ansible-test hands on no variables of the environment, but this file."""
    facts = {
        "virtmem_lab_name": lab,
        "virtmem_lab_script": str(LAB),
        "virtmem_lab_environment": {
            name: value for name, value in os.environ.items() if name.startswith(LAB_VARIABLES)
        },
    }
    (place / "tests/integration/integration_config.yml").write_text(json.dumps(facts))


def _command(python: str) -> list[str]:
    """Let the controller be the venv's Python, and the target the system's, which has libvirt."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    theirs = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    ours = "{}.{}".format(*sys.version_info)
    return [
        *("ansible-test", "integration", "--color", "no", "--truncate", "0", "--diff"),
        *("--allow-destructive", "--allow-root", "--allow-unsupported"),
        *("--controller", f"origin:python={ours}", "--target", f"controller:python={theirs}@{python}"),
    ]
