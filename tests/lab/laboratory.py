# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: a private hypervisor that comes up, starts guests, and goes without a trace."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType

import libvirt

from . import cgroups, daemon, debian, network, polkit, processes, system
from .accelerator import accelerator_for
from .console import last_record
from .domain import Device, Shape, domain_xml, kernel_boot
from .errors import LabError, UnavailableError
from .generations import Generation, generation_named
from .guest import BOOT_TIMEOUT, Guest
from .image import put_image
from .locking import locked
from .place import Place, make_folder, names_in_use, unprivileged_user
from .profiles import Profile, profile_named
from .sizes import parse

# Errors come as exceptions; the binding would print each of them as well.
libvirt.registerErrorHandler(lambda _context, _error: None, None)


# Which generation a new lab is made of where nobody says: ./run integration hands it on.
_HYPERVISOR = "VIRTMEM_LAB_HYPERVISOR"


@dataclasses.dataclass(frozen=True)
class Extras:
    """What only some labs have."""

    system_mode: bool
    huge_pages: int
    polkit: bool
    network: bool

    def require(self, generation: Generation, accelerator: str) -> None:
        """Say what is in the way before anything is made."""
        if self.system_mode:
            system.require(accelerator)
        if self.network:
            network.require()
        if self.network and self.system_mode:
            raise LabError("a system daemon has no network: it is in a namespace of its own")
        if generation.suite and (self.polkit or self.network):
            raise UnavailableError("polkit and the network are with this machine's own libvirt only")

    def compare(self, place: Place) -> None:
        """Say what a lab that is up has not got."""
        wanted = {
            "a system daemon": (self.system_mode, place.system),
            "polkit": (self.polkit, polkit.folder(place)),
            "a network": (self.network, network.folder(place)),
        }
        for what, (is_wanted, folder) in wanted.items():
            if is_wanted and not folder.exists():
                raise LabError(f"lab {place.name} is up without {what}; take it down first")


