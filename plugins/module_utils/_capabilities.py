# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this libvirt, QEMU, architecture and machine type can do: one table, each line with its source. Pure.

libvirt's domain capabilities do not list memory device models (true from 7.9 to 12.8), so versions decide.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._errors import VirtmemError
from ._model import MIB, Definition, MemoryDevice, Platform, Versions

Version = tuple[int, int, int]


@dataclass(frozen=True, eq=False, repr=False)
class Feature:
    """The first libvirt and QEMU that have a thing, and where that is written."""

    libvirt: Version
    qemu: Version
    source: str


FEATURES: t.Final[t.Mapping[str, Feature]] = {
    "virtio-mem": Feature((7, 9, 0), (5, 1, 0), "libvirt NEWS 7.9.0; QEMU 5.1 changelog (x86_64)"),
    "virtio-mem on aarch64": Feature((7, 9, 0), (7, 0, 0), "libvirt tests/qemucapabilitiesdata, QEMU 7.0"),
    "virtio-mem on s390x": Feature((11, 1, 0), (10, 0, 0), "libvirt NEWS 11.1.0; QEMU 10.0 virtio-mem-ccw"),
    "guest_address": Feature((9, 4, 0), (5, 1, 0), "libvirt NEWS 9.4.0: <target><address base>"),
    "dynamic_memslots": Feature((10, 1, 0), (8, 2, 0), "libvirt NEWS 10.1.0; QEMU 8.2 dynamic-memslots"),
    "virtio-pmem": Feature(
        (9, 4, 0), (5, 1, 0), "9.0 defines and does not start it: memory device info is not handled"
    ),
    "sgx-epc": Feature((8, 10, 0), (7, 0, 0), "libvirt NEWS 8.10.0; QEMU 7.0"),
    "driver": Feature((11, 9, 0), (5, 1, 0), "libvirt NEWS 11.9.0: virtio options of virtio-mem and virtio-pmem"),
    "allocation.threads": Feature((8, 2, 0), (5, 1, 0), "libvirt NEWS 8.2.0; QEMU prealloc-threads"),
    "a NUMA node without memory": Feature((11, 8, 0), (5, 1, 0), "libvirt 11.8 (tp-libvirt); 11.3 fails at start"),
    "unplug": Feature((7, 9, 0), (8, 1, 0), "QEMU 8.1 virtio-mem unplug"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Behaviour:
    """The first libvirt that behaves so, and where that is written. It is no feature: nobody asks for it."""

    libvirt: Version
    source: str


BEHAVIOURS: t.Final[t.Mapping[str, Behaviour]] = {
    "only DIMMs take slots": Behaviour((9, 5, 0), "libvirt NEWS 9.5.0"),
    "slots are optional": Behaviour((9, 5, 0), "libvirt NEWS 9.5.0; 9.4: 27 both ... slot count must be specified"),
    "a NUMA node is invented": Behaviour((9, 6, 0), "libvirt NEWS 9.6.0: qemuDomainDefNumaAutoAdd"),
    "virtio-mem is stored whatever the slots": Behaviour(
        (10, 0, 0), "libvirt NEWS 10.0.0: before, qemuDomainAttachMemoryConfig counted devices of all models"
    ),
    "node_mask binds": Behaviour(
        (12, 0, 0), "libvirt NEWS 12.0.0: a device's nodemask is strict; before, it had the mode of numatune"
    ),
}

_VIRTIO_MEM_BY_ARCH: t.Final[t.Mapping[str, str]] = {
    "x86_64": "virtio-mem",
    "i686": "virtio-mem",
    "aarch64": "virtio-mem on aarch64",
    "s390x": "virtio-mem on s390x",
}

_X86: t.Final = ("x86_64", "i686")

# QEMU pc.c, so on x86 only: unplug needs unplugged-inaccessible=on, the default from machine type 8.1; 7.0 to 8.0 decide by the
# backend (on unless the memory is anonymous); older ones have it off.
_UNPLUG_MACHINE: t.Final = (8, 1)
_UNPLUG_MACHINE_IF_NOT_ANONYMOUS: t.Final = (7, 0)

# A memory device needs a guest NUMA node, but for s390x, where virtio-mem-ccw does without (libvirt 11.1).
_NODES_OPTIONAL: t.Final = frozenset({"s390x", "s390"})


def version_text(version: t.Sequence[int]) -> str:
    """(9, 4, 0) as 9.4.0."""
    return ".".join(str(part) for part in version)


def behaves(behaviour: str, versions: Versions) -> bool:
    """Whether this libvirt does what `behaviour` (a key of BEHAVIOURS) says."""
    return versions.libvirt >= BEHAVIOURS[behaviour].libvirt


def why_not(feature: str, versions: Versions) -> str | None:
    """The reason why `feature` (a key of FEATURES) is not to be had, as a clause; None where it is."""
    needs = FEATURES[feature]
    for name, needed, present in (
        ("libvirt", needs.libvirt, versions.libvirt),
        ("QEMU", needs.qemu, versions.qemu),
    ):
        if present < needed:
            return f"{feature} needs {name} {version_text(needed)} or later, this is {version_text(present)}"
    return None


# The features that host_memory_info tells of: its word for each, and ours.
_TOLD: t.Final[t.Mapping[str, str]] = {
    "virtio_mem_unplug": "unplug",
    "guest_address": "guest_address",
    "dynamic_memslots": "dynamic_memslots",
    "device_driver": "driver",
    "virtio_pmem": "virtio-pmem",
    "sgx_epc": "sgx-epc",
    "allocation_threads": "allocation.threads",
    "numa_node_without_memory": "a NUMA node without memory",
}


def all_reasons(versions: Versions, arch: str) -> dict[str, str | None]:
    """Each feature of a host for guests of `arch`, with the reason why it is not to be had; None where it is."""
    reasons: dict[str, str | None] = {"virtio_mem": None}
    try:
        require_virtio_mem(versions, arch)
    except VirtmemError as error:
        reasons["virtio_mem"] = error.message.rstrip(".")
    for name, feature in _TOLD.items():
        reason = why_not(feature, versions)
        reasons[name] = reason and reason.replace(feature, name, 1)
    return reasons


def require(feature: str, versions: Versions) -> None:
    """Raise VirtmemError(unsupported) unless `feature` is there."""
    reason = why_not(feature, versions)
    if reason:
        raise VirtmemError(
            "unsupported",
            f"{reason}.",
            hint="Omit the option, or use a newer hypervisor.",
            details={
                "feature": feature,
                "libvirt": version_text(versions.libvirt),
                "qemu": version_text(versions.qemu),
            },
        )


def require_virtio_mem(versions: Versions, arch: str) -> None:
    """Raise VirtmemError(unsupported) unless guests of `arch` can have virtio-mem devices here."""
    feature = _VIRTIO_MEM_BY_ARCH.get(arch)
    if feature is None:
        raise VirtmemError(
            "unsupported",
            f"QEMU has no virtio-mem for {arch} guests (it has it for {', '.join(sorted(_VIRTIO_MEM_BY_ARCH))}).",
            hint="Use a guest of another architecture, or DIMMs.",
            details={"arch": arch},
        )
    require(feature, versions)


def machine_version(machine: str) -> tuple[int, int] | None:
    """(8, 1) of C(pc-q35-8.1) or C(pc-i440fx-8.1); None for types that a distribution numbers itself."""
    match = re.search(r"-(\d+)\.(\d+)$", machine)
    if not match or "rhel" in machine:
        return None
    return int(match[1]), int(match[2])


def why_no_unplug(versions: Versions, definition: Definition, device: MemoryDevice) -> str | None:
    """Why QEMU would refuse to unplug this device of this running domain; None where nothing is known against it.

    A machine type that a distribution numbers itself is given the benefit of the doubt: QEMU has the last word.
    """
    reason = why_not("unplug", versions)
    if reason:
        return reason.replace("unplug", "unplugging a virtio-mem device", 1)
    version = machine_version(definition.machine) if definition.arch in _X86 else None
    if version is None or version >= _UNPLUG_MACHINE:
        return None
    anonymous = (
        definition.anonymous
        and device.page_size is None
        and device.access != "shared"
        and device.node not in definition.shared_cells
    )
    if version >= _UNPLUG_MACHINE_IF_NOT_ANONYMOUS and not anonymous:
        return None
    return (
        f"machine type {definition.machine} can't unplug a virtio-mem device"
        " (QEMU does with machine types from 8.1, or from 7.0 where the memory is memfd, file, shared or huge pages)"
    )


def takes_slot(model: str, versions: Versions) -> bool:
    """Whether a device of `model` takes one of maxMemory's slots."""
    return model in ("dimm", "nvdimm") or not behaves("only DIMMs take slots", versions)


def counts_all_slots(versions: Versions) -> bool:
    """Whether a device is refused in the stored definition when there are just as many devices as slots."""
    return not behaves("virtio-mem is stored whatever the slots", versions)


def needs_nodes(arch: str) -> bool:
    """Whether a virtio-mem device of this architecture must sit on a guest NUMA node."""
    return arch not in _NODES_OPTIONAL


# These architectures have memory hotplug without NUMA nodes.
_NEVER_INVENTS_CELL: t.Final = frozenset({"ppc64", "ppc64le", "s390x", "s390"})


def invents_cell(arch: str, versions: Versions) -> bool:
    """Whether libvirt gives a domain with maxMemory and without NUMA nodes one node, when it is defined."""
    return arch not in _NEVER_INVENTS_CELL and behaves("a NUMA node is invented", versions)


def needs_cell(arch: str) -> bool:
    """Whether a domain of this architecture needs a guest NUMA node to have maxMemory (libvirt up to 9.5 says so)."""
    return arch not in _NEVER_INVENTS_CELL


def default_slots(versions: Versions, dimms: bool) -> int:
    """Memory slots for a domain that gets a maxMemory: libvirt up to 9.4 wants some, later ones only for DIMMs."""
    return 16 if dimms or not behaves("slots are optional", versions) else 0


def node_mask_binds(versions: Versions) -> bool:
    """Whether a device's node_mask keeps its memory on these host nodes where numatune only prefers some."""
    return behaves("node_mask binds", versions)


def smallest_block(arch: str, platform: Platform) -> int | None:
    """Bytes; None where it can't be known. virDomainMemoryDefValidate compares with virHostMemGetTHPSize, which falls back
    to 2 MiB."""
    if platform.thp_size is not None:
        return max(platform.thp_size, MIB)
    return 2 * MIB if arch in _X86 else None
