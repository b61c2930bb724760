# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One of many guests on its way to what it should have: what was asked of it, what it has, and what went wrong."""

from __future__ import annotations

import enum
import typing as t
from contextlib import contextmanager, suppress
from dataclasses import replace

from .._domain.apply import Writer, shortfall
from .._domain.steps import AnyStep, Step
from .._errors import VirtmemError
from .._libvirt.retry import still_busy
from .._model import Definition, Scope, format_size
from .admission import GuestProgress
from .plan import HostGuest, current_of, requested_of

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain

# One of these, and no other guest can be asked either.
_FATAL: t.Final = ("connection_lost", "connection_failed")


class State(enum.Enum):
    """Where a guest stands. Only the first two are asked for anything more."""

    RESIZING = "goes where the plan sends it"
    ROLLING_BACK = "goes back to what was requested of it before the task"
    FAILED = "stays as it is, because of `error`"
    GONE = "failed, and is no longer there"


class GuestResize:
    """`done` has all writes to the guest, in order. A failure ends what is asked of it, and stays in `error`.

    While another job holds the guest it can't be asked, and keeps what it claims; `is_busy` says so, in any state.
    """

    def __init__(
        self,
        guest: HostGuest,
        progress: GuestProgress,
        domain: Domain,
        texts: t.Mapping[Scope, str],
        clock: Clock,
    ) -> None:
        self.name = guest.name
        self.done: list[AnyStep] = []
        self.error: VirtmemError | None = None
        self.state = State.RESIZING
        self._guest = guest
        self._share = progress.share
        self._goal = progress.goal
        self._writer = Writer(domain, texts, guest.scopes, self.done)
        self._clock = clock
        self._held: VirtmemError | None = None  # another job holds it
        self._held_since: float | None = None
        self._before = {scope: guest.observed.definitions[scope] for scope in guest.scopes}
        self._asked = progress.asked

    # ------------------------------------------------------------------------------------------------------ where it is

    @property
    def live(self) -> Definition | None:
        """The running guest as it was read last; None if the task is not about it."""
        return self._guest.observed.live if self._guest.runs else None

    @property
    def after(self) -> dict[Scope, Definition]:
        """The definitions of the task, as they were read last."""
        found = self._guest.observed.definitions
        gone = ("live",) if self.state is State.GONE else ()
        return {scope: found[scope] for scope in self._guest.scopes if scope in found and scope not in gone}

    @property
    def is_at_goal(self) -> bool:
        """Whether it has, or gets at its start, what the policy gives it."""
        return self.state is State.RESIZING and self._asked == self._goal and not self.is_waited_for

    @property
    def is_gone(self) -> bool:
        return self.state is State.GONE

    @property
    def progress(self) -> GuestProgress:
        """For admission. A guest that failed, or can't be asked just now, goes nowhere, and keeps what it claims."""
        goal = self._asked if self.error or self.is_busy else self._goal
        live = self.live
        return GuestProgress(self._share, goal, self._asked, current_of(live) if live else self._asked)

    @property
    def is_waited_for(self) -> bool:
        return not self.error and self.live is not None and (self.is_busy or not followed(self.live))

    @property
    def is_busy(self) -> bool:
        """Whether it could not be asked just now, and is to be asked again."""
        return self._held is not None

    def look(self) -> None:
        """Read the running guest anew. One that was busy and can be read may be asked again."""
        if self.error or self.live is None:
            return
        with self._failing(), self._waiting_for_jobs():
            asked, self._asked = self._asked, requested_of(self._read("live"))
            if self._asked != asked:
                raise self._somebody_else(asked)

    def _read(self, scope: Scope) -> Definition:
        self._writer.forget(scope)
        definition = self._writer.definition(scope)
        observed = self._guest.observed
        definitions = {**observed.definitions, scope: definition}
        self._guest = replace(self._guest, observed=replace(observed, definitions=definitions))
        return definition

    def _somebody_else(self, asked: int) -> VirtmemError:
        requested = self._asked
        return VirtmemError(
            "domain_busy",
            f"Another client asked {self.name} for {format_size(requested)} while this task waited for"
            f" {format_size(asked)}.",
            hint="Nothing more was requested of it. Run one task at a time on a guest.",
            details={"requested": requested, "wanted": asked},
        )

    # ------------------------------------------------------------------------------------------------------------ asking

    def ask(self, memory: int) -> None:
        """Ask the running guest for `memory`, and put its goal into the stored definition, too."""
        with self._failing(), self._waiting_for_jobs():
            if memory == self._goal and self.state is State.ROLLING_BACK:
                self._write(self._back("live"))
            else:
                scopes: tuple[Scope, ...] = self._guest.scopes if memory == self._goal else ("live",)
                self._write(self._guest.plan(memory, scopes).writes)
            self._asked, self._held_since = memory, None
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
            found = now.find(device)
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
            self._write(self._back("config") if self.state is State.ROLLING_BACK else plan.writes)

    def roll_back(self) -> None:
        """From here on its goal is what it was asked for before the task."""
        if self.state is State.RESIZING:
            self.state = State.ROLLING_BACK
        self._goal = requested_of(self._before[self._guest.scopes[0]])
        if not self.live:
            self._asked = self._goal

    def settle(self) -> bool:
        """Ask for what was reached; whether that could be done."""
        with self._failing():
            live = t.cast(Definition, self.live)
            self._writer.forget("config")
            for device in live.virtio_mem:
                if device.current != device.requested:
                    short = Step("wait", "live", device, name=device.alias or "")
                    self._writer.settle(short, device.current or 0)
            self._asked = current_of(live)
            if "config" in self._guest.scopes:
                self._read("config")
        self.look()
        return not self.error

    def _write(self, steps: t.Sequence[AnyStep]) -> None:
        self._writer.forget("config")  # it may have been read long before
        for step in steps:
            self._writer.write(step)
        if any(step.scope == "config" for step in steps):
            self._read("config")

    @contextmanager
    def _failing(self) -> t.Iterator[None]:
        """Keep a failure of this guest with this guest."""
        try:
            yield
        except VirtmemError as error:
            if error.code in _FATAL:
                raise
            self.fail(error)

    def fail(self, error: VirtmemError) -> None:
        """The first error is the one that counts; that the guest is gone counts whenever it shows."""
        self.error = self.error or error
        if self.state is not State.GONE:
            self.state = State.GONE if error.code == "domain_not_found" else State.FAILED

    @contextmanager
    def _waiting_for_jobs(self) -> t.Iterator[None]:
        """Come back later to a guest that another job holds; meanwhile the others go on."""
        try:
            yield
        except VirtmemError as error:
            if not error.passing:
                raise
            self._held = error
            if self._held_since is None:
                self._held_since = self._clock.monotonic()
        else:
            self._held = None

    def give_up(self) -> None:
        """There is no more time to come back to it."""
        if self._held and self._held_since is not None:
            self.fail(still_busy(self._held, self._clock.monotonic() - self._held_since))

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
            huge_pages=any(live.page_size_of(device) is not None for device in live.virtio_mem),
        )


def followed(live: Definition) -> bool:
    """Whether each device gives what is requested of it."""
    return all(device.current == device.requested for device in live.virtio_mem)
