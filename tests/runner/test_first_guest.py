# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page `First guest in ten minutes`, followed to the letter: every command of it is run, in the order of the page.

What differs from a reader's place is said by the environment alone: where the collection comes from, how the host of the
page is reached, and which libvirt is there.
"""

from __future__ import annotations

import os
import re
import subprocess
import textwrap

import pytest
from awx import ROOT
from hypervisor import COMMAND, MIB

PAGE = (ROOT / "docs/docsite/rst/first_guest.rst").read_text()
BLOCK = re.compile(r"^\.\. code-block:: (\w+)\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def blocks(kind):
    return [textwrap.dedent(text).strip() for name, text in BLOCK.findall(PAGE) if name == kind]


def commands():
    return [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]


@pytest.fixture
def reader(tmp_path, kvm2):
    """Return how a reader runs a command: in a folder with nothing but the page's inventory in it."""
    repository = _published(tmp_path / "published")
    ssh = kvm2.ssh
    (tmp_path / "ssh_config").write_text(
        f"Host kvm1.example.com\n  HostName 127.0.0.1\n  Port {ssh['port']}\n  IdentityFile {ssh['key']}\n"
        f"  UserKnownHostsFile {ssh['known_hosts']}\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    (inventory,) = blocks("yaml")
    (home / "hosts.yml").write_text(inventory.replace("root", ssh["user"]).replace("/usr/bin/python3", COMMAND[0]))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "ANSIBLE_COLLECTIONS_PATH"},
        "ANSIBLE_HOME": str(home / ".ansible"),
        "ANSIBLE_SSH_ARGS": f"{os.environ['ANSIBLE_SSH_ARGS']} -F {tmp_path / 'ssh_config'}",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(home / "cp"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/virtmem/virtmem.libvirt.git",
    }

    def run(command):
        done = subprocess.run(
            command, shell=True, check=False, cwd=home, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def _published(folder):
    """Make a repository of what is here, as it would be cloned."""
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "-c", "safe.directory=*"]
    for words in (
        ["init", "-q", "--separate-git-dir", str(folder), str(folder.parent / "tree")],
        ["--git-dir", str(folder), "--work-tree", str(ROOT), "add", "-A"],
        ["--git-dir", str(folder), "--work-tree", str(ROOT), "commit", "-q", "-m", "all"],
    ):
        subprocess.run([*git, *words], check=True, capture_output=True)
    return folder


def test_all_commands(reader, kvm2):
    first, resizes = 0, []
    for command in commands():
        said = reader(command)
        if "libvirt.report" in command:
            assert "web1 (running): 192 MiB = 192 MiB at boot + 0 MiB plugged, 192 MiB at most" in said
        if "libvirt.prepare" in command:
            assert "<size unit='KiB'>2097152</size>" in kvm2.xml("web1", "--config")
        if "restart" in command:
            assert "<size unit='KiB'>2097152</size>" in kvm2.xml("web1")
            first = kvm2.total("web1")
        if "libvirt.resize" in command:
            changed = re.search(r"changed=(\d+)", said).group(1)
            resizes.append((changed, kvm2.plugged("web1")))
            if "--check" not in command:
                kvm2.await_total("web1", first + kvm2.plugged("web1") * MIB)
    assert resizes == [("1", 0), ("1", 832), ("0", 832), ("1", 320)]


def test_page_is_as_it_seems():
    """The parts of the page that the other test goes by are there."""
    assert len(commands()) == 10
    assert len(blocks("text")) == 2
    assert "virtmem_memory=1GiB" in PAGE
    assert "virtmem_memory=512MiB" in PAGE
