# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One of many guests on its way to what it shall have: what was asked of it, what it has, and what went wrong."""

from __future__ import annotations

import typing as t
from contextlib import contextmanager, suppress
from dataclasses import replace

from .._device.match import find_device
from .._device.rules import host_page_size
from .._domain.apply import DomainApplier, shortfall
from .._domain.plan import DomainPlan
from .._domain.steps import AnyStep, Step
from .._errors import VirtmemError
from .._libvirt.errors import is_passing
from .._libvirt.retry import still_busy
from .._model import Definition, MemoryDevice, Scope
from .._protocol import Domain
from .._size import format_size
from .._wait import Clock, WaitOptions
from .._xml import document
from .admission import GuestProgress
from .allocation import Share
from .plan import HostGuest, current_of, requested_of

# One of these, and no other guest can be asked either.
_FATAL: t.Final = ("connection_lost", "connection_failed")


class _Writer(DomainApplier):
    """Makes a plan's writes. Waiting for many guests at once is not its business, but _host_apply's."""

    def write_all(self, steps: t.Iterable[AnyStep]) -> None:
        for step in steps:
            if isinstance(step, Step):
                self._write(step)
            else:
                self._change(step)

    def settle_at(self, device: MemoryDevice, name: str) -> None:
        """Ask the device for what it has, in both definitions."""
        self._settle_at(Step("wait", "live", device, name=name), device.current or 0)


