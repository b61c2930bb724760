# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frame around a module's work."""

from __future__ import annotations

import sys

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils import _task
from ansible_collections.virtmem.libvirt.plugins.module_utils._argspec import change_spec, connection_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.options import device_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor as _hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document


def run_task(module, factory, empty, *rest, **more):
    _task.run_task(module, factory, empty, _hypervisor, document, *rest, **more)


class LeftError(Exception):
    """exit_json or fail_json."""


class Module:
    """The part of AnsibleModule that _task uses."""

    def __init__(self, check_mode=False):
        self.check_mode = check_mode
        self.argument_spec = {"uri": {"default": "qemu:///system"}, "auth_user": {}, "auth_password": {}, "domain": {}}
        self.params = {"uri": "test:///", "auth_user": None, "auth_password": None}
        self.warned = []
        self.left = None

    def warn(self, text):
        self.warned.append(text)

    def exit_json(self, **result):
        self.left = result
        raise LeftError

    def fail_json(self, **result):
        self.left = {**result, "failed": True}
        raise LeftError


class Connection:
    closed = 0

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def libraries(monkeypatch):
    monkeypatch.setattr(_hypervisor, "LIBVIRT_IMPORT_ERROR", None)
    monkeypatch.setattr(document, "LXML_IMPORT_ERROR", None)


class Work:
    def __init__(self, error=None):
        self.result = {"changed": False, "seen": "half", "_warnings": ["careful"]}
        self.error = error

    def run(self):
        self.result["seen"] = "all"
        if self.error:
            raise self.error


def run(module, work, connection=None, read_only=False, opened=None):
    connection = connection or Connection()

    def connect(*arguments):
        if opened is not None:
            opened.append(arguments)
        return connection

    with pytest.raises(LeftError):
        run_task(module, lambda *_args: work, {"changed": False, "seen": None}, read_only, connect)
    return module.left, connection


def test_success():
    module = Module()
    left, connection = run(module, Work())
    assert left.pop("duration") >= 0
    assert left == {"changed": False, "seen": "all"}
    assert module.warned == ["careful"]
    assert connection.closed == 1


def test_failure_has_the_same_keys_and_three_more():
    module = Module()
    left, connection = run(module, Work(VirtmemError("timeout", "It took too long.", hint="Wait.", details={"a": 1})))
    assert left.pop("duration") >= 0
    assert left == {
        "changed": False,
        "seen": "all",
        "failed": True,
        "msg": "It took too long.",
        "error_code": "timeout",
        "details": {"a": 1},
        "hint": "Wait.",
    }
    assert module.warned == ["careful"]
    assert connection.closed == 1


def test_a_mistake_of_ours_still_closes_the_connection():
    connection = Connection()
    with pytest.raises(ZeroDivisionError):
        run_task(Module(), lambda *_args: Work(ZeroDivisionError()), {}, False, lambda *_args: connection)
    assert connection.closed == 1


@pytest.mark.parametrize(("check_mode", "read_only"), [(False, False), (True, False), (False, True), (True, True)])
def test_read_only(check_mode, read_only):
    opened = []
    run(Module(check_mode), Work(), read_only=read_only, opened=opened)
    assert opened == [("test:///", check_mode or read_only, None, None)]


def test_an_empty_text_is_an_option_left_out():
    """That is what a survey sends for a blank field."""
    module, opened = Module(), []
    module.params.update(uri="", auth_user="")
    run(module, Work(), opened=opened)
    assert opened == [("qemu:///system", False, None, None)]


def test_the_domain_is_named_even_if_nobody_answers():
    module = Module()
    module.params["domain"] = "web1"

    def nobody(*_args):
        raise VirtmemError("connection_failed", "No.")

    with pytest.raises(LeftError):
        run_task(module, lambda *_args: Work(), {"changed": False, "domain": None}, False, nobody)
    assert module.left["domain"] == {"name": "web1", "uuid": None, "state": None}


def test_the_real_door_is_the_default(monkeypatch):
    opened = []
    monkeypatch.setattr(_hypervisor, "connect", lambda *args: (opened.append(args), Connection())[1])
    with pytest.raises(LeftError):
        run_task(Module(), lambda *_args: Work(), {})
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("where", "library", "package"),
    [
        ((_hypervisor, "LIBVIRT_IMPORT_ERROR"), "libvirt", "python3-libvirt"),
        ((document, "LXML_IMPORT_ERROR"), "lxml", "python3-lxml"),
    ],
)
def test_missing_library(monkeypatch, where, library, package):
    monkeypatch.setattr(*where, "Traceback: no such module")
    module = Module()
    with pytest.raises(LeftError):
        run_task(module, lambda *_args: Work(), {"changed": False}, connect=lambda *_args: pytest.fail("opened"))
    left = module.left
    assert left["error_code"] == "missing_library"
    for text in (left["msg"], left["hint"]):
        assert package in text
        assert sys.executable in text
    assert left["details"]["interpreter"] == sys.executable
    assert left["details"]["library"] == library
    assert left["exception"] == "Traceback: no such module"


def test_missing_library_has_the_keys_of_every_failure(monkeypatch):
    monkeypatch.setattr(_hypervisor, "LIBVIRT_IMPORT_ERROR", "no")
    module = Module()
    with pytest.raises(LeftError):
        run_task(module, lambda *_args: Work(), {"changed": False, "seen": None})
    assert {"changed", "seen", "duration"} <= set(module.left)


@pytest.mark.parametrize("spec", [connection_spec, change_spec, device_spec])
def test_argument_specs_are_each_callers_own(spec):
    assert spec() == spec()
    assert spec() is not spec()
    for name, option in spec().items():
        assert option["type"] in ("str", "int", "bool"), name
        assert bool(option.get("no_log")) == ("password" in name)
        if "choices" in option and "default" in option:
            assert option["default"] in option["choices"]
