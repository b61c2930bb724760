# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The XML of domains and devices for tests, as a person writes it."""

from __future__ import annotations

import typing as t
from xml.sax.saxutils import escape

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import VIRTIO_MEM, element
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB, size_of

UUID = "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"
_DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>
    <app:note xmlns:app='https://example.com/app' app:level='3'>kept &amp; kept</app:note>
  </metadata>
  {maximum}
  <memory unit='KiB'>{total}</memory>
  {current}
  {backing}
  <vcpu placement='static'>4</vcpu>
  <os>
    <type arch='{arch}' machine='{machine}'>hvm</type>
  </os>
  {cpu}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {controllers}
    <graphics type='vnc' port='-1' autoport='yes' passwd='secret'/>
    {balloon}
    {devices}
  </devices>
</domain>
"""


def device(
    alias: str | None = "ua-virtiomem0",
    size: int = 16 * GIB,
    requested: int = 2 * GIB,
    *,
    block: int = 2 * MIB,
    node: int | None = 0,
    model: str = VIRTIO_MEM,
    attributes: str = "",
    source: str = "",
    extra: str = "",
) -> str:
    sized = (
        f"<block unit='KiB'>{block // 1024}</block><requested unit='KiB'>{requested // 1024}</requested>"
        if model == VIRTIO_MEM
        else ""
    )
    return (
        f"<memory model='{model}' {attributes}>{source}<target><size unit='KiB'>{size // 1024}</size>"
        f"{'' if node is None else f'<node>{node}</node>'}{sized}</target>"
        f"{'' if alias is None else f'<alias name={alias!r}/>'}{extra}</memory>"
    )


def domain_xml(
    *devices: str,
    name: str = "web1",
    uuid: str = UUID,
    machine: str = "pc-q35-9.2",
    arch: str = "x86_64",
    boot: t.Sequence[int] = (2 * GIB,),
    maximum: int | None = 64 * GIB,
    slots: int = 16,
    current: int | None = None,
    ports: int = 4,
    balloon: str = "<memballoon model='virtio'/>",
    backing: str = "",
) -> str:
    """`boot`: sizes of the NUMA nodes; `ports`: PCIe root ports, where the machine has such."""
    return _DOMAIN.format(
        name=escape(name),
        uuid=uuid,
        machine=machine,
        arch=arch,
        total=(sum(boot) + sum(size_of(element(found).find("target/size")) for found in devices)) // 1024,
        maximum="" if maximum is None else f"<maxMemory slots='{slots}' unit='KiB'>{maximum // 1024}</maxMemory>",
        current="" if current is None else f"<currentMemory unit='KiB'>{current // 1024}</currentMemory>",
        cpu=_cpu(boot) if boot else "",
        controllers=_controllers(ports) if "q35" in machine else "",
        balloon=balloon,
        backing=backing,
        devices="".join(devices),
    )


def _cpu(boot: t.Sequence[int]) -> str:
    each = 4 // len(boot)
    cells = "".join(
        f"<cell id='{index}' cpus='{index * each}-{index * each + each - 1}' memory='{size // 1024}' unit='KiB'/>"
        for index, size in enumerate(boot)
    )
    return f"<cpu><numa>{cells}</numa></cpu>"


def _controllers(ports: int) -> str:
    return "<controller type='pci' index='0' model='pcie-root'/>" + "".join(
        f"<controller type='pci' index='{index}' model='pcie-root-port'/>" for index in range(1, ports + 1)
    )
