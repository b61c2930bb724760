# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the integration targets with ansible-test, several at a time, tells of each as it ends, and leaves no lab behind.

A target mostly waits for a guest, so two fit on a core. Each worker has a home, a copy of the collection and a lab of its
own (two that shared a home would both make ansible-test's key there); the lab stays up from one target to the next, as long
as they are for the same hypervisor.
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tools import tree

FOLDER = tree.ROOT / "tests/integration/targets"
LAB = tree.ROOT / "tests/lab/lab.py"
LAB_VARIABLES = ("VIRTMEM_LAB_", "VIRTMEM_CORPUS", "XDG_CACHE_HOME")
WORKERS = 2 * (os.cpu_count() or 1)
HOST_MEMORY = ("domain_memory_pages", "host_memory")  # one sets huge pages aside, the other counts on what is left
CANNOT_HERE = 77  # what lab.py says of a hypervisor that this machine can't have


def names() -> list[str]:
    """Every target that a person can ask for, which leaves out the roles that others depend on."""
    found = (path.parent for path in FOLDER.glob("*/aliases"))
    return sorted(path.name for path in found if "hidden" not in (path / "aliases").read_text().split())


def hypervisors(python: str) -> list[str]:
    """Every generation of libvirt and QEMU that the lab knows."""
    told = subprocess.run([python, str(LAB), "hypervisors", "--json"], check=True, capture_output=True, text=True)
    return list(json.loads(told.stdout))


def chosen_hypervisor() -> str:
    """The one that a person asks for by the lab's own variable, or what is installed."""
    return os.environ.get("VIRTMEM_LAB_HYPERVISOR") or "distribution"


@dataclass(frozen=True)
class Job:
    """One target on one hypervisor."""

    hypervisor: str
    target: str


@dataclass(frozen=True)
class Result:
    """What came of a job."""

    passed: bool
    seconds: float

    def __str__(self) -> str:
        return f"{'ok' if self.passed else 'FAILED':<7} {self.seconds:4.0f} s"


@dataclass
class Worker:
    """Who runs one target after the other: where, with which environment, in which lab."""

    place: Path
    environment: dict[str, str]
    lab: str
    python: str
    hypervisor: str = ""

    def move_to(self, hypervisor: str) -> None:
        """Leave the lab of another hypervisor; the next target brings up one of this."""
        if hypervisor == self.hypervisor:
            return
        self.leave()
        self.hypervisor = hypervisor
        lab_environment = {name: value for name, value in os.environ.items() if name.startswith(LAB_VARIABLES)}
        # ansible-test hands on no variables of the environment, but this file.
        facts = {
            "virtmem_lab_name": self.lab,
            "virtmem_lab_script": str(LAB),
            "virtmem_lab_environment": {**lab_environment, "VIRTMEM_LAB_HYPERVISOR": hypervisor},
        }
        (self.place / "tests/integration/integration_config.yml").write_text(json.dumps(facts))

    def leave(self) -> None:
        """Take down the lab, and what a target that was killed may have left beside it."""
        for name in (self.lab, f"{self.lab}-s"):
            subprocess.run([self.python, str(LAB), "down", "--name", name], check=False)

    def versions(self) -> str:
        """What the lab runs, in words; nothing where it is not up, or where a target that failed left it in disorder."""
        status = [self.python, str(LAB), "status", "--name", self.lab, "--json"]
        told = subprocess.run(status, check=False, capture_output=True, text=True)
        if told.returncode:
            return ""
        facts = json.loads(told.stdout)
        return f"libvirt {facts['libvirt']}, QEMU {facts['qemu']}" if facts["running"] else ""

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )


