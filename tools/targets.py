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
INSTALLED = "distribution"
STEADY = "trixie"  # what is installed differs from machine to machine, and sid from day to day
CANNOT_HERE = 77  # what lab.py says of a hypervisor that this machine can't have


def names() -> list[str]:
    """Every target that a person can ask for, which leaves out the roles that others depend on."""
    return sorted(path.parent.name for path in FOLDER.glob("*/aliases") if "hidden" not in aliases(path.parent.name))


def aliases(target: str) -> set[str]:
    """What a target says of itself; to ansible-test, each is the name of a group that it is in."""
    lines = (FOLDER / target / "aliases").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def hypervisors(python: str) -> list[str]:
    """Every generation of libvirt and QEMU that the lab knows."""
    told = subprocess.run([python, str(LAB), "hypervisors", "--json"], check=True, capture_output=True, text=True)
    return list(json.loads(told.stdout))


def chosen_hypervisor() -> str:
    """The one that a person asks for by the lab's own variable, or what is installed."""
    return os.environ.get("VIRTMEM_LAB_HYPERVISOR") or INSTALLED


@dataclass(frozen=True)
class Job:
    """One target on one hypervisor."""

    hypervisor: str
    target: str


def plan(wanted: list[str], hypervisors: list[str], each_once: bool = False) -> list[Job]:
    """Every target on every hypervisor, or, each once, on the steady one: but for those that say `every_generation`."""
    # A Debian guest boots more than once in a role's target: begun last, it would be the only one at the end.
    order = sorted(wanted, key=lambda target: not target.startswith("role_"))
    return [
        Job(hypervisor, target)
        for hypervisor in hypervisors
        for target in order
        if not each_once or hypervisor == STEADY or "every_generation" in aliases(target)
    ]


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

    jobs: list[Job]
    hypervisors: list[str]
    python: str
    controller: str  # the version of the venv's own
    environments: list[dict[str, str]]  # one for each worker
    must_have_all: bool = False  # or may skip a hypervisor that this machine can't have
    results: dict[Job, Result] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)
    ready: dict[str, Future[str]] = field(default_factory=dict)
    waiting: list[Job] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)  # what a running target has for itself
    turn: threading.Condition = field(default_factory=threading.Condition)
    versions: dict[str, str] = field(default_factory=dict)  # what each hypervisor is, in words
    speaking: threading.Lock = field(default_factory=threading.Lock)

    def all(self) -> bool:
        """Run all of them, whatever becomes of each, and end with a table."""
        self.waiting = list(self.jobs)
        # One hypervisor is set up after the other, while targets run on those that are there.
        with ThreadPoolExecutor(1) as setting_up:
            needed = dict.fromkeys(job.hypervisor for job in self.jobs)
            self.ready = {name: setting_up.submit(self._prepare, name) for name in needed}
            self._work_off(min(len(self.environments), len(self.jobs)))
        print()
        print("\n".join(self._table()))
        passed = sum(result.passed for result in self.results.values())
        print(f"{passed} of {len(self.results)} targets passed", flush=True)
        return passed == len(self.results) and not (self.unavailable and self.must_have_all)

    def _work_off(self, count: int) -> None:
        workers = [
            Worker(tree.arrange(f"integration-{number}"), environment, f"t{os.getpid()}-{number}", self.python)
            for number, environment in enumerate(self.environments[:count])
        ]
        try:
            with ThreadPoolExecutor(count) as pool:
                for work in [pool.submit(self._work, worker) for worker in workers]:
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

    def _work(self, worker: Worker) -> None:
        command = _command(self.python, self.controller)
        while job := self._next():
            try:
                if here := self._possible(job):
                    worker.move_to(here.hypervisor)
                    self._target(here, [*command, here.target], worker)
            finally:
                with self.turn:
                    self.busy.discard(_has_alone(job.target))
                    self.turn.notify_all()

    def _next(self) -> Job | None:
        """Take the first job that nothing which runs is in the way of."""
        with self.turn:
            while self.waiting:
                for job in self.waiting:
                    if _has_alone(job.target) not in self.busy:
                        self.waiting.remove(job)
                        self.busy.add(_has_alone(job.target))
                        return job
                self.turn.wait()
            return None

    def _possible(self, job: Job) -> Job | None:
        """The job where this machine can have its hypervisor; else the same on what is installed, unless it runs there anyway."""
        if not self.ready[job.hypervisor].result():
            return job
        instead = Job(INSTALLED, job.target)
        return instead if INSTALLED in self.hypervisors and instead not in self.jobs else None

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
        used = {job.hypervisor for job in self.results}
        there = [name for name in self.hypervisors if name in used]
        lines = [f"{'':<36}" + "".join(f" {name:<16}" for name in there)] if len(self.hypervisors) > 1 else []
        for target in sorted({job.target for job in self.results}):
            cells = (f" {self.results.get(Job(name, target), '')!s:<16}" for name in there)
            lines.append(f"{target:<36}" + "".join(cells))
        return [line.rstrip() for line in lines] + list(self.unavailable.values())


def _has_alone(target: str) -> str:
    """What a target can't share with another that runs: huge pages are the machine's, so it is never beside itself."""
    return "host memory" if target in HOST_MEMORY else target


def _command(python: str, ours: str) -> list[str]:
    """Let the controller be the venv's Python, and the target the system's, which has libvirt."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    theirs = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    return [
        *("ansible-test", "integration", "--color", "no", "--truncate", "0", "--diff"),
        *("--allow-destructive", "--allow-root", "--allow-unsupported"),
        *("--controller", f"origin:python={ours}", "--target", f"controller:python={theirs}@{python}"),
    ]
