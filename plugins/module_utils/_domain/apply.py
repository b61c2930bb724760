# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a plan out, step by step, and dealing with a guest that follows only part of the way."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._device.match import pair_lists
from .._errors import VirtmemError
from .._libvirt.retry import apply_once
from .._model import MIB, VIRTIO_MEM, Definition, MemoryDevice, Scope, format_size
from .._wait import OnPartial, WaitOptions, wait_until
from .._xml import document
from .steps import AnyStep, Change, DomainPlan, Outcome, Step

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain, Watch

# Seconds that a guest has for its last block, from when `current` is 0 until the device is asked to leave, whether or not
# the task waits for the guest. Linux first tells QEMU that a block is unplugged and then takes it offline, for which
# virtio_mem needs the lock of memory hotplug. An unplug by ACPI holds that lock, and waits for virtio_mem's worker to end
# (virtio_mem_remove, cancel_work_sync). If it comes in between, each waits for the other, and the guest neither plugs nor
# unplugs anything, nor shuts down, until it is reset. Linux 6.1 under TCG: asked at once, 5 of 24 guests locked up; after
# 20 ms, none of 24.
_RELEASE: t.Final = 1.0
# The balloon works in pages, and QEMU rounds: nearer than this is there.
_BALLOON_TOLERANCE: t.Final = MIB
_SCOPES: t.Final[tuple[Scope, ...]] = ("live", "config")