class Lab:
    """A lab that is up. As a context manager it goes down at the end."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.name = place.name
        self.directory = place.directory

    # Up and down

    @classmethod
    def up(
        cls,
        name: str = "default",
        hypervisor: str | None = None,
        accelerator: str = "tcg",
        *,
        system_mode: bool = False,
        huge_pages: int = 0,
        with_polkit: bool = False,
        with_network: bool = False,
    ) -> Lab:
        """Return the lab of that name, making what is missing of it; it keeps what it was made with."""
        lab = cls(Place.named(name))
        with locked(lab.place.lock, lab.place.claim_base):
            extras = Extras(system_mode, huge_pages, with_polkit, with_network)
            if not lab.place.facts.exists():
                generation = generation_named(hypervisor or os.environ.get(_HYPERVISOR, "distribution"))
                lab._make(generation, accelerator, extras)
                return lab
            generation = generation_named(lab.facts["hypervisor"])
            if hypervisor not in (None, generation.name):
                raise LabError(f"lab {name} is up with hypervisor {generation.name}; take it down first")
            extras.compare(lab.place)
            if not processes.daemons_of(lab.directory):
                # It was killed. Its guests live on, and a new daemon finds them.
                daemon.start(lab.place, generation, unprivileged_user())
                daemon.connect(lab.place).close()
            return lab

    @classmethod
    def attach(cls, name: str = "default") -> Lab:
        """Return a lab that somebody else has made."""
        place = Place.named(name)
        if not place.facts.exists() or not processes.daemons_of(place.directory):
            raise LabError(f"lab {name} is not up")
        return cls(place)

    @staticmethod
    def names() -> list[str]:
        """Return the labs that left something to take down."""
        return names_in_use()

    @staticmethod
    def take_down(name: str) -> None:
        """Leave nothing of the lab, in whatever state it is."""
        place = Place.named(name)
        if not place.base.is_dir():
            return
        with locked(place.lock, place.claim_base):
            _sweep(place)
            place.lock.unlink()
        with contextlib.suppress(OSError):  # other labs are in it
            place.base.rmdir()

    def down(self) -> None:
        if "connection" in self.__dict__:
            with contextlib.suppress(libvirt.libvirtError):
                self.__dict__.pop("connection").close()
        self.take_down(self.name)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.down()

    # What it is

    @property
    def uri(self) -> str:
        return self.place.uri

    @cached_property
    def connection(self) -> libvirt.virConnect:
        return daemon.connect(self.place)

    @cached_property
    def facts(self) -> dict[str, str]:
        """Return what `up` decided."""
        facts: dict[str, str] = json.loads(self.place.facts.read_text())
        return facts

    def describe(self) -> dict[str, str]:
        return {
            "name": self.name,
            "uri": self.uri,
            "directory": str(self.directory),
            "libvirt": daemon.version(self.connection.getLibVersion()),
            "qemu": daemon.version(self.connection.getVersion()),
            **self.facts,
        }

    # Guests

    def guests(self) -> list[Guest]:
        return [self.guest(name) for name in sorted(domain.name() for domain in self.connection.listAllDomains())]

    def guest(self, name: str) -> Guest:
        return Guest(self.connection, self.place.guest(name))

    def start_guest(
        self,
        name: str,
        profile: str | Profile = "normal",
        *,
        hungry: str | int | None = None,
        slow: int | None = None,
        memory: str | int = "512MiB",
        maximum: str | int = "16GiB",
        devices: Sequence[Device | str] = (),
        transient: bool = False,
        start: bool = True,
        timeout: float = BOOT_TIMEOUT,
        accelerator: str | None = None,
        **shape: object,
    ) -> Guest:
        """Define a guest, start it and wait until it is up; `shape` has the rest of domain.Shape."""
        row = profile_named(profile) if isinstance(profile, str) else profile
        row = dataclasses.replace(row, hungry=row.hungry if hungry is None else parse(hungry))
        row = dataclasses.replace(row, driver=row.driver if slow is None else str(slow))
        given = Shape(
            memory=parse(memory),
            maximum=parse(maximum),
            devices=tuple(Device.parse(device) if isinstance(device, str) else device for device in devices),
            **shape,  # type: ignore[arg-type]
        )
        guest = self.guest(name)
        accelerator = accelerator or self.facts["accelerator"]
        with contextlib.suppress(FileExistsError):
            make_folder(self.place.guest(name), unprivileged_user())
        if row.disk:
            if transient or given.command_line:
                raise LabError("a Debian guest is persistent, and its command line is GRUB's")
            saved = debian.define(self, guest, row, given, accelerator)
            if start:
                debian.start(self, guest, saved, accelerator, timeout)
            return guest
        xml = domain_xml(name, row, given, kernel_boot(self.place.image, row, given), guest.console, accelerator)
        if transient:
            guest.booted_by(lambda: self.connection.createXML(xml), timeout)
            return guest
        self.connection.defineXML(xml)
        if start:
            guest.power_on(timeout)
        return guest

    def as_user(self, name: str) -> list[str]:
        """Return the start of a command that one of the lab's users gives, and to whom qemu:///system is the lab's daemon."""
        if not polkit.folder(self.place).exists():
            raise LabError(f"lab {self.name} has no users: it is up without polkit")
        number, _groups = polkit.USERS[name]
        (daemon_pid,) = processes.daemons_of(self.directory)
        become = ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups", "--"]
        # libvirt's client wants a home, and root's is none of theirs.
        return ["nsenter", f"--mount=/proc/{daemon_pid}/ns/mnt", "--", *become, "env", "HOME=/nonexistent"]

    def guest_limits(self, guest: Guest) -> dict[str, int | None]:
        """Return what the kernel holds a guest to, read from its control group."""
        if not self.place.system.exists():
            raise LabError(f"guests of lab {self.name} have no control groups: its daemon is a user's")
        return cgroups.limits(self.directory, guest.name, guest.domain.ID())

    def guest_facts(self, guest: Guest) -> dict[str, object]:
        """Return what the status says of a guest."""
        record = last_record(guest.console)
        return {
            "name": guest.name,
            "uuid": guest.domain.UUIDString(),
            "state": guest.state,
            "profile": guest.profile,
            "console": str(guest.console),
            "memory": record.as_json() if record else None,
            "ssh": debian.login(self, guest).as_json() if guest.profile == "debian" else None,
        }

    def _make(self, generation: Generation, accelerator: str, extras: Extras) -> None:
        """Make the folder and start the daemon; what an earlier attempt left half made goes first."""
        extras.require(generation, accelerator)
        _sweep(self.place)
        generation.prepare()
        user = unprivileged_user()
        facts = {"hypervisor": generation.name}
        try:
            self.place.make(None if extras.system_mode else user)
            put_image(self.place.image.folder)
            if extras.system_mode:
                system.make(self.place, user, extras.huge_pages, extras.polkit)
            elif extras.network:
                settings, reached = network.make(self.place, user)
                daemon.configure(self.place, settings)
                facts |= reached
            else:
                daemon.configure(self.place)
            daemon.start(self.place, generation, user)
            facts["accelerator"] = accelerator_for(self, accelerator)
            self.place.facts.write_text(json.dumps(facts) + "\n")
        except BaseException:
            _sweep(self.place)
            raise


def _sweep(place: Place) -> None:
    processes.end_all(place.directory)
    if place.system.exists():
        system.clear(place)
    if place.directory.exists():
        shutil.rmtree(place.directory)
