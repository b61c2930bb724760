# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nouns, as frozen data, and the bytes that they are counted in: no libvirt, no XML, no Ansible. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

from ._bitmap import parse_bitmap

Facts = dict[str, t.Any]
Scope = t.Literal["live", "config"]

KIB: t.Final = 1024
MIB: t.Final = 1024**2
UNITS: t.Final = "kmgtpe"  # each 1024 times the one before, from KiB on

# qemuDomainAlignMemorySizes rounds device sizes to 2 MiB at start, and in the live definition only: other sizes
# would differ between the two definitions for ever. It is also the smallest block that QEMU takes on x86.
SIZE_ALIGNMENT: t.Final = 2 * MIB

# VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, libvirt's way to write "no limit"; its Python binding lacks the name in 9.0.
UNLIMITED: t.Final = 9007199254740991 * KIB

VIRTIO_MEM: t.Final = "virtio-mem"
# The one of Definition.blockers that a task can lift.
_LOCKED: t.Final = "its memory is locked (<memoryBacking><locked/>)"


def format_size(size: int) -> str:
    """`size` bytes for a person: in the largest 1024-based unit that shows it exactly (C(6 GiB), C(1536 MiB))."""
    for power in range(len(UNITS), 0, -1):
        unit = 1024**power
        if size and size % unit == 0:
            return f"{size // unit} {UNITS[power - 1].upper()}iB"
    return "0" if size == 0 else f"{size} bytes"