class Writer:
    """Makes writes to one domain. `done` has them all, in order.

    `texts` are the definitions as they were read last, by scope; one that was written is read anew when it is needed.
    """

    def __init__(
        self, domain: Domain, texts: t.Mapping[Scope, str], scopes: t.Sequence[Scope], done: list[AnyStep]
    ) -> None:
        self.done = done
        self.domain = domain
        self._texts: dict[Scope, str] = dict(texts)
        self._scopes = scopes
        self._removed: dict[MemoryDevice, str] = {}  # what left the stored definition, as XML
        self._old_text = ""  # the stored definition before a define

    # ------------------------------------------------------------------------------------------------------ reading

    def definition(self, scope: Scope) -> Definition:
        if scope not in self._texts:
            self._texts[scope] = self.domain.xml(scope)
        return document.parse_definition(self._texts[scope])

    def forget(self, scope: Scope) -> None:
        """It may be another one by now."""
        self._texts.pop(scope, None)

    def live_device(self, device: MemoryDevice) -> MemoryDevice | None:
        self.forget("live")
        return self.definition("live").find(device)

    def _own_xml(self, step: Step, requested: int | None = None) -> str:
        """The device's XML from the very definition that is to change, as update and detach need it."""
        device = self.definition(step.scope).find(step.before or step.device)
        if device is None:
            raise VirtmemError(
                "device_not_found",
                f"The device {step.device.label} is no longer in the {step.scope} definition.",
                hint="Another client changed the domain at the same time; run the task again.",
            )
        return document.device_xml(self._texts[step.scope], device.index, requested)

    # ------------------------------------------------------------------------------------------------------ writing

    def write(self, step: AnyStep) -> None:
        """Do one step, and note it. Live and config are never written by one call."""
        if isinstance(step, Step):
            if step.action == "detach" and step.scope == "config":
                self._removed[step.device] = self._own_xml(step)
            apply_once(lambda: self._write_device(step), lambda: self._is_made(step))
        else:
            apply_once(
                lambda: self._write_domain(step), lambda: step.action == "define" and not self._is_expected(step)
            )
        self.forget(step.scope)
        self.done.append(step)

    def _write_device(self, step: Step) -> None:
        device, scope = step.device, step.scope
        if step.action == "attach":
            self.domain.attach(document.new_device_xml(device), scope)
        elif step.action == "resize":
            self.domain.update(self._own_xml(step, device.requested), scope)
        elif step.unplugs:
            self.domain.unplug(t.cast(str, device.alias))  # a live device always has one
        elif step.action == "detach":
            self.domain.detach_config(self._own_xml(step))
        elif step.action == "set_current_memory":
            self.domain.set_current_memory(step.size)

    def _is_made(self, step: Step) -> bool | None:
        """Whether a device was added or removed. Every other step is idempotent."""
        self.forget(step.scope)
        if step.action not in ("attach", "detach"):
            return False
        if step.action == "attach" and step.device.alias is None:
            return None  # another one like it may be there
        is_there = self.definition(step.scope).find(step.device) is not None
        return is_there == (step.action == "attach")

    def _write_domain(self, step: Change) -> None:
        if step.action == "define":
            self._define(step)
        elif step.action == "set_balloon":
            self.domain.set_balloon(step.after)
        elif step.action == "set_limits":
            self.domain.set_limits(step.after)
        elif step.action == "set_nodeset":
            self.domain.set_nodeset(step.after)
        elif step.action == "set_stats_period":
            self.domain.set_stats_period(step.after)

    def _define(self, step: Change) -> None:
        """Only a reading with passwords can be defined again without losing them."""
        text = self.domain.xml("config", secure=True)
        if not self._is_expected(step, text):
            raise VirtmemError(
                "domain_busy",
                "Another client changed the stored definition during the task.",
                hint="Run the task again.",
            )
        self._old_text = text
        self.domain.define(document.edited_domain(text, t.cast(Definition, step.definition)))

    def _is_expected(self, step: Change, text: str | None = None) -> bool:
        found = document.parse_definition(self.domain.xml("config") if text is None else text)
        return found.says_the_same(t.cast(Definition, step.expected))

    # ------------------------------------------------------------------------------------------------------ settling

    def settle(self, short: AnyStep, reached: int) -> None:
        """Ask for what was reached, in each definition that asks for what was not: this task, or an earlier one, did."""
        if isinstance(short, Change):
            self.write(Change("set_balloon", "live", short.after, reached))
            return
        now = self.live_device(short.device)
        for live, config in pair_lists(self._virtio_mem("live"), self._virtio_mem("config")):
            if live is None or live != now:
                continue
            for scope, device in zip(_SCOPES, (live, config)):
                if device and device.requested == short.device.requested != reached:
                    self.write(Step("resize", scope, replace(device, requested=reached), device, name=short.name))

    def _virtio_mem(self, scope: Scope) -> list[MemoryDevice]:
        return list(self.definition(scope).virtio_mem) if scope in self._scopes else []

    # -------------------------------------------------------------------------------------------------- taking back

    def undo(self, done: AnyStep) -> None:
        """Take back a write that needs no waiting; see Applier for those that do."""
        if isinstance(done, Change):
            self._undo_change(done)
        elif done.action == "resize":
            self.write(replace(done, device=t.cast(MemoryDevice, done.before), before=done.device))
        elif done.action == "attach" and done.scope == "config":
            self.write(replace(done, action="detach"))
        elif done.action == "detach" and done.scope == "config":
            self._put_back(done)

    def _undo_change(self, done: Change) -> None:
        if done.action == "define":
            self.domain.define(self._old_text)
            self.forget("config")
            self.done.append(Change("define", "config", done.after, done.before))
        elif done.action == "set_balloon" and done.before is None:
            return  # nobody knows what it was
        elif done.action not in ("shutdown", "start"):
            self.write(Change(done.action, done.scope, done.after, done.before))

    def _put_back(self, done: Step) -> None:
        """Give the stored definition its device again, with its addresses."""
        self.domain.attach(self._removed[done.device], "config")
        self.forget("config")
        self.done.append(replace(done, action="attach"))

    def restore_current_memory(self, before: Definition) -> None:
        """libvirt adds and subtracts what is attached and detached (sums.attached), and not always the same."""
        changed = [
            done
            for done in self.done
            if isinstance(done, Step) and done.scope == "config" and done.action in ("attach", "detach")
        ]
        if not changed:
            return
        now, wanted = self.definition("config"), before.current_memory
        if now.current_memory != wanted <= now.ram:
            last = changed[-1]
            self.write(Step("set_current_memory", "config", last.device, None, wanted, last.name))


