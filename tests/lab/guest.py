# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One guest: what can be done to it, and what it says about it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import libvirt

from .console import GuestMemory, last_lines, last_record
from .errors import LabError
from .sizes import KIB, show

BOOT_TIMEOUT = 900.0  # a Debian guest once took five minutes, on a machine with twelve times too much to do
_POLL = 0.1
_RESTARTS_WITHIN = 5.0
_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "in shutdown",
    libvirt.VIR_DOMAIN_SHUTOFF: "shut off",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
}
_ALIVE = ("running", "paused")
# Where QEMU's log is, below the lab: a session daemon keeps it with its caches.
_QEMU_LOGS = ("cache/libvirt/qemu/log", "system/log/qemu")


class Guest:
    """A handle by name; it holds no state, so several may speak of the same guest."""

    def __init__(self, connection: libvirt.virConnect, folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self.name = folder.name

    @property
    def console(self) -> Path:
        return self._folder / "console.log"

    @property
    def domain(self) -> libvirt.virDomain:
        return self._connection.lookupByName(self.name)

    @property
    def state(self) -> str:
        try:
            return _STATES.get(self.domain.state()[0], "unknown")
        except libvirt.libvirtError as error:  # a transient guest that has ended
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return "gone"
            raise

    @property
    def profile(self) -> str:
        description: str = self.domain.metadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, None)
        return description.rpartition(" ")[2]

    def xml(self, config: bool = False) -> str:
        text: str = self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if config else 0)
        return text

    def devices(self, config: bool = False) -> dict[str, dict[str, int]]:
        """Return requested and current bytes of each virtio-mem device by alias, as libvirt has them."""
        found = {}
        for number, device in enumerate(ElementTree.fromstring(self.xml(config)).findall("devices/memory")):
            alias = device.find("alias")
            if device.get("model") == "virtio-mem":
                sizes = {tag: int(device.findtext(f"target/{tag}") or 0) * KIB for tag in ("requested", "current")}
                found[str(number) if alias is None else alias.get("name", "")] = sizes
        return found

    # The guest's own word

    def memory(self) -> GuestMemory:
        """Return what the guest said last."""
        record = last_record(self.console)
        if record is None:
            raise LabError(f"{self.name} has not said anything yet")
        return record

    def fresh_memory(self, timeout: float = 15.0) -> GuestMemory:
        """Return what the guest says from now on."""
        before = last_record(self.console)
        return self._wait_for("a fresh record", timeout, lambda now: before is None or _later(now, before))

    def wait_total(self, total: int, tolerance: int = 0, timeout: float = 30.0) -> GuestMemory:
        """Wait until the guest itself says that it has so much memory."""
        wanted = f"MemTotal {total} (± {tolerance})"
        return self._wait_for(wanted, timeout, lambda now: abs(now.total - total) <= tolerance)

    def wait_boot(self, after: str | None, timeout: float = BOOT_TIMEOUT) -> GuestMemory:
        """Wait until the guest is up in another boot than `after`, a boot id (None: in any)."""
        return self._wait_for("the boot marker", timeout, lambda now: now.boot != after)

    # What one does to it

    def reset(self, timeout: float = BOOT_TIMEOUT) -> GuestMemory:
        """Press the reset button and wait until it is up again."""
        return self.booted_by(lambda: self.domain.reset(0), timeout)

    def power_on(self, timeout: float = BOOT_TIMEOUT) -> GuestMemory:
        return self.booted_by(self.domain.create, timeout)

    def power_off(self) -> None:
        self.domain.destroy()

    def pause(self) -> None:
        self.domain.suspend()

    def resume(self) -> None:
        self.domain.resume()

    def stop(self) -> None:
        """Destroy, undefine and forget the guest."""
        domain = self.domain
        persistent = domain.isPersistent()
        if domain.isActive():
            domain.destroy()
        if persistent:
            domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE)
        shutil.rmtree(self._folder, ignore_errors=True)

    def booted_by(self, action: Callable[[], object], timeout: float = BOOT_TIMEOUT) -> GuestMemory:
        """Do something that makes the guest boot, and wait until it has."""
        before = last_record(self.console)
        action()
        return self.wait_boot(before.boot if before else None, timeout)

    def _wait_for(self, wanted: str, timeout: float, fits: Callable[[GuestMemory], bool]) -> GuestMemory:
        alive = started = time.monotonic()
        while True:
            record = last_record(self.console)
            if record and fits(record):
                return record
            now = time.monotonic()
            if self.state in _ALIVE:
                alive = now
            # Whoever restarts it, as another process may, has it off for a moment.
            if now - started > timeout or now - alive > _RESTARTS_WITHIN:
                raise LabError(self._story(wanted, now - started, record))
            time.sleep(_POLL)

    def _story(self, wanted: str, waited: float, record: GuestMemory | None) -> str:
        said = f"MemTotal {record.total} ({show(record.total)}) {record.age:.0f} s ago" if record else "nothing"
        logs = [self.console, *(self._folder.parents[1] / folder / f"{self.name}.log" for folder in _QEMU_LOGS)]
        ends = "\n".join(end for end in map(last_lines, logs) if end)
        return f"{self.name} ({self.state}) did not reach {wanted} in {waited:.0f} s; it said {said}\n{ends}"


def _later(now: GuestMemory, before: GuestMemory) -> bool:
    return now.boot != before.boot or now.seq > before.seq
