# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one door to libvirt: the only file that imports it."""

from __future__ import annotations

import re
import threading
import traceback
import typing as t
from contextlib import contextmanager, suppress
from functools import cache
from urllib.parse import urlsplit

from .._errors import VirtmemError
from .._model import KIB, UNLIMITED, DomainState, GuestStatistics, HostMemory, Scope, Versions, format_size, kib
from . import procfs, timeout as _timeout

if t.TYPE_CHECKING:
    from .._protocol import DomainEntry

try:
    import libvirt

    LIBVIRT_IMPORT_ERROR: str | None = None
except ImportError:
    LIBVIRT_IMPORT_ERROR = traceback.format_exc()

# libvirt's bindings have no types.
VirConnect = t.Any
VirDomain = t.Any

Result = t.TypeVar("Result")
Watch = t.TypeVar("Watch", bound="_LibvirtWatch")

# Opening can hang for ever on a silent peer, and nothing inside libvirt bounds it: we stop waiting, in seconds.
_OPEN_TIMEOUT: t.Final = 30.0
# A frozen link blocks a call for ever, but for keepalive with a running event loop: interval and count, so 20 s.
_KEEPALIVE: t.Final = (5, 3)
_CLOSE_TIMEOUT: t.Final = 2.0
# A closed connection's sockets are freed by the event loop, when it has nothing else to do; in milliseconds.
_LINGER: t.Final = 1
# How long to wait for a domain that did not answer once, in seconds: the task should report its result soon.
_SHORT_TIMEOUT: t.Final = 2.0
# Memory that is allocated in advance, or moved to another node, takes its time: a terabyte some minutes.
_LONG_TIMEOUT: t.Final = 300.0
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
        number, domain = exc.get_error_code() or 0, exc.get_error_domain() or 0
        from .errors import translate  # 360 lines that only a failure needs

        raise translate(name, number, domain, exc.get_error_message() or str(exc)) from None
    except LookupError as exc:  # the binding's own word for a tunable that the driver does not know
        raise VirtmemError(
            "unsupported",
            f"This libvirt cannot {name} with these values.",
            hint="See libvirt_message in details.",
            details={"libvirt_message": str(exc), "call": name},
        ) from None


def _ignore(*_args: object) -> None:
    """Nothing is to be done."""


class _EventLoop:
    """libvirt's default event loop, run by a thread while a connection is open: events and keepalive need one that runs.

    There is one for the process, which libvirt keeps, and which may have many tasks (Mitogen).
    """

    def __init__(self) -> None:
        libvirt.virEventRegisterDefaultImpl()
        # One timer for all, because the binding never frees what it notes of one (libvirt-python 9.0).
        self._timer = libvirt.virEventAddTimeout(-1, self._end, None)
        self._thread: threading.Thread | None = None
        self._stopping = False

    def start(self) -> None:
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="libvirt-events", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            libvirt.virEventRunDefaultImpl()

    def stop(self) -> None:
        libvirt.virEventUpdateTimeout(self._timer, _LINGER)
        if self._thread:
            self._thread.join(_CLOSE_TIMEOUT)

    def _end(self, timer: int, _data: object) -> None:
        libvirt.virEventUpdateTimeout(timer, -1)
        self._stopping = True


@cache
def _event_loop() -> _EventLoop:
    return _EventLoop()


def _ask(name: str, work: t.Callable[[], Result], timeout: float = _timeout.CALL_TIMEOUT) -> Result:
    """The result of one or a few calls to libvirt; `name` says what they do, after "could not"."""
    try:
        with _call(name):
            return _timeout.call_with_timeout(work, timeout)
    except TimeoutError:
        from .errors import no_answer

        raise no_answer(name, timeout) from None


def connect(
    uri: str, read_only: bool, user: str | None = None, password: str | None = None, timeout: float = _OPEN_TIMEOUT
) -> LibvirtHypervisor:
    """Open a connection. Raises VirtmemError (connection_failed, permission_denied)."""
    # Without a handler libvirt prints each error to stderr, also those that we handle.
    libvirt.registerErrorHandler(_ignore, None)

    def open_once() -> VirConnect:
        return _open(uri, read_only, user, password)

    _event_loop().start()
    try:
        connection = _opened(uri, open_once, timeout)
        return LibvirtHypervisor(uri, connection, _timeout.Reconnector(open_once, (libvirt.libvirtError, TimeoutError)))
    except BaseException:
        _end_threads()
        raise


