# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The domain XML of a lab guest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape  # that of xml.sax brings urllib along: a fifth of what each look at a guest costs
from pathlib import Path

from .image import Image
from .profiles import Profile
from .sizes import GIB, MIB, parse

SPARE_PORTS = 6


@dataclass(frozen=True)
class Device:
    """A virtio-mem device that a guest has from the start."""

    size: int = 2 * GIB
    block: int = 2 * MIB
    requested: int = 0
    alias: str = ""
    node: int = 0

    @classmethod
    def parse(cls, text: str) -> Device:
        """Return the device for ``size=2GiB,block=2MiB,requested=0,alias=ua-x,node=0``."""
        words = dict(word.partition("=")[::2] for word in text.split(",") if word)
        unknown = sorted(set(words) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"a device has no {', '.join(unknown)}; it has {', '.join(cls.__dataclass_fields__)}")
        sizes = {key: parse(words[key]) for key in ("size", "block", "requested") if key in words}
        return cls(**sizes, alias=words.get("alias", ""), node=int(words.get("node", "0")))

    def xml(self) -> str:
        alias = f"<alias name='{escape(self.alias)}'/>" if self.alias else ""
        return f"""
    <memory model='virtio-mem'>
      <target>
        <size unit='b'>{self.size}</size>
        <node>{self.node}</node>
        <block unit='b'>{self.block}</block>
        <requested unit='b'>{self.requested}</requested>
      </target>{alias}
    </memory>"""


@dataclass(frozen=True)
class Shape:
    """What a guest is given; its profile says what it does with that."""

    memory: int = 512 * MIB
    maximum: int = 16 * GIB
    slots: int = 16
    devices: Sequence[Device] = ()
    machine: str = "q35"
    stats_period: int = 0
    command_line: str = ""  # more words for the kernel


@dataclass(frozen=True)
class Boot:
    """Where a guest's system comes from, in pieces of XML."""

    os: str  # what is in <os> beside the type
    devices: str = ""
    ports: int = 0  # how many of them want a PCIe port
    uuid: str = ""  # none: libvirt makes one up
    features: str = ""  # what is in <features> beside ACPI
    arguments: tuple[str, ...] = ()  # of QEMU's, for what libvirt has no XML for


def domain_xml(name: str, profile: Profile, shape: Shape, boot: Boot, console: Path, accelerator: str) -> str:
    """Return the definition of a guest."""
    hypervisor = "kvm" if accelerator == "kvm" else "qemu"
    maximum = f"<maxMemory slots='{shape.slots}' unit='b'>{shape.maximum}</maxMemory>" if profile.hotplug else ""
    total = shape.memory + sum(device.size for device in shape.devices)
    return f"""<domain type='{hypervisor}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{escape(name)}</name>{f"<uuid>{boot.uuid}</uuid>" if boot.uuid else ""}
  <description>virtmem lab: {profile.name}</description>
  {maximum}
  <memory unit='b'>{total}</memory>
  <currentMemory unit='b'>{shape.memory}</currentMemory>
  {_vcpus(profile)}
  <os>
    <type arch='x86_64' machine='{escape(shape.machine)}'>hvm</type>
    {boot.os}
  </os>
  <features><acpi/>{boot.features}</features>
  {_cells(profile, shape)}
  <devices>
    <controller type='usb' model='none'/>{_ports(shape, boot)}
    <serial type='file'>
      <source path='{escape(str(console))}'/>
      <target port='0'/>
    </serial>
    {_balloon(profile, shape)}{"".join(device.xml() for device in shape.devices)}{boot.devices}
  </devices>
  {_arguments(boot)}
</domain>
"""


def kernel_boot(image: Image, profile: Profile, shape: Shape) -> Boot:
    """Return the way of the small guests: QEMU itself loads their kernel."""
    return Boot(
        f"<kernel>{escape(str(image.kernel))}</kernel>"
        f"<initrd>{escape(str(image.initramfs))}</initrd>"
        f"<cmdline>{escape(f'{profile.command_line()} {shape.command_line}'.strip())}</cmdline>"
    )


def _vcpus(profile: Profile) -> str:
    """Return all processors, of which one runs. An emulating QEMU has a thread for each that does, and with two of them
    10.0.13 died while a guest booted: "iotlb_to_section: Assertion `section_index < d->map.sections_nb' failed"."""
    current = " current='1'" if profile.vcpus > 1 else ""
    return f"<vcpu{current}>{profile.vcpus}</vcpu>"


def _cells(profile: Profile, shape: Shape) -> str:
    if not profile.hotplug:
        return ""
    memory = shape.memory // profile.cells
    per_cell = profile.vcpus // profile.cells
    cells = "".join(
        f"<cell id='{cell}' cpus='{cell * per_cell}-{cell * per_cell + per_cell - 1}' memory='{memory}' unit='b'/>"
        for cell in range(profile.cells)
    )
    return f"<cpu><numa>{cells}</numa></cpu>"


def _ports(shape: Shape, boot: Boot) -> str:
    """Return what a device can be plugged into later: q35 has no hotplug on its root bus, pc has."""
    if "q35" not in shape.machine:
        return ""
    root = "\n    <controller type='pci' index='0' model='pcie-root'/>"
    in_use = 1 + len(shape.devices) + boot.ports
    return root + "\n    <controller type='pci' model='pcie-root-port'/>" * (SPARE_PORTS + in_use)


def _balloon(profile: Profile, shape: Shape) -> str:
    if not profile.balloon:
        return "<memballoon model='none'/>"
    stats = f"<stats period='{shape.stats_period}'/>" if shape.stats_period else ""
    return f"<memballoon model='virtio'>{stats}</memballoon>"


def _arguments(boot: Boot) -> str:
    words = "".join(f"<qemu:arg value='{escape(word)}'/>" for word in boot.arguments)
    return f"<qemu:commandline>{words}</qemu:commandline>" if words else ""
