# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""The one door to libvirt: the only file that imports it."""

from __future__ import annotations

import re
import threading
import traceback
import typing as t
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from ansible_collections.virtmem.libvirt.plugins.module_utils import _host_files
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    DomainState,
    GuestStatistics,
    HostMemory,
    Scope,
    Versions,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Sighting
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import KIB, UNLIMITED, format_size, kib

try:
    import libvirt

    LIBVIRT_IMPORT_ERROR: str | None = None
except ImportError:
    LIBVIRT_IMPORT_ERROR = traceback.format_exc()

# libvirt's bindings have no types.
VirConnect = t.Any
VirDomain = t.Any

# Opening can hang for ever on a silent peer, and nothing inside libvirt bounds it: we stop waiting, in seconds.
_OPEN_TIMEOUT: t.Final = 30.0
# A frozen link blocks a call for ever, but for keepalive with a running event loop: interval and count, so 20 s.
_KEEPALIVE: t.Final = (5, 3)
_CLOSE_TIMEOUT: t.Final = 2.0
# A device whose pages are these is not backed by huge pages.
_ORDINARY_PAGE: t.Final = 4 * KIB

_AFFECT: t.Final[t.Mapping[str, int]] = {"live": 1, "config": 2}  # VIR_DOMAIN_AFFECT_LIVE, _CONFIG
_CHANGE: t.Final[t.Mapping[str, str]] = {
    "live": "change the running guest",
    "config": "change the stored definition",
}
_STATES: t.Final = ("nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended")
_UUID: t.Final = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}", re.IGNORECASE)


@contextmanager
def _call(name: str) -> t.Iterator[None]:
    """Turn libvirt's exceptions in the block into ours; `name` says what the block does, after "could not"."""
    try:
        yield
    except libvirt.libvirtError as exc:
        # Most tasks meet no error, and start sooner.
        from ansible_collections.virtmem.libvirt.plugins.module_utils import _libvirt_errors

        number, domain = exc.get_error_code() or 0, exc.get_error_domain() or 0
        raise _libvirt_errors.translate(name, number, domain, exc.get_error_message() or str(exc)) from None
    except LookupError as exc:  # the binding's own word for a tunable that the driver does not know
        raise VirtmemError(
            "unsupported",
            f"This libvirt can't {name} so.",
            hint="Its own words are in details.",
            details={"libvirt_message": str(exc), "call": name},
        ) from None


class _EventLoop:
    """libvirt's default event loop, run by a thread of its own: events and keepalive need one that runs."""

    def __init__(self) -> None:
        libvirt.virEventRegisterDefaultImpl()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="libvirt-events", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            libvirt.virEventRunDefaultImpl()

    def stop(self) -> None:
        self._stopping = True
        libvirt.virEventAddTimeout(0, lambda *_args: None, None)  # wakes the loop, so that it sees the flag
        self._thread.join(_CLOSE_TIMEOUT)


