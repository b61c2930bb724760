# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from a definition's parts is true of a merged one, too."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.merge import merge_structure
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import CellSpec, DomainSpec
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Definition,
    HugePage,
    NumaCell,
    Platform,
    Versions,
)

GIB = 1024**3
NEW = Platform(Versions((11, 9, 0), (10, 0, 13)), None)
CELL = NumaCell(0, GIB, "0", access="shared")
WEB1 = Definition("web1", "u", "x86_64", "q35", total=GIB, current_memory=GIB, cells=(CELL,), lasting_blockers=("no",))


def test_locked_memory_comes_and_goes_with_its_blocker():
    locked = merge_structure(WEB1, DomainSpec(backing={"locked": True}, tuning={"hard_limit": 8 * GIB}), NEW)
    assert [words[:22] for words in locked.blockers] == ["its memory is locked (", "no"]
    assert merge_structure(locked, DomainSpec(backing={"locked": False}), NEW).blockers == ("no",)


def test_pages_and_kind_of_memory():
    assert WEB1.anonymous
    huge = merge_structure(WEB1, DomainSpec(backing={"hugepages": (HugePage(GIB, "0"),)}), NEW)
    assert (huge.anonymous, huge.backing.page_size, huge.backing.cell_page_sizes) == (False, None, {0: GIB})
    again = merge_structure(huge, DomainSpec(backing={"hugepages": None}), NEW)
    assert (again.anonymous, again.backing, again.backing.cell_page_sizes) == (True, Backing(), {})


def test_shared_cells():
    assert WEB1.shared_cells == {0}
    assert merge_structure(WEB1, DomainSpec(numa=(CellSpec(0, {"access": "private"}),)), NEW).shared_cells == set()
