# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's capabilities, as an XML tree, to the model. Called by _xml alone; walks the tree, and needs no lxml for that. Pure."""

from __future__ import annotations

import typing as t

from .._model import HostNode, HostTopology
from .reader import scaled, size_of, whole

if t.TYPE_CHECKING:
    Element = t.Any  # lxml ships no types


def topology(root: Element) -> HostTopology:
    arch = root.findtext("host/cpu/arch", "")
    kvm = any(
        found.get("name") == arch and found.find("domain[@type='kvm']") is not None
        for found in root.iterfind("guest/arch")
    )
    return HostTopology(arch, kvm, tuple(map(_node, root.iterfind("host/topology/cells/cell"))))


def _node(cell: Element) -> HostNode:
    pools = {
        scaled(pages.get("size", "0"), pages.get("unit")): whole(pages.text or "0") for pages in cell.iterfind("pages")
    }
    ordinary = min(pools, default=0)  # the smallest size: ordinary pages, as many as huge pages leave
    huge = {size: size * number for size, number in sorted(pools.items()) if size != ordinary}
    return HostNode(id=whole(cell.get("id", "0")), total=size_of(cell.find("memory")) or 0, pools=huge)
