# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation's table of faults has what the integration targets inject, and no more."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
TARGETS = ROOT / "tests/integration/targets"
ROW = re.compile(r"^   \* - (.+)\n     - .+\n     - .+\n     - ``(\w+)``$", re.MULTILINE)


def documented():
    return ROW.findall((ROOT / "docs/docsite/rst/faults.rst").read_text(encoding="utf-8"))


def test_each_injected_fault_is_in_the_table_with_its_target():
    for target in ("faults_waiting", "faults_lasting"):
        rows = yaml.safe_load((TARGETS / target / "vars/main.yml").read_text(encoding="utf-8"))["rows"]
        assert rows
        for row in rows:
            assert (row["what"], target) in documented()


def test_each_row_names_a_target():
    assert len(documented()) > 20
    for _fault, target in documented():
        assert (TARGETS / target / "tasks/main.yml").is_file()
