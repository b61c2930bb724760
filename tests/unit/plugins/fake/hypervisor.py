# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hypervisor without libvirt: what libvirt 9.0 to 12.8 and QEMU 7.2 to 11.1 do with memory devices, traps included.

Both definitions of a domain are kept as XML text, and edited by code that shares nothing with the code under test. Each
rule of libvirt, QEMU and Linux is a function in rules/, and says which run on the real thing shows it. Time is a number:
guests move when the code under test sleeps or waits, so that no test sleeps.
"""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import HostMemory, Versions
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import DomainEntry
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain import FakeDomain
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import UUID, domain_xml
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.host import Host
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import INTERNAL, NO_DOMAIN, refusal
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.watch import FakeHostWatch


@dataclass
class FakeHypervisor(Host):
    """See _protocol.Hypervisor."""

    all: dict[str, FakeDomain] = field(default_factory=dict)

    def add(self, *devices: str, guest: Guest | None = None, persistent: bool = True, **options: t.Any) -> FakeDomain:
        """A shut-off domain, as if it had been defined."""
        domain = FakeDomain(self, domain_xml(*devices, **options), guest, persistent)
        self.all[domain.name] = domain
        return domain

    def connect(self, uri: str, read_only: bool, _user: str | None, _password: str | None) -> FakeHypervisor:
        try:
            urlsplit(uri)
        except ValueError:  # virURIParse
            raise refusal("open", INTERNAL, f"Unable to parse URI {uri}", source=0) from None
        self.uri, self.read_only, self.opened = uri, read_only, self.opened + 1
        return self

    def domain(self, name_or_uuid: str) -> FakeDomain:
        for domain in self.domains():
            if name_or_uuid in (domain.name, UUID):
                return domain
        error = refusal("look up the domain", NO_DOMAIN, f"Domain not found: {name_or_uuid}")
        error.hint = f"Check the name and the option uri; this hypervisor has {len(self.all)} domains."  # as LibvirtHypervisor.domain does
        raise error

    def domains(self) -> list[FakeDomain]:
        return [domain for domain in self.all.values() if domain.live or domain.config]

    def list_all(self) -> list[DomainEntry]:
        self.calls.append(("list_all", None))
        return [DomainEntry(domain, domain.state_now()) for domain in self.domains()]

    @contextmanager
    def watch(self) -> t.Iterator[FakeHostWatch]:
        self.calls.append(("watch", None))
        watch = FakeHostWatch(self.clock, self.has_events)
        self.host_watches.append(watch)
        try:
            yield watch
        finally:
            self.host_watches.remove(watch)
            watch.closed = True

    def capabilities(self) -> str:
        self.calls.append(("capabilities", None))
        cells = "".join(
            f"<cell id='{node}'><memory unit='KiB'>{total // 1024}</memory><pages unit='KiB' size='4'>1</pages>"
            + "".join(f"<pages unit='KiB' size='{size // 1024}'>{pool // size}</pages>" for size, pool in pools.items())
            + "</cell>"
            for node, (total, pools) in self.nodes.items()
        )
        return (
            "<capabilities><host><cpu><arch>x86_64</arch></cpu>"
            f"<topology><cells>{cells}</cells></topology></host>"
            "<guest><arch name='x86_64'><domain type='qemu'/></arch></guest></capabilities>"
        )

    def host_total(self) -> int:
        self.calls.append(("host_total", None))
        return sum(total for total, _pools in self.nodes.values())

    def versions(self) -> Versions:
        return self.versions_are

    def host_memory(self, page_size: int | None, nodes: t.Sequence[int] | None) -> HostMemory:
        self.asked_host.append((page_size, None if nodes is None else list(nodes)))
        return HostMemory(self.host, "available memory")

    def thp_size(self) -> int | None:
        return self.thp

    def close(self) -> None:
        self.closed += 1
