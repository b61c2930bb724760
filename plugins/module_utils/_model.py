# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nouns, as frozen data: no libvirt, no XML, no Ansible. All sizes are bytes. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

Scope = t.Literal["live", "config"]

VIRTIO_MEM: t.Final = "virtio-mem"

# One of Definition.blockers, and the one that a task can lift.
LOCKED: t.Final = "its memory is locked (<memoryBacking><locked/>)"


@dataclass(frozen=True)
class MemoryDevice:
    """One `<memory>` device of one definition (libvirt's formatdomain, "Memory devices").

    `size` is the maximum, `requested` what the host asks the guest to use, `current` what the guest has plugged
    (live only). `block`, `requested` and `current` are 0 for other models than virtio-mem. `index` is the device's
    place among the definition's memory devices: the way back to its XML. None means: the XML does not say.
    """

    model: str
    size: int
    block: int = 0
    requested: int = 0
    current: int | None = None
    node: int | None = None
    alias: str | None = None
    page_size: int | None = None
    node_mask: str | None = None
    access: str | None = None
    discard: bool | None = None
    dynamic_memslots: bool | None = None
    guest_address: int | None = None
    pci_address: str | None = None
    path: str | None = None
    align_size: int | None = None
    pmem: bool | None = None
    label_size: int | None = None
    readonly: bool | None = None
    uuid: str | None = None
    slot: int | None = None
    iommu: bool | None = None
    ats: bool | None = None
    packed: bool | None = None
    index: int = -1

    @property
    def user_alias(self) -> str | None:
        """The alias if it is a person's: libvirt keeps those that begin with ua- in both definitions (3.9.0)."""
        return self.alias if self.alias and self.alias.startswith("ua-") else None


@dataclass(frozen=True)
class NumaCell:
    """One cell of the guest's `<numa>`: its id, its boot memory in bytes, and its vCPUs as libvirt writes a set."""

    id: int
    memory: int
    cpus: str | None = None
    access: str | None = None
    discard: bool | None = None


@dataclass(frozen=True)
class HugePage:
    """One `<page>` of `<hugepages>`: bytes, and the guest nodes that it is for (None: all others)."""

    size: int
    nodeset: str | None = None


def in_order(pages: t.Iterable[HugePage]) -> tuple[HugePage, ...]:
    """Pages in the one order that they are compared in: which comes first means nothing to libvirt."""
    return tuple(sorted(pages, key=lambda page: (page.nodeset or "", page.size)))


@dataclass(frozen=True)
class Backing:
    """`<memoryBacking>`. `hugepages` is None for none at all, and () for pages of the host's default size."""

    hugepages: tuple[HugePage, ...] | None = None
    source: str | None = None
    access: str | None = None
    allocation_mode: str | None = None
    allocation_threads: int | None = None
    locked: bool = False
    nosharepages: bool = False
    discard: bool = False


@dataclass(frozen=True)
class Tuning:
    """`<memtune>` in bytes; None is unlimited."""

    hard_limit: int | None = None
    soft_limit: int | None = None
    swap_hard_limit: int | None = None


@dataclass(frozen=True)
class Placement:
    """`<numatune><memory>`; mode and nodeset are None where there is no such element. `auto`: numad finds the nodes."""

    mode: str | None = None
    nodeset: str | None = None
    auto: bool = False


@dataclass(frozen=True)
class Balloon:
    """`<memballoon>`. `model` is none where the domain shall have none; `stats_period` is in seconds, 0 for never."""

    model: str = "none"
    autodeflate: bool | None = None
    free_page_reporting: bool | None = None
    stats_period: int = 0


