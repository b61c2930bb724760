# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two hypervisors of the lab, reached over SSH, for all tests of the session."""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from hypervisor import Hypervisor, UnavailableError

# Ansible's own, but for how long a connection outlives the last task that used it; and fewer of them.
os.environ["ANSIBLE_SSH_ARGS"] = "-C -o ControlMaster=auto -o ControlPersist=15s"
os.environ["ANSIBLE_PIPELINING"] = "1"
DEVICE = ["--device", "size=1GiB,block=2MiB,requested=0,alias=ua-mem"]


@pytest.fixture(scope="session")
def hypervisors():
    """kvm1 has web1 and web2. kvm2 has db1, and another web1 and off1, which nobody has prepared; off1 does not run."""
    both = [Hypervisor(f"kvm{number}", f"r{os.getpid()}-{number}") for number in (1, 2)]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_make, both))
        for ending in ("", ".pub"):  # one credential is for both, as in AWX
            shutil.copy(both[0].ssh["key"] + ending, both[1].ssh["key"] + ending)
        yield both
    except UnavailableError as reason:
        pytest.skip(str(reason))
    finally:
        for hypervisor in both:
            hypervisor.down()


def _make(hypervisor):
    hypervisor.up()
    assert hypervisor.ssh
    if hypervisor.host == "kvm1":
        hypervisor.start("web1", *DEVICE)
        hypervisor.start("web2", *DEVICE)
    else:
        hypervisor.start("db1", *DEVICE)
        hypervisor.start("web1", "--profile", "no-hotplug")
        hypervisor.start("off1", "--profile", "no-hotplug", "--no-start")


@pytest.fixture(scope="session")
def kvm1(hypervisors):
    return hypervisors[0]


@pytest.fixture(scope="session")
def kvm2(hypervisors):
    return hypervisors[1]
