# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the integration targets with ansible-test, tells of each as it ends, and leaves no lab behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tools import tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import nox

FOLDER = "tests/integration/targets"
LAB = tree.ROOT / "tests/lab/lab.py"
LAB_VARIABLES = ("VIRTMEM_LAB_", "XDG_CACHE_HOME")
STARTS = re.compile(r"^Running (\S+) integration test (?:role|script)$")
FAILS = "ERROR: "  # ansible-test's own word; what Ansible says of a task may yet be ignored or rescued


def names() -> list[str]:
    """Every target that a person can ask for, which leaves out the roles that others depend on."""
    found = (path.parent for path in (tree.ROOT / FOLDER).glob("*/aliases"))
    return sorted(path.name for path in found if "hidden" not in (path / "aliases").read_text().split())


def run(session: nox.Session, place: Path, python: str, wanted: list[str]) -> bool:
    """Run the targets in one go, all of them whatever becomes of each."""
    wanted = wanted or names()
    unknown = sorted(set(wanted) - set(names()))
    if unknown or not wanted:
        print("no such target:", *unknown, "| there are:", *names())
        return False
    lab_name = os.environ.get("VIRTMEM_LAB_NAME", f"test-{os.getpid()}")
    environment = {**os.environ, **session.env, "PATH": f"{session.bin}:{os.environ['PATH']}"}
    # ansible-test hands on no variables of the environment; this file is its way.
    facts = {
        "virtmem_lab_name": lab_name,
        "virtmem_lab_script": str(LAB),
        "virtmem_lab_environment": {
            name: value for name, value in os.environ.items() if name.startswith(LAB_VARIABLES)
        },
    }
    (place / "tests/integration/integration_config.yml").write_text(json.dumps(facts))
    try:
        results = _watch([*_command(python), *wanted], place, {k: v for k, v in environment.items() if v is not None})
    finally:
        subprocess.run([python, str(LAB), "down", "--name", lab_name], check=False)
        shutil.rmtree(place / "tests/output", ignore_errors=True)
    print()
    for name in wanted:
        print(_row(name, *results.get(name, ("not run", 0.0))))
    passed = sum(result[0] == "ok" for result in results.values())
    print(f"{passed} of {len(wanted)} targets passed", flush=True)
    return passed == len(wanted)


def _command(python: str) -> list[str]:
    """Let the controller be the venv's Python, and the target the system's, which has libvirt."""
    ask = "import sys; print('{}.{}'.format(*sys.version_info))"
    theirs = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    ours = "{}.{}".format(*sys.version_info)
    return [
        *("ansible-test", "integration", "--color", "no", "--truncate", "0", "--diff"),
        *("--continue-on-error", "--allow-destructive", "--allow-root", "--allow-unsupported"),
        *("--controller", f"origin:python={ours}", "--target", f"controller:python={theirs}@{python}"),
    ]


def _watch(command: list[str], place: Path, environment: dict[str, str]) -> dict[str, tuple[str, float]]:
    results: dict[str, tuple[str, float]] = {}
    process = subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    before: list[str] = []
    for name, output, seconds in _targets(process, before):
        failed = any(line.startswith(FAILS) for line in output)
        results[name] = ("FAILED" if failed else "ok", seconds)
        if failed:
            print("".join(output).rstrip())
        print(_row(name, *results[name]), flush=True)
    if process.wait() and not any(result[0] == "FAILED" for result in results.values()):
        print("".join(before))
        return {}
    return results


def _targets(process: subprocess.Popen[str], before: list[str]) -> Iterator[tuple[str, list[str], float]]:
    """Cut the output where the next target starts; what comes before the first goes to `before`."""
    name, output, started = "", before, time.monotonic()
    for line in process.stdout or ():
        starts = STARTS.match(line)
        if starts:
            if name:
                yield name, output, time.monotonic() - started
            name, output, started = starts[1], [], time.monotonic()
            print(f"{name:<32} ...", flush=True)
        output.append(line)
    if name:
        yield name, output, time.monotonic() - started


def _row(name: str, result: str, seconds: float) -> str:
    return f"{name:<32} {result:<7} {seconds:5.0f} s"
