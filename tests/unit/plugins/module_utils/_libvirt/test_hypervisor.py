# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one door to libvirt, with a libvirt of cardboard behind it."""

from __future__ import annotations

import queue
import sys
import threading
import types

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import (
    hypervisor as _hypervisor,
    procfs,
    timeout as _timeout,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    DomainState,
    Versions,
)

UUID = "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"
MIB = 1024**2


class LibvirtError(Exception):
    def __init__(self, text="It failed.", number=9, domain=10):
        super().__init__(text)
        self.text, self.number, self.domain = text, number, domain

    def get_error_code(self):
        return self.number

    def get_error_domain(self):
        return self.domain

    def get_error_message(self):
        return self.text


class Scripted:
    """Any method: notes the call, and answers, or raises, what the script says."""

    def __init__(self, **script):
        self.script = script
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments):
            self.calls.append((name, *arguments))
            answer = self.script.get(name)
            if isinstance(answer, Exception):
                raise answer
            return answer(*arguments) if callable(answer) else answer

        return call

    def named(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


def events(**missing):
    names = ("MEMORY_DEVICE_SIZE_CHANGE", "DEVICE_REMOVED", "DEVICE_REMOVAL_FAILED", "LIFECYCLE", "REBOOT")
    return {f"VIR_DOMAIN_EVENT_ID_{name}": number for number, name in enumerate(names) if name not in missing}


class Libvirt(types.ModuleType):
    """The module `libvirt`, as far as it is used."""

    libvirtError = LibvirtError  # noqa: N815 - its name
    VIR_CRED_AUTHNAME, VIR_CRED_PASSPHRASE = 2, 5
    VIR_CONNECT_RO = 1
    VIR_DOMAIN_XML_SECURE, VIR_DOMAIN_XML_INACTIVE = 1, 2
    VIR_CONNECT_LIST_DOMAINS_PERSISTENT, VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE = 4, 256
    VIR_DOMAIN_STATS_STATE = 1

    def __init__(self, connection):
        super().__init__("libvirt")
        self.connection = connection
        self.handlers = []
        self.opened = []
        self.hang = None
        self.errors = []
        self.registered = 0
        self.timers = []
        self.wakes = queue.Queue()
        self.runs = 0
        vars(self).update(events())

    def registerErrorHandler(self, handler, data):
        self.handlers.append((handler, data))

    def virEventRegisterDefaultImpl(self):
        self.registered += 1

    def virEventRunDefaultImpl(self):
        self.runs += 1
        self.wakes.get()

    def virEventAddTimeout(self, timeout, callback, data):
        self.timers.append((timeout, callback, data))
        return len(self.timers) - 1

    def virEventUpdateTimeout(self, timer, timeout):
        if timeout >= 0:
            _timeout, callback, data = self.timers[timer]
            callback(timer, data)
            self.wakes.put(timeout)

    def openAuth(self, uri, auth, flags):
        self.opened.append((uri, auth, flags))
        if self.hang:
            self.hang.wait()
        for error in self.errors:
            raise error
        return self.connection


def loops():
    return [thread for thread in threading.enumerate() if thread.name == "libvirt-events"]


@pytest.fixture
def connection():
    return Scripted(
        getURI="qemu:///system", domainEventRegisterAny=lambda _domain, number, _callback, _data: 100 + number
    )


@pytest.fixture
def libvirt(monkeypatch, connection):
    made = Libvirt(connection)
    monkeypatch.setattr(_hypervisor, "libvirt", made, raising=False)
    monkeypatch.setattr(_hypervisor, "LIBVIRT_IMPORT_ERROR", None)
    _hypervisor._event_loop.cache_clear()
    yield made
    _hypervisor._event_loop.cache_clear()


@pytest.fixture
def hypervisor(libvirt):
    opened = _hypervisor.connect("qemu:///system", False)
    yield opened
    opened.close()
    assert loops() == []


def domain_of(hypervisor, connection, **script):
    domain = Scripted(name="web1", connect=connection, **script)
    connection.script["lookupByName"] = domain
    return hypervisor.domain("web1"), domain


def seen_from(hypervisor, connection, uri):
    """The same connection, as if libvirt had said that it leads there."""
    connection.script["getURI"] = uri
    return _hypervisor.LibvirtHypervisor("alias", connection)


# -------------------------------------------------------------------------------------------------------------- opening


@pytest.mark.parametrize(("read_only", "flags"), [(False, 0), (True, 1)])
def test_open(libvirt, connection, read_only, flags):
    hypervisor = _hypervisor.connect("qemu:///session", read_only)
    assert len(loops()) == 1
    ((uri, (kinds, _answer, data), given),) = libvirt.opened
    assert (uri, kinds, data, given) == ("qemu:///session", [2, 5], None, flags)
    assert hypervisor.uri == "qemu:///session"
    ((interval, count),) = connection.named("setKeepAlive")
    assert interval * count <= 20
    (handler, data) = libvirt.handlers[0]
    assert handler(data, (1, 2, "text")) is None, "libvirt's own words do not go to stderr"
    hypervisor.close()
    assert connection.named("close") == [()]
    assert loops() == []


def asked():
    return [[2, "user?", None, None, None], [5, "password?", None, None, None]]


def test_credentials(libvirt):
    hypervisor = _hypervisor.connect("qemu+tcp://host/system", False, "me", "secret")
    _kinds, answer, _data = libvirt.opened[0][1]
    credentials = asked()
    assert answer(credentials, None) == 0
    assert [credential[4] for credential in credentials] == ["me", "secret"]
    hypervisor.close()


@pytest.mark.parametrize("known", [(), ("me",), (None, "secret")])
def test_credentials_that_are_not_known(libvirt, known):
    """Offered all the same, because libvirt then looks into auth.conf first; but an empty word is no answer."""
    hypervisor = _hypervisor.connect("qemu+tcp://host/system", False, *known)
    kinds, answer, _data = libvirt.opened[0][1]
    assert kinds == [2, 5]
    assert answer(asked(), None) == -1
    assert answer([[9, "realm?", None, None, None]], None) == -1
    hypervisor.close()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LibvirtError("Failed to connect socket", 38, 7), "connection_failed"),
        (LibvirtError("authentication failed", 45, 7), "permission_denied"),
    ],
)
def test_open_fails(libvirt, error, code):
    libvirt.errors = [error]
    with pytest.raises(VirtmemError) as caught:
        _hypervisor.connect("qemu:///system", False)
    assert caught.value.code == code
    assert loops() == []


