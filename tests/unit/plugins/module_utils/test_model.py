# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from the nouns' own facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils import _model
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import HostNode, HostTopology, HugePage, in_order
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import (
    CONFIG,
    GIB,
    LIVE,
    MIB,
    definition,
    device,
    observed,
)


@pytest.mark.parametrize(
    ("alias", "own"),
    [("ua-a", "ua-a"), ("ua-", "ua-"), ("virtiomem0", None), ("", None), (None, None), ("xua-a", None)],
)
def test_a_persons_alias(alias, own):
    assert replace(CONFIG, alias=alias).user_alias == own


def test_pages_in_one_order():
    pages = [HugePage(GIB, "1"), HugePage(GIB), HugePage(2 * MIB, "1"), HugePage(2 * MIB)]
    assert in_order(pages) == (HugePage(2 * MIB), HugePage(GIB), HugePage(2 * MIB, "1"), HugePage(GIB, "1"))


DIMM, PMEM = device("dimm", GIB), device("nvdimm", 3 * GIB)


def test_memory_by_its_kind():
    found = definition(CONFIG, DIMM, PMEM)
    assert (found.boot, found.ram, found.total) == (2 * GIB, 3 * GIB, 14 * GIB)
    assert found.virtio_mem == (CONFIG,)


@pytest.mark.parametrize(("current", "inflated"), [(3 * GIB, False), (3 * GIB - 1, True), (9 * GIB, False)])
def test_a_balloon_at_the_next_start(current, inflated):
    assert definition(CONFIG, DIMM, PMEM, current=current).inflated is inflated


@pytest.mark.parametrize(
    ("live", "config", "scopes"),
    [(LIVE, CONFIG, ["live", "config"]), (None, CONFIG, ["config"]), (LIVE, None, ["live"]), (None, None, [])],
)
def test_definitions_that_there_are(live, config, scopes):
    live, config = live and definition(live), config and definition(config)
    found = observed(live, config)
    assert list(found.definitions) == scopes
    assert (found.live, found.config) == (live, config)


def test_nodes_of_a_host():
    assert HostTopology("x86_64", True, (HostNode(0, GIB), HostNode(3, GIB))).node_ids == [0, 3]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1, "1 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536 * 1024**2, "1536 MiB"),
        (6 * 1024**3, "6 GiB"),
        (1024**6, "1 EiB"),
    ],
)
def test_format_size(size, text):
    assert _model.format_size(size) == text


@pytest.mark.parametrize(("size", "text"), [(1024**2 - 1, "0"), (1024**2 * 3 + 7, "3 MiB"), (2 * 1024**3 + 1, "2 GiB")])
def test_about_rounds_down(size, text):
    assert _model.about(size) == text


@pytest.mark.parametrize(("size", "kib"), [(0, 0), (1, 1), (1024, 1), (1025, 2)])
def test_kib_rounds_up(size, kib):
    assert _model.kib(size) == kib


@given(st.integers(0, 2**63), st.integers(1, 2**40))
def test_rounding(size, step):
    below, above = _model.round_down(size, step), _model.round_up(size, step)
    assert below % step == above % step == 0
    assert below <= size <= above
    assert above - below == (0 if size % step == 0 else step)
