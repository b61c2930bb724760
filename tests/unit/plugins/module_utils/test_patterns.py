# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which domains a pattern means."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._patterns import is_pattern, matching


@pytest.mark.parametrize(
    ("text", "found"), [("web1", False), ("", False), ("web*", True), ("web?", True), ("web[1]", True), ("a]", False)]
)
def test_is_pattern(text, found):
    assert is_pattern(text) is found


NAMES = ["web2", "web1", "Web3", "db[1]", "db1"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", NAMES),
        ("web*", ["web2", "web1"]),
        ("web?", ["web2", "web1"]),
        ("web[!1]", ["web2"]),
        ("db[1]", ["db[1]"]),  # one is called so
        ("db[12]", ["db1"]),
        ("x*", []),
        ("web1", ["web1"]),
    ],
)
def test_matching(pattern, found):
    assert matching(pattern, iter(NAMES)) == found