def _end_threads() -> None:
    """No thread stays in the process, which may be kept for the next task, but one whose call hangs."""
    _timeout.end_idle()
    _event_loop().stop()


def _opened(uri: str, open_once: t.Callable[[], VirConnect], timeout: float) -> VirConnect:
    try:
        with _call("open"):
            return _timeout.call_with_timeout(open_once, timeout)
    except ValueError:  # a NUL in the text
        raise VirtmemError("connection_failed", f"{uri!r} is not a libvirt URI.", details={"uri": uri}) from None
    except TimeoutError:
        raise VirtmemError(
            "connection_failed",
            f"No connection to libvirt: {uri} did not answer in {timeout:g} s.",
            hint="Check the option uri and the network connection.",
            details={"uri": uri, "timeout": timeout},
        ) from None


def _open(uri: str, read_only: bool, user: str | None, password: str | None) -> VirConnect:
    # Both are offered even where we have neither: what we don't offer, libvirt does not look up in its auth.conf either.
    answers = {libvirt.VIR_CRED_AUTHNAME: user, libvirt.VIR_CRED_PASSPHRASE: password}

    def answer(credentials: list[list[t.Any]], _data: object) -> int:
        for credential in credentials:
            credential[4] = answers.get(credential[0]) or ""
        return 0 if all(credential[4] for credential in credentials) else -1

    return libvirt.openAuth(uri, [list(answers), answer, None], libvirt.VIR_CONNECT_RO if read_only else 0)