class Applier:
    """Carries out one plan on one domain. `outcome` is true at every moment, also when `run` raises."""

    def __init__(
        self,
        plan: DomainPlan,
        domain: Domain,
        texts: t.Mapping[Scope, str],
        options: WaitOptions,
        clock: Clock,
        shutdown_timeout: float = 0,
    ) -> None:
        self.outcome = Outcome()
        self._plan = plan
        self._domain = domain
        self._writer = Writer(domain, texts, plan.scopes, self.outcome.done)
        self._options = options
        self._clock = clock
        self._deadline = clock.monotonic() + options.timeout
        self._shutdown_timeout = shutdown_timeout
        self._leaving: list[MemoryDevice] = []
        self._short: list[tuple[AnyStep, VirtmemError]] = []

    def run(self) -> Outcome:
        """Raises VirtmemError as the domain's calls do, and partial or timeout as `on_partial` says."""
        if not self._plan.steps:
            return self.outcome
        with self._domain.watch() as watch:  # before the first write: no event may be missed
            for step in self._plan.steps:
                if not step.is_wait:
                    self._deal_with_short(watch)
                if step.scope == "config":
                    self._await_leaving(watch)
                self._take(step, watch)
            self._deal_with_short(watch)
            self._await_leaving(watch)
        return self.outcome

    def _take(self, step: AnyStep, watch: Watch) -> None:
        if isinstance(step, Step) and step.is_wait:
            self._await_guest(step, watch)
        elif isinstance(step, Step) and step.unplugs:
            if self._ask_to_leave(step):
                self._leaving.append(step.device)
        elif isinstance(step, Change) and step.is_wait:
            self._await_balloon(step, watch)
        elif step.action == "shutdown":
            self._shut_down(step, watch)
        elif step.action == "start":
            self._start(step, watch)
        else:
            self._writer.write(step)

    # ------------------------------------------------------------------------------------------------------- restart

    def _shut_down(self, step: AnyStep, watch: Watch) -> None:
        """Ask the guest, and wait until it is off. One that does not is left running: it is never destroyed."""
        apply_once(self._domain.shutdown, lambda: not self._domain.state().active)
        self.outcome.done.append(step)
        self._writer.forget("live")
        if not wait_until(lambda: not self._domain.state().active, watch, self._shutdown_timeout, self._clock):
            raise VirtmemError(
                "timeout",
                f"The guest did not shut down in {self._shutdown_timeout:g} s, and was left running. The stored"
                " definition has the task's settings, which take effect at the next start.",
                hint="Check that the guest handles the ACPI power button (or runs the guest agent); or shut it down"
                " yourself, and start it again.",
                details={"shutdown_timeout": self._shutdown_timeout},
            )

    def _start(self, step: AnyStep, watch: Watch) -> None:
        """Start the guest; one that does not start with what this task wrote gets back what it had."""
        try:
            apply_once(self._domain.start, lambda: self._domain.state().active)
        except VirtmemError as error:
            error.amended(prefix="The guest was shut down, and does not start again. ")
            self._start_as_before(step, watch, error)
            raise
        self._writer.forget("live")
        self.outcome.done.append(step)
        self._deadline = self._clock.monotonic() + self._options.timeout

    def _start_as_before(self, step: AnyStep, watch: Watch, error: VirtmemError) -> None:
        if not any(done.scope == "config" for done in self.outcome.done):
            error.amended(suffix=" It is off.")
            return
        try:
            self._roll_back(watch)
            self._domain.start()
        except VirtmemError as again:
            error.amended(
                suffix=f" It does not start with its previous definition either and is now off: {again.message}"
            )
            return
        self._writer.forget("live")
        self.outcome.done.append(step)
        self.outcome.restored = True
        error.amended(suffix=" Its previous definition was restored, and it runs with that.")

    # ------------------------------------------------------------------------------------------------------- waiting

    def _time_left(self) -> float:
        return max(self._deadline - self._clock.monotonic(), 0)

    def _reaches(self, device: MemoryDevice, watch: Watch, timeout: float) -> bool:
        """Whether the guest has what is requested of the device within `timeout` seconds."""
        wanted = device.requested

        def reached() -> bool:
            now = self._writer.live_device(device)
            if now is not None and now.requested != wanted:
                raise _somebody_else(now, wanted)
            if now is None and wanted:
                raise VirtmemError("device_not_found", f"{device.alias} was unplugged by another client meanwhile.")
            return now is None or (now.current or 0) == wanted  # a DIMM has none, and nothing is requested of it

        return wait_until(reached, watch, timeout, self._clock)

    def _await_guest(self, step: Step, watch: Watch) -> None:
        """Note what falls short, and go on: what to do about it is decided over all devices together."""
        if not self._options.wait or self._reaches(step.device, watch, self._time_left()):
            return
        now = self._writer.live_device(step.device)
        reached = (now.current or 0) if now else 0
        start = (step.before.current or 0) if step.before else 0
        error = shortfall(
            f"{step.device.alias} has {format_size(reached)} plugged",
            (start, reached, step.device.requested),
            self._options.timeout,
            paused=self._domain.state().state == "paused",
            huge_pages=self._writer.definition("live").page_size_of(step.device) is not None,
        )
        self._short.append((step, error))

    def _await_balloon(self, step: Change, watch: Watch) -> None:
        start, wanted = step.before or 0, step.after

        def actual() -> int:
            return self._domain.statistics().actual or 0

        def reached() -> bool:
            return bool(abs(actual() - wanted) < _BALLOON_TOLERANCE)

        if not self._options.wait or wait_until(reached, watch, self._time_left(), self._clock):
            return
        now = actual()
        error = VirtmemError(
            "partial" if now != start else "timeout",
            f"The guest's balloon is at {format_size(now)} after {self._options.timeout:g} s, and should be at"
            f" {format_size(wanted)}.",
            hint="Check that the guest has the virtio_balloon driver, and can spare the memory.",
            details={"requested": wanted, "current": now, "before": start},
        )
        self._short.append((step, error))

    def _ask_to_leave(self, step: Step) -> bool:
        """Ask the guest to release a device, if it has given everything back; whether it was asked."""
        now = self._writer.live_device(step.device)
        if now and now.model == VIRTIO_MEM and not now.current:
            self._clock.sleep(_RELEASE)
            now = self._writer.live_device(step.device)
        if now is None or now.current:
            return False  # warned already (on_partial), nobody wants to wait, or it has left by itself
        try:
            self._writer.write(step)
        except VirtmemError as error:
            if error.code != "unplug_unsupported":
                raise
            self.outcome.kept_because = error.message
            return False
        return True

    def _await_leaving(self, watch: Watch) -> None:
        def left() -> list[MemoryDevice]:
            return [device for device in self._leaving if self._writer.live_device(device)]

        if not self._options.wait or not self._leaving:
            return
        gone = wait_until(lambda: not left(), watch, self._time_left(), self._clock)
        names = ", ".join(str(device.alias) for device in left())
        self._leaving.clear()
        if not gone:
            raise VirtmemError(
                "timeout",
                f"The guest did not release {names} in {self._options.timeout:g} s. The unplug request stays pending.",
                hint="The device leaves once the guest handles the request. A paused guest does not, nor one whose kernel"
                " uses the memory.",
                details={"wait_timeout": self._options.timeout, "devices": names.split(", ")},
            )

    # --------------------------------------------------------------------------------------------- partial outcomes

    def _deal_with_short(self, watch: Watch) -> None:
        if not self._short:
            return
        short, self._short = self._short, []
        self.outcome.fell_short = True
        error = _combined([problem for _step, problem in short])

        def settle() -> bool:
            for step, problem in short:
                self._writer.settle(step, problem.details["current"])
            return True

        if self._options.on_partial == "rollback":
            self._roll_back(watch)
            if any(self._writer.live_device(step.device) for step in self.outcome.left_behind):
                error.amended(suffix=" The new device stays, empty, until the guest is powered off.")
        self.outcome.warnings.append(deal_with(error, self._options.on_partial, settle))

    def _roll_back(self, watch: Watch) -> None:
        """Undo what was done, live first, each definition's last write first; the stored one also if the guest is stuck."""
        done = list(reversed(self.outcome.done))
        try:
            for step in done:
                if step.scope == "live":
                    self._undo_live(step, watch)
        finally:
            for step in done:
                if step.scope == "config":
                    self._writer.undo(step)
            if "config" in self._plan.before:
                self._writer.restore_current_memory(self._plan.before["config"])

    def _undo_live(self, done: AnyStep, watch: Watch) -> None:
        """A device that was added and can't be unplugged stays, at 0."""
        if isinstance(done, Step) and done.action == "attach":
            self._undo_attach(done, watch)
            return
        self._writer.undo(done)
        if isinstance(done, Step) and done.action == "resize" and done.before:
            self._reaches(done.before, watch, self._options.timeout)

    def _undo_attach(self, done: Step, watch: Watch) -> None:
        self.outcome.left_behind.append(done)
        emptied = replace(done.device, requested=0)
        if done.device.requested:
            self._writer.write(Step("resize", "live", emptied, done.device, name=done.name))
        self._deadline = self._clock.monotonic() + self._options.timeout
        if not self._reaches(emptied, watch, self._time_left()):
            return
        if self._ask_to_leave(Step("detach", "live", emptied, emptied, name=done.name)):
            self._leaving.append(emptied)
            self._await_leaving(watch)


