# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory over devices: evenly by node, in whole blocks, nothing lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spread import capacity, spread
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import MemoryDevice

MIB, GIB = 1024**2, 1024**3


def device(size, requested=0, node=0, block=2 * MIB):
    return MemoryDevice("virtio-mem", size, block=block, requested=requested, node=node)


@pytest.mark.parametrize(
    ("devices", "wanted", "requested"),
    [
        ([device(4 * GIB)], GIB, [GIB]),
        ([device(4 * GIB), device(4 * GIB, node=1)], 2 * GIB, [GIB, GIB]),
        ([device(1 * GIB), device(4 * GIB, node=1)], 4 * GIB, [GIB, 3 * GIB]),
        ([device(4 * GIB), device(4 * GIB)], 5 * GIB, [4 * GIB, GIB]),
        ([device(4 * GIB, 4 * GIB), device(4 * GIB, GIB)], 2 * GIB, [2 * GIB, 0]),
        ([device(4 * GIB, 3 * GIB), device(4 * GIB, 0, node=1)], 3 * GIB, [3 * GIB, 0]),  # right already
        ([device(4 * GIB, 3 * GIB), device(4 * GIB, 0, node=1)], 4 * GIB, [2 * GIB, 2 * GIB]),
        ([device(4 * GIB), device(4 * GIB, node=1), device(4 * GIB, node=2)], 4 * MIB, [0, 2 * MIB, 2 * MIB]),
        ([device(4 * GIB, GIB)], 0, [0]),
    ],
)
def test_shares(devices, wanted, requested):
    placed, left = spread(wanted, devices)
    assert [found.requested for found in placed] == requested
    assert left == 0


DEVICES = st.lists(
    st.builds(
        lambda blocks, asked, node, power: device(
            blocks * (2 * MIB << power), min(asked, blocks) * (2 * MIB << power), node, 2 * MIB << power
        ),
        st.integers(1, 100),
        st.integers(0, 100),
        st.integers(0, 3),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=5,
)


@given(DEVICES, st.integers(0, 2**33))
def test_nothing_is_lost_and_blocks_are_whole(devices, wanted):
    wanted = min(wanted, capacity(devices))
    placed, left = spread(wanted, devices)
    assert sum(found.requested for found in placed) + left == wanted
    assert left >= 0
    for before, after in zip(devices, placed):
        assert after == replace(before, requested=after.requested)
        assert after.requested % after.block == 0
        assert 0 <= after.requested <= after.size


@given(DEVICES, st.integers(0, 2**33))
def test_the_second_time_nothing_moves(devices, wanted):
    placed, _left = spread(min(wanted, capacity(devices)), devices)
    assert spread(sum(found.requested for found in placed), placed)[0] == placed


@given(DEVICES)
def test_all_of_it(devices):
    placed, left = spread(capacity(devices), devices)
    assert left == 0
    assert [found.requested for found in placed] == [found.size for found in devices]