def _bounded(work: t.Callable[[], VirConnect], timeout: float) -> VirConnect:
    """The result of `work`, run in a thread that is left behind if it takes longer than `timeout` seconds."""
    outcome: dict[str, t.Any] = {}

    def run() -> None:
        try:
            outcome["result"] = work()
        except BaseException as exc:  # noqa: BLE001 - raised again in the caller's thread
            outcome["error"] = exc

    thread = threading.Thread(target=run, name="libvirt-open", daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        raise TimeoutError
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def connect(
    uri: str, read_only: bool, user: str | None = None, password: str | None = None, timeout: float = _OPEN_TIMEOUT
) -> LibvirtHypervisor:
    """Open a connection. Raises VirtmemError (connection_failed, permission_denied)."""
    # Without a handler libvirt prints each error to stderr, also those that we handle.
    libvirt.registerErrorHandler(lambda *_args: None, None)
    loop = _EventLoop()
    try:
        with _call("open"):
            connection = _bounded(lambda: _open(uri, read_only, user, password), timeout)
    except ValueError:  # a NUL in the text
        loop.stop()
        raise VirtmemError("connection_failed", f"{uri!r} is no libvirt URI.", details={"uri": uri}) from None
    except TimeoutError:
        loop.stop()
        raise VirtmemError(
            "connection_failed",
            f"No connection to libvirt: {uri} did not answer in {timeout:g} s.",
            hint="Check the option uri and the network between.",
            details={"uri": uri, "timeout": timeout},
        ) from None
    except BaseException:
        loop.stop()
        raise
    return LibvirtHypervisor(uri, connection, loop)


def _open(uri: str, read_only: bool, user: str | None, password: str | None) -> VirConnect:
    answers = {libvirt.VIR_CRED_AUTHNAME: user, libvirt.VIR_CRED_PASSPHRASE: password}

    def answer(credentials: list[list[t.Any]], _data: object) -> int:
        for credential in credentials:
            credential[4] = answers.get(credential[0]) or ""
        return 0

    kinds = [kind for kind, value in answers.items() if value is not None]
    return libvirt.openAuth(uri, [kinds, answer, None], libvirt.VIR_CONNECT_RO if read_only else 0)


class LibvirtHypervisor:
    """See _protocol.Hypervisor."""

    def __init__(self, uri: str, connection: VirConnect, loop: _EventLoop) -> None:
        self.uri = uri
        self._connection = connection
        self._loop = loop
        self._watches: set[_LibvirtWatch] = set()
        # libvirt's own word: what the task calls it may be an alias (uri_aliases of libvirt.conf).
        with _call("open"):
            self._is_local = not urlsplit(connection.getURI()).hostname
        # Drivers without a daemon behind them (test:///) have no link to keep alive.
        try:
            connection.setKeepAlive(*_KEEPALIVE)
            connection.registerCloseCallback(self._wake_all, None)
        except libvirt.libvirtError:
            pass

    def _wake_all(self, *_args: object) -> None:
        for watch in list(self._watches):
            watch.wake()

    def domain(self, name_or_uuid: str) -> LibvirtDomain:
        lookups = [self._connection.lookupByName] if name_or_uuid else []
        if _UUID.fullmatch(name_or_uuid):
            lookups.insert(0, self._connection.lookupByUUIDString)
        for lookup in lookups:
            try:
                with _call("look up the domain"):
                    return LibvirtDomain(self, lookup(name_or_uuid))
            except ValueError:  # a NUL, or half a surrogate pair: no name has one
                break
            except VirtmemError as exc:
                if exc.code != "domain_not_found":
                    raise
        raise self._no_such_domain(name_or_uuid)

    def _no_such_domain(self, name: str) -> VirtmemError:
        try:
            names = [domain.name for domain in self.domains()]
        except VirtmemError:
            names = []  # a user who may not list them
        import difflib  # for this failure alone

        close = difflib.get_close_matches(name, names, n=3)
        return VirtmemError(
            "domain_not_found",
            f"{self.uri} has no domain {name!r}.",
            hint=f"Close names there: {', '.join(close)}." if close else f"It has {len(names)} domains.",
            details={"domain": name, "uri": self.uri, "nearest": close},
        )

    def domains(self) -> list[LibvirtDomain]:
        with _call("list the domains"):
            return [LibvirtDomain(self, domain) for domain in self._connection.listAllDomains(0)]

    def survey(self) -> list[Sighting]:
        connection = self._connection
        with _call("list the domains"):
            listed = connection.listAllDomains(0)
            persistent = self._listed(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
            saved = self._listed(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
        with _call("read the guest's statistics"):
            # Without waiting: one domain that another job holds shall not hold up all the others.
            what = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BALLOON
            flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
            found = {domain.UUIDString(): raw for domain, raw in connection.getAllDomainStats(what, flags)}
        sightings = []
        for domain in listed:
            uuid, active = str(domain.UUIDString()), domain.ID() >= 0  # both as they were listed: no calls
            raw = found.get(uuid, {})
            state = DomainState(
                name=str(domain.name()),
                uuid=uuid,
                state=_state_word(raw.get("state.state", 0)),
                active=active,
                persistent=uuid in persistent,
                saved=not active and uuid in saved,
            )
            statistics = _statistics(_balloon_part(raw)) if active and raw else None
            sightings.append(Sighting(LibvirtDomain(self, domain), state, statistics))
        return sightings

    def _listed(self, flags: int) -> set[str]:
        return {domain.UUIDString() for domain in self._connection.listAllDomains(flags)}

    def capabilities(self) -> str:
        with _call("read the host's capabilities"):
            return str(self._connection.getCapabilities())

    def host_total(self) -> int:
        with _call("read the host's memory"):
            return int(self._connection.getMemoryStats(-1)["total"]) * KIB

    def versions(self) -> Versions:
        with _call("read its version"):
            return Versions(_version(self._connection.getLibVersion()), _version(self._connection.getVersion()))

    def host_memory(self, page_size: int | None, nodes: t.Sequence[int] | None) -> HostMemory:
        local = self._is_local
        with _call("read the host's memory"):
            if page_size not in (None, _ORDINARY_PAGE):
                page_size = page_size or (_host_files.default_huge_page_size() if local else None) or 2048 * KIB
                return self._huge_pages(page_size, nodes)
            if nodes is not None:
                return self._node_memory(nodes, local)
            return HostMemory(self._available(local), "available memory")

    def _huge_pages(self, page_size: int, nodes: t.Sequence[int] | None) -> HostMemory:
        pages = kib(page_size)
        cells = [-1] if nodes is None else list(nodes)  # -1: the host as a whole (virNodeGetFreePages)
        free = sum(self._connection.getFreePages([pages], cell, 1)[cell][pages] for cell in cells)
        where = "" if nodes is None else f" on its {_node_words(nodes)}"
        return HostMemory(free * page_size, f"free {format_size(page_size)} huge pages{where}")

    def _node_memory(self, nodes: t.Sequence[int], local: bool) -> HostMemory:
        total = 0
        for node in nodes:
            available = _host_files.node_available(node) if local else None
            if available is None:  # without the page cache, which libvirt does not tell per node
                available = self._connection.getMemoryStats(node)["free"] * KIB
            total += available
        return HostMemory(total, f"available memory on its {_node_words(nodes)}")

    def _available(self, local: bool) -> int:
        """MemAvailable: libvirt's from 12.3, the local kernel's, or else free, buffers and page cache together.

        getFreeMemory and getInfo are no use here: they count page cache as taken (virHostMemGetStats does not).
        """
        statistics: dict[str, int] = self._connection.getMemoryStats(-1)
        if "available" in statistics:
            return statistics["available"] * KIB
        available = _host_files.available() if local else None
        if available is not None:
            return available
        return sum(statistics.get(part, 0) for part in ("free", "buffers", "cached")) * KIB

    def thp_size(self) -> int | None:
        return _host_files.thp_size() if self._is_local else None

    def close(self) -> None:
        # Where the link was broken already, nothing is owed to it. The close callback holds a reference.
        with suppress(libvirt.libvirtError):
            self._connection.unregisterCloseCallback()
        with suppress(libvirt.libvirtError):
            self._connection.close()
        self._loop.stop()

    @contextmanager
    def watch(self) -> t.Iterator[_LibvirtHostWatch]:
        watch = _LibvirtHostWatch(self._connection)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self.forget(watch)

    def events_of(self, domain: VirDomain) -> _LibvirtWatch:
        watch = _LibvirtWatch(self._connection, domain)
        self._watches.add(watch)
        return watch

    def forget(self, watch: _LibvirtWatch) -> None:
        self._watches.discard(watch)
        watch.close()


def _version(number: int) -> tuple[int, int, int]:
    """libvirt's and QEMU's one number: major * 1000000 + minor * 1000 + micro."""
    return number // 1000000, number // 1000 % 1000, number % 1000


def _state_word(number: int) -> str:
    return _STATES[number] if number < len(_STATES) else "unknown"


def _balloon_part(raw: t.Mapping[str, int]) -> dict[str, int]:
    """virConnectGetAllDomainStats as virDomainMemoryStats has it. Its `current` is no `actual`: it counts virtio-mem."""
    part = {name.partition(".")[2]: number for name, number in raw.items() if name.startswith("balloon.")}
    return {name.replace("last-update", "last_update"): number for name, number in part.items()}


def _statistics(raw: t.Mapping[str, int]) -> GuestStatistics:
    sizes = {name: number * KIB for name, number in raw.items()}
    return GuestStatistics(
        usable=sizes.get("usable"),
        available=sizes.get("available"),
        unused=sizes.get("unused"),
        actual=sizes.get("actual"),
        rss=sizes.get("rss"),
        last_update=raw.get("last_update", 0),
    )


def _node_words(nodes: t.Sequence[int]) -> str:
    return f"NUMA node{'s' if len(nodes) > 1 else ''} {', '.join(map(str, nodes))}"


class LibvirtDomain:
    """See _protocol.Domain."""

    def __init__(self, hypervisor: LibvirtHypervisor, domain: VirDomain) -> None:
        self._hypervisor = hypervisor
        self._domain = domain

    @property
    def name(self) -> str:
        return str(self._domain.name())

    def state(self) -> DomainState:
        with _call("read the domain's definition"):
            number = self._domain.state()[0]
            active = bool(self._domain.isActive())
            return DomainState(
                name=self.name,
                uuid=str(self._domain.UUIDString()),
                state=_state_word(number),
                active=active,
                persistent=bool(self._domain.isPersistent()),
                saved=not active and bool(self._domain.hasManagedSaveImage(0)),
            )

    def xml(self, scope: Scope, secure: bool = False) -> str:
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if scope == "config" else 0
        flags |= libvirt.VIR_DOMAIN_XML_SECURE if secure else 0
        with _call("read the definition with passwords" if secure else "read the domain's definition"):
            text = str(self._domain.XMLDesc(flags))
        # A domain that stopped meanwhile answers with its stored definition, which has no id (virDomainDefFormat).
        if scope == "live" and not re.match(r"<domain\b[^>]*\bid=", text):
            raise VirtmemError(
                "domain_not_found",
                f"{self.name} is no longer running.",
                hint="Start it again.",
                details={"domain": self.name},
            )
        return text

    def attach(self, device_xml: str, scope: Scope) -> None:
        with _call(_CHANGE[scope]):
            self._domain.attachDeviceFlags(device_xml, _AFFECT[scope])

    def update(self, device_xml: str, scope: Scope) -> None:
        with _call(_CHANGE[scope]):
            self._domain.updateDeviceFlags(device_xml, _AFFECT[scope])

    def unplug(self, alias: str) -> None:
        # By alias and not by XML: detachDeviceFlags blocks for up to 5 s, and then says success all the same.
        with _call(_CHANGE["live"]):
            self._domain.detachDeviceAlias(alias, _AFFECT["live"])

    def detach_config(self, device_xml: str) -> None:
        with _call(_CHANGE["config"]):
            self._domain.detachDeviceFlags(device_xml, _AFFECT["config"])

    def define(self, domain_xml: str) -> None:
        with _call(_CHANGE["config"]):
            self._domain.connect().defineXML(domain_xml)

    def set_current_memory(self, size: int) -> None:
        with _call(_CHANGE["config"]):
            self._domain.setMemoryFlags(kib(size), _AFFECT["config"])

    def set_balloon(self, size: int) -> None:
        with _call(_CHANGE["live"]):
            self._domain.setMemoryFlags(kib(size), _AFFECT["live"])

    def set_limits(self, limits: t.Mapping[str, int | None]) -> None:
        values = {name: kib(UNLIMITED if size is None else size) for name, size in limits.items()}
        with _call(_CHANGE["live"]):
            self._domain.setMemoryParameters(values, _AFFECT["live"])

    def set_nodeset(self, nodeset: str) -> None:
        with _call(_CHANGE["live"]):
            self._domain.setNumaParameters({"numa_nodeset": nodeset}, _AFFECT["live"])

    def shutdown(self) -> None:
        with _call("shut the guest down"):
            self._domain.shutdown()

    def start(self) -> None:
        with _call("start the domain"):
            self._domain.create()

    def statistics(self) -> GuestStatistics:
        with _call("read the guest's statistics"):
            return _statistics(self._domain.memoryStats())

    def set_stats_period(self, seconds: int) -> None:
        with _call(_CHANGE["live"]):
            self._domain.setMemoryStatsPeriod(seconds, _AFFECT["live"])

    @contextmanager
    def watch(self) -> t.Iterator[_LibvirtWatch]:
        watch = self._hypervisor.events_of(self._domain)
        try:
            yield watch
        finally:
            self._hypervisor.forget(watch)


class _LibvirtWatch:
    """See _protocol.Watch. libvirt's event thread sets a flag; the waiting thread clears it and reads again."""

    def __init__(self, connection: VirConnect, domain: VirDomain | None) -> None:
        self._connection = connection
        self._flag = threading.Event()
        self._callbacks: list[int] = []
        self.has_events = self._register(domain, "VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE")
        for name in ("DEVICE_REMOVED", "DEVICE_REMOVAL_FAILED", "LIFECYCLE", "REBOOT", "BALLOON_CHANGE"):
            self._register(domain, f"VIR_DOMAIN_EVENT_ID_{name}")

    def _register(self, domain: VirDomain | None, event: str) -> bool:
        number = getattr(libvirt, event, None)  # the size change came with libvirt 7.9
        if number is None:
            return False
        try:
            self._callbacks.append(self._connection.domainEventRegisterAny(domain, number, self.wake, None))
        except libvirt.libvirtError:
            return False  # not in this driver, or not allowed: then we look now and then
        return True

    def wake(self, *_args: object) -> None:
        self._flag.set()

    def wait(self, timeout: float) -> bool:
        came = self._flag.wait(timeout)
        self._flag.clear()
        return came

    def close(self) -> None:
        for callback in self._callbacks:
            try:
                self._connection.domainEventDeregisterAny(callback)
            except libvirt.libvirtError:
                return  # the link is gone, and the callbacks with it


class _LibvirtHostWatch(_LibvirtWatch):
    """See _protocol.HostWatch."""

    def __init__(self, connection: VirConnect) -> None:
        self._lock = threading.Lock()
        self._names: set[str] = set()
        super().__init__(connection, None)  # of no domain in particular: of all

    def wake(self, *args: t.Any) -> None:
        if len(args) > 1:  # (connection, domain, ...); the connection's own end has no domain
            with self._lock:
                self._names.add(str(args[1].name()))
        super().wake()

    def names(self) -> frozenset[str]:
        with self._lock:
            names, self._names = self._names, set()
        return frozenset(names)