class LibvirtHypervisor:
    """See _protocol.Hypervisor."""

    def __init__(self, uri: str, connection: VirConnect, reconnector: _timeout.Reconnector | None = None) -> None:
        self.uri = uri
        self.epoch = 0  # how often the link was made anew
        self._reconnector = reconnector
        self._is_broken = False
        self._watches: set[_LibvirtWatch] = set()
        self.domains: list[LibvirtDomain] = []  # that hold a handle of the connection
        self._keep(connection)
        # libvirt's own word: what the task calls it may be an alias (uri_aliases of libvirt.conf).
        with _call("open"):
            self._is_local = not urlsplit(connection.getURI()).hostname

    # ------------------------------------------------------------------------------------------------------- the link

    def _keep(self, connection: VirConnect) -> None:
        self._connection = connection
        # Drivers without a daemon behind them (test:///) have no link to keep alive.
        try:
            connection.setKeepAlive(*_KEEPALIVE)
            connection.registerCloseCallback(self._wake_all, None)
        except libvirt.libvirtError:
            pass

    def _wake_all(self, *_args: object) -> None:
        for watch in list(self._watches):
            watch.wake()

    def change(
        self, name: str, work: t.Callable[[VirConnect], Result], timeout: float = _timeout.CALL_TIMEOUT
    ) -> Result:
        """Let `work` change something. Where the link breaks meanwhile, nobody knows whether it did."""
        if self._is_broken:
            self._open_anew()
        try:
            return _ask(name, lambda: work(self._connection), timeout)
        except VirtmemError as error:
            self._is_broken = error.code == "connection_lost"
            raise

    def read(self, name: str, work: t.Callable[[VirConnect], Result], timeout: float = _timeout.CALL_TIMEOUT) -> Result:
        """What `work` reads; once more where the link broke, over another one if that can be had."""
        try:
            return self.change(name, work, timeout)
        except VirtmemError:
            if not self._is_broken or not self._open_anew():
                raise
        return self.change(name, work, timeout)

    def _open_anew(self) -> bool:
        """The daemon may be restarting, or a network be back. All who listen listen to the new link, before it is read."""
        connection = self._reconnector.opened() if self._reconnector else None
        if connection is None:
            return False
        self._is_broken = False
        self.epoch += 1
        self._close_connection()
        self._keep(connection)
        for watch in list(self._watches):
            watch.listen(connection)
        return True

    def renewed(self, domain: VirDomain) -> VirDomain:
        """The same domain over the link that there is now."""
        return self._connection.lookupByUUIDString(domain.UUIDString())

    # -------------------------------------------------------------------------------------------------------- reading

    def domain(self, name_or_uuid: str) -> LibvirtDomain:
        lookups: list[t.Callable[[VirConnect], VirDomain]] = []
        if _UUID.fullmatch(name_or_uuid):
            lookups.append(lambda connection: connection.lookupByUUIDString(name_or_uuid))
        if name_or_uuid:
            lookups.append(lambda connection: connection.lookupByName(name_or_uuid))
        for lookup in lookups:
            try:
                return LibvirtDomain(self, self.read("look up the domain", lookup))
            except ValueError:  # a NUL, or half a surrogate pair: no name has one
                break
            except VirtmemError as exc:
                if exc.code == "permission_denied":  # where several are meant: which
                    exc.message = f"libvirt does not let this user look up the domain {name_or_uuid!r}."
                    exc.details["domain"] = name_or_uuid
                if exc.code != "domain_not_found":
                    raise
        raise self._no_such_domain(name_or_uuid)

    def _no_such_domain(self, name: str) -> VirtmemError:
        try:
            listed = self.read("list the domains", lambda connection: connection.listAllDomains(0))
            names = [str(domain.name()) for domain in listed]
        except VirtmemError:
            names = []  # a user who may not list them
        import difflib  # for this failure alone

        close = difflib.get_close_matches(name, names, n=3)
        return VirtmemError(
            "domain_not_found",
            f"{self.uri} has no domain {name!r}.",
            hint=f"Close names there: {', '.join(close)}."
            if close
            else f"Check the name and the option uri; this hypervisor has {len(names)} domains.",
            details={"domain": name, "uri": self.uri, "nearest": close},
        )

    def list_all(self) -> list[DomainEntry]:
        from .._protocol import DomainEntry

        listed, persistent, saved = self.read("list the domains", _all_domains)
        states = self.read("list the domains", _all_states)
        entries = []
        for domain in listed:
            uuid, active = str(domain.UUIDString()), domain.ID() >= 0  # both as they were listed: no calls
            state = DomainState(
                name=str(domain.name()),
                uuid=uuid,
                state=_state_word(states.get(uuid, 0)),
                active=active,
                persistent=uuid in persistent,
                saved=not active and uuid in saved,
            )
            entries.append(DomainEntry(LibvirtDomain(self, domain), state))
        return entries

    def capabilities(self) -> str:
        return str(self.read("read the host's capabilities", lambda connection: connection.getCapabilities()))

    def host_total(self) -> int:
        return self.read("read the host's memory", lambda connection: int(connection.getMemoryStats(-1)["total"])) * KIB

    def versions(self) -> Versions:
        numbers = self.read(
            "read its version", lambda connection: (connection.getLibVersion(), connection.getVersion())
        )
        return Versions(_version(numbers[0]), _version(numbers[1]))

    def host_memory(self, page_size: int | None, nodes: t.Sequence[int] | None) -> HostMemory:
        local = self._is_local
        if page_size not in (None, _ORDINARY_PAGE):
            size = page_size or (procfs.default_huge_page_size() if local else None) or 2048 * KIB
            return self.read("read the host's memory", lambda connection: _huge_pages(connection, size, nodes))
        if nodes is not None:
            return self.read("read the host's memory", lambda connection: _node_memory(connection, nodes, local))
        available = self.read("read the host's memory", lambda connection: _available(connection, local))
        return HostMemory(available, "available memory")

    def thp_size(self) -> int | None:
        return procfs.thp_size() if self._is_local else None

    def close(self) -> None:
        # libvirt closes a connection when nothing holds it any more, and what was read of a domain may live on.
        while self.domains:
            self.domains.pop().let_go()
        self._close_connection()
        _end_threads()

    def _close_connection(self) -> None:
        # Where the link was broken already, nothing is owed to it. The close callback holds a reference.
        with suppress(libvirt.libvirtError):
            self._connection.unregisterCloseCallback()
        with suppress(libvirt.libvirtError):
            self._connection.close()

    @contextmanager
    def watch(self) -> t.Iterator[_LibvirtHostWatch]:
        with self.listening(_LibvirtHostWatch()) as watch:
            yield watch

    @contextmanager
    def listening(self, watch: Watch) -> t.Iterator[Watch]:
        self._watches.add(watch)
        watch.listen(self._connection)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            watch.close()


