# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change one thing in a file of module_utils, run the file's own tests, and see whether they notice; for each such change.

The changes are Cosmic Ray's. It would start Python and pytest anew for each; here a process that has loaded pytest forks
for each, which is some ten times faster, and nothing is written to the disk. A mutant that survives is either equal to the
original, and then listed in tests/unit/mutants.txt with the reason, or a test is missing.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.util
import os
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import parso
import pytest
from cosmic_ray import plugins
from cosmic_ray.mutating import MutationVisitor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

UTILS = Path("plugins/module_utils")
TESTS = Path("tests/unit/plugins/module_utils")
EQUAL = Path("tests/unit/mutants.txt")
TOO_LONG = 120  # seconds for the tests of one file: what takes longer goes round in circles

# Of Cosmic Ray's 150 operators those that a person could mistake one for the other; the others mostly break everything.
_SWAPS = (
    *("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
    *("Is_IsNot", "IsNot_Is"),
)
_SUMS = (
    "Add_Sub",
    "Sub_Add",
    "Mul_FloorDiv",
    "FloorDiv_Mul",
    "Mod_FloorDiv",
    "BitAnd_BitOr",
    "BitOr_BitAnd",
    "LShift_RShift",
)
OPERATORS = (
    *(f"core/ReplaceComparisonOperator_{swap}" for swap in _SWAPS),
    *(f"core/ReplaceBinaryOperator_{swap}" for swap in _SUMS),
    *("core/ReplaceAndWithOr", "core/ReplaceOrWithAnd", "core/ReplaceTrueWithFalse", "core/ReplaceFalseWithTrue"),
    *("core/AddNot", "core/ReplaceUnaryOperator_Delete_Not", "core/ReplaceUnaryOperator_Delete_USub"),
    *("core/NumberReplacer", "core/ReplaceContinueWithBreak", "core/ZeroIterationForLoop"),
)


PYTEST = (
    *("-x", "-q", "--noconftest", "-p", "no:cacheprovider", "-p", "no:cov"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # it is loaded before, once for all that are forked
)
# As tests/unit/conftest.py has it: the same examples each time.
hypothesis.settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # of the machine
)
hypothesis.settings.load_profile("mutants")


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a text, and leaves all others alone."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        self._name, self._path, self._text = name, path, text

    def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._text, self._path, "exec"), vars(module))  # noqa: S102 - what it is for


def pure_files() -> list[str]:
    """Those that say so and have tests of their own, by their names below module_utils."""
    paths = sorted(UTILS.rglob("*.py"))
    docstrings = {path: ast.get_docstring(ast.parse(path.read_text())) or "" for path in paths}
    names = [str(path.relative_to(UTILS)) for path in paths if re.search(r"\bPure\b", docstrings[path])]
    return [name for name in names if tests_of(name)]


def mutants_of(text: str) -> Iterator[tuple[str, str]]:
    """Each mutant that can differ: what was done to which line, and the whole text."""
    seen = {_code(text), ""}
    for name in OPERATORS:
        operator = plugins.get_operator(name)()
        count = 0
        while True:
            visitor = MutationVisitor(count, operator)
            mutant = visitor.walk(parso.parse(text)).get_code()
            if not visitor.mutation_applied:
                break
            count += 1
            code = _code(mutant)
            if code not in seen:  # else in an annotation
                seen.add(code)
                yield _described(text, mutant), mutant


def _code(text: str) -> str:
    """What is run of a text; nothing of one that is no Python (the * between parameters is no product)."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return ast.unparse(tree)


def _described(text: str, mutant: str) -> str:
    old, new = text.splitlines(), mutant.splitlines()
    first = next((i for i, (one, other) in enumerate(zip(old, new)) if one != other), len(new) - 1)
    return f"{old[first].strip()}  ->  {' '.join(new[first].split())}"


def killed(name: str, mutant: str, tests: Sequence[str]) -> bool:
    """Whether the tests fail with the mutant. In a process of its own, as it may do anything."""
    child = os.fork()
    if child == 0:
        signal.alarm(TOO_LONG)
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        module = "ansible_collections.virtmem.libvirt." + ".".join((UTILS / name).with_suffix("").parts)
        sys.meta_path.insert(0, _Mutated(module, UTILS / name, mutant))
        try:
            code = pytest.main([*PYTEST, *tests])
        except BaseException:  # noqa: BLE001 - whatever it is, it was noticed
            code = 1
        os._exit(int(code))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


def tests_of(name: str) -> list[str]:
    path = TESTS / name
    test = path.with_name(f"test_{path.name.lstrip('_')}")
    return [str(test)] if test.exists() else []


def known() -> dict[str, set[str]]:
    """Mutants that are equal, by file (* for all): lines of EQUAL that are neither a file's name nor a reason."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in EQUAL.read_text().splitlines():
        if line.endswith(".py:") or line == "*:":
            name = line[:-1]
        elif "  ->  " in line:
            found.setdefault(name, set()).add(line.strip())
    return found


def look_at(name: str) -> list[str]:
    """The mutants of one file that survive and are not known to be equal."""
    text, tests = (UTILS / name).read_text(), tests_of(name)
    if not tests or killed(name, text, tests):
        print(f"{name}: no tests of its own that pass")
        return ["no tests"]
    mutants = list(mutants_of(text))
    alive = [words for words, mutant in mutants if not killed(name, mutant, tests)]
    equal = known().get(name, set()) | known().get("*", set())
    strange = [words for words in alive if words not in equal]
    print(
        f"{name}: {len(mutants)} mutants, {len(alive)} alive, {len(strange)} of them not known to be equal", flush=True
    )
    for words in strange:
        print(f"    {words}", flush=True)
    return strange


def main(names: Sequence[str]) -> int:
    return 1 if [words for name in names or pure_files() for words in look_at(name)] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
