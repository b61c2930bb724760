# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs what belongs together although one of it failed, and says at the end what came of each."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nox.command import CommandFailed

from tools import tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 20  # seconds without news, after which the parts that still run say where they are


@dataclass(frozen=True)
class Part:
    """One session and what came of it."""

    name: str
    log: Path
    seconds: float = 0.0
    passed: bool = False

    def row(self) -> str:
        """Its line in the table, and while others still run."""
        return f"{self.name:<12} {'ok' if self.passed else 'FAILED':<7} {self.seconds:5.0f} s"

    def where(self, started: float) -> str:
        """How far it has come: its log's last line."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{self.name:<12} ...     {time.monotonic() - started:5.0f} s  {last[:100]}"


def all_of(*steps: Callable[[], object]) -> None:
    """Take every step; fail after the last if one failed."""
    failed = 0
    for step in steps:
        try:
            step()
        except CommandFailed:
            failed += 1
    if failed:
        message = f"{failed} of {len(steps)} steps failed"
        raise CommandFailed(message)


def run(lanes: list[list[str]], words: dict[str, list[str]], log_folder: Path) -> bool:
    """Run lanes of sessions side by side, some with words of their own; print a failed one's output, a table, the count."""
    log_folder.mkdir(parents=True, exist_ok=True)
    news: queue.Queue[Part] = queue.Queue()
    running: dict[str, tuple[Part, float]] = {}
    for lane in lanes:
        parts = [Part(name, log_folder / f"{name}.log") for name in lane]
        threading.Thread(target=_drive, args=(parts, words, running, news), daemon=True).start()
    order = [name for lane in lanes for name in lane]
    done: list[Part] = []
    while len(done) < len(order):
        done.append(_next(news, running))
    print()
    for part in sorted(done, key=lambda part: order.index(part.name)):
        print(part.row())
    passed = sum(part.passed for part in done)
    print(f"{passed} passed, {len(done) - passed} failed", flush=True)
    return passed == len(done)


def _drive(
    parts: list[Part],
    words: dict[str, list[str]],
    running: dict[str, tuple[Part, float]],
    news: queue.Queue[Part],
) -> None:
    for part in parts:
        started = time.monotonic()
        part.log.unlink(missing_ok=True)
        running[part.name] = (part, started)
        passed = _session(part, words.get(part.name, []))
        del running[part.name]
        news.put(Part(part.name, part.log, time.monotonic() - started, passed))


def _session(part: Part, words: list[str]) -> bool:
    command = [sys.executable, "-m", "nox", "--noxfile", str(tree.ROOT / "noxfile.py")]
    command += ["--envdir", str(tree.WORK / "venvs"), "--session", part.name, "--", *words]
    with part.log.open("wb") as log:
        return subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _next(news: queue.Queue[Part], running: dict[str, tuple[Part, float]]) -> Part:
    while True:
        try:
            part = news.get(timeout=PATIENCE)
        except queue.Empty:
            for other, started in list(running.values()):
                print(other.where(started), flush=True)
            continue
        if not part.passed:
            print(f"----- {part.name}\n{part.log.read_text(errors='replace').rstrip()}\n-----")
        print(part.row(), flush=True)
        return part
