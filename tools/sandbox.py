# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs ansible-test without containers, away from the user's home, with no other place to reach than a package index."""

from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tools import pythons, tree

if TYPE_CHECKING:
    import nox

# Which pip each Python is given by this ansible-test.
ASK_PIP_VERSIONS = """
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(*{{get_venv_packages(SimpleNamespace(version=version))["pip"] for version in {}}})
"""


def version_of(session: nox.Session) -> str:
    """The Python of the session's venv, which is not always the one that nox runs on."""
    return _ask(session, "python", "-c", "import sys; print('{}.{}'.format(*sys.version_info))").strip()


def sanity_pythons(session: nox.Session) -> tuple[list[str], str]:
    """Name the Pythons to use, or ansible-test wants every one that it knows; and the folder where it finds the oldest.

    Tests of what runs on a hypervisor see the oldest Python that the collection promises, too, if this machine has it.
    """
    ours = version_of(session)
    arguments = ["--controller", f"origin:python={ours}", "--target-python", ours]
    oldest = pythons.find(pythons.OLDEST)
    if not oldest:
        print(f"no Python {pythons.OLDEST} on this machine: compile and import are tested with {ours} only")
        return arguments, ""
    return [*arguments, "--target-python", pythons.OLDEST], str(oldest.parent)


def private_home(session: nox.Session, name: str) -> dict[str, str]:
    """Make a home of this name with pip's bootstrap in ansible-test's cache and the caller's pip configuration."""
    home = tree.WORK / "homes" / name
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in _ask(session, "python", "-c", ASK_PIP_VERSIONS.format(pythons.TARGETS)).split():
        shutil.copy(tree.ROOT / "tools/get_pip.py", cache / f"get_pip_{version.replace('.', '_')}.py")
    _share_cache(home)
    target = home / ".config/pip/pip.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    with target.open("w") as file:
        _pip_configuration(session).write(file)
    return {"HOME": str(home)}


def _share_cache(home: Path) -> None:
    """Only settings are private; what was once downloaded or built may be used again."""
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shared.mkdir(parents=True, exist_ok=True)
    private = home / ".cache"
    if private.is_symlink():  # perhaps to where the cache was last time
        private.unlink()
    shutil.rmtree(private, ignore_errors=True)
    private.symlink_to(shared)


def _pip_configuration(session: nox.Session) -> configparser.RawConfigParser:
    """What pip is told here, as a file: ansible-test passes on neither PIP_... variables nor the real home."""
    settings = configparser.RawConfigParser()
    settings["global"] = {"quiet": "2"}
    for line in _ask(session, "python", "-m", "pip", "config", "list").splitlines():
        key, value = line.split("=", 1)
        section, option = key.rsplit(".", 1)
        section = "global" if section == ":env:" else section
        if not settings.has_section(section):
            settings.add_section(section)
        settings.set(section, option, ast.literal_eval(value))
    return settings


def _ask(session: nox.Session, *command: str) -> str:
    return str(session.run(*command, silent=True, log=False, stderr=subprocess.DEVNULL))
