# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every module: its examples are right, its failures have documented codes."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running

PREFIX = "virtmem.libvirt."


def tasks_of(entries):
    """Every task, those inside of blocks too."""
    for entry in entries or []:
        for part in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            if part in entry:
                yield from tasks_of(entry[part])
        if "block" not in entry and "hosts" not in entry:
            yield entry


def examples():
    for name in running.module_names():
        for number, task in enumerate(tasks_of(yaml.safe_load(running.import_module(name).EXAMPLES)), 1):
            for key, options in task.items():
                if key.startswith(PREFIX):
                    yield pytest.param(key[len(PREFIX) :], options or {}, task, id=f"{name}-{number}")


@pytest.mark.parametrize(("name", "options", "task"), list(examples()))
def test_example(name, options, task):
    spec = running.argument_spec(name)["argument_spec"]
    assert set(options) <= set(spec)
    assert task["name"][0].isupper() or not task["name"][0].isalpha() or task["name"].startswith("web1")
    # A template can be anything; that it stands for an option which there is must do.
    known = {key: value for key, value in options.items() if "{{" not in str(value)}
    relaxed = {
        key: {**option, "required": key in known and option.get("required", False)} for key, option in spec.items()
    }
    result = ArgumentSpecValidator(relaxed).validate(known)
    assert result.error_messages == []
    for key, option in spec.items():
        assert key in options or not option.get("required")


@pytest.mark.parametrize("name", running.module_names())
def test_module_has_examples_of_itself(name):
    found = [parameters for parameters in examples() if parameters.values[0] == name]
    assert len(found) >= (2 if name.endswith("_info") else 8)


@pytest.mark.parametrize("name", running.module_names())
def test_module_runs_in_check_mode(name):
    assert running.argument_spec(name)["supports_check_mode"] is True


def test_error_codes_are_documented():
    texts = [path.read_text(encoding="utf-8") for path in (running.ROOT / "docs/docsite/rst").glob("*.rst")]
    telling = [text for text in texts if "error_code" in text and "libvirt_error" in text]
    if not telling:
        pytest.skip("no page under docs/docsite/rst has the table of error codes yet")
    words = set(re.findall(r"\w+", "\n".join(telling)))
    assert set(ERROR_CODES) <= words


def test_error_codes_in_documentation_exist():
    """A page that has the table has no codes of its own invention."""
    for path in (running.ROOT / "docs/docsite/rst").glob("*.rst"):
        for code in re.findall(r"error_code:? *(?:==|=|is) *['\"`]*(\w+)", path.read_text(encoding="utf-8")):
            assert code in ERROR_CODES