def _all_domains(connection: VirConnect) -> tuple[list[VirDomain], set[str], set[str]]:
    """All domains, and the UUIDs of the persistent ones and of those with a saved state."""
    persistent = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
    saved = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
    return (
        connection.listAllDomains(0),
        {domain.UUIDString() for domain in persistent},
        {domain.UUIDString() for domain in saved},
    )


def _all_states(connection: VirConnect) -> dict[str, int]:
    """The number of each domain's state, by UUID.

    No statistics with it: those of the balloon come from QEMU's monitor, and one QEMU that does not answer holds up the
    call for all domains, also with NOWAIT (libvirt 9.0, 11.3, 12.8). The state is the daemon's own knowledge.
    """
    found = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0)
    return {domain.UUIDString(): raw.get("state.state", 0) for domain, raw in found}


def _huge_pages(connection: VirConnect, page_size: int, nodes: t.Sequence[int] | None) -> HostMemory:
    pages = kib(page_size)
    cells = [-1] if nodes is None else list(nodes)  # -1: the host as a whole (virNodeGetFreePages)
    free = sum(connection.getFreePages([pages], cell, 1)[cell][pages] for cell in cells)
    where = "" if nodes is None else f" on its {_node_words(nodes)}"
    return HostMemory(free * page_size, f"free {format_size(page_size)} huge pages{where}")


def _node_memory(connection: VirConnect, nodes: t.Sequence[int], local: bool) -> HostMemory:
    total = 0
    for node in nodes:
        available = procfs.node_available(node) if local else None
        if available is None:  # without the page cache, which libvirt does not tell per node
            available = connection.getMemoryStats(node)["free"] * KIB
        total += available
    return HostMemory(total, f"available memory on its {_node_words(nodes)}")


def _available(connection: VirConnect, local: bool) -> int:
    """MemAvailable: libvirt's from 12.3, the local kernel's, or else free, buffers and page cache together.

    getFreeMemory and getInfo are no use here: they count page cache as taken (virHostMemGetStats does not).
    """
    statistics: dict[str, int] = connection.getMemoryStats(-1)
    if "available" in statistics:
        return statistics["available"] * KIB
    available = procfs.available() if local else None
    if available is not None:
        return available
    return sum(statistics.get(part, 0) for part in ("free", "buffers", "cached")) * KIB


def _version(number: int) -> tuple[int, int, int]:
    """libvirt's and QEMU's one number: major * 1000000 + minor * 1000 + micro."""
    return number // 1000000, number // 1000 % 1000, number % 1000


