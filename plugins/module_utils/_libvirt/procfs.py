# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Figures that the kernel of a local hypervisor tells and libvirt does not, or not in all versions. Bytes."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

_ROOT: t.Final = Path("/")


def _fields(path: Path) -> dict[str, int]:
    """The lines of a meminfo file, in bytes; empty where there is no such file."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    return {name: int(number) * 1024 for name, number in re.findall(r"(\w+(?:\(\w+\))?):\s+(\d+) kB", text)}


def available(root: Path = _ROOT) -> int | None:
    """MemAvailable of the host."""
    return _fields(root / "proc/meminfo").get("MemAvailable")


def default_huge_page_size(root: Path = _ROOT) -> int | None:
    return _fields(root / "proc/meminfo").get("Hugepagesize")


def node_available(node: int, root: Path = _ROOT) -> int | None:
    """What one NUMA node could free: the parts that MemAvailable adds up (si_mem_available in the kernel), by node."""
    fields = _fields(root / f"sys/devices/system/node/node{node}/meminfo")
    if "MemFree" not in fields:
        return None
    return sum(fields.get(name, 0) for name in ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable"))


def thp_size(root: Path = _ROOT) -> int | None:
    """The size of a transparent huge page, as virHostMemGetTHPSize reads it."""
    try:
        return int((root / "sys/kernel/mm/transparent_hugepage/hpage_pmd_size").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
