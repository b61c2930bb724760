# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's capabilities say, as the model has it."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import HostNode
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document
from ansible_collections.virtmem.libvirt.tests.unit.plugins.module_utils.models import GIB, KIB, MIB

CAPABILITIES = """
<capabilities>
  <host>
    <cpu><arch>aarch64</arch></cpu>
    <topology><cells num='1'>
      <cell id='3'>
        <memory unit='KiB'>2097152</memory>
        <pages unit='KiB' size='64'>16384</pages>
        <pages unit='KiB' size='2048'>512</pages>
        <pages unit='KiB' size='524288'>0</pages>
      </cell>
    </cells></topology>
  </host>
  <guest><arch name='x86_64'><domain type='qemu'/></arch></guest>
  <guest><arch name='aarch64'><domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>
"""


def test_capabilities():
    topology = document.parse_capabilities(CAPABILITIES)
    assert (topology.arch, topology.accelerated) == ("aarch64", True)
    assert topology.nodes == (HostNode(3, 2 * GIB, {2 * MIB: GIB, 512 * MIB: 0}),)


@pytest.mark.parametrize("text", ["<domain/>", "nothing", CAPABILITIES.replace("16384", "many")])
def test_what_is_no_host(text):
    with pytest.raises(VirtmemError) as caught:
        document.parse_capabilities(text)
    assert caught.value.code == "libvirt_error"


@pytest.mark.parametrize(
    ("guests", "kvm"),
    [
        ("<guest><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest>", True),
        ("<guest><arch name='x86_64'><domain type='qemu'/></arch></guest>", False),
        (
            "<guest><arch name='i686'><domain type='kvm'/></arch></guest>",
            False,
        ),  # of another architecture than the host
        ("", False),
    ],
)
def test_hardware_acceleration_is_the_hosts_own(guests, kvm):
    text = f"<capabilities><host><cpu><arch>x86_64</arch></cpu></host>{guests}</capabilities>"
    assert document.parse_capabilities(text).accelerated is kvm


@pytest.mark.parametrize(
    ("cell", "node"),
    [
        ("<cell/>", HostNode(0, 0, {})),
        ("<cell id='1'><memory>4</memory></cell>", HostNode(1, 4 * KIB, {})),
        ("<cell id='2'><pages size='4'>9</pages></cell>", HostNode(2, 0, {})),  # ordinary pages are no pool
        (
            "<cell><pages unit='MiB' size='1024'>1</pages><pages size='4'>9</pages><pages unit='MiB' size='2'>3</pages></cell>",
            HostNode(0, 0, {2 * MIB: 6 * MIB, GIB: GIB}),
        ),
    ],
)
def test_nodes(cell, node):
    text = f"<capabilities><host><topology><cells>{cell}</cells></topology></host></capabilities>"
    assert document.parse_capabilities(text).nodes == (node,)