def test_open_hangs(libvirt):
    libvirt.hang = threading.Event()
    with pytest.raises(VirtmemError) as caught:
        _hypervisor.connect("qemu+ssh://silent/system", False, timeout=0.01)
    libvirt.hang.set()
    assert caught.value.code == "connection_failed"
    assert "qemu+ssh://silent/system" in caught.value.message
    assert "0.01 s" in caught.value.message
    assert loops() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_open_raises_something_else(libvirt):
    libvirt.errors = [TypeError("the binding's own")]
    try:
        with pytest.raises(TypeError):
            _hypervisor.connect("qemu:///system", False)
    finally:
        assert loops() == []


def test_uri_that_is_none(libvirt):
    libvirt.errors = [ValueError("embedded null character")]
    with pytest.raises(VirtmemError) as caught:
        _hypervisor.connect("qemu\0", False)
    assert caught.value.code == "connection_failed"
    assert loops() == []


def test_driver_without_a_link(libvirt, connection):
    connection.script["setKeepAlive"] = LibvirtError("not supported", 3)
    hypervisor = _hypervisor.connect("test:///default", False)
    hypervisor.close()


def test_close_of_a_broken_link(libvirt, connection):
    hypervisor = _hypervisor.connect("qemu:///system", False)
    connection.script["close"] = LibvirtError()
    hypervisor.close()
    assert loops() == []


def test_close_callback_is_unregistered_first(libvirt, connection):
    hypervisor = _hypervisor.connect("qemu:///system", False)
    hypervisor.close()
    names = [call[0] for call in connection.calls]
    assert names.index("unregisterCloseCallback") < names.index("close")


def test_many_tasks_in_one_process(libvirt, connection):
    """As Mitogen has them: libvirt keeps an event loop for good, and its binding what it notes of each timer."""
    connection.script["lookupByName"] = Scripted(name="web1", state=[1, 0])
    for _task in range(3):
        hypervisor = _hypervisor.connect("qemu:///system", False)
        assert hypervisor.domain("web1").state().state == "running"
        hypervisor.close()
        assert loops() == []
    assert (libvirt.registered, len(libvirt.timers)) == (1, 1)