def deal_with(error: VirtmemError, policy: OnPartial, settle: t.Callable[[], bool], whose: str = "") -> str:
    """What `on_partial` says of a guest that fell short, in the one place for a device, a domain and the guests of a host.

    Returns what to warn of, or raises `error`. Under `rollback` the caller has rolled back already, `whose` says for whom.
    `settle` asks for what was reached; whether that could be done.
    """
    if policy == "rollback":
        error.amended(suffix=f" The task's changes were rolled back{whose}.", hint=_ROLLED_BACK_HINT)
    if policy in ("fail", "rollback"):
        raise error
    if policy == "settle" and settle():
        error.amended(suffix=f" The request was settled at {format_size(error.details['current'])}.")
    return error.message


def _combined(problems: t.Sequence[VirtmemError]) -> VirtmemError:
    """One error for all that fell short: partial if anything moved anywhere."""
    first = problems[0]
    if len(problems) == 1:
        return first
    code = "partial" if any(problem.code == "partial" for problem in problems) else "timeout"
    sums = {
        name: sum(problem.details.get(name) or 0 for problem in problems) for name in ("requested", "current", "before")
    }
    return VirtmemError(
        code,
        " ".join(problem.message for problem in problems),
        hint=first.hint,
        details={**sums, "devices": [problem.details for problem in problems]},
    )