@dataclass(frozen=True)
class Binding:
    """Where the guest's memory comes from on the host, as far as the definition pins it down.

    `nodes`: the host nodes that numatune binds all memory to (None: any); `cell_nodes`: the same by guest cell;
    `loose_cells`: the guest cells whose memory only prefers its host nodes, `loose` that the others' does;
    `page_size`: huge page size in bytes that the guest's memory uses (None: ordinary pages), `cell_page_sizes` by cell.
    """

    nodes: str | None = None
    cell_nodes: t.Mapping[int, str] = field(default_factory=dict)
    loose: bool = False
    loose_cells: frozenset[int] = frozenset()
    page_size: int | None = None
    cell_page_sizes: t.Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """One of a domain's two definitions, live or config.

    `total` is `<memory>` (boot memory and the full size of every device), `current_memory` is `<currentMemory>`,
    `maximum` is `<maxMemory>` (None: no room for hotplug). `anonymous` says that guest memory is QEMU's default kind,
    not file, memfd, shared or huge pages. `free_pcie_ports` counts ports that a device can be plugged into now
    (None: not a PCIe machine, or one with other free slots). `stats_period` is in seconds, 0 for none. `blockers` are what
    keeps QEMU from using virtio-mem in this domain, in words. `shared_cells` are guest nodes whose own memory is shared,
    `pci_addresses` all that are taken, as domain:bus:slot.function.
    """

    name: str
    uuid: str
    arch: str
    machine: str
    total: int
    current_memory: int
    maximum: int | None = None
    slots: int = 0
    cells: tuple[NumaCell, ...] = ()
    devices: tuple[MemoryDevice, ...] = ()
    binding: Binding = Binding()
    anonymous: bool = True
    backing: Backing = Backing()
    tuning: Tuning = Tuning()
    placement: Placement = Placement()
    memballoon: Balloon = Balloon()
    vcpus: int = 1
    free_pcie_ports: int | None = None
    blockers: tuple[str, ...] = ()
    shared_cells: frozenset[int] = frozenset()
    pci_addresses: frozenset[str] = frozenset()

    @property
    def boot(self) -> int:
        """Memory the guest starts with: virDomainDefGetMemoryInitial (libvirt 9.0 to 12.8), total less all devices."""
        return self.total - sum(device.size for device in self.devices)

    @property
    def ram(self) -> int:
        """What the guest has at least: boot memory and DIMMs. Persistent memory and EPC sections are no RAM."""
        return self.boot + sum(device.size for device in self.devices if device.model == "dimm")

    @property
    def inflated(self) -> bool:
        """Whether `<currentMemory>` leaves a balloon at the next start: QEMU's counts boot memory and DIMMs, no other."""
        return self.current_memory < self.ram

    @property
    def balloon(self) -> bool:
        return self.memballoon.model != "none"

    @property
    def stats_period(self) -> int:
        return self.memballoon.stats_period

    @property
    def virtio_mem(self) -> tuple[MemoryDevice, ...]:
        return tuple(device for device in self.devices if device.model == VIRTIO_MEM)


@dataclass(frozen=True)
class DomainState:
    """Who the domain is and how it is now. `state` is libvirt's word (running, paused, shutoff, crashed, ...).

    `saved`: its memory is saved by virsh managedsave, and the next start goes on from there.
    """

    name: str
    uuid: str
    state: str
    active: bool
    persistent: bool
    saved: bool = False


@dataclass(frozen=True)
class Observed:
    """What was read of a domain before anything is decided; a definition that does not exist is None."""

    domain: DomainState
    live: Definition | None
    config: Definition | None

    @property
    def definitions(self) -> dict[Scope, Definition]:
        """Those that there are."""
        found: dict[Scope, Definition | None] = {"live": self.live, "config": self.config}
        return {scope: definition for scope, definition in found.items() if definition}

    def definition(self, scope: Scope) -> Definition | None:
        return self.live if scope == "live" else self.config


@dataclass(frozen=True)
class Versions:
    """(major, minor, micro) of the libvirt daemon and of its QEMU."""

    libvirt: tuple[int, int, int]
    qemu: tuple[int, int, int]


@dataclass(frozen=True)
class Platform:
    """What decides, besides the domain, what can be done: versions, the host's THP size in bytes (None: it can't be known
    over this connection), and whether the daemon is a user's own (`session`)."""

    versions: Versions
    thp_size: int | None = None
    session: bool = False


@dataclass(frozen=True)
class GuestStatistics:
    """The balloon driver's word about the guest, in bytes; None where the guest does not say.

    `usable` is the guest's MemAvailable, `available` its MemTotal, `unused` its MemFree. `last_update` is the second
    (Unix time on the host) of the guest's report, 0 for never. `fresh` says that the report was made just now.
    """

    usable: int | None = None
    available: int | None = None
    unused: int | None = None
    actual: int | None = None
    rss: int | None = None
    last_update: int = 0
    fresh: bool = False


@dataclass(frozen=True)
class HostNode:
    """One NUMA node of the host: all its memory, and what of it is set aside as huge pages, by page size; all bytes."""

    id: int
    total: int
    pools: t.Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HostTopology:
    """What the host is made of. `accelerated`: it runs guests of its own architecture with KVM."""

    arch: str
    accelerated: bool
    nodes: tuple[HostNode, ...]

    @property
    def node_ids(self) -> list[int]:
        return [node.id for node in self.nodes]


@dataclass(frozen=True)
class HostMemory:
    """Memory that the host can give away now, in bytes.

    `kind` says what was counted, in words for the error message: memory of the host, of nodes, or of a huge page pool.
    """

    available: int
    kind: str
