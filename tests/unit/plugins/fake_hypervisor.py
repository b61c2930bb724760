# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A hypervisor without libvirt: what libvirt 9.0 to 12.8 and QEMU 7.2 to 11.1 do with memory devices, traps included.

Speaks module_utils/_protocol.py. Both definitions of a domain are kept as XML text, and edited here with code of its own.
Time is a number: guests move when the code under test sleeps or waits, so that no test sleeps.
Every call is noted in `FakeHypervisor.calls` as (name, scope).
"""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lxml import etree

from ansible_collections.virtmem.libvirt.plugins.module_utils import _libvirt_errors
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    DomainState,
    GuestStatistics,
    HostMemory,
    Versions,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Sighting

MIB = 1024**2
GIB = 1024**3
RELEASE = 0.5  # seconds for which a guest still releases what it has given back
TICK = 0.25
NEVER = float("inf")
AT_ONCE = 1 << 60

BOOKWORM = Versions((9, 0, 0), (7, 2, 22))
TRIXIE = Versions((11, 3, 0), (10, 0, 13))
SID = Versions((12, 8, 0), (11, 1, 3))

READS = frozenset({"state", "xml", "statistics", "watch", "survey", "capabilities", "host_total"})
_VIRTIO_MEM = "virtio-mem"
_AUTO_ALIAS = {"virtio-mem": "virtiomem", "dimm": "dimm", "nvdimm": "nvdimm", "virtio-pmem": "virtiopmem"}
_UNITS = {
    "b": 1,
    "bytes": 1,
    "kb": 1000,
    "kib": 1024,
    "k": 1024,
    "mib": MIB,
    "m": MIB,
    "mb": 10**6,
    "gib": GIB,
    "g": GIB,
}
_WHAT = {"live": "change the running guest", "config": "change the stored definition"}
_PREFIX = {
    1: "internal error: ",
    8: "invalid argument: ",
    27: "XML error: ",
    29: "operation forbidden: ",
    55: "Requested operation is not valid: ",
    67: "unsupported configuration: ",
    99: "device not found: ",
}


def refuse(scope: str, number: int, text: str) -> t.NoReturn:
    """What the real door makes of libvirt's error `number` with `text`."""
    raise _libvirt_errors.translate(_WHAT.get(scope, scope), number, 10, _PREFIX.get(number, "") + text)


# ------------------------------------------------------------------------------------------------------------- time


