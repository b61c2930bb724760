# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module's main() in this process: a real AnsibleModule with the given options, any hypervisor, no subprocess."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import typing as t
from pathlib import Path

from ansible.module_utils import basic

from ansible_collections.virtmem.libvirt.plugins.module_utils import _task
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor as hypervisor_door

ROOT = Path(__file__).resolve().parents[3]
MODULES = "ansible_collections.virtmem.libvirt.plugins.modules"


def module_names() -> list[str]:
    return sorted(path.stem for path in (ROOT / "plugins/modules").glob("[!_]*.py"))


def import_module(name: str) -> t.Any:
    return importlib.import_module(f"{MODULES}.{name}")


@contextlib.contextmanager
def module_args(options: dict[str, t.Any]) -> t.Iterator[None]:
    """What the controller would have sent, for ansible-core 2.15 to 2.21."""
    try:
        patch_module_args = importlib.import_module("ansible.module_utils.testing").patch_module_args
    except ImportError:  # before 2.19
        old, basic._ANSIBLE_ARGS = basic._ANSIBLE_ARGS, json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = old
    else:
        with patch_module_args(options):
            yield


class Left(dict):
    """A module's result. `warned` are its warnings, `secrets` what the controller is told to mask, `failed` whether it failed."""

    warned: list[str]
    secrets: list[str]

    @property
    def failed(self) -> bool:
        return bool(self.get("failed"))


def run(name: str, monkeypatch: t.Any, hypervisor: t.Any, check: bool = False, **options: t.Any) -> Left:
    """Run module `name` on a (fake) hypervisor and return what it leaves."""
    module = import_module(name)
    warned: list[str] = []

    def task(ansible_module: t.Any, factory: t.Any, empty: t.Any, libvirt: t.Any, xml: t.Any, **rest: t.Any) -> None:
        ansible_module.warn = warned.append
        _task.run_task(
            ansible_module,
            lambda params, opened, checking, _clock: factory(params, opened, checking, hypervisor.clock),
            empty,
            libvirt,
            xml,
            connect=hypervisor.connect,
            **rest,
        )

    output = io.StringIO()
    with monkeypatch.context() as patch, module_args({**options, "_ansible_check_mode": check}):
        patch.setattr(module, "run_task", task)
        patch.setattr(hypervisor_door, "LIBVIRT_IMPORT_ERROR", None)
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            module.main()
    left = Left(json.loads(output.getvalue()))
    left.warned = warned
    left.secrets = left.pop("_ansible_new_secrets", [])  # ansible-core 2.22 and later
    return left


@functools.cache
def argument_spec(name: str) -> dict[str, t.Any]:
    """All that a module gives to AnsibleModule."""

    class ToldError(Exception):
        pass

    def tell(**arguments: t.Any) -> t.NoReturn:
        raise ToldError(arguments)

    module = import_module(name)
    original, module.AnsibleModule = module.AnsibleModule, tell
    try:
        module.main()
    except ToldError as told:
        return told.args[0]
    finally:
        module.AnsibleModule = original
    raise AssertionError(f"{name} makes no AnsibleModule")
