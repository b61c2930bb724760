# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the rest of the collection may ask of a hypervisor: libvirt answers in production, a fake in the unit tests.

Every method raises VirtmemError, never an exception of libvirt. Sizes are bytes, times are seconds. Types alone, but for
DomainEntry: others import them for the type checker only, so that no task loads them.
"""

from __future__ import annotations

import typing as t
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ._model import DomainState, Facts, GuestStatistics, HostMemory, Scope, Versions


class Clock(t.Protocol):
    """Time, so that tests need none."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Let so many pass."""

    def time(self) -> float:
        """Unix time in seconds."""


class Watch(t.Protocol):
    """Events of one domain, from the moment when the watch was opened."""

    def wait(self, timeout: float) -> bool:
        """Sleep until an event comes (True) or `timeout` seconds are over (False). Events while awake count."""

    @property
    def has_events(self) -> bool:
        """False where the hypervisor or the client library can't send memory device events."""


class Domain(t.Protocol):
    """One domain. A `scope` picks one of its two definitions; there is no call for both at once on purpose:
    libvirt's LIVE|CONFIG update fails or leaks the live address into the config (9.0 to 12.8)."""

    @property
    def name(self) -> str:
        """The domain's name."""

    def state(self) -> DomainState:
        """What it is and whether it runs."""

    def xml(self, scope: Scope, secure: bool = False) -> str:
        """The whole definition; `secure` asks for passwords too, which a redefinition needs to keep them."""

    def attach(self, device_xml: str, scope: Scope) -> None:
        """Add a device."""

    def update(self, device_xml: str, scope: Scope) -> None:
        """Change a device, which is found by its alias and address."""

    def unplug(self, alias: str) -> None:
        """Request the unplug of a device of the running guest. Returns at once; the device is still there."""

    def detach_config(self, device_xml: str) -> None:
        """Take a device out of the config definition."""

    def define(self, domain_xml: str) -> None:
        """Replace the config definition."""

    def set_current_memory(self, size: int) -> None:
        """`<currentMemory>` of the config definition."""

    def set_balloon(self, size: int) -> None:
        """How much of boot memory and DIMMs the running guest's balloon should leave it. The guest follows in time."""

    def set_limits(self, limits: t.Mapping[str, int | None]) -> None:
        """Limits of the running guest's process, by Tuning's names; None is unlimited."""

    def set_nodeset(self, nodeset: str) -> None:
        """The host nodes of a running guest with a restrictive placement."""

    def shutdown(self) -> None:
        """Ask the guest to shut itself down. Returns at once."""

    def start(self) -> None:
        """Start the domain from its config definition."""

    def statistics(self) -> GuestStatistics:
        """What the running guest reported last."""

    def set_stats_period(self, seconds: int) -> None:
        """How often the running guest reports its statistics; 0 for never."""

    def watch(self) -> AbstractContextManager[Watch]:
        """Events of this domain, from the moment when it is opened."""


@dataclass(frozen=True)
class DomainEntry:
    """One domain of many, and how it is."""

    domain: Domain
    state: DomainState


class HostWatch(Watch, t.Protocol):
    """Events of all domains, from the moment when the watch was opened."""

    def names(self) -> frozenset[str]:
        """The domains that had any since this was asked last."""


class Hypervisor(t.Protocol):
    """One connection. Closed by the one who opened it."""

    uri: str

    def domain(self, name_or_uuid: str) -> Domain:
        """Raises VirtmemError(domain_not_found)."""

    def list_all(self) -> t.Sequence[DomainEntry]:
        """All domains with their state, in libvirt's order, by a few calls however many there are."""

    def watch(self) -> AbstractContextManager[HostWatch]:
        """Events of all domains, from the moment when it is opened."""

    def versions(self) -> Versions:
        """Of libvirt and QEMU."""

    def capabilities(self) -> str:
        """What the host is, as XML."""

    def host_total(self) -> int:
        """All memory of the host."""

    def host_memory(self, page_size: int | None, nodes: t.Sequence[int] | None) -> HostMemory:
        """What can be given to guests: ordinary memory, or pages of `page_size` bytes (0: the default huge page
        size); on the host as a whole, or on these of its NUMA nodes only."""

    def thp_size(self) -> int | None:
        """Bytes of a transparent huge page on the hypervisor; None where that can't be known (it is remote)."""

    def close(self) -> None:
        """Once, by the one who opened it."""


Connect = t.Callable[[str, bool, t.Optional[str], t.Optional[str]], Hypervisor]


class Work(t.Protocol):
    """A module's own part. `result` fills up while it runs, so that a failure returns what is known by then."""

    result: Facts

    def run(self) -> None:
        """Raises VirtmemError."""


class LibvirtDoor(t.Protocol):
    """The file that imports libvirt. Modules hand it over: this one stands below it."""

    LIBVIRT_IMPORT_ERROR: str | None

    def connect(self, uri: str, read_only: bool, user: str | None, password: str | None) -> Hypervisor:
        """Open a connection."""


class XmlDoor(t.Protocol):
    """The file that imports lxml."""

    LXML_IMPORT_ERROR: str | None


WorkFactory = t.Callable[[t.Mapping[str, t.Any], Hypervisor, bool, Clock], Work]