class FakeClock:
    """See _wait.Clock. Whoever sleeps lets the guests run."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []
        self.runners: list[t.Callable[[], None]] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float, until: t.Callable[[], bool] = lambda: False) -> None:
        end = self.now + seconds
        while self.now < end and not until():
            self.now = min(self.now + TICK, end)
            for run in self.runners:
                run()


@dataclass
class Guest:
    """How a guest takes and gives memory; sizes are bytes.

    `rate`: bytes per tick; `lowest` and `highest`: where it stops short; `driver`: has virtio_mem; `lets_go`: handles an
    unplug; `dies_at` and `reboots_at`: seconds from the start of the clock; `usable`: what it reports as usable (None: no
    statistics); `answers`: its balloon driver is alive; `counted`: its MemTotal.
    """

    rate: int = AT_ONCE
    lowest: int = 0
    highest: int | None = None
    driver: bool = True
    lets_go: bool = True
    dies_at: float = NEVER
    reboots_at: float = NEVER
    usable: int | None = 64 * GIB
    counted: int | None = None
    answers: bool = True

    def next(self, current: int, requested: int, block: int) -> int:
        goal = requested if self.driver else 0
        if goal < current:
            goal = max(goal, min(self.lowest, current))
        elif self.highest is not None:
            goal = max(min(goal, self.highest), current)
        step = max(min(goal - current, self.rate), -self.rate)
        return (current + step) // block * block


# --------------------------------------------------------------------------------------------------------------- XML


def element(text: str) -> t.Any:
    return etree.fromstring(text.encode(), etree.XMLParser(remove_blank_text=True))


def text_of(root: t.Any) -> str:
    etree.indent(root, space="  ")
    return etree.tostring(root, encoding="unicode")


def canonical(text: str) -> str:
    """The document without its layout, for comparing."""
    return etree.tostring(element(text), method="c14n").decode()


def without_memory(text: str) -> str:
    """The domain without what a memory device may change: itself, <memory> and <currentMemory>."""
    root = element(text)
    for found in [*root.findall("devices/memory"), *root.findall("memory"), *root.findall("currentMemory")]:
        found.getparent().remove(found)
    return canonical(text_of(root))


def size_of(found: t.Any) -> int:
    if found is None:
        return 0
    return int(found.text) * _UNITS[found.get("unit", "KiB").lower()]


def write_kib(found: t.Any, size: int) -> None:
    found.set("unit", "KiB")
    found.text = str(-(-size // 1024))


def _child(parent: t.Any, tag: str) -> t.Any:
    found = parent.find(tag)
    return etree.SubElement(parent, tag) if found is None else found


def _drop(found: t.Any) -> None:
    if found is not None:
        found.getparent().remove(found)


def _members(nodes: str) -> set[int]:
    members: set[int] = set()
    for part in nodes.split(","):
        first, _dash, last = part.lstrip("^").partition("-")
        numbers = set(range(int(first), int(last or first) + 1))
        members = members - numbers if part.startswith("^") else members | numbers
    return members


def _ranges(members: set[int]) -> str:
    """virBitmapFormat: 0-1,3."""
    parts: list[list[int]] = []
    for number in sorted(members):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def _address(memory: t.Any) -> tuple[str, ...] | None:
    address = memory.find("address")
    if address is None:
        return None
    return (
        address.get("type"),
        *(
            str(int(address.get(part, "0"), 0))
            for part in ("domain", "bus", "slot", "function", "cssid", "ssid", "devno")
        ),
    )


def _alias(memory: t.Any) -> str | None:
    alias = memory.find("alias")
    return None if alias is None else alias.get("name")


def _text(memory: t.Any, path: str) -> str | None:
    return memory.findtext(path)


def _base(memory: t.Any) -> int | None:
    found = memory.find("target/address")
    return None if found is None else int(found.get("base"), 0)


def _drop_unknown(memory: t.Any, version: tuple[int, int, int]) -> None:
    """Without a validation flag, libvirt loses what it does not know, and says nothing."""
    target = memory.find("target")
    known = {"source", "target", "address", "alias", "acpi", "uuid"} | ({"driver"} if version >= (11, 9, 0) else set())
    sizes = {"size", "node", "block", "requested", "label", "readonly"} | (
        {"address"} if version >= (9, 4, 0) else set()
    )
    flags = {"dynamicMemslots"} if version >= (10, 1, 0) else set()
    for parent, tags, names in ((memory, known, {"model", "access", "discard"}), (target, sizes, flags)):
        for child in [child for child in parent if child.tag not in tags]:
            parent.remove(child)
        for name in set(parent.attrib) - names:
            del parent.attrib[name]


DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>
    <app:note xmlns:app='https://example.com/app' app:level='3'>kept &amp; kept</app:note>
  </metadata>
  {maximum}
  <memory unit='KiB'>{total}</memory>
  {current}
  {backing}
  <vcpu placement='static'>4</vcpu>
  <os>
    <type arch='{arch}' machine='{machine}'>hvm</type>
  </os>
  <cpu>
    <numa>
      {cells}
    </numa>
  </cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {controllers}
    <graphics type='vnc' port='-1' autoport='yes' passwd='secret'/>
    {balloon}
    {devices}
  </devices>
</domain>
"""
UUID = "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"


def device(
    alias: str | None = "ua-virtiomem0",
    size: int = 16 * GIB,
    requested: int = 2 * GIB,
    *,
    block: int = 2 * MIB,
    node: int | None = 0,
    model: str = _VIRTIO_MEM,
    attributes: str = "",
    source: str = "",
    extra: str = "",
) -> str:
    sized = (
        f"<block unit='KiB'>{block // 1024}</block><requested unit='KiB'>{requested // 1024}</requested>"
        if model == _VIRTIO_MEM
        else ""
    )
    return (
        f"<memory model='{model}' {attributes}>{source}<target><size unit='KiB'>{size // 1024}</size>"
        f"{'' if node is None else f'<node>{node}</node>'}{sized}</target>"
        f"{'' if alias is None else f'<alias name={alias!r}/>'}{extra}</memory>"
    )


def domain_xml(
    *devices: str,
    name: str = "web1",
    uuid: str = UUID,
    machine: str = "pc-q35-9.2",
    arch: str = "x86_64",
    boot: t.Sequence[int] = (2 * GIB,),
    maximum: int | None = 64 * GIB,
    slots: int = 16,
    current: int | None = None,
    ports: int = 4,
    balloon: str = "<memballoon model='virtio'/>",
    backing: str = "",
) -> str:
    controllers = "<controller type='pci' index='0' model='pcie-root'/>" + "".join(
        f"<controller type='pci' index='{index}' model='pcie-root-port'/>" for index in range(1, ports + 1)
    )
    each = 4 // max(len(boot), 1)
    cells = "".join(
        f"<cell id='{index}' cpus='{index * each}-{index * each + each - 1}' memory='{size // 1024}' unit='KiB'/>"
        for index, size in enumerate(boot)
    )
    text = DOMAIN.format(
        name=escape(name),
        uuid=uuid,
        machine=machine,
        arch=arch,
        total=(sum(boot) + sum(size_of(element(found).find("target/size")) for found in devices)) // 1024,
        maximum="" if maximum is None else f"<maxMemory slots='{slots}' unit='KiB'>{maximum // 1024}</maxMemory>",
        current="" if current is None else f"<currentMemory unit='KiB'>{current // 1024}</currentMemory>",
        cells=cells,
        controllers=controllers if "q35" in machine else "",
        balloon=balloon,
        backing=backing,
        devices="".join(devices),
    )
    if not boot:
        text = re.sub(r"<cpu>.*</cpu>", "", text, flags=re.DOTALL)
    return text