def shortfall(has: str, sizes: tuple[int, int, int], timeout: float, *, paused: bool, huge_pages: bool) -> VirtmemError:
    """partial, or timeout for a guest that moved nothing. `has` says in words what was reached; `sizes` are what there
    was before, what was reached and what is requested, in bytes."""
    start, reached, wanted = sizes
    asked = abs(wanted - start)
    moved = abs(reached - start) if (reached - start) * (wanted - start) > 0 else 0  # not if it went the other way
    return VirtmemError(
        "partial" if moved else "timeout",
        f"The guest {'gave back' if wanted < start else 'took'} {format_size(moved)} of {format_size(asked)} in"
        f" {timeout:g} s: {has}, {format_size(wanted)} are requested.",
        hint=_shortfall_hint(paused, wanted < start, huge_pages),
        details={
            "requested": wanted,
            "current": reached,
            "before": start,
            "moved": moved,
            "asked": asked,
            "wait_timeout": timeout,
        },
    )


def _shortfall_hint(paused: bool, shrinking: bool, huge_pages: bool) -> str:
    if paused:
        return _PAUSED_HINT
    if shrinking:
        return _SHRINK_HINT
    return _EMPTY_POOL_HINT if huge_pages else _GROW_HINT


def _somebody_else(now: MemoryDevice, wanted: int) -> VirtmemError:
    return VirtmemError(
        "domain_busy",
        f"Another client asked {now.alias} for {format_size(now.requested)} while this task waited for"
        f" {format_size(wanted)}.",
        hint="Nothing more was done. Run one task at a time on a device.",
        details={"requested": now.requested, "wanted": wanted, "current": now.current},
    )


_ROLLED_BACK_HINT: t.Final = "The request is back to its value before the task; current shows what the guest has now."
_PAUSED_HINT: t.Final = (
    "The guest is paused and can't react. The request stays, and the guest follows once it is resumed."
)
_SHRINK_HINT: t.Final = (
    "The rest is in use, or lies in a kernel zone of the guest (memhp_default_state=online_movable avoids that). The"
    " request stays, and the guest may still give back more; on_partial selects what else to do."
)
# Measured on QEMU 7.2: the update succeeds, and the guest stops where the pool ends.
_EMPTY_POOL_HINT: t.Final = (
    "The device uses huge pages, and QEMU reports no error when the host has none left: see host_memory_info, and"
    " allocate more. The request stays, and the guest takes the rest when it is asked again."
)
_GROW_HINT: t.Final = (
    "Check that the guest has loaded the virtio_mem driver (Linux 5.8 or later) and has finished booting. The request"
    " stays, and the guest may still take more; on_partial selects what else to do."
)