@dataclass
class Run:
    """The targets to run, on which hypervisors, with which Pythons, in which environments; and what came of them."""

    wanted: list[str]
    hypervisors: list[str]
    python: str
    controller: str  # the version of the venv's own
    environments: list[dict[str, str]]  # one for each worker
    must_have_all: bool = False  # or may skip a hypervisor that this machine can't have
    results: dict[Job, Result] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    ready: dict[str, Future[str]] = field(default_factory=dict)
    alone: dict[str, threading.Lock] = field(init=False)  # huge pages are the machine's: no target beside itself
    versions: dict[str, str] = field(default_factory=dict)  # what each hypervisor is, in words
    speaking: threading.Lock = field(default_factory=threading.Lock)

    def all(self) -> bool:
        """Run all of them, whatever becomes of each, and end with a table."""
        self.alone = {target: threading.Lock() for target in self.wanted}
        self.alone |= dict.fromkeys(HOST_MEMORY, threading.Lock())
        # A Debian guest boots more than once in a role's target: begun last, it would be the only one at the end.
        order = sorted(self.wanted, key=lambda target: not target.startswith("role_"))
        jobs = [Job(hypervisor, target) for hypervisor in self.hypervisors for target in order]
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        # One hypervisor is set up after the other, while targets run on those that are there.
        with ThreadPoolExecutor(1) as setting_up:
            self.ready = {name: setting_up.submit(self._prepare, name) for name in self.hypervisors}
            self._work_off(waiting, min(len(self.environments), len(jobs)))
        print()
        print("\n".join(self._table()))
        passed = sum(result.passed for result in self.results.values())
        print(f"{passed} of {len(self.results)} targets passed", flush=True)
        return passed == len(self.results) and not (self.unavailable and self.must_have_all)

    def _work_off(self, waiting: queue.SimpleQueue[Job], count: int) -> None:
        workers = [
            Worker(tree.arrange(f"integration-{number}"), environment, f"t{os.getpid()}-{number}", self.python)
            for number, environment in enumerate(self.environments[:count])
        ]
        try:
            with ThreadPoolExecutor(count) as pool:
                for work in [pool.submit(self._work, waiting, worker) for worker in workers]:
                    work.result()
        finally:
            for worker in workers:
                worker.leave()

    def _prepare(self, hypervisor: str) -> str:
        """Set it up; return why this machine can't have it, or nothing."""
        command = [self.python, str(LAB), "prepare", hypervisor]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)
        if ended.returncode == 0:
            return ""
        if ended.returncode != CANNOT_HERE:
            raise RuntimeError(ended.stderr)
        told = ended.stderr.strip().rsplit("\n", 1)[-1]
        self.unavailable[hypervisor] = f"{'FAILED' if self.must_have_all else 'skipped'}: {hypervisor}: {told}"
        self._say(self.unavailable[hypervisor])
        return told

    def _work(self, waiting: queue.SimpleQueue[Job], worker: Worker) -> None:
        command = _command(self.python, self.controller)
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            if self.ready[job.hypervisor].result():
                continue
            worker.move_to(job.hypervisor)
            with self.alone[job.target]:
                self._target(job, [*command, job.target], worker)

    def _target(self, job: Job, command: list[str], worker: Worker) -> None:
        self._say(f"{self._name(job)} ...")
        started = time.monotonic()
        ended = worker.run(command)
        passed, seconds = ended.returncode == 0, time.monotonic() - started
        self.results[job] = Result(passed, seconds)
        if job.hypervisor not in self.versions and (told := worker.versions()):
            self.versions[job.hypervisor] = told
        self._report()
        told = re.findall(r'"msg": "(skipped: .*)"', ended.stdout) if passed else [ended.stdout.rstrip()]
        self._say("\n".join([*told, f"{self._name(job)} {self.results[job]}"]))

    def _say(self, text: str) -> None:
        with self.speaking:
            print(text, flush=True)

    def _name(self, job: Job) -> str:
        if len(self.hypervisors) == 1:
            return f"{job.target:<36}"
        return f"{job.target:<36} {job.hypervisor:<13}"

    def _report(self) -> None:
        """Leave for the test matrix which target passed so far, by what each hypervisor is."""
        told: dict[str, dict[str, bool]] = {}
        with self.speaking:
            for job, result in list(self.results.items()):  # others still add to it
                if job.hypervisor in self.versions:
                    told.setdefault(self.versions[job.hypervisor], {})[job.target] = result.passed
            reports = tree.WORK / "reports"
            reports.mkdir(exist_ok=True)
            (reports / "integration.json").write_text(json.dumps(told))

    def _table(self) -> list[str]:
        """A line for each target, with a column for each hypervisor."""
        there = [name for name in self.hypervisors if name not in self.unavailable]
        lines = [f"{'':<36}" + "".join(f" {name:<16}" for name in there)] if len(self.hypervisors) > 1 else []
        for target in self.wanted:
            cells = (f" {self.results[Job(name, target)]!s:<16}" for name in there)
            lines.append(f"{target:<36}" + "".join(cells))
        return [line.rstrip() for line in lines] + list(self.unavailable.values())


def _command(python: str, ours: str) -> list[str]:
    """Let the controller be the venv's Python, and the target the system's, which has libvirt."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    theirs = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    return [
        *("ansible-test", "integration", "--color", "no", "--truncate", "0", "--diff"),
        *("--allow-destructive", "--allow-root", "--allow-unsupported"),
        *("--controller", f"origin:python={ours}", "--target", f"controller:python={theirs}@{python}"),
    ]
