# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import json
import sys

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._argspec import require_python
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running

UTILS = "ansible_collections.virtmem.libvirt.plugins.module_utils"


@pytest.mark.parametrize("version", [(3, 6, 8), (3, 7, 16), (3, 8, 18)])
def test_an_older_python_is_told_so(monkeypatch, capsys, version):
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(SystemExit):
        require_python()
    result = json.loads(capsys.readouterr().out)
    assert (result["failed"], result["changed"], result["error_code"]) == (True, False, "unsupported")
    assert ".".join(map(str, version)) in result["msg"]
    assert sys.executable in result["msg"]
    assert "ansible_python_interpreter" in result["hint"]


@pytest.mark.parametrize("version", [(3, 9, 0), (3, 14, 1)])
def test_the_others_hear_nothing(monkeypatch, capsys, version):
    monkeypatch.setattr(sys, "version_info", version)
    require_python()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", running.module_names())
def test_every_module_asks_first(name):
    """What an older Python can't read comes after _argspec, which asks before its own first line of that kind."""
    module = _read_as_python_36(running.ROOT / f"plugins/modules/{name}.py")
    imported = [
        node.module for node in module.body if isinstance(node, ast.ImportFrom) and node.module.startswith(UTILS)
    ]
    assert imported[0] == f"{UTILS}._argspec"
    argspec = _read_as_python_36(running.ROOT / "plugins/module_utils/_argspec.py").body
    harmless = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    acting = [node for node in argspec if not isinstance(node, harmless) and not _is_text(node)]
    assert [ast.unparse(node) for node in acting[:2]] == ["_OLDEST = (3, 9)", "require_python()"]


def _read_as_python_36(path):
    """RHEL 8's own Python reads these files before it is told that it is too old. (Python 3.9 may still be asked so.)"""
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    future = [alias.name for node in tree.body if getattr(node, "module", "") == "__future__" for alias in node.names]
    assert "annotations" not in future
    return tree


def _is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