def about(size: int) -> str:
    """`size` bytes rounded down to MiB, for measured values that nobody typed (free memory, statistics)."""
    return format_size(size // MIB * MIB)


def kib(size: int) -> int:
    """Whole KiB of `size` bytes, rounded up as libvirt does (virDomainParseMemory)."""
    return -(-size // KIB)


def round_down(size: int, step: int) -> int:
    """The largest multiple of `step` that is not above `size` (all bytes)."""
    return size // step * step


def round_up(size: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `size` (all bytes)."""
    return -(-size // step) * step


# A guest counts less than it was given, for its kernel and firmware: 107 MiB of 512 (Linux 6.1), and more of more.
_OVERHEAD: t.Final = 160 * MIB
_OVERHEAD_SHARE: t.Final = 16


class Record:
    """Equal, hashed and shown by its fields, as dataclasses are. They would generate and compile these methods for every
    class, half of what it costs to load one, and Ansible loads all of them anew for each task."""

    def _values(self) -> tuple[t.Any, ...]:
        return tuple(getattr(self, name) for name in t.cast(t.Any, self).__dataclass_fields__)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        shown = zip(t.cast(t.Any, self).__dataclass_fields__, self._values())
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown)})"


@dataclass(frozen=True, eq=False, repr=False)
class MemoryDevice(Record):
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
    def capacity(self) -> int:
        """The most that it can give, in whole blocks."""
        return round_down(self.size, self.block)

    @property
    def user_alias(self) -> str | None:
        """The alias if it is a person's: libvirt keeps those that begin with ua- in both definitions (3.9.0)."""
        return self.alias if self.alias and self.alias.startswith("ua-") else None

    @property
    def label(self) -> str | None:
        """What people call it, and find it by; None where the definition gives it no name."""
        return self.alias or self.pci_address


@dataclass(frozen=True, eq=False, repr=False)
class NumaCell(Record):
    """One cell of the guest's `<numa>`: its id, its boot memory in bytes, and its vCPUs as libvirt writes a set."""

    id: int
    memory: int
    cpus: str | None = None
    access: str | None = None
    discard: bool | None = None


@dataclass(frozen=True, eq=False, repr=False)
class HugePage(Record):
    """One `<page>` of `<hugepages>`: bytes, and the guest nodes that it is for (None: all others)."""

    size: int
    nodeset: str | None = None


def in_order(pages: t.Iterable[HugePage]) -> tuple[HugePage, ...]:
    """Pages in a fixed order, for comparisons: their order means nothing to libvirt."""
    return tuple(sorted(pages, key=lambda page: (page.nodeset or "", page.size)))


@dataclass(frozen=True, eq=False, repr=False)
class Backing(Record):
    """`<memoryBacking>`. `hugepages` is None for none at all, and () for pages of the host's default size."""

    hugepages: tuple[HugePage, ...] | None = None
    source: str | None = None
    access: str | None = None
    allocation_mode: str | None = None
    allocation_threads: int | None = None
    locked: bool = False
    nosharepages: bool = False
    discard: bool = False

    @property
    def page_size(self) -> int | None:
        """Size of the huge pages of all guest memory that `cell_page_sizes` leaves (None: ordinary ones, 0: the default)."""
        if self.hugepages == ():
            return 0
        return next((page.size for page in self.hugepages or () if page.nodeset is None), None)

    @property
    def options(self) -> Facts:
        """As the option `backing` of domain_memory."""
        pages: list[Facts] = [asdict(page) for page in self.hugepages or ()]
        if self.hugepages == ():
            pages = [{"size": None, "nodeset": None}]  # the host's default size
        return {
            "hugepages": pages,
            "source": self.source,
            "access": self.access,
            "allocation": {"mode": self.allocation_mode, "threads": self.allocation_threads},
            "locked": self.locked,
            "nosharepages": self.nosharepages,
            "discard": self.discard,
        }

    @cached_property
    def cell_page_sizes(self) -> t.Mapping[int, int]:
        """Size of the huge pages of a guest node's own memory, by node."""
        return {node: page.size for page in self.hugepages or () if page.nodeset for node in parse_bitmap(page.nodeset)}


@dataclass(frozen=True, eq=False, repr=False)
class Tuning(Record):
    """`<memtune>` in bytes; None is unlimited."""

    hard_limit: int | None = None
    soft_limit: int | None = None
    swap_hard_limit: int | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Placement(Record):
    """`<numatune><memory>`; mode and nodeset are None where there is no such element. `auto`: numad finds the nodes."""

    mode: str | None = None
    nodeset: str | None = None
    auto: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Balloon(Record):
    """`<memballoon>`. `model` is none if the domain should have none; `stats_period` is in seconds, 0 for never."""

    model: str = "none"
    autodeflate: bool | None = None
    free_page_reporting: bool | None = None
    stats_period: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Binding(Record):
    """Where the guest's memory comes from on the host, as far as the definition pins it down.

    `nodes`: the host nodes that numatune binds all memory to (None: any); `cell_nodes`: the same by guest cell;
    `loose_cells`: the guest cells whose memory only prefers its host nodes, `loose` that the others' does.
    """

    nodes: str | None = None
    cell_nodes: t.Mapping[int, str] = field(default_factory=dict)
    loose: bool = False
    loose_cells: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False, repr=False)
class Definition(Record):
    """One of a domain's two definitions, live or config.

    `total` is `<memory>` (boot memory and the full size of every device), `current_memory` is `<currentMemory>`,
    `maximum` is `<maxMemory>` (None: no room for hotplug). `free_pcie_ports` counts ports that a device can be plugged
    into now (None: not a PCIe machine, or one with other free slots). `lasting_blockers` are what keeps QEMU from using
    virtio-mem in this domain, in words, besides what `backing` says. `pci_addresses` are all that are taken, as
    domain:bus:slot.function.
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
    backing: Backing = Backing()
    tuning: Tuning = Tuning()
    placement: Placement = Placement()
    memballoon: Balloon = Balloon()
    vcpus: int = 1
    free_pcie_ports: int | None = None
    lasting_blockers: tuple[str, ...] = ()
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
    def requested(self) -> int:
        """What the host asks the guest to use of all virtio-mem devices together."""
        return sum(device.requested for device in self.virtio_mem)

    @property
    def current(self) -> int:
        """What the guest has plugged of them; 0 in a stored definition, which does not say."""
        return sum(device.current or 0 for device in self.virtio_mem)

    @property
    def anonymous(self) -> bool:
        """Whether guest memory is QEMU's default kind: not file, memfd, shared or huge pages."""
        backing = self.backing
        return backing.hugepages is None and backing.source not in ("file", "memfd") and backing.access != "shared"

    @property
    def shared_cells(self) -> frozenset[int]:
        """Guest nodes whose own memory is shared."""
        return frozenset(cell.id for cell in self.cells if cell.access == "shared")

    @property
    def blockers(self) -> tuple[str, ...]:
        """What keeps QEMU from using virtio-mem: locked memory ("Incompatible with mlock") and what disables RAM discard."""
        return (_LOCKED, *self.lasting_blockers) if self.backing.locked else self.lasting_blockers

    @property
    def inflated(self) -> bool:
        """Whether `<currentMemory>` is a balloon at the next start. QEMU's balloon counts boot memory and DIMMs only."""
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

    @property
    def balloon_target(self) -> int | None:
        """What the balloon leaves of boot memory and DIMMs at the next start; None without a balloon. A `<currentMemory>` of
        as much or more means all of it, whatever libvirt has added to it."""
        return min(self.current_memory, self.ram) if self.balloon else None

    @property
    def options(self) -> Facts:
        """All but devices, as the options of domain_memory; sizes are bytes, and None is what the definition leaves open."""
        return {
            "boot": self.boot,
            "maximum": None if self.maximum is None else {"size": self.maximum, "slots": self.slots},
            "numa": [asdict(cell) for cell in self.cells],
            "backing": self.backing.options,
            "tuning": asdict(self.tuning),
            "placement": {"mode": self.placement.mode, "nodeset": self.placement.nodeset},
            "balloon": {**asdict(self.memballoon), "target": self.balloon_target},
        }

    @cached_property
    def flat_options(self) -> Facts:
        """The same by dotted names (maximum.size), for telling what differs."""
        return dict(_flat("", self.options))

    def offline(self, statistics: GuestStatistics) -> int | None:
        """About how many bytes of plugged memory the guest does not count as its own; None if it does not say.

        Its MemTotal against boot memory and what is plugged; what boot memory alone can explain counts as 0.
        """
        if statistics.available is None:
            return None
        missing = self.boot + self.current - statistics.available
        return min(missing, self.current) if missing > _OVERHEAD + self.boot // _OVERHEAD_SHARE else 0

    def says_the_same(self, other: Definition) -> bool:
        """Of everything that an option is about."""
        return (self.flat_options, self.devices) == (other.flat_options, other.devices)

    def with_devices(self, devices: t.Iterable[MemoryDevice]) -> Definition:
        """The same boot memory with other devices."""
        devices = tuple(devices)
        return replace(self, devices=devices, total=self.boot + sum(device.size for device in devices))

    def find(self, device: MemoryDevice) -> MemoryDevice | None:
        """`device` as it is here: by alias, else by PCI address, else by its place in the document."""
        for other in self.devices:
            if device.alias and other.alias == device.alias:
                return other
        for other in self.devices:
            if device.pci_address and other.pci_address == device.pci_address and not (device.alias and other.alias):
                return other
        if device.alias is None and device.pci_address is None and 0 <= device.index < len(self.devices):
            return self.devices[device.index]
        return None

    def page_size_of(self, device: MemoryDevice) -> int | None:
        """The size of the pages that back a device, in bytes (None: ordinary pages, 0: the default huge page size): its own
        source's, then its guest node's, then the domain's (qemuBuildMemoryBackendProps, libvirt 9.0 and 11.3)."""
        if device.page_size is not None:
            return device.page_size
        backing = self.backing
        return backing.cell_page_sizes.get(-1 if device.node is None else device.node, backing.page_size)


def _flat(prefix: str, facts: Facts) -> t.Iterator[tuple[str, t.Any]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value


@dataclass(frozen=True, eq=False, repr=False)
class DomainState(Record):
    """Who the domain is and how it is now. `state` is libvirt's word (running, paused, shutoff, crashed, ...).

    `saved`: its memory is saved by virsh managedsave, and the next start goes on from there.
    """

    name: str
    uuid: str
    state: str
    active: bool
    persistent: bool
    saved: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Observed(Record):
    """What was read of a domain before anything is decided: the definitions that there are."""

    domain: DomainState
    definitions: t.Mapping[Scope, Definition]

    @property
    def live(self) -> Definition | None:
        return self.definitions.get("live")

    @property
    def config(self) -> Definition | None:
        return self.definitions.get("config")


@dataclass(frozen=True, eq=False, repr=False)
class Versions(Record):
    """(major, minor, micro) of the libvirt daemon and of its QEMU."""

    libvirt: tuple[int, int, int]
    qemu: tuple[int, int, int]


@dataclass(frozen=True, eq=False, repr=False)
class Platform(Record):
    """What decides, besides the domain, what can be done: versions, the host's THP size in bytes (None: it can't be known
    over this connection), and whether the daemon is a user's own (`session`)."""

    versions: Versions
    thp_size: int | None = None
    session: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class GuestStatistics(Record):
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


@dataclass(frozen=True, eq=False, repr=False)
class HostNode(Record):
    """One NUMA node of the host: all its memory, and what of it is set aside as huge pages, by page size; all bytes."""

    id: int
    total: int
    pools: t.Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class HostTopology(Record):
    """What the host is made of. `accelerated`: it runs guests of its own architecture with KVM."""

    arch: str
    accelerated: bool
    nodes: tuple[HostNode, ...]

    @property
    def node_ids(self) -> list[int]:
        return [node.id for node in self.nodes]


@dataclass(frozen=True, eq=False, repr=False)
class HostMemory(Record):
    """Memory that the host can give away now, in bytes.

    `kind` says what was counted, in words for the error message: memory of the host, of nodes, or of a huge page pool.
    """

    available: int
    kind: str
