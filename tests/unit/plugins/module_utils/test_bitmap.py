# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._bitmap import format_bitmap, parse_bitmap


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("0", [0]),
        ("0-2", [0, 1, 2]),
        ("0-3,^2", [0, 1, 3]),
        ("0-3,^1-2", [0, 3]),
        ("^0,0", [0]),
        ("8,1", [1, 8]),
        ("1,1", [1]),
        (" 0 - 1 , 4 ", [0, 1, 4]),
    ],
)
def test_sets(text, members):
    assert parse_bitmap(text) == members


@pytest.mark.parametrize(
    "text", ["", " ", "a", "1-", "-1", "^", "3-1", "^1", "1,^1", "0,,1", "0-16384", "\u0661", "0x1"]
)
def test_no_sets(text):
    with pytest.raises(ValueError, match=r"^"):
        parse_bitmap(text)


@given(st.sets(st.integers(0, 200), min_size=1))
def test_there_and_back(members):
    text = format_bitmap(members)
    assert parse_bitmap(text) == sorted(members)
    assert format_bitmap(parse_bitmap(text)) == text


@pytest.mark.parametrize(
    ("members", "text"), [([0], "0"), ([1, 0], "0-1"), ([0, 1, 3], "0-1,3"), ([5, 7], "5,7"), ([], "")]
)
def test_format(members, text):
    assert format_bitmap(members) == text