# ------------------------------------------------------------------------------------------------------------- domain


class FakeWatch:
    """See _protocol.Watch."""

    def __init__(self, clock: FakeClock, has_events: bool) -> None:
        self.has_events = has_events
        self.waits: list[float] = []
        self.closed = False
        self._clock = clock
        self._flag = False

    def wake(self) -> None:
        self._flag = self.has_events

    def wait(self, timeout: float) -> bool:
        assert not self.closed
        self.waits.append(timeout)
        self._clock.advance(timeout, until=lambda: self._flag)
        came, self._flag = self._flag, False
        return came


class FakeHostWatch(FakeWatch):
    """See _protocol.HostWatch."""

    def __init__(self, clock: FakeClock, has_events: bool) -> None:
        super().__init__(clock, has_events)
        self._names: set[str] = set()

    def wake_for(self, name: str) -> None:
        if self.has_events:
            self._names.add(name)
        self.wake()

    def names(self) -> frozenset[str]:
        names, self._names = self._names, set()
        return frozenset(names)


class FakeDomain:
    """See _protocol.Domain. `config` and `live` are the two definitions as libvirt prints them, None where there is none."""

    def __init__(self, hypervisor: FakeHypervisor, config: str, guest: Guest | None = None, persistent: bool = True):
        self.hypervisor = hypervisor
        self.guest = guest or Guest()
        self.paused = False
        self.config: str | None = None
        self.live: str | None = None
        self.period_history: list[int] = []
        self._watches: list[FakeWatch] = []
        self._unplugging: set[str] = set()
        self._moved = 0.0  # when the guest last plugged or unplugged memory
        self._stuck = False
        self._last_update = 0
        self._told = 0.0  # when the last size event went out: QEMU sends one a second
        self._untold = False
        self._counted_twice = 0
        self.actual = 2 * GIB
        self.deaf = False  # to the power button
        root = element(config)
        self._normalise(root, "config")
        self.name = root.findtext("name")
        self.config = text_of(root)
        self.persistent = persistent
        hypervisor.clock.runners.append(self._run_guest)

    # -- what a test arranges

    def start(self, settled: bool = True) -> FakeDomain:
        """Power on: the live definition is made of the config, and the guest plugs what is requested."""
        self._stuck = False
        root = element(t.cast(str, self.config))
        root.set("id", "1")
        for memory in root.findall("devices/memory"):
            size = size_of(memory.find("target/size"))
            write_kib(memory.find("target/size"), -(-size // (2 * MIB)) * 2 * MIB)  # qemuDomainAlignMemorySizes
            self._make_live(root, memory)
            if settled and memory.get("model") == _VIRTIO_MEM:
                requested = size_of(memory.find("target/requested"))
                write_kib(memory.find("target/current"), replace(self.guest, rate=AT_ONCE).next(0, requested, 1))
        dimms = sum(size_of(memory.find("target/size")) for memory in root.findall("devices/memory[@model='dimm']"))
        devices = sum(size_of(size) for size in root.findall("devices/memory/target/size"))
        ram = size_of(root.find("memory")) - devices + dimms
        self.actual = min(size_of(root.find("currentMemory")) or ram, ram)  # a balloon counts DIMMs
        self._sum_up(root)
        self.live = text_of(root)
        if not self.persistent:
            self.config = None
        return self

    def stop(self) -> None:
        self.live = None
        if not self.persistent:
            self.config = None
        self._wake()

    def reboot(self) -> None:
        """QEMU unplugs everything at reset; the guest plugs what is requested anew, and libvirt counts it twice."""
        root = self._root("live")
        for memory in self._virtio_mem(root):
            write_kib(memory.find("target/current"), 0)
        self._counted_twice = 1
        self._stuck = False
        self._store("live", root)
        self._wake()

    def edit(self, scope: str, change: t.Callable[[t.Any], None]) -> None:
        """Change a definition behind everybody's back."""
        root = self._root(scope)
        change(root)
        setattr(self, scope, text_of(root))

    def current(self, alias: str = "ua-virtiomem0") -> int | None:
        return self._size(alias, "live", "current")

    def requested(self, scope: str = "live", alias: str = "ua-virtiomem0") -> int | None:
        return self._size(alias, scope, "requested")

    def _size(self, alias: str, scope: str, tag: str) -> int | None:
        for memory in self._root(scope).findall("devices/memory"):
            if _alias(memory) == alias:
                return size_of(memory.find(f"target/{tag}"))
        return None

    def texts(self) -> tuple[str | None, str | None]:
        return self.live, self.config

    # -- the protocol

    def state(self) -> DomainState:
        self._note("state", None)
        return self.state_now()

    def state_now(self) -> DomainState:
        word = "shutoff" if self.live is None else "paused" if self.paused else "running"
        return DomainState(self.name, UUID, word, self.live is not None, self.persistent)

    def xml(self, scope: str, secure: bool = False) -> str:
        self._note("xml", scope)
        if secure and self.hypervisor.read_only:
            refuse("read the definition with passwords", 29, "virDomainGetXMLDesc with secure flag")
        text = self.live if scope == "live" else self.config
        if text is None and scope == "live":  # as LibvirtDomain.xml says it
            refuse("live", 55, "domain is not running")
        if text is None:
            refuse("config", 55, "transient domains do not have any persistent config")
        return text if secure else re.sub(r" passwd=(['\"]).*?\1", "", text)

    def attach(self, device_xml: str, scope: str) -> None:
        self._write("attach", scope)
        root, memory = self._root(scope), element(device_xml)
        size = size_of(memory.find("target/size"))
        self._check_room(root, size, scope)
        self._normal_device(root, memory, scope, attaching=True)
        address = _address(memory)
        if address and any(_address(other) == address for other in root.findall("devices//*[address]")):
            refuse(scope, 55, "Domain already contains a device with the same address")
        if scope == "live":
            block = size_of(memory.find("target/block"))
            if block and size % block:
                refuse(scope, 1, f"'memdev' property memdev size has to be multiples of'block-size' ({block:#x})")
        root.find("devices").append(memory)
        self._place(root, memory, scope)
        total = size_of(root.find("memory"))
        write_kib(root.find("memory"), total + size)
        if scope == "live":
            self._make_live(root, memory)
            self._counted_twice = 0
            self.actual += size if memory.get("model") == "dimm" else 0  # a balloon counts DIMMs
        else:
            write_kib(root.find("currentMemory"), size_of(root.find("currentMemory")) + size)
        self._store(scope, root)

    def update(self, device_xml: str, scope: str) -> None:
        self._write("update", scope)
        root, given = self._root(scope), element(device_xml)
        alias, address = _alias(given), _address(given)
        own = next(
            (
                memory
                for memory in root.findall("devices/memory")
                if address is not None and _address(memory) == address and alias in (None, _alias(memory))
            ),
            None,
        )
        if own is None and scope == "live":
            refuse(scope, 67, f"memory '{alias or given.get('model')}' not found")
        if own is None:
            refuse(scope, 8, "memory not found")
        if scope == "live":
            self._update_live(root, own, given)
        else:
            root.find("devices").replace(own, given)
            self._normal_device(root, given, scope)
            devices = sum(size_of(found) for found in root.findall("devices/memory/target/size"))
            if devices > size_of(root.find("memory")):
                refuse(scope, 27, "Total size of memory devices exceeds the total memory size")
        self._store(scope, root)

    def unplug(self, alias: str) -> None:
        self._write("unplug", "live")
        memory = next((found for found in self._root("live").findall("devices/memory") if _alias(found) == alias), None)
        if memory is None:
            refuse("live", 1, f"no device found with alias {alias}")
        failed = "unable to execute QEMU command 'device_del': "
        if self.hypervisor.versions_are.qemu < (8, 1, 0):
            refuse("live", 1, failed + "virtio based memory devices cannot be unplugged.")
        if size_of(memory.find("target/current")):
            refuse(
                "live", 1, failed + "virtio-mem device cannot get unplugged while some of its memory is still plugged"
            )
        if size_of(memory.find("target/requested")):
            refuse("live", 1, failed + "virtio-mem device cannot get unplugged while 'requested-size' != '0'")
        machine = self._root("live").find("os/type").get("machine")
        middle_aged = re.search(r"-(7\.\d|8\.0)$", machine)  # on where memory has a file behind it
        if "old" in machine or re.search(r"-[2-6]\.\d+$", machine) or (middle_aged and self._is_anonymous(memory)):
            refuse("live", 1, failed + "virtio-mem device cannot get unplugged while 'unplugged-inaccessible' != 'on'")
        self._unplugging.add(alias)
        # Linux stops handling any memory until it is reset: two of its workers wait for each other.
        hurried = memory.get("model") == _VIRTIO_MEM and self.hypervisor.clock.now < self._moved + RELEASE
        self._stuck = self._stuck or hurried

    def detach_config(self, device_xml: str) -> None:
        self._write("detach_config", "config")
        root, given = self._root("config"), element(device_xml)
        compared = (
            "target/node",
            "target/size",
            "target/block",
            "target/requested",
            "source/pagesize",
            "source/nodemask",
        )
        own = next(
            (
                memory
                for memory in root.findall("devices/memory")
                if _address(given) in (None, _address(memory))
                and _alias(given) in (None, _alias(memory))
                and given.get("model") == memory.get("model")
                and all(_text(given, path) == _text(memory, path) for path in compared)
                and _base(given) == _base(memory)
            ),
            None,
        )
        if own is None:
            refuse("config", 99, "matching memory device was not found")
        size = size_of(own.find("target/size"))
        _drop(own)
        total = size_of(root.find("memory")) - size
        left = size_of(root.find("currentMemory")) - size
        write_kib(root.find("memory"), total)
        write_kib(root.find("currentMemory"), total if left < 0 or left > total else left)  # unsigned, then clamped
        self._store("config", root)

    def define(self, domain_xml: str) -> None:
        self._write("define", "config")
        root = element(domain_xml)
        self._normalise(root, "config")
        self._store("config", root)

    def set_current_memory(self, size: int) -> None:
        self._write("set_current_memory", "config")
        root = self._root("config")
        plugged = sum(size_of(memory.find("target/size")) for memory in self._virtio_mem(root))
        if size > size_of(root.find("memory")) - plugged:
            refuse("config", 8, "cannot set memory higher than max memory")
        write_kib(root.find("currentMemory"), size)
        self._store("config", root)

    def set_balloon(self, size: int) -> None:
        self._write("set_balloon", "live")
        self.actual = size

    def set_limits(self, limits: t.Mapping[str, int | None]) -> None:
        self._write("set_limits", "live")
        root = self._root("live")
        tune = _child(root, "memtune")
        for name, limit in limits.items():
            if limit is None:
                _drop(tune.find(name))
            else:
                write_kib(_child(tune, name), limit)
        self._store("live", root)

    def set_nodeset(self, nodeset: str) -> None:
        self._write("set_nodeset", "live")
        root = self._root("live")
        found = root.find("numatune/memory")
        if found is None or found.get("mode") != "restrictive":
            refuse("live", 55, "change of nodeset for running domain requires restrictive numa mode")
        found.set("nodeset", nodeset)
        self._store("live", root)

    def shutdown(self) -> None:
        self._write("shutdown", "live")
        if not self.deaf:
            self.stop()

    def statistics(self) -> GuestStatistics:
        self._note("statistics", None)
        if self.live is None:
            refuse("read the guest's statistics", 55, "domain is not running")
        return self.statistics_now()

    def statistics_now(self) -> GuestStatistics:
        balloon = self._root("live").find("devices/memballoon")
        if balloon is None or balloon.get("model") == "none" or self.guest.usable is None:
            return GuestStatistics(rss=GIB)
        if not self._last_update:
            return GuestStatistics(actual=self.actual, rss=GIB)
        return GuestStatistics(
            usable=self.guest.usable,
            available=self.guest.counted,
            actual=self.actual,
            rss=GIB,
            last_update=self._last_update,
        )

    def set_stats_period(self, seconds: int) -> None:
        self._write("set_stats_period", "live")
        self.period_history.append(seconds)
        root = self._root("live")
        balloon = root.find("devices/memballoon")
        if balloon is None or balloon.get("model") == "none":
            refuse("live", 55, "Memory balloon model must be virtio to set the collection period")
        _drop(balloon.find("stats"))
        if seconds:
            etree.SubElement(balloon, "stats", period=str(seconds))
        self._store("live", root)

    @contextmanager
    def watch(self) -> t.Iterator[FakeWatch]:
        self._note("watch", None)
        watch = FakeWatch(self.hypervisor.clock, self.hypervisor.has_events)
        self._watches.append(watch)
        self.hypervisor.watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)
            watch.closed = True

    # -- libvirt's insides

    def _note(self, name: str, scope: str | None) -> None:
        self.hypervisor.calls.append((name, scope))
        self.hypervisor.before_call(self, name, scope)

    def _write(self, name: str, scope: str) -> None:
        assert scope in ("live", "config")
        self._note(name, scope)
        if self.hypervisor.read_only:
            refuse(scope, 29, f"read only access prevents {name}")
        if scope == "live" and self.live is None:
            refuse(scope, 55, "domain is not running")
        if scope == "config" and not self.persistent:
            refuse(scope, 55, "transient domains do not have any persistent config")

    def _root(self, scope: str) -> t.Any:
        return element(t.cast(str, self.live if scope == "live" else self.config))

    def _store(self, scope: str, root: t.Any) -> None:
        if scope == "live":
            self._sum_up(root)
        setattr(self, scope, text_of(root))

    def _is_anonymous(self, memory: t.Any) -> bool:
        """Whether a device's memory has no file behind it, by qemuBuildMemoryBackendProps."""
        backing = self._root("live").find("memoryBacking")
        sized = memory.find("source/pagesize") is not None
        backed = backing is not None and bool(backing.xpath("hugepages | source[@type != 'anonymous']"))
        access = memory.get("access") or (backing is not None and backing.xpath("string(access/@mode)"))
        return not sized and not backed and access != "shared"

    def _virtio_mem(self, root: t.Any) -> list[t.Any]:
        return root.findall(f"devices/memory[@model='{_VIRTIO_MEM}']")

    def _sum_up(self, root: t.Any) -> None:
        """Live currentMemory is the balloon's size and what is plugged; all of it without a balloon."""
        total = size_of(root.find("memory"))
        plugged = sum(size_of(memory.find("target/current")) for memory in self._virtio_mem(root))
        largest = sum(size_of(memory.find("target/size")) for memory in self._virtio_mem(root))
        current = total - largest + plugged * (1 + self._counted_twice)
        without = root.find("devices/memballoon[@model='none']") is not None
        write_kib(_child(root, "currentMemory"), total if without else current)

    def _check_room(self, root: t.Any, size: int, scope: str) -> None:
        maximum = root.find("maxMemory")
        if maximum is None:
            refuse(scope, 67, "cannot use/hotplug a memory device when domain 'maxMemory' is not defined")
        if size_of(root.find("memory")) + size > size_of(maximum):
            kib = size_of(maximum) // 1024
            refuse(
                scope,
                67,
                f"Attaching memory device with size '{size // 1024}' would exceed domain's maxMemory config size '{kib}'",
            )
        count = len(root.findall("devices/memory"))
        if (
            scope == "config"
            and self.hypervisor.versions_are.libvirt < (10, 0, 0)
            and count == int(maximum.get("slots", "0"))
        ):
            refuse(scope, 67, "no free memory device slot available")
        if self.hypervisor.versions_are.libvirt < (9, 5, 0) and count >= int(maximum.get("slots", "0")):
            refuse(scope, 67, f"memory device count '{count + 1}' exceeds slots count '{maximum.get('slots')}'")

    def _normal_device(self, root: t.Any, memory: t.Any, scope: str, *, attaching: bool = False) -> None:
        """What libvirt makes of a device's XML: KiB, no unknown words, no aliases but a user's; checks of the parser."""
        version = self.hypervisor.versions_are.libvirt
        _drop_unknown(memory, version)
        target = memory.find("target")
        alias = memory.find("alias")
        if alias is not None and not re.fullmatch(r"ua-[A-Za-z0-9_-]+", alias.get("name", "")):
            memory.remove(alias)
        if memory.get("model") == _VIRTIO_MEM and target.find("requested") is None:
            etree.SubElement(target, "requested").text = "0"
        for sized in [*target.xpath("size|block|requested"), *memory.xpath("source/pagesize")]:
            write_kib(sized, size_of(sized))
        mask = memory.find("source/nodemask")
        if mask is not None:
            mask.text = _ranges(_members(mask.text))
        if target.find("address") is not None:
            target.find("address").set("base", hex(int(target.find("address").get("base"), 0)))
        self._check_device(root, memory, scope)
        aliases = [_alias(found) for found in root.findall("devices/memory") if found is not memory]
        if attaching and _alias(memory) is not None and _alias(memory) in aliases:
            refuse(scope, 67, f"non unique alias detected: {_alias(memory)}")

    def _check_device(self, root: t.Any, memory: t.Any, scope: str) -> None:
        target = memory.find("target")
        if memory.get("model") == _VIRTIO_MEM:
            block, requested = size_of(target.find("block")), size_of(target.find("requested"))
            if block == 0 or block & (block - 1):
                refuse(scope, 35, "block size must be a power of two")
            smallest = self.hypervisor.thp or 2 * MIB  # libvirt asks its host
            if block < smallest:
                refuse(scope, 35, f"block size too small, must be at least {smallest // 1024}KiB")
            if requested % block:
                refuse(scope, 35, "requested size must be an integer multiple of block size")
            if requested > size_of(target.find("size")):
                kib = size_of(target.find("size")) // 1024
                refuse(scope, 35, f"requested size must be smaller than or equal to @size ({kib}KiB)")
        cells = len(root.findall("cpu/numa/cell"))
        node = target.findtext("node")
        if memory.get("model") == "virtio-pmem":
            if node is not None:
                refuse(scope, 67, "virtio-pmem does not support NUMA nodes")
            return
        if not cells and root.find("os/type").get("arch") == "x86_64":
            refuse(scope, 35, "can't add memory backend as guest has no NUMA nodes configured")
        if cells and node is None:
            refuse(scope, 67, "target NUMA node needs to be specified for memory device")
        if cells and int(node) >= cells:
            refuse(
                scope,
                35,
                f"can't add memory backend for guest node '{node}' as the guest has only '{cells}' NUMA nodes configured",
            )

    def _place(self, root: t.Any, memory: t.Any, scope: str) -> None:
        """A PCI address for a virtio device without one: on a free root port, or in a free slot of bus 0."""
        if memory.find("address") is not None or memory.get("model") not in (_VIRTIO_MEM, "virtio-pmem"):
            return
        # libvirt 11.1, where virtio devices are on the channel subsystem
        if root.find("os/type").get("arch") == "s390x":
            used = {int(found.get("devno"), 0) for found in root.findall("devices//address[@type='ccw']")}
            devno = next(number for number in range(100) if number not in used)
            etree.SubElement(memory, "address", type="ccw", cssid="0xfe", ssid="0x0", devno=f"0x{devno:04x}")
            return
        taken = {_address(found)[2:4] for found in root.findall("devices//*[address]") if found.tag != "target"}
        ports = [int(found.get("index")) for found in root.findall("devices/controller[@model='pcie-root-port']")]
        free = [(port, 0) for port in ports if (str(port), "0") not in taken]
        if root.find("devices/controller[@model='pcie-root']") is None:
            free = [(0, slot) for slot in range(5, 32) if ("0", str(slot)) not in taken]
        if not free:
            refuse(scope, 1, "No more available PCI slots")
        # The two definitions choose independently: the config takes the last port to show it.
        bus, slot = free[-1 if scope == "config" else 0]
        etree.SubElement(
            memory, "address", type="pci", domain="0x0000", bus=f"0x{bus:02x}", slot=f"0x{slot:02x}", function="0x0"
        )

    def _make_live(self, root: t.Any, memory: t.Any) -> None:
        model, target = memory.get("model"), memory.find("target")
        if memory.find("alias") is None:
            prefix = _AUTO_ALIAS[model]
            used = {_alias(found) for found in root.findall("devices/memory")}
            name = next(f"{prefix}{number}" for number in range(99) if f"{prefix}{number}" not in used)
            etree.SubElement(memory, "alias", name=name)
        if model == _VIRTIO_MEM:
            write_kib(etree.SubElement(target, "current"), 0)
            if self.hypervisor.versions_are.libvirt >= (9, 4, 0) and target.find("address") is None:
                end = max([0x100000000, *(_base(found) + 64 * GIB for found in self._virtio_mem(root) if _base(found))])
                etree.SubElement(target, "address", base=hex(end))

    def _update_live(self, root: t.Any, own: t.Any, given: t.Any) -> None:
        """qemuDomainChangeMemoryLiveValidateChange, and QEMU behind it."""
        if own.get("model") != _VIRTIO_MEM:
            refuse("live", 67, "memory device slot '0' is already being used by another memory device")
        if given.find("target/current") is not None:
            _drop(given.find("target/current"))
        self._check_device(root, given, "live")
        for name, path in (
            ("targetNode", "target/node"),
            ("size", "target/size"),
            ("block size", "target/block"),
            ("pagesize", "source/pagesize"),
            ("source nodes", "source/nodemask"),
        ):
            if _text(own, path) != _text(given, path):
                refuse("live", 67, f"cannot modify memory {name} from '{_text(own, path)}' to '{_text(given, path)}'")
        for name in ("access", "discard"):
            if own.get(name) != given.get(name):
                refuse("live", 67, f"cannot modify memory {name} from '{own.get(name)}' to '{given.get(name)}'")
        if self.hypervisor.versions_are.libvirt >= (9, 4, 0) and _base(own) != _base(given):
            refuse("live", 67, f"cannot modify memory address from '{_base(own) or 0:#x}' to '{_base(given) or 0:#x}'")
        if _alias(given) is None:
            refuse("live", 1, "unable to execute QEMU command 'qom-set': Device '/machine/peripheral/(null)' not found")
        if _alias(given) in self._unplugging:
            refuse("live", 1, "'requested-size' cannot be changed if the device is in the process of unplug")
        # dynamicMemslots and driver are not compared: a change is ignored without a word
        write_kib(own.find("target/requested"), size_of(given.find("target/requested")))

    def _normalise(self, root: t.Any, scope: str) -> None:
        """virDomainDefPostParseMemory: with NUMA cells, <memory> is the sum of cells and devices."""
        for memory in root.findall("devices/memory"):
            self._normal_device(root, memory, scope)
            self._place(root, memory, scope)
        cells = sum(int(found.get("memory")) * 1024 for found in root.findall("cpu/numa/cell"))
        devices = sum(size_of(found) for found in root.findall("devices/memory/target/size"))
        memory = root.find("memory")
        if cells:
            write_kib(memory, cells + devices)
        elif devices > size_of(memory):
            refuse(scope, 27, "Total size of memory devices exceeds the total memory size")
        maximum = root.find("maxMemory")
        if maximum is not None and size_of(memory) > size_of(maximum):
            refuse(scope, 27, "maximum memory size must be equal or greater than the actual memory size")
        current = root.find("currentMemory")
        if current is None:
            current = etree.Element("currentMemory")
            memory.addnext(current)
            current.text = "0"
        if not 0 < size_of(current) <= size_of(memory):
            write_kib(current, size_of(memory))

    # -- the guest

    def _wake(self) -> None:
        for watch in self._watches:
            watch.wake()
        for host_watch in self.hypervisor.host_watches:
            host_watch.wake_for(self.name)

    def _run_guest(self) -> None:
        """One tick of the guest's life."""
        if self.live is None:
            return
        now = self.hypervisor.clock.now
        if now >= self.guest.dies_at:
            self.stop()
            return
        if now >= self.guest.reboots_at:
            self.guest.reboots_at = NEVER
            self.reboot()
            return
        root = self._root("live")
        period = root.find("devices/memballoon/stats")
        if period is not None and self.guest.answers:
            self._last_update = int(now)
        if not self.paused and not self._stuck:
            self._plug(root)
            self._let_go(root)
        if self._untold and now - self._told >= 1:
            self._told, self._untold = now, False
            self._wake()

    def _plug(self, root: t.Any) -> None:
        changed = False
        for memory in self._virtio_mem(root):
            now, requested, block = (size_of(memory.find(f"target/{tag}")) for tag in ("current", "requested", "block"))
            new = self.guest.next(now, requested, block)
            changed |= new != now
            write_kib(memory.find("target/current"), new)
        if changed:
            self._untold, self._moved = True, self.hypervisor.clock.now
            self._store("live", root)

    def _let_go(self, root: t.Any) -> None:
        if not self._unplugging or not self.guest.lets_go:
            return
        for memory in root.findall("devices/memory"):
            if _alias(memory) in self._unplugging:
                write_kib(root.find("memory"), size_of(root.find("memory")) - size_of(memory.find("target/size")))
                root.find("devices").remove(memory)
        self._unplugging.clear()
        self._counted_twice = 0
        self._store("live", root)
        self._wake()


# --------------------------------------------------------------------------------------------------------- hypervisor


@dataclass
class FakeHypervisor:
    """See _protocol.Hypervisor. `before_call` is a test's chance to fail a call, or to meddle."""

    versions_are: Versions = TRIXIE
    has_events: bool = True
    host: int = 1024 * GIB
    thp: int | None = 2 * MIB
    uri: str = "qemu:///system"
    clock: FakeClock = field(default_factory=FakeClock)
    read_only: bool = False
    opened: int = 0
    closed: int = 0
    calls: list[tuple[str, str | None]] = field(default_factory=list)
    asked_host: list[tuple[int | None, list[int] | None]] = field(default_factory=list)
    watches: list[FakeWatch] = field(default_factory=list)
    host_watches: list[FakeHostWatch] = field(default_factory=list)
    nodes: t.Mapping[int, tuple[int, t.Mapping[int, int]]] = field(default_factory=lambda: {0: (1024 * GIB, {})})
    before_call: t.Callable[[FakeDomain, str, str | None], None] = lambda *_args: None
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
            raise _libvirt_errors.translate("open", 1, 0, f"internal error: Unable to parse URI {uri}") from None
        self.uri, self.read_only, self.opened = uri, read_only, self.opened + 1
        return self

    @property
    def writes(self) -> list[tuple[str, str | None]]:
        return [call for call in self.calls if call[0] not in READS]

    def count(self, name: str, scope: str | None) -> int:
        return self.calls.count((name, scope))

    def domain(self, name_or_uuid: str) -> FakeDomain:
        for domain in self.domains():
            if name_or_uuid in (domain.name, UUID):
                return domain
        error = _libvirt_errors.translate("look up the domain", 42, 10, f"Domain not found: {name_or_uuid}")
        error.hint = f"It has {len(self.all)} domains."  # as LibvirtHypervisor.domain does
        raise error

    def domains(self) -> list[FakeDomain]:
        return [domain for domain in self.all.values() if domain.live or domain.config]

    def survey(self) -> list[Sighting]:
        self.calls.append(("survey", None))
        return [Sighting(domain, domain.state_now()) for domain in self.domains()]

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
