# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule of the fake names a case of an integration target that shows it on the real thing, and that case exists."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect

import pytest
import yaml

from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest

FAKE = running.ROOT / "tests/unit/plugins/fake"
TARGETS = running.ROOT / "tests/integration/targets"
RULES = "ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.rules"
# Tables whose keys are the cases.
TABLES = {"libvirt_traps": "traps", "libvirt_errors": "expected"}
# Rules that no run of ours can show. Each says why; one more needs a better reason than that a case is work.
NOT_PROVEN = {
    "it_is_not_about_to_leave",
    "linux_locks_up_if_hurried",
    "qemu_tells_sizes_once_a_second",
    "virtio_gets_a_channel_address",
}
# Files of the fake that import from the code under test: the protocol with its types, and the texts of errors.
SPEAK_THE_PROTOCOL = {"contract", "domain", "host", "hypervisor", "refusal"}


def rules():
    return [*functions_of_rules(), pytest.param(Guest.next, id="guest.next")]


def functions_of_rules():
    for path in sorted((FAKE / "rules").glob("*.py")):
        module = importlib.import_module(f"{RULES}.{path.stem}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield pytest.param(function, id=f"{path.stem}.{name}")


def proofs():
    return [(param.id, *proof) for param in rules() for proof in getattr(param.values[0], "proofs", ())]


@functools.cache
def cases(target):
    folder = TARGETS / target
    assert (folder / "aliases").is_file(), f"{target} is no integration target"
    return {
        case
        for path in [*folder.glob("tasks/*.yml"), *folder.glob("vars/*.yml")]
        for case in cases_in(yaml.safe_load(path.read_text(encoding="utf-8")), TABLES.get(target))
    }


def cases_in(node, table):
    """Names of tasks, what or which option a row is about, and the keys of the target's table."""
    if isinstance(node, dict):
        yield from (node[key] for key in ("name", "what", "option") if isinstance(node.get(key), str))
        yield from node.get(table, ())
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from cases_in(child, table)


@pytest.mark.parametrize("rule", rules())
def test_every_rule_is_proven_or_says_why_not(rule):
    assert hasattr(rule, "proofs") != hasattr(rule, "not_proven")
    assert hasattr(rule, "not_proven") == (rule.__name__ in NOT_PROVEN)


@pytest.mark.parametrize(("rule", "target", "case"), proofs())
def test_the_proof_exists(rule, target, case):
    assert case in cases(target), f"{target} has no case {case!r}, by which the fake's {rule} is known to be right"


def test_there_are_as_many_rules_as_it_seems():
    """A file that is not found, or a decorator that forgets, would make the tests above say nothing."""
    assert len(rules()) > 40
    assert len(proofs()) > 50
    assert {param.values[0].__name__ for param in rules()} >= NOT_PROVEN


@pytest.mark.parametrize("path", sorted(FAKE.rglob("*.py")), ids=lambda path: path.stem)
def test_the_fake_is_independent(path):
    """What it knows of sizes, sets, XML and rules is its own: a mistake of the code under test must not be right here."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert any("plugins.module_utils" in name for name in imported) == (path.stem in SPEAK_THE_PROTOCOL)