class GuestResize:
    """`done` has all writes to the guest, in order. A failure ends what is asked of it, and stays in `error`."""

    def __init__(
        self,
        guest: HostGuest,
        share: Share,
        goal: int,
        domain: Domain,
        texts: t.Mapping[Scope, str],
        clock: Clock,
    ) -> None:
        self.name = guest.name
        self.done: list[AnyStep] = []
        self.error: VirtmemError | None = None
        self.is_gone = False
        self._guest = guest
        self._share = share
        self._goal = goal
        self._domain = domain
        self._texts = dict(texts)
        self._clock = clock
        self._turns_back = False
        self._busy: VirtmemError | None = None  # another job holds it
        self._busy_since: float | None = None
        self._before = {scope: guest.observed.definitions[scope] for scope in guest.scopes}
        self._asked = requested_of(guest.definition) if guest.runs else goal

    # ------------------------------------------------------------------------------------------------------ where it is

    @property
    def live(self) -> Definition | None:
        """The running guest as it was read last; None if the task is not about it."""
        return self._guest.observed.live if self._guest.runs else None

    @property
    def after(self) -> dict[Scope, Definition]:
        """The definitions of the task, as they were read last."""
        there = self._guest.observed.definitions
        gone = ("live",) if self.is_gone else ()
        return {scope: there[scope] for scope in self._guest.scopes if scope in there and scope not in gone}

    @property
    def is_at_goal(self) -> bool:
        """Whether it has, or gets at its start, what the policy gives it."""
        return not self.error and self._asked == self._goal and not self.is_waited_for and not self._turns_back

    @property
    def progress(self) -> GuestProgress:
        """For _host_flow. A guest that failed, or can't be asked just now, goes nowhere, and keeps what it claims."""
        goal = self._asked if self.error or self._busy else self._goal
        live = self.live
        return GuestProgress(self._share, goal, self._asked, current_of(live) if live else self._asked)

    @property
    def is_waited_for(self) -> bool:
        return not self.error and self.live is not None and (self.is_busy or not followed(self.live))

    @property
    def is_busy(self) -> bool:
        """Whether it could not be asked just now, and is to be asked again."""
        return self._busy is not None

    def look(self) -> None:
        """Read the running guest anew. One that was busy and can be read may be asked again."""
        if self.error or self.live is None:
            return
        with self._failing(), self._waiting_for_jobs():
            asked, self._asked = self._asked, requested_of(self._read("live"))
            if self._asked != asked:
                raise self._somebody_else(asked)

    def _read(self, scope: Scope) -> Definition:
        self._texts[scope] = self._domain.xml(scope)
        definition = document.parse_definition(self._texts[scope])
        observed = self._guest.observed
        observed = replace(observed, definitions={**observed.definitions, scope: definition})
        self._guest = replace(self._guest, observed=observed)
        return definition

    def _somebody_else(self, asked: int) -> VirtmemError:
        requested = self._asked
        return VirtmemError(
            "domain_busy",
            f"Somebody else asked {self.name} for {format_size(requested)} while this task waited for"
            f" {format_size(asked)}.",
            hint="Nothing more was asked of it. Run one task at a time on a guest.",
            details={"requested": requested, "wanted": asked},
        )

    # ------------------------------------------------------------------------------------------------------------ asking

    def ask(self, memory: int) -> None:
        """Ask the running guest for `memory`, and put its goal into the stored definition, too."""
        with self._failing(), self._waiting_for_jobs():
            if memory == self._goal and self._turns_back:
                self._write(self._guest.plan(self._asked), self._back("live"))
            else:
                plan = self._guest.plan(memory, self._guest.scopes if memory == self._goal else ("live",))
                self._write(plan, plan.writes)
            self._asked, self._busy_since = memory, None
        if self.error or self.is_busy:
            with suppress(VirtmemError):  # some of its devices may have been asked
                self._asked = requested_of(self._read("live"))
        else:
            self.look()

    def _back(self, scope: Scope) -> list[Step]:
        """Each device as it was asked before the task."""
        steps = []
        now = self._guest.observed.definitions[scope]
        for device in self._before[scope].virtio_mem:
            found = find_device(now, device)
            if found and found.requested != device.requested:
                back = replace(found, requested=device.requested)
                steps.append(Step("resize", scope, back, found, name=device.alias or ""))
        return steps

    def store(self) -> None:
        """Make the stored definition say what the guest was asked for in the end, gets at its start, or had before."""
        if self.error or "config" not in self._guest.scopes:
            return
        with self._failing():
            plan = self._guest.plan(self._asked, ("config",))
            self._write(plan, self._back("config") if self._turns_back else plan.writes)

    def roll_back(self) -> None:
        """From here on its goal is what it was asked for before the task."""
        self._turns_back = True
        self._goal = requested_of(self._before[self._guest.scopes[0]])
        if not self.live:
            self._asked = self._goal

    def settle(self) -> bool:
        """Ask for what was reached; whether that could be done."""
        with self._failing():
            live = t.cast(Definition, self.live)
            writer = self._writer(self._guest.plan(self._asked))
            for device in live.virtio_mem:
                if device.current != device.requested:
                    writer.settle_at(device, device.alias or "")
            self._asked = current_of(live)
            if "config" in self._guest.scopes:
                self._read("config")
        self.look()
        return not self.error

    def _write(self, plan: DomainPlan, steps: t.Sequence[AnyStep]) -> None:
        if not steps:
            return
        self._writer(plan).write_all(steps)
        if any(step.scope == "config" for step in steps):
            self._read("config")

    def _writer(self, plan: DomainPlan) -> _Writer:
        writer = _Writer(plan, self._domain, self._texts, WaitOptions(), 0, self._clock)
        writer.done = self.done
        self._texts = {}
        return writer

    @contextmanager
    def _failing(self) -> t.Iterator[None]:
        """Keep a failure of this guest with this guest."""
        try:
            yield
        except VirtmemError as error:
            if error.code in _FATAL:
                raise
            self.is_gone = self.is_gone or error.code == "domain_not_found"
            self.error = self.error or error

    @contextmanager
    def _waiting_for_jobs(self) -> t.Iterator[None]:
        """Come back later to a guest that another job holds; meanwhile the others go on."""
        try:
            yield
        except VirtmemError as error:
            if not is_passing(error):
                raise
            self._busy = error
            if self._busy_since is None:
                self._busy_since = self._clock.monotonic()
        else:
            self._busy = None

    def give_up(self) -> None:
        """There is no more time to come back to it."""
        if self._busy and self._busy_since is not None:
            self.error = self.error or still_busy(self._busy, self._clock.monotonic() - self._busy_since)

    # --------------------------------------------------------------------------------------------------------- shortfalls

    def shortfall(self, timeout: float) -> VirtmemError:
        """What the guest did not give back, or take, as domain_memory says it."""
        live = t.cast(Definition, self.live)
        reached = current_of(live)
        return shortfall(
            f"it has {format_size(reached)}",
            (current_of(self._before["live"]), reached, self._asked),
            timeout,
            paused=self._guest.observed.domain.state == "paused",
            huge_pages=any(host_page_size(live, device) is not None for device in live.virtio_mem),
        )


def followed(live: Definition) -> bool:
    """Whether each device gives what is requested of it."""
    return all(device.current == device.requested for device in live.virtio_mem)