def test_what_was_read_of_a_domain_does_not_hold_the_connection(libvirt, connection):
    """libvirt closes a connection when the last of its domains is freed, and then only."""
    hypervisor = _hypervisor.connect("qemu:///system", False)
    domain, vir = domain_of(hypervisor, connection)
    connection.script["close"] = lambda: closed.append(sys.getrefcount(vir))
    closed, held = [], sys.getrefcount(vir)
    hypervisor.close()
    assert closed == [held - 1]
    assert domain.name == "web1"


# -------------------------------------------------------------------------------------------------------------- domains


def test_domain_by_name_and_uuid(hypervisor, connection):
    domain, _vir = domain_of(hypervisor, connection)
    assert domain.name == "web1"
    connection.script["lookupByUUIDString"] = Scripted(name="web2")
    assert hypervisor.domain(UUID).name == "web2"
    assert hypervisor.domain(UUID.upper()).name == "web2"
    assert connection.named("lookupByName") == [("web1",)]
    assert connection.named("listAllDomains") == []


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["web1", "web22", "db1"], "web1"),
        (["db1", "db2"], "this hypervisor has 2 domains."),
        ([], "this hypervisor has 0 domains."),
    ],
)
def test_no_such_domain(hypervisor, connection, names, hint):
    connection.script["lookupByName"] = LibvirtError("no domain", 42)
    connection.script["listAllDomains"] = [Scripted(name=name) for name in names]
    with pytest.raises(VirtmemError) as caught:
        hypervisor.domain("web2")
    error = caught.value
    assert error.code == "domain_not_found"
    assert "'web2'" in error.message
    assert "qemu:///system" in error.message
    assert hint in error.hint


def test_no_such_domain_and_no_list_either(hypervisor, connection):
    connection.script["lookupByName"] = LibvirtError("no domain", 42)
    connection.script["listAllDomains"] = LibvirtError("access denied", 88)
    with pytest.raises(VirtmemError) as caught:
        hypervisor.domain("web2")
    assert caught.value.code == "domain_not_found"


def test_domain_that_is_called_like_a_uuid(hypervisor, connection):
    connection.script["lookupByUUIDString"] = LibvirtError("no domain", 42)
    connection.script["lookupByName"] = Scripted(name=UUID)
    assert hypervisor.domain(UUID).name == UUID
    assert hypervisor.domain(UUID.replace("-", "")).name == UUID
    assert len(connection.named("lookupByUUIDString")) == 2


def test_name_that_no_domain_can_have(hypervisor, connection):
    connection.script["lookupByName"] = ValueError("embedded null character")
    connection.script["listAllDomains"] = []
    with pytest.raises(VirtmemError) as caught:
        hypervisor.domain("web\0")
    assert caught.value.code == "domain_not_found"


def test_lookup_is_denied(hypervisor, connection):
    connection.script["lookupByName"] = LibvirtError("access denied", 88)
    with pytest.raises(VirtmemError) as caught:
        hypervisor.domain("web1")
    assert caught.value.code == "permission_denied"


@pytest.mark.parametrize(
    ("number", "word"), [(1, "running"), (3, "paused"), (5, "shutoff"), (7, "pmsuspended"), (8, "unknown")]
)
def test_state(hypervisor, connection, number, word):
    domain, _vir = domain_of(hypervisor, connection, state=[number, 0], UUIDString=UUID, isActive=1, isPersistent=0)
    assert domain.state() == DomainState("web1", UUID, word, True, False)


@pytest.mark.parametrize(("active", "image", "saved"), [(0, 1, True), (0, 0, False), (1, 1, False)])
def test_saved_state(hypervisor, connection, active, image, saved):
    domain, _vir = domain_of(
        hypervisor,
        connection,
        state=[5, 0],
        UUIDString=UUID,
        isActive=active,
        isPersistent=1,
        hasManagedSaveImage=image,
    )
    assert domain.state().saved is saved


@pytest.mark.parametrize(
    ("scope", "secure", "flags"), [("live", False, 0), ("config", False, 2), ("config", True, 3), ("live", True, 1)]
)
def test_xml(hypervisor, connection, scope, secure, flags):
    text = "<domain type='kvm' id='3'/>" if scope == "live" else "<domain type='kvm'/>"
    domain, vir = domain_of(hypervisor, connection, XMLDesc=text)
    assert domain.xml(scope, secure) == text
    assert vir.named("XMLDesc") == [(flags,)]


