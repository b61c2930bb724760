# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory sums as libvirt makes them. Pure; each function names the one of libvirt that it mirrors.

Checked against libvirt 9.0, 11.3 and 12.8: what is predicted here is what a defined or started domain reads back.
All sizes are bytes.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .. import _capabilities
from .._bitmap import format_bitmap, members_of
from .._model import KIB, MIB, Definition, MemoryDevice, NumaCell, Versions, round_up
from .._option_table import SIZES

_BOOT_ALIGNMENT: t.Final = MIB
_DEVICE_ALIGNMENT: t.Final = 2 * MIB


def devices_total(devices: t.Iterable[MemoryDevice]) -> int:
    """The full size of all devices, whatever is requested of them."""
    return sum(device.size for device in devices)


def read_back(written: Definition, versions: Versions) -> Definition:
    """What libvirt makes of `written` when it is defined (virDomainDefPostParseMemory with ABI_UPDATE).

    PCI addresses and aliases aside, which nobody can foresee.
    """
    definition = _in_whole_kib(written)
    if definition.cells:
        # Whatever <memory> says, the cells and the devices decide (virDomainDefSetMemoryTotal).
        cells = tuple(sorted(definition.cells, key=lambda cell: cell.id))
        cells = _with_all_vcpus(cells, definition.vcpus)
        total = sum(cell.memory for cell in cells) + devices_total(definition.devices)
        definition = replace(definition, cells=cells, total=total)
    elif _invents_cell(definition, versions):
        definition = _with_invented_cell(definition)
    if not 0 < definition.current_memory <= definition.total:
        definition = replace(definition, current_memory=definition.total)
    return definition


def _in_whole_kib(written: Definition) -> Definition:
    """virDomainParseMemory: each size by itself, so that a sum of bytes may come out larger."""
    return replace(
        written,
        total=round_up(written.total, KIB),
        current_memory=round_up(written.current_memory, KIB),
        maximum=None if written.maximum is None else round_up(written.maximum, KIB),
        cells=tuple(replace(cell, memory=round_up(cell.memory, KIB)) for cell in written.cells),
        devices=tuple(_defaulted(device) for device in written.devices),
    )


def _defaulted(device: MemoryDevice) -> MemoryDevice:
    """virDomainMemoryDefPostParse: a virtio-pmem device is shared; sizes are whole KiB."""
    sizes: dict[str, t.Any] = {name: round_up(size, KIB) for name in SIZES if (size := getattr(device, name))}
    return replace(device, access="shared" if device.model == "virtio-pmem" else device.access, **sizes)


def _invents_cell(definition: Definition, versions: Versions) -> bool:
    """qemuDomainDefNumaAutoAdd, from libvirt 9.6, not on ppc64 and s390x."""
    return definition.maximum is not None and _capabilities.invents_cell(definition.arch, versions)


def _with_invented_cell(definition: Definition) -> Definition:
    devices = tuple(
        device if device.model == "virtio-pmem" or device.node is not None else replace(device, node=0)
        for device in definition.devices
    )
    return replace(with_cell(definition), devices=devices)


def _with_all_vcpus(cells: tuple[NumaCell, ...], vcpus: int) -> tuple[NumaCell, ...]:
    """vCPUs that no cell lists go to the first, cell 0 (virDomainNumaFillCPUsInNode); sets are written in one way."""
    sets = {cell.id: set(members_of(cell.cpus)) for cell in cells}
    sets[cells[0].id] |= set(range(vcpus)).difference(*sets.values())
    return tuple(replace(cell, cpus=format_bitmap(sets[cell.id]) or None) for cell in cells)


def started(definition: Definition) -> Definition:
    """The sizes of the live definition after a start (qemuDomainAlignMemorySizes, x86, aarch64 and s390x).

    Cells, boot memory and maxMemory are rounded up to 1 MiB, devices to 2 MiB (nvdimm: see libvirt; not here); the
    stored definition keeps what it says.
    """
    cells = tuple(replace(cell, memory=round_up(cell.memory, _BOOT_ALIGNMENT)) for cell in definition.cells)
    devices = tuple(replace(device, size=round_up(device.size, _DEVICE_ALIGNMENT)) for device in definition.devices)
    boot = sum(cell.memory for cell in cells) if cells else round_up(definition.boot, _BOOT_ALIGNMENT)
    maximum = definition.maximum
    return replace(
        definition,
        cells=cells,
        devices=devices,
        total=boot + devices_total(devices),
        maximum=None if maximum is None else round_up(maximum, _BOOT_ALIGNMENT),
    )


def attached(definition: Definition, device: MemoryDevice) -> Definition:
    """A stored definition after qemuDomainAttachMemoryConfig: both sums grow by the full size."""
    device = _defaulted(device)
    return replace(
        definition,
        devices=(*definition.devices, device),
        total=definition.total + device.size,
        current_memory=definition.current_memory + device.size,
    )


def detached(definition: Definition, device: MemoryDevice) -> Definition:
    """A stored definition after qemuDomainDetachDeviceConfig. `<currentMemory>` shrinks unsigned and unclamped: below
    zero it wraps, and is then clamped to the total (9.0 to 12.8)."""
    total = definition.total - device.size
    current = definition.current_memory - device.size
    return replace(
        definition,
        devices=tuple(other for other in definition.devices if other != device),
        total=total,
        current_memory=current if 0 < current <= total else total,
    )


def with_cell(definition: Definition) -> Definition:
    """One NUMA node with all boot memory and vCPUs, as libvirt 9.6 adds it (qemuDomainDefNumaAutoAdd)."""
    cell = NumaCell(0, definition.boot, format_bitmap(range(definition.vcpus)))
    return replace(definition, cells=(cell,))


def merge_current_memory(before: Definition, after: Definition, target: int | None) -> int:
    """`<currentMemory>` of the stored definition: below boot memory and DIMMs it is a balloon at the next start, else
    nothing (QEMU's balloon counts DIMMs, and neither virtio-mem nor persistent memory).

    It follows them, and does not count other devices; where libvirt has counted those in (its own attach does), it goes
    on as libvirt would.
    """
    if target is not None and target < after.ram:
        return target
    if before.current_memory > before.ram:
        moved = before.current_memory + after.total - before.total
        return min(max(moved, after.ram), after.total)
    if target is None and before.inflated:
        return min(before.current_memory, after.ram)
    return after.ram
