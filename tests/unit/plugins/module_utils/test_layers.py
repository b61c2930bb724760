# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may import whom in module_utils, as design.md draws it; and that every file says what it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parents[4] / "plugins/module_utils"
FLOORS = {"_xml": 1, "_libvirt": 1, "_device": 2, "_domain": 3, "_host": 4}  # the ground, beside them, is 0
DOORS = {"libvirt": {"_libvirt/hypervisor"}, "lxml": {"_xml/document"}}
# What a Pure file may take from Python itself: nothing that knows of the time, the machine or other programs.
CALM = {
    "__future__",
    "collections",
    "dataclasses",
    "fnmatch",
    "fractions",
    "heapq",
    "re",
    "typing",
    "uuid",
    "contextlib",
}
LONGEST = 50  # lines of a function, its docstring aside


def name_of(path):
    return path.relative_to(UTILS).as_posix()


TREES = {name_of(path.with_suffix("")): ast.parse(path.read_text()) for path in sorted(UTILS.rglob("*.py"))}
PURE = [name for name, tree in TREES.items() if re.search(r"\bPure\b", ast.get_docstring(tree) or "")]


def imported(name):
    """Files of module_utils by their names, and the first word of everything else; also what a function imports."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert not node.module.startswith("ansible_collections."), f"{name}: imports here are relative"
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            folder = (UTILS / name).parents[node.level - 1]
            module = folder.joinpath(*(node.module or "").split("."))
            yield from (name_of(module) if name_of(module) in TREES else name_of(module / a.name) for a in node.names)


ARROWS = {name: set(imported(name)) for name in TREES}


def floor(name):
    return FLOORS.get(name.partition("/")[0], 0)


@pytest.mark.parametrize("name", TREES)
def test_nothing_is_imported_from_above(name):
    assert [other for other in ARROWS[name] & TREES.keys() if floor(other) > floor(name)] == []


@pytest.mark.parametrize("name", PURE)
def test_pure_imports_only_pure(name):
    assert ARROWS[name] - set(PURE) - CALM == set()


def test_most_of_what_is_decided_is_pure():
    assert {"_domain/plan", "_host/plan", "_device/rules", "_device/match", "_model", "_capabilities"} <= set(PURE)


@pytest.mark.parametrize("library", DOORS)
def test_one_door(library):
    assert {name for name in TREES if library in ARROWS[name]} == DOORS[library]


def test_no_circle():
    left = {name: arrows & TREES.keys() for name, arrows in ARROWS.items()}
    while ready := {name for name, arrows in left.items() if not arrows & left.keys()}:
        left = {name: arrows for name, arrows in left.items() if name not in ready}
    assert left == {}


@pytest.mark.parametrize("name", TREES)
def test_every_file_says_in_a_sentence_what_it_is(name):
    first = (ast.get_docstring(TREES[name]) or "").split("\n\n")[0]
    assert re.match(r"\S.*[.:]", first), "no sentence"


@pytest.mark.parametrize("name", TREES)
def test_functions_fit_on_a_screen(name):
    for node in ast.walk(TREES[name]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            text = node.body[0] if ast.get_docstring(node) else None
            lines = node.end_lineno - node.lineno + 1 - (text.end_lineno - text.lineno + 1 if text else 0)
            assert lines <= LONGEST, f"{node.name} has {lines} lines"
