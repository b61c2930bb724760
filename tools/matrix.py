# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tests with each ansible-core, keeps what came of them in matrix.json, and writes the page of the docs from it.

A cell holds how many cases passed (and how many did not), and when it was last run: what is run again, which may be a few
integration targets, replaces its own results alone.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tools import pythons, targets, tree

RESULTS = tree.ROOT / "tests/matrix.json"
PAGE = tree.ROOT / "docs/docsite/rst/test_matrix.rst"
REPORT = tree.WORK / "reports/integration.json"
PARTS = ("sanity", "portability", "integration")

# Sanity tests that an ansible-core can't do everywhere, and why.
SANITY_WITHOUT = {
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

    @property
    def names(self) -> set[str]:
        """What a person may call it: 2.16.19 or 2.16."""
        return {self.version, self.version.rsplit(".", 1)[0]}


def cores() -> list[Core]:
    """Every column, oldest first."""
    text = (tree.ROOT / "requirements/cores.txt").read_text()
    pins = re.findall(r'^ansible-core==(\S+); python_version == "([\d.]+)"$', text, re.MULTILINE)
    return [Core(version, python) for version, python in pins]


def run(words: list[str]) -> bool:
    """Run the parts that are asked for (all), with the cores that are (all; integration: oldest and newest).

    Names of integration targets restrict that part to them; VIRTMEM_LAB_HYPERVISOR to one hypervisor.
    """
    columns = cores()
    some = [word for word in words if word in targets.names()]
    parts = [part for part in PARTS if part in words] or (["integration"] if some else list(PARTS))
    wanted = [core for core in columns if core.names & set(words)]
    unknown = set(words).difference(PARTS, some, *(core.names for core in columns))
    if unknown:
        sys.exit(f"neither a part, nor an ansible-core, nor a target: {', '.join(sorted(unknown))}")
    passed = True
    for core in wanted or columns:
        for part in parts:
            if part == "integration" and not wanted and core not in (columns[0], columns[-1]):
                continue
            passed &= _cell(part, core, some)
    return passed


def _cell(part: str, core: Core, some_targets: list[str]) -> bool:
    python = pythons.find(core.python)
    if not python:
        print(f"skipped: {part}, {core.title}: no such Python on this machine", flush=True)
        return True
    print(f"{part:<12} {core.title} ...", flush=True)
    REPORT.unlink(missing_ok=True)
    shutil.rmtree(_junit_folder(part), ignore_errors=True)
    log = tree.WORK / "logs" / f"matrix-{core.version}-{part}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        ended = subprocess.run(
            _command(part, core, some_targets),
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
    rows = _integration() if part == "integration" else _junit(part)
    _keep({row: cases for row, cases in rows.items() if _total(cases) != (0, 0)}, core)
    told = "; ".join(f"{row}: {_words(cases)}" for row, cases in rows.items())
    print(
        f"{part:<12} {core.title}: {told or 'nothing'}" + ("" if ended.returncode == 0 else f" FAILED, see {log}"),
        flush=True,
    )
    return ended.returncode == 0


def _command(part: str, core: Core, some_targets: list[str]) -> list[str]:
    everywhere = [] if os.environ.get("VIRTMEM_LAB_HYPERVISOR") else ["--all-hypervisors"]
    more = {
        "sanity": ["--junit", *SANITY_WITHOUT.get(core.version, [])],
        "portability": [] if core == cores()[-1] else [pythons.OLDEST, core.python],
        "integration": [*some_targets, *everywhere],
    }[part]
    return [
        *(sys.executable, "-m", "nox", "--noxfile", str(tree.ROOT / "noxfile.py")),
        *("--envdir", str(tree.WORK / "venvs" / f"core-{core.version}"), "--force-python", core.python),
        *("--session", part, "--", *more),
    ]


Cases = dict[str, tuple[int, int]]  # by what was run: how much of it passed, and how much did not
Cells = dict[str, Cases]  # by row


# What the files that ansible-test leaves in JUnit's format are called: the case, and the row that it belongs to.
JUNIT = {
    "sanity": (r"ansible-test-sanity-(?P<case>.+?)(-python-.*)?", "sanity tests"),
    "portability": (r"python(?P<python>.+?)-(?P<case>\w+)-units", "unit tests, Python {python} on the target"),
}
JUNIT_COUNTS = ("tests", "failures", "errors", "skipped")


def _junit(part: str) -> Cells:
    """Each file's cases; two Pythons of one sanity test count as two, and what was skipped as none."""
    cells: Cells = {}
    pattern, row = JUNIT[part]
    for path in _junit_folder(part).glob("*.xml"):
        if not (name := re.fullmatch(pattern, path.stem)):
            continue
        cases = cells.setdefault(row.format(**name.groupdict()), {})
        passed, failed = cases.get(name["case"], (0, 0))
        for suite in ElementTree.parse(path).iter("testsuite"):  # noqa: S314 - ansible-test has written it, here
            tests, *not_passed, skipped = (int(suite.get(word) or 0) for word in JUNIT_COUNTS)
            failed += sum(not_passed)
            passed += tests - sum(not_passed) - skipped
        cases[name["case"]] = (passed, failed)
    return cells


def _junit_folder(part: str) -> Path:
    return tree.WORK / "trees" / part / tree.PLACE / "tests/output/junit"


def _integration() -> Cells:
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    return {
        row: {target: (int(passed), int(not passed)) for target, passed in results.items()}
        for row, results in report.items()
    }


def _total(cases: Cases) -> tuple[int, int]:
    return sum(passed for passed, _failed in cases.values()), sum(failed for _passed, failed in cases.values())


def _words(cases: Cases) -> str:
    passed, failed = _total(cases)
    return f"{passed} passed, {failed} failed" if failed else f"{passed} passed"


def _keep(cells: Cells, core: Core) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    for row, cases in cells.items():
        cell = known.setdefault(row, {}).setdefault(core.title, {"cases": {}})
        cell["cases"].update(cases)
        cell["date"] = today
    RESULTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    PAGE.write_text(page(known))


HEAD = """..
  GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
  SPDX-License-Identifier: GPL-3.0-or-later

.. _ansible_collections.virtmem.libvirt.docsite.test_matrix:

What was tested with what
=========================

``./run matrix`` writes this page. A cell says how many cases passed and when: for a hypervisor, a case is an integration
target, each of which runs on real guests; for the rest, a unit test or a sanity test. A cell without a number was not run,
and one with a smaller number than its neighbours only in part.

.. list-table::
  :header-rows: 1

"""


def page(known: dict[str, dict[str, dict[str, Any]]]) -> str:
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


def _shown(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return ""
    passed, failed = _total(cell["cases"])
    return f"{passed}, {failed} failed ({cell['date']})" if failed else f"{passed} ({cell['date']})"


def _row(cells: list[str]) -> str:
    first, *others = (f"- {cell}".rstrip() for cell in cells)
    return "".join([f"  * {first}\n", *(f"    {cell}\n" for cell in others)])
