# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every module: its examples are right, its failures have documented codes."""

from __future__ import annotations

import re

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES, VirtmemError
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device

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


# A task of each module that changes something, where it is not told only to look.
TASKS = {
    "domain_memory": {"domain": "web1", "memory": "8GiB", "tuning": {"soft_limit": "9GiB"}, "restart": "if_required"},
    "domain_memory_info": {},
    "host_memory": {"domains": [{"domain": "web1", "memory": "8GiB"}]},
    "host_memory_info": {},
    "virtio_mem_device": {"domain": "web1", "requested": "6GiB"},
}


@pytest.mark.parametrize("name", running.module_names())
def test_who_only_looks_does_so_over_a_read_only_connection_and_writes_nothing(name, monkeypatch, hypervisor):
    domain = hypervisor.add(device(), name="web1").start()
    before = (domain.live, domain.config)
    left = running.run(name, monkeypatch, hypervisor, check=True, **TASKS[name])
    assert not left.failed
    assert hypervisor.read_only
    assert hypervisor.writes == []
    assert (domain.live, domain.config) == before
    assert left["changed"] is not name.endswith("_info")

    left = running.run(name, monkeypatch, hypervisor, **TASKS[name])
    assert not left.failed
    assert hypervisor.read_only is name.endswith("_info")
    assert (hypervisor.writes == []) is name.endswith("_info"), "or the same task would not have written anyway"


@pytest.mark.parametrize("name", running.module_names())
def test_passwords_are_not_returned(name, monkeypatch, hypervisor):
    """Neither the option's, wherever libvirt may repeat it, nor one that somebody wrote into the URI."""

    def refuse(*_arguments):
        raise VirtmemError(
            "permission_denied",
            "No: Sesame-42 of me is not it, nor is Qwerty-43.",
            hint="Try another than Sesame-42.",
            details={"libvirt_message": "Unable to parse URI qemu+tcp://me:Qwerty-43@host1/system, Sesame-42"},
        )

    monkeypatch.setattr(hypervisor, "connect", refuse)
    left = running.run(
        name,
        monkeypatch,
        hypervisor,
        uri="qemu+tcp://me:Qwerty-43@host1/system",
        auth_user="me",
        auth_password="Sesame-42",
        **TASKS[name],
    )
    assert left["error_code"] == "permission_denied"
    text = repr(left)
    for secret in left.secrets:
        text = text.replace(secret, "********")
    assert "Sesame-42" not in text
    assert "Qwerty-43" not in text
    assert "@host1/system" in text
    assert left["msg"].startswith("No: ")