def _state_word(number: int) -> str:
    return _STATES[number] if number < len(_STATES) else "unknown"


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
        self.name = str(domain.name())
        self._hypervisor = hypervisor
        self._domain = domain
        self._epoch = hypervisor.epoch
        self._timeout = _timeout.CALL_TIMEOUT
        hypervisor.domains.append(self)

    def let_go(self) -> None:
        """Hold the connection no longer, which is about to be closed."""
        self._domain = None

    def handle(self) -> VirDomain:
        """libvirt's domain, over the link that there is now."""
        if self._epoch != self._hypervisor.epoch:
            self._domain = self._hypervisor.renewed(self._domain)
            self._epoch = self._hypervisor.epoch
        return self._domain

    @contextmanager
    def _answering(self) -> t.Iterator[None]:
        try:
            yield
        except VirtmemError as error:
            if error.code == "timeout":
                self._timeout = _SHORT_TIMEOUT
            raise

    def _read(self, name: str, work: t.Callable[[VirDomain], Result]) -> Result:
        with self._answering():
            return self._hypervisor.read(name, lambda _connection: work(self.handle()), self._timeout)

    def _change(self, name: str, work: t.Callable[[VirDomain], t.Any], is_long: bool = False) -> None:
        timeout = _LONG_TIMEOUT if is_long and self._timeout != _SHORT_TIMEOUT else self._timeout
        with self._answering():
            self._hypervisor.change(name, lambda _connection: work(self.handle()), timeout)

    def state(self) -> DomainState:
        def read(domain: VirDomain) -> DomainState:
            number = domain.state()[0]
            active = bool(domain.isActive())
            return DomainState(
                name=self.name,
                uuid=str(domain.UUIDString()),
                state=_state_word(number),
                active=active,
                persistent=bool(domain.isPersistent()),
                saved=not active and bool(domain.hasManagedSaveImage(0)),
            )

        return self._read("read the domain's definition", read)

    def xml(self, scope: Scope, secure: bool = False) -> str:
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE if scope == "config" else 0
        flags |= libvirt.VIR_DOMAIN_XML_SECURE if secure else 0
        text = str(
            self._read(
                "read the definition with passwords" if secure else "read the domain's definition",
                lambda domain: domain.XMLDesc(flags),
            )
        )
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
        self._change(_CHANGE[scope], lambda domain: domain.attachDeviceFlags(device_xml, _AFFECT[scope]), is_long=True)

    def update(self, device_xml: str, scope: Scope) -> None:
        self._change(_CHANGE[scope], lambda domain: domain.updateDeviceFlags(device_xml, _AFFECT[scope]))

    def unplug(self, alias: str) -> None:
        # By alias and not by XML: detachDeviceFlags blocks for up to 5 s, and then says success all the same.
        self._change(_CHANGE["live"], lambda domain: domain.detachDeviceAlias(alias, _AFFECT["live"]))

    def detach_config(self, device_xml: str) -> None:
        self._change(_CHANGE["config"], lambda domain: domain.detachDeviceFlags(device_xml, _AFFECT["config"]))

    def define(self, domain_xml: str) -> None:
        self._change(_CHANGE["config"], lambda domain: domain.connect().defineXML(domain_xml))

    def set_current_memory(self, size: int) -> None:
        self._change(_CHANGE["config"], lambda domain: domain.setMemoryFlags(kib(size), _AFFECT["config"]))

    def set_balloon(self, size: int) -> None:
        self._change(_CHANGE["live"], lambda domain: domain.setMemoryFlags(kib(size), _AFFECT["live"]))

    def set_limits(self, limits: t.Mapping[str, int | None]) -> None:
        values = {name: kib(UNLIMITED if size is None else size) for name, size in limits.items()}
        self._change(_CHANGE["live"], lambda domain: domain.setMemoryParameters(values, _AFFECT["live"]), is_long=True)

    def set_nodeset(self, nodeset: str) -> None:
        values = {"numa_nodeset": nodeset}
        self._change(_CHANGE["live"], lambda domain: domain.setNumaParameters(values, _AFFECT["live"]), is_long=True)

    def shutdown(self) -> None:
        self._change("shut the guest down", lambda domain: domain.shutdown())

    def start(self) -> None:
        self._change("start the domain", lambda domain: domain.create(), is_long=True)

    def statistics(self) -> GuestStatistics:
        return _statistics(self._read("read the guest's statistics", lambda domain: domain.memoryStats()))

    def set_stats_period(self, seconds: int) -> None:
        self._change(_CHANGE["live"], lambda domain: domain.setMemoryStatsPeriod(seconds, _AFFECT["live"]))

    @contextmanager
    def watch(self) -> t.Iterator[_LibvirtWatch]:
        with self._hypervisor.listening(_LibvirtWatch(self)) as watch:
            yield watch


class _LibvirtWatch:
    """See _protocol.Watch. libvirt's event thread sets a flag; the waiting thread clears it and reads again."""

    def __init__(self, domain: LibvirtDomain | None = None) -> None:
        self._domain = domain  # None: all
        self._connection: VirConnect = None
        self._flag = threading.Event()
        self._callbacks: list[int] = []
        self.has_events = False

    def listen(self, connection: VirConnect) -> None:
        """Register for events of this connection. Those of an earlier one are gone with it."""
        self._connection, self._callbacks = connection, []
        try:
            domain = self._domain.handle() if self._domain else None
        except libvirt.libvirtError:
            return  # who reads it next is told so
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

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._names: set[str] = set()

    def wake(self, *args: t.Any) -> None:
        if len(args) > 1:  # (connection, domain, ...); the connection's own end has no domain
            with self._lock:
                self._names.add(str(args[1].name()))
        super().wake()

    def names(self) -> frozenset[str]:
        with self._lock:
            names, self._names = self._names, set()
        return frozenset(names)
