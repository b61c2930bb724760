# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tests with each ansible-core, keeps what came of them in matrix.json, and writes the page of the docs from it.

A cell holds how many cases passed (and how many did not), and when: a part that is run again replaces its own cells alone.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass

from tools import pythons, tree

RESULTS = tree.ROOT / "tests/matrix.json"
PAGE = tree.ROOT / "docs/docsite/rst/test_matrix.rst"
REPORT = tree.WORK / "reports/integration.json"
PARTS = ("sanity", "portability", "integration")

# Sanity tests that an ansible-core can't do everywhere, and why.
SANITY_WITHOUT = {
    # Its pep8 wants a line of its own for the body of a protocol's method; its pylint takes a field's first None for
    # all that it will ever be.
    "2.16.19": ["--skip-test", "pep8", "--skip-test", "pylint"],
    "2.22.0rc1": ["--skip-test", "pylint"],  # its dill comes from GitHub alone, not from a package index
}


@dataclass(frozen=True)
class Core:
    """A column: an ansible-core, and the Python of its controller."""

    version: str
    python: str

    @property
    def title(self) -> str:
        return f"ansible-core {self.version}, Python {self.python}"


def cores() -> list[Core]:
    """Every column, oldest first."""
    text = (tree.ROOT / "requirements/cores.txt").read_text()
    pins = re.findall(r'^ansible-core==(\S+); python_version == "([\d.]+)"$', text, re.MULTILINE)
    return [Core(version, python) for version, python in pins]


def run(words: list[str]) -> bool:
    """Run the parts that are asked for (all), with the cores that are (all; integration: oldest and newest)."""
    parts = [part for part in PARTS if part in words] or list(PARTS)
    columns = cores()
    wanted = [core for core in columns if core.version in words or core.version.rsplit(".", 1)[0] in words]
    unknown = set(words) - set(PARTS) - {name for c in columns for name in (c.version, c.version.rsplit(".", 1)[0])}
    if unknown:
        sys.exit(f"neither a part nor an ansible-core: {', '.join(sorted(unknown))}")
    passed = True
    for core in wanted or columns:
        for part in parts:
            if part == "integration" and not wanted and core not in (columns[0], columns[-1]):
                continue
            passed &= _cell(part, core)
    return passed


def _cell(part: str, core: Core) -> bool:
    python = pythons.find(core.python)
    if not python:
        print(f"skipped: {part}, {core.title}: no such Python on this machine", flush=True)
        return True
    print(f"{part:<12} {core.title} ...", flush=True)
    REPORT.unlink(missing_ok=True)
    log = tree.WORK / "logs" / f"matrix-{core.version}-{part}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        ended = subprocess.run(
            _command(part, core),
            env={
                **os.environ,
                "VIRTMEM_CORE": core.version,
                "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",  # where nox looks for it
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            check=False,
        )
    rows = _ROWS[part](log.read_text(errors="replace"))
    _keep({row: cell for row, cell in rows.items() if cell != (0, 0)}, core)
    told = "; ".join(f"{row}: {_words(cell)}" for row, cell in rows.items())
    print(
        f"{part:<12} {core.title}: {told or 'nothing'}" + ("" if ended.returncode == 0 else f" FAILED, see {log}"),
        flush=True,
    )
    return ended.returncode == 0


def _command(part: str, core: Core) -> list[str]:
    more = {
        "sanity": SANITY_WITHOUT.get(core.version, []),
        "portability": [] if core == cores()[-1] else [pythons.OLDEST, core.python],
        "integration": ["--all-hypervisors"],
    }[part]
    return [
        *(sys.executable, "-m", "nox", "--noxfile", str(tree.ROOT / "noxfile.py")),
        *("--envdir", str(tree.WORK / "venvs" / f"core-{core.version}"), "--force-python", core.python),
        *("--session", part, "--", *more),
    ]


Cells = dict[str, tuple[int, int]]  # by row: how many passed, and how many did not


def _sanity(log: str) -> Cells:
    tests = set(re.findall(r'^Running sanity test "([\w-]+)"', log, re.MULTILINE))
    listed = re.search(r"^FATAL: The \d+ sanity test\(s\) listed below .*\n((?:[\w-]+\n)+)", log, re.MULTILINE)
    failed = tests & set(listed[1].split()) if listed else set()
    return {"sanity tests": (len(tests) - len(failed), len(failed))}


def _portability(log: str) -> Cells:
    """By the Python that the tests ran on; ansible-test calls pytest twice, for modules and for module_utils."""
    cells: Cells = {}
    version = ""
    for line in log.splitlines():
        if found := re.match(r"Unit test \w+ with Python (\S+)", line):
            version = found[1]
        if version and re.match(r"=+ .*\b(passed|failed)\b.* in ", line):
            passed, failed = (int((re.search(rf"(\d+) {word}", line) or [0, 0])[1]) for word in ("passed", "failed"))
            before = cells.get(row := f"unit tests, Python {version} on the target", (0, 0))
            cells[row] = (before[0] + passed, before[1] + failed)
    return cells


def _integration(_log: str) -> Cells:
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    return {row: (cell["passed"], cell["failed"]) for row, cell in report.items()}


_ROWS = {"sanity": _sanity, "portability": _portability, "integration": _integration}


def _words(cell: tuple[int, int]) -> str:
    passed, failed = cell
    return f"{passed} passed, {failed} failed" if failed else f"{passed} passed"


def _keep(cells: Cells, core: Core) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    for row, cell in cells.items():
        known.setdefault(row, {})[core.title] = {"passed": cell[0], "failed": cell[1], "date": today}
    RESULTS.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    PAGE.write_text(page(known))


HEAD = """..
  GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
  SPDX-License-Identifier: GPL-3.0-or-later

.. _ansible_collections.virtmem.libvirt.docsite.test_matrix:

What was tested with what
=========================

``./run matrix`` writes this page. A cell says how many cases passed and when: for a hypervisor, a case is an integration
target, each of which runs on real guests; for the rest, a unit test or a sanity test. A cell without a number was not run.

.. list-table::
  :header-rows: 1

"""


def page(known: dict[str, dict[str, dict[str, object]]]) -> str:
    """The page of the docs: a row for each hypervisor, then one for each kind of test without."""
    titles = [core.title for core in cores()]
    rows = sorted(
        known, key=lambda row: (not row.startswith("libvirt"), [int(n) for n in re.findall(r"\d+", row)], row)
    )
    lines = [_row(["", *titles])]
    for row in rows:
        cells = (known[row].get(title) for title in titles)
        lines.append(_row([row, *(_shown(cell) for cell in cells)]))
    return HEAD + "".join(lines)


def _shown(cell: dict[str, object] | None) -> str:
    if cell is None:
        return ""
    failed = f", {cell['failed']} failed" if cell["failed"] else ""
    return f"{cell['passed']}{failed} ({cell['date']})"


def _row(cells: list[str]) -> str:
    first, *others = (f"- {cell}".rstrip() for cell in cells)
    return "".join([f"  * {first}\n", *(f"    {cell}\n" for cell in others)])
