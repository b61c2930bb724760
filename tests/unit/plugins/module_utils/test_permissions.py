# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what: the code's table, the guide's, the example's rules and what a real daemon asks for are the same.

The last is shown by the integration target least_privilege, row by row of its variables.
"""

from __future__ import annotations

import ast
import re

import pytest
import yaml

from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import errors, hypervisor as _hypervisor
from ansible_collections.virtmem.libvirt.tests.unit.plugins.running import ROOT

TARGET = yaml.safe_load((ROOT / "tests/integration/targets/least_privilege/vars/main.yml").read_text(encoding="utf-8"))
GUIDE = (ROOT / "docs/docsite/rst/least_privilege.rst").read_text(encoding="utf-8")
RULES = (ROOT / "examples/polkit/20-virtmem-libvirt.rules").read_text(encoding="utf-8")

# The lowest of the four groups that may do it.
LEVELS = {
    name.replace("org.libvirt.api.", ""): int(level)
    for name, level in re.findall(r'^ *"(org\.libvirt\.[a-z.-]+)": (\d)', RULES, re.MULTILINE)
}
USERS = {"stranger": 1, "reader": 1, "runner": 2, "operator": 3, "starter": 4}


# The ways on which the door calls libvirt: what they do is their first argument, in words.
WAYS = {"_call", "read", "change", "_read", "_change"}


def calls_of_the_door():
    """What the door calls its calls."""
    tree = ast.parse((ROOT / "plugins/module_utils/_libvirt/hypervisor.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in WAYS:
            words = node.args[0]
            choices = [words.body, words.orelse] if isinstance(words, ast.IfExp) else [words]
            for choice in choices:
                if isinstance(choice, ast.Constant):
                    yield choice.value
                elif ast.unparse(choice).startswith("_CHANGE["):
                    yield from _hypervisor._CHANGE.values()
                else:
                    assert ast.unparse(choice) == "name"  # handed on, from one way to another


def permissions(text):
    return set(re.findall(r"(?:connect|domain|unix)\.[a-z-]+", text))


def rows_of_the_guide():
    plain = GUIDE.replace("``", "")
    return dict(re.findall(r"^   \* - (.+)\n     - (.+)$", plain, re.MULTILINE))


def test_every_call_of_the_door_has_its_permissions_and_no_other_has():
    assert set(calls_of_the_door()) == set(errors._PERMISSIONS)


@pytest.mark.parametrize("row", TARGET["allowed"], ids=lambda row: f"{row['row']}-{row['module']}")
def test_the_guide_says_what_the_real_daemon_asks_for(row):
    assert rows_of_the_guide()[row["row"]] == (", ".join(row["needs"]) or "nothing")


def test_the_guide_has_no_other_rows():
    known = {row["row"] for row in TARGET["allowed"]}
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("[!_]*.py")}
    assert {row for row in rows_of_the_guide() if row.split(":")[0] in modules} <= known
    assert {row.split(":")[0] for row in known} >= modules


def test_the_guide_names_what_every_task_may_ask_for():
    (listed,) = re.findall(r"Every task asks for some of (.*?), which are everybody's", GUIDE, re.DOTALL)
    assert permissions(listed) == set(TARGET["reading"])


@pytest.mark.parametrize("row", TARGET["allowed"], ids=lambda row: f"{row['row']}-{row['module']}")
def test_the_rules_let_the_lowest_group_that_needs_it_do_it(row):
    assert all(LEVELS[name] == 1 for name in TARGET["reading"])
    assert max([LEVELS[name] for name in row["needs"]], default=1) == USERS[row["user"]]


def test_the_rules_are_for_what_the_code_calls_and_for_nothing_else():
    called = set().union(*map(permissions, errors._PERMISSIONS.values()))
    needed = called | {"connect.read", "connect.search-domains"}  # events, too
    assert {name.replace("org.libvirt.", "") for name in LEVELS} == needed


@pytest.mark.parametrize("case", TARGET["refused"], ids=lambda case: case["what"])
def test_what_is_refused_is_said_with_what_it_needs(case):
    call = "open" if case["call"] == "connect" else case["call"]
    assert case["needs"] in errors._PERMISSIONS[call]
