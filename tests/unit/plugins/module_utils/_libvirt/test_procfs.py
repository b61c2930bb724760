# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import procfs

MEMINFO = """\
MemTotal:       32608932 kB
MemFree:         1234567 kB
MemAvailable:   20000000 kB
HugePages_Total:       4
Hugepagesize:       2048 kB
"""
NODE = """\
Node 0 MemTotal:       16304466 kB
Node 0 MemFree:         1000 kB
Node 0 Active(file):     200 kB
Node 0 Inactive(file):    30 kB
Node 0 Active(anon):   99999 kB
Node 0 SReclaimable:       4 kB
Node 0 HugePages_Total:     8
"""


@pytest.fixture
def root(tmp_path):
    for path, text in (
        ("proc/meminfo", MEMINFO),
        ("sys/devices/system/node/node0/meminfo", NODE),
        ("sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_a_host(root):
    assert procfs.available(root) == 20000000 * 1024
    assert procfs.default_huge_page_size(root) == 2048 * 1024
    assert procfs.node_available(0, root) == 1234 * 1024
    assert procfs.thp_size(root) == 2097152


def test_a_host_that_tells_nothing(tmp_path):
    assert procfs.available(tmp_path) is None
    assert procfs.default_huge_page_size(tmp_path) is None
    assert procfs.node_available(0, tmp_path) is None
    assert procfs.thp_size(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[always] madvise never\n"])
def test_nonsense(root, text):
    (root / "sys/kernel/mm/transparent_hugepage/hpage_pmd_size").write_text(text)
    (root / "proc/meminfo").write_bytes(b"MemAvailable: many kB\n\xff")
    assert procfs.thp_size(root) is None
    assert procfs.available(root) is None
    assert procfs.node_available(1, root) is None