@pytest.mark.parametrize(
    "text", ["<domain type='kvm'/>", "<domain><name id='1'/></domain>", "<domain type='kvm'>\n id='2'"]
)
def test_live_xml_of_a_domain_that_stopped(hypervisor, connection, text):
    domain, _vir = domain_of(hypervisor, connection, XMLDesc=text)
    with pytest.raises(VirtmemError) as caught:
        domain.xml("live")
    assert caught.value.code == "domain_not_found"


WRITES = {
    "attach-live": (lambda domain: domain.attach("<memory/>", "live"), ("attachDeviceFlags", "<memory/>", 1)),
    "attach-config": (lambda domain: domain.attach("<memory/>", "config"), ("attachDeviceFlags", "<memory/>", 2)),
    "update-live": (lambda domain: domain.update("<memory/>", "live"), ("updateDeviceFlags", "<memory/>", 1)),
    "update-config": (lambda domain: domain.update("<memory/>", "config"), ("updateDeviceFlags", "<memory/>", 2)),
    "unplug": (lambda domain: domain.unplug("ua-a"), ("detachDeviceAlias", "ua-a", 1)),
    "detach": (lambda domain: domain.detach_config("<memory/>"), ("detachDeviceFlags", "<memory/>", 2)),
    "current": (lambda domain: domain.set_current_memory(4 * MIB + 1), ("setMemoryFlags", 4097, 2)),
    "period": (lambda domain: domain.set_stats_period(2), ("setMemoryStatsPeriod", 2, 1)),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes(hypervisor, connection, name):
    write, expected = WRITES[name]
    domain, vir = domain_of(hypervisor, connection)
    write(domain)
    assert [call for call in vir.calls if call[0] != "name"] == [expected]


@pytest.mark.parametrize("name", WRITES)
def test_writes_that_fail(hypervisor, connection, name):
    write, expected = WRITES[name]
    domain, _vir = domain_of(hypervisor, connection, **{expected[0]: LibvirtError("access denied", 88)})
    with pytest.raises(VirtmemError) as caught:
        write(domain)
    error = caught.value
    assert error.code == "permission_denied"
    assert "domain.write" in error.details["permissions"]
    assert ("domain.save" in error.details["permissions"]) == (expected[-1] == 2)


def test_define(hypervisor, connection):
    domain, _vir = domain_of(hypervisor, connection)
    domain._domain.script["connect"] = lambda: connection
    domain.define("<domain/>")
    assert connection.named("defineXML") == [("<domain/>",)]


def test_error_without_numbers(hypervisor, connection):
    class BareError(LibvirtError):
        def get_error_code(self):
            return None

        get_error_domain = get_error_message = get_error_code

    domain, _vir = domain_of(hypervisor, connection, XMLDesc=BareError("words"))
    with pytest.raises(VirtmemError) as caught:
        domain.xml("live")
    assert caught.value.code == "libvirt_error"
    assert "words" in caught.value.message


def test_statistics(hypervisor, connection):
    raw = {"actual": 4, "usable": 2, "unused": 1, "available": 3, "rss": 5, "last_update": 77, "new": 9}
    domain, _vir = domain_of(hypervisor, connection, memoryStats=raw)
    found = domain.statistics()
    assert (found.usable, found.unused, found.available, found.actual, found.rss) == (2048, 1024, 3072, 4096, 5120)
    assert (found.last_update, found.fresh) == (77, False)
    domain, _vir = domain_of(hypervisor, connection, memoryStats={"rss": 1})
    assert domain.statistics().usable is None
    assert domain.statistics().last_update == 0


# ----------------------------------------------------------------------------------------------------------------- host


def test_versions(hypervisor, connection):
    connection.script.update(getLibVersion=11003000, getVersion=10000013)
    assert hypervisor.versions() == Versions((11, 3, 0), (10, 0, 13))


@pytest.fixture
def kernel(monkeypatch):
    told = {"available": 8 * MIB, "default_huge_page_size": 2 * MIB, "node_available": 5 * MIB, "thp_size": 2 * MIB}
    for name in list(told):
        monkeypatch.setattr(procfs, name, lambda *_args, name=name: told[name])
    return told


@pytest.mark.parametrize(
    ("uri", "statistics", "available"),
    [
        ("qemu:///system", {"free": 1, "available": 7168}, 7 * MIB),
        ("qemu:///system", {"free": 1024}, 8 * MIB),
        ("qemu+ssh://host/system", {"free": 1024, "buffers": 1024, "cached": 2048}, 4 * MIB),
        ("qemu+ssh://host/system", {"free": 1024}, MIB),
    ],
)
def test_host_memory(hypervisor, connection, kernel, uri, statistics, available):
    hypervisor = seen_from(hypervisor, connection, uri)
    connection.script["getMemoryStats"] = statistics
    assert hypervisor.host_memory(None, None).available == available
    assert connection.named("getMemoryStats") == [(-1,)]


def test_ordinary_pages_are_no_huge_pages(hypervisor, connection, kernel):
    connection.script["getMemoryStats"] = {"available": 7168}
    assert hypervisor.host_memory(4096, None).available == 7 * MIB


def test_host_memory_where_the_kernel_does_not_say(hypervisor, connection, kernel):
    kernel["available"] = None
    connection.script["getMemoryStats"] = {"free": 1024}
    assert hypervisor.host_memory(None, None).available == MIB


@pytest.mark.parametrize(("uri", "available"), [("qemu:///system", 10 * MIB), ("qemu+ssh://host/system", 4 * MIB)])
def test_node_memory(hypervisor, connection, kernel, uri, available):
    hypervisor = seen_from(hypervisor, connection, uri)
    connection.script["getMemoryStats"] = {"free": 2048}
    found = hypervisor.host_memory(None, [0, 2])
    assert found.available == available
    assert "NUMA nodes 0, 2" in found.kind


@pytest.mark.parametrize(
    ("page_size", "nodes", "asked", "available", "kind"),
    [
        (2 * MIB, None, [([2048], -1, 1)], 20 * MIB, "free 2 MiB huge pages"),
        (2 * MIB, [1], [([2048], 1, 1)], 20 * MIB, "free 2 MiB huge pages on its NUMA node 1"),
        (1024 * MIB, [0, 1], [([MIB], 0, 1), ([MIB], 1, 1)], 20480 * MIB, "1 GiB huge pages on its NUMA nodes 0, 1"),
        (0, None, [([2048], -1, 1)], 20 * MIB, "free 2 MiB huge pages"),
    ],
)
def test_huge_pages(hypervisor, connection, kernel, page_size, nodes, asked, available, kind):
    connection.script["getFreePages"] = lambda pages, cell, _count: {cell: {pages[0]: 10}}
    found = hypervisor.host_memory(page_size, nodes)
    assert connection.named("getFreePages") == asked
    assert found.available == available
    assert kind in found.kind


def test_default_huge_pages_of_a_remote_host(hypervisor, connection, kernel):
    kernel["default_huge_page_size"] = 1024 * MIB
    hypervisor = seen_from(hypervisor, connection, "qemu+ssh://host/system")
    connection.script["getFreePages"] = lambda pages, cell, _count: {cell: {pages[0]: 1}}
    assert hypervisor.host_memory(0, None).available == 2 * MIB


@pytest.mark.parametrize(
    ("uri", "size"),
    [("qemu:///system", 2 * MIB), ("qemu:///session?mode=direct", 2 * MIB), ("qemu+tls://h/system", None)],
)
def test_thp_size(hypervisor, connection, kernel, uri, size):
    hypervisor = seen_from(hypervisor, connection, uri)
    assert hypervisor.thp_size() == size


# --------------------------------------------------------------------------------------------------------------- events


def callbacks(connection):
    return [call[2] for call in connection.named("domainEventRegisterAny")]


def test_watch_hears_and_is_deregistered(hypervisor, connection):
    domain, vir = domain_of(hypervisor, connection)
    with domain.watch() as watch:
        assert watch.has_events
        registered = connection.named("domainEventRegisterAny")
        assert all(call[0] is vir for call in registered)
        assert len(registered) == 5
        assert watch.wait(0) is False
        for wake in callbacks(connection):
            wake(connection, vir, "ua-a", 1024, None)
            assert watch.wait(0) is True
            assert watch.wait(0) is False
    assert connection.named("domainEventDeregisterAny") == [(100 + number,) for number in range(5)]


def test_a_closing_link_wakes(hypervisor, connection):
    domain, _vir = domain_of(hypervisor, connection)
    ((closed, _data),) = connection.named("registerCloseCallback")
    with domain.watch() as watch:
        closed(connection, 1, None)
        assert watch.wait(0) is True
    closed(connection, 1, None)
    assert watch.wait(0) is False


def test_event_that_the_library_does_not_know(hypervisor, connection, libvirt):
    del vars(libvirt)["VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE"]
    domain, _vir = domain_of(hypervisor, connection)
    with domain.watch() as watch:
        assert not watch.has_events
        assert len(callbacks(connection)) == 4


def test_events_that_the_driver_does_not_have(hypervisor, connection):
    connection.script["domainEventRegisterAny"] = LibvirtError("not supported", 3)
    domain, _vir = domain_of(hypervisor, connection)
    with domain.watch() as watch:
        assert not watch.has_events
        assert watch.wait(0) is False
    assert connection.named("domainEventDeregisterAny") == []


def test_link_that_broke_while_watching(hypervisor, connection):
    domain, _vir = domain_of(hypervisor, connection)
    with domain.watch():
        connection.script["domainEventDeregisterAny"] = LibvirtError()
    assert len(connection.named("domainEventDeregisterAny")) == 1


# ------------------------------------------------------------------------------------------ links that break, and hang

LOST = LibvirtError("internal error: client socket is closed", 1, 7)


@pytest.fixture
def other(libvirt, monkeypatch):
    """What the next connection is."""
    monkeypatch.setattr(_timeout, "_REOPEN_PAUSE", 0.001)
    monkeypatch.setattr(_timeout, "_REOPEN_TIMEOUT", 0.02)
    return Scripted(
        getURI="qemu:///system", domainEventRegisterAny=lambda _domain, number, _callback, _data: 200 + number
    )


def test_a_reading_goes_on_over_another_link(libvirt, hypervisor, connection, other):
    domain, _vir = domain_of(hypervisor, connection, XMLDesc=LOST, UUIDString=UUID)
    renewed = Scripted(name="web1", XMLDesc="<domain id='1'/>")
    other.script["lookupByUUIDString"] = renewed
    libvirt.connection = other
    with domain.watch() as watch:
        assert domain.xml("live") == "<domain id='1'/>"
        assert watch.has_events
        assert [call[0] for call in other.named("domainEventRegisterAny")] == [renewed] * 5
        ((closed, _data),) = other.named("registerCloseCallback")
        closed(other, 1, None)
        assert watch.wait(0) is True
    assert other.named("domainEventDeregisterAny") == [(200 + number,) for number in range(5)]
    assert connection.named("domainEventDeregisterAny") == []
    assert other.named("lookupByUUIDString") == [(UUID,)]
    assert len(other.named("setKeepAlive")) == 1
    assert (connection.named("close"), other.named("close")) == ([()], [])
    assert [opened[2] for opened in libvirt.opened] == [0, 0]


def test_a_change_is_not_repeated_by_itself_but_what_follows_has_a_link(libvirt, hypervisor, connection, other):
    domain, vir = domain_of(hypervisor, connection, updateDeviceFlags=LOST, UUIDString=UUID)
    renewed = Scripted(name="web1")
    other.script["lookupByUUIDString"] = renewed
    libvirt.connection = other
    with pytest.raises(VirtmemError) as caught:
        domain.update("<memory/>", "live")
    assert caught.value.code == "connection_lost"
    assert (len(vir.named("updateDeviceFlags")), len(libvirt.opened)) == (1, 1)
    domain.update("<memory/>", "live")
    assert (len(renewed.named("updateDeviceFlags")), len(libvirt.opened)) == (1, 2)


def test_a_daemon_that_stays_away(libvirt, hypervisor, connection, other, monkeypatch):
    # Nothing hangs here; an attempt left behind by a busy machine would be counted late.
    monkeypatch.setattr(_timeout, "call_with_timeout", lambda work, _timeout: work())
    domain, _vir = domain_of(hypervisor, connection, XMLDesc=LOST, state=LOST)
    libvirt.errors = [LibvirtError("Connection refused", 38, 7)]
    with pytest.raises(VirtmemError) as caught:
        domain.xml("live")
    assert caught.value.code == "connection_lost"
    assert len(libvirt.opened) > 2
    tried = len(libvirt.opened)
    with pytest.raises(VirtmemError):
        domain.state()
    assert len(libvirt.opened) == tried, "nobody waits for it twice"
    libvirt.errors = []


def test_a_domain_that_is_gone_with_the_link(libvirt, hypervisor, connection, other):
    domain, _vir = domain_of(hypervisor, connection, XMLDesc=LOST, UUIDString=UUID)
    other.script["lookupByUUIDString"] = LibvirtError("no domain", 42)
    libvirt.connection = other
    with domain.watch() as watch, pytest.raises(VirtmemError) as caught:
        domain.xml("live")
    assert caught.value.code == "domain_not_found"
    assert watch.wait(0) is False


def test_a_call_that_hangs_is_given_up_and_the_next_one_sooner(hypervisor, connection, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(_hypervisor, "_SHORT_TIMEOUT", 0.01)
    domain, vir = domain_of(hypervisor, connection, updateDeviceFlags=lambda *_: let_go.wait(), create=lambda: 0)
    domain._timeout = 0.02
    for limit in ("0.02", "0.01"):
        with pytest.raises(VirtmemError) as caught:
            domain.update("<memory/>", "live")
        assert caught.value.code == "timeout"
        assert f"in {limit} s" in caught.value.message
    vir.script["create"] = let_go.wait
    with pytest.raises(VirtmemError):
        domain.start()
    let_go.set()


# ------------------------------------------------------------------------------------------------------ many domains


def test_survey(hypervisor, connection):
    """Four calls, and none to a domain that would ask the daemon: uuid, name and id come with the list."""
    domains = {
        name: Scripted(name=name, UUIDString=f"uuid-{name}", ID=number)
        for name, number in (("on", 7), ("transient", 8), ("off", -1), ("saved", -1), ("hidden", 9))
    }
    lists = {0: list(domains), 4: ["on", "off", "saved", "hidden"], 256: ["saved"]}
    connection.script["listAllDomains"] = lambda flags: [domains[name] for name in lists[flags]]
    connection.script["getAllDomainStats"] = lambda *_flags: [
        (domains["on"], {"state.state": 1}),
        (domains["transient"], {"state.state": 3}),
        (domains["off"], {"state.state": 5}),
        (domains["saved"], {"state.state": 5}),
    ]
    seen = {entry.state.name: entry for entry in hypervisor.list_all()}
    assert {name: entry.state for name, entry in seen.items()} == {
        "on": DomainState("on", "uuid-on", "running", True, True),
        "transient": DomainState("transient", "uuid-transient", "paused", True, False),
        "off": DomainState("off", "uuid-off", "shutoff", False, True),
        "saved": DomainState("saved", "uuid-saved", "shutoff", False, True, True),
        "hidden": DomainState("hidden", "uuid-hidden", "nostate", True, True),
    }
    assert seen["on"].domain.name == "on"
    assert connection.named("getAllDomainStats") == [(1, 0)], "a guest's statistics would need its QEMU"
    assert len(connection.named("listAllDomains")) == 3
    called = {call[0] for domain in domains.values() for call in domain.calls}
    assert called <= {"name", "UUIDString", "ID"}


def test_survey_that_is_denied(hypervisor, connection):
    connection.script["listAllDomains"] = LibvirtError("access denied", 88, 55)
    with pytest.raises(VirtmemError) as caught:
        hypervisor.list_all()
    assert caught.value.code == "permission_denied"


def test_watch_of_all_domains(hypervisor, connection):
    one, other = Scripted(name="one"), Scripted(name="other")
    with hypervisor.watch() as watch:
        assert watch.has_events
        assert [call[0] for call in connection.named("domainEventRegisterAny")] == [None] * 5
        assert (watch.wait(0), watch.names()) == (False, frozenset())
        for wake, domain in zip(callbacks(connection), (one, other, one)):
            wake(connection, domain, "ua-a", 1024, None)
        assert watch.wait(0) is True
        assert watch.names() == {"one", "other"}
        assert (watch.wait(0), watch.names()) == (False, frozenset())
        ((closed, _data),) = connection.named("registerCloseCallback")
        closed(connection, 1, None)
        assert (watch.wait(0), watch.names()) == (True, frozenset())
    assert len(connection.named("domainEventDeregisterAny")) == 5


def test_host(hypervisor, connection):
    connection.script.update(getCapabilities="<capabilities/>", getMemoryStats={"total": 4096, "free": 1024})
    assert hypervisor.capabilities() == "<capabilities/>"
    assert hypervisor.host_total() == 4 * MIB
    assert connection.named("getMemoryStats") == [(-1,)]
