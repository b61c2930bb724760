# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a plan out, step by step, and dealing with a guest that follows only part of the way."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._device.match import find_device, pair_lists
from .._device.rules import host_page_size
from .._errors import VirtmemError
from .._libvirt.retry import apply_once
from .._model import VIRTIO_MEM, Definition, MemoryDevice, Scope
from .._protocol import Domain, Watch
from .._size import MIB, format_size
from .._wait import Clock, WaitOptions, wait_until
from .._xml import document
from .config import is_same
from .device_plan import Plan
from .plan import DomainPlan
from .steps import AnyStep, Change, Outcome, Step

# Seconds that a guest has for its last block, from when `current` is 0 until the device is asked to leave, whether or not
# the task waits for the guest. Linux first tells QEMU that a block is unplugged and then takes it offline, for which
# virtio_mem needs the lock of memory hotplug. An unplug by ACPI holds that lock, and waits for virtio_mem's worker to end
# (virtio_mem_remove, cancel_work_sync). If it comes in between, each waits for the other, and the guest neither plugs nor
# unplugs anything, nor shuts down, until it is reset. Linux 6.1 under TCG: asked at once, 5 of 24 guests locked up; after
# 20 ms, none of 24.
_RELEASE: t.Final = 1.0


class Applier:
    """Carries out one plan on one domain. `outcome` is true at every moment, also when `run` raises."""

    def __init__(
        self, plan: Plan, domain: Domain, texts: t.Mapping[Scope, str], options: WaitOptions, clock: Clock
    ) -> None:
        self.outcome = Outcome(stays=plan.stays)
        self._plan = plan
        self._domain = domain
        self._texts: dict[Scope, str] = dict(texts)
        self._options = options
        self._clock = clock
        self._deadline = clock.monotonic() + options.timeout

    def run(self) -> Outcome:
        """Raises VirtmemError as the domain's calls do, and partial or timeout as `on_partial` says."""
        if not self._plan.steps:
            return self.outcome
        with self._domain.watch() as watch:  # before the first write: no event may be missed
            for step in self._plan.steps:
                self._take(step, watch)
        return self.outcome

    def _take(self, step: Step, watch: Watch) -> None:
        if step.action == "wait":
            self._await_guest(step, watch)
        elif (step.action, step.scope) == ("detach", "live"):
            self._unplug(step, watch)
        else:
            self._write(step)

    # ------------------------------------------------------------------------------------------------------- writing

    def _text(self, scope: Scope) -> str:
        if scope not in self._texts:
            self._texts[scope] = self._domain.xml(scope)
        return self._texts[scope]

    def _own_xml(self, step: Step, requested: int | None = None) -> str:
        """The device's XML from the very definition that is to change, as update and detach need it."""
        text = self._text(step.scope)
        device = find_device(document.parse_definition(text), step.before or step.device)
        if device is None:
            raise VirtmemError(
                "device_not_found",
                f"The device {step.device.label} is no longer in the {step.scope} definition.",
                hint="Somebody else changed the domain at the same time; run the task again.",
            )
        return document.device_xml(text, device.index, requested)

    def _write(self, step: Step) -> None:
        """Do one step, and note it."""
        apply_once(lambda: self._make(step), lambda: self._is_made(step))
        self._texts.pop(step.scope, None)
        self.outcome.done.append(step)

    def _is_made(self, step: Step) -> bool | None:
        """Whether a device was added or taken away; all else can be asked for twice."""
        self._texts.pop(step.scope, None)
        if step.action not in ("attach", "detach"):
            return False
        if step.action == "attach" and step.device.alias is None:
            return None  # another one like it may be there
        is_there = find_device(document.parse_definition(self._text(step.scope)), step.device) is not None
        return is_there == (step.action == "attach")

    def _make(self, step: Step) -> None:
        """Live and config are never written by one call."""
        device, scope = step.device, step.scope
        if step.action == "attach":
            self._domain.attach(document.new_device_xml(device), scope)
        elif step.action == "resize":
            self._domain.update(self._own_xml(step, device.requested), scope)
        elif step.action == "redefine":
            self._redefine(step)
        elif step.action == "detach" and scope == "live":
            self._domain.unplug(t.cast(str, device.alias))  # a live device always has one
        elif step.action == "detach":
            self._domain.detach_config(self._own_xml(step))
        elif step.action == "set_current_memory":
            self._domain.set_current_memory(step.size)

    def _redefine(self, step: Step) -> None:
        # An update in the config would take the new geometry too, but leave <memory> wrong, and refuse growth
        # (libvirt 9.0 to 12.8). Only a reading with passwords can be defined again without losing them.
        text = self._domain.xml("config", secure=True)
        device = find_device(document.parse_definition(text), t.cast(MemoryDevice, step.before))
        if device is None:
            raise VirtmemError("device_not_found", "The device is no longer in the stored definition.")
        self._domain.define(document.redefined_domain(text, device.index, step.device))

    # ------------------------------------------------------------------------------------------------------- waiting

    def _live_device(self, device: MemoryDevice) -> MemoryDevice | None:
        self._texts.pop("live", None)
        return find_device(document.parse_definition(self._text("live")), device)

    def _time_left(self) -> float:
        return max(self._deadline - self._clock.monotonic(), 0)

    def _reaches(self, device: MemoryDevice, current: int, watch: Watch, timeout: float) -> bool:
        def reached() -> bool:
            now = self._live_device(device)
            if now is not None and now.requested != current:
                raise _somebody_else(now, current)
            if now is None and current:
                raise VirtmemError("device_not_found", f"{device.alias} was unplugged by somebody else meanwhile.")
            return now is None or now.current == current

        return wait_until(reached, watch, timeout, self._clock)

    def _await_guest(self, step: Step, watch: Watch) -> None:
        """Wait until the guest has plugged what the step's device requests; if it does not, do as on_partial says."""
        wanted = step.device.requested
        if not self._options.wait or self._reaches(step.device, wanted, watch, self._time_left()):
            return
        now = self._live_device(step.device)
        shortfall = self._shortfall(step, (now.current or 0) if now else 0)
        policy = self._options.on_partial
        if policy == "rollback":
            self._roll_back(watch)
            shortfall.message += " What the task had asked for was rolled back."
            shortfall.hint = _ROLLED_BACK_HINT
            if step.before is None and self._live_device(step.device):
                shortfall.message += " The new device stays, empty, until the guest is powered off."
        if policy in ("fail", "rollback"):
            raise shortfall
        if policy == "settle":
            self._settle(step, now)
            shortfall.message += f" The request was settled at {format_size(shortfall.details['current'])}."
        self.outcome.warnings.append(shortfall.message)

    def _shortfall(self, step: Step, reached: int) -> VirtmemError:
        start = (step.before.current or 0) if step.before else 0
        live = document.parse_definition(self._text("live"))
        return shortfall(
            f"{step.device.alias} has {format_size(reached)} plugged",
            (start, reached, step.device.requested),
            self._options.timeout,
            paused=self._domain.state().state == "paused",
            huge_pages=host_page_size(live, step.device) is not None,
        )

    def _unplug(self, step: Step, watch: Watch) -> None:
        """Detach from the running guest, once the guest has given everything back, and see it gone."""
        if not self._ask_to_leave(step) or not self._options.wait:
            return
        if not wait_until(lambda: self._live_device(step.device) is None, watch, self._time_left(), self._clock):
            raise VirtmemError(
                "timeout",
                f"The guest did not let go of {step.device.alias} in {self._options.timeout:g} s.",
                hint="The request stays: the device leaves when the guest handles it. A paused guest does not.",
                details={"wait_timeout": self._options.timeout},
            )

    def _ask_to_leave(self, step: Step) -> bool:
        """Ask the guest to let go of a device, if it has given everything back; whether it was asked."""
        now = self._live_device(step.device)
        if now and now.model == VIRTIO_MEM and not now.current:
            self._clock.sleep(_RELEASE)
            now = self._live_device(step.device)
        if now is None or now.current:
            return False  # warned already (on_partial), nobody wants to wait, or it has left by itself
        try:
            self._write(step)
        except VirtmemError as exc:
            if exc.code != "unplug_unsupported":
                raise
            self.outcome.stays = exc.message
            return False
        return True

    # --------------------------------------------------------------------------------------------- partial outcomes

    def _settle(self, step: Step, now: MemoryDevice | None) -> None:
        """Ask for what was reached, in each definition that asks for what was not: this task, or an earlier one, did."""
        if now is None or now.current is None:
            return
        leaving = {other.scope for other in self._plan.steps if other.action == "detach" and other.scope == "config"}
        for scope in self._plan.scopes:
            known = self._plan.after[scope] or step.device
            device = find_device(document.parse_definition(self._text(scope)), known)
            if device and scope not in leaving and device.requested == step.device.requested:
                self._write(Step("resize", scope, replace(device, requested=now.current), device))

    def _roll_back(self, watch: Watch) -> None:
        """Undo what was done, live first. A device that was added and can't be unplugged stays, at 0."""
        for done in list(self.outcome.done):
            self._undo(done, watch)

    def _undo(self, done: Step, watch: Watch) -> None:
        if done.action in ("resize", "redefine"):
            before = t.cast(MemoryDevice, done.before)
            self._write(replace(done, device=before, before=done.device))
            if done.scope == "live":
                self._reaches(before, before.requested, watch, self._options.timeout)
        elif done.action == "attach":
            self._undo_attach(done, watch)
        elif done.action == "set_current_memory":
            self._write(done)

    def _undo_attach(self, done: Step, watch: Watch) -> None:
        if done.scope == "config":
            self._write(replace(done, action="detach"))
            return
        emptied = replace(done.device, requested=0)
        if done.device.requested:
            self._write(Step("resize", "live", emptied, done.device))
        self._deadline = self._clock.monotonic() + self._options.timeout
        if self._reaches(emptied, 0, watch, self._time_left()):
            self._unplug(Step("detach", "live", emptied, emptied), watch)


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
        f"Somebody else asked {now.alias} for {format_size(now.requested)} while this task waited for"
        f" {format_size(wanted)}.",
        hint="Nothing more was done. Run one task at a time on a device.",
        details={"requested": now.requested, "wanted": wanted, "current": now.current},
    )


_ROLLED_BACK_HINT: t.Final = "Nothing is asked of the guest any more than before the task; see current for what it has."

_PAUSED_HINT: t.Final = (
    "The guest is paused, so it does nothing. The request stands, and the guest follows once resumed."
)

_SHRINK_HINT: t.Final = (
    "What stays is in use, or lies in a kernel zone of the guest (memhp_default_state=online_movable avoids that). The"
    " request stands, and the guest may still give back more; on_partial says what else to do."
)

# Measured on QEMU 7.2: the update succeeds, and the guest stops where the pool ends.
_EMPTY_POOL_HINT: t.Final = (
    "The device takes huge pages, and QEMU says nothing when the host has no more of them: see host_memory_info, and"
    " reserve more. The request stands, and the guest takes the rest when it is asked again."
)

_GROW_HINT: t.Final = (
    "See whether the guest has the virtio_mem driver loaded (Linux 5.8 or later) and has finished booting. The request"
    " stands, and the guest may still take more; on_partial says what else to do."
)

# The balloon works in pages, and QEMU rounds: nearer than this is there.
_BALLOON_TOLERANCE: t.Final = MIB

_SCOPES: t.Final[tuple[Scope, ...]] = ("live", "config")


class DomainApplier(Applier):
    """`done` has all writes, in order; `outcome.done` those to devices alone."""

    def __init__(
        self,
        plan: DomainPlan,
        domain: Domain,
        texts: t.Mapping[Scope, str],
        options: WaitOptions,
        shutdown_timeout: float,
        clock: Clock,
    ) -> None:
        super().__init__(Plan(plan.scopes, {}, {}), domain, texts, options, clock)
        self.done: list[AnyStep] = []
        self._todo = plan.steps
        self._before = plan.before
        self._removed: dict[MemoryDevice, str] = {}  # what left the stored definition, as XML
        self._shutdown_timeout = shutdown_timeout
        self.fell_short = False
        self.restored = False
        self._old_text = ""
        self._leaving: list[MemoryDevice] = []
        self._short: list[tuple[AnyStep, VirtmemError]] = []

    def carry_out(self) -> None:
        """Raises VirtmemError as the domain's calls do, and partial or timeout as `on_partial` says."""
        if not self._todo:
            return
        with self._domain.watch() as watch:  # before the first write: no event may be missed
            for step in self._todo:
                if not step.is_wait:
                    self._deal_with_short(watch)
                if step.scope == "config":
                    self._await_leaving(watch)
                self._carry_out(step, watch)
            self._deal_with_short(watch)
            self._await_leaving(watch)

    def _carry_out(self, step: AnyStep, watch: Watch) -> None:
        if isinstance(step, Step) and (step.action, step.scope) == ("detach", "live"):
            if self._ask_to_leave(step):
                self._leaving.append(step.device)
        elif isinstance(step, Step):
            self._take(step, watch)
        elif step.action == "wait_balloon":
            self._await_balloon(step, watch)
        elif step.action == "shutdown":
            self._shut_down(step, watch)
        elif step.action == "start":
            self._start(step, watch)
        else:
            self._change(step)

    # ------------------------------------------------------------------------------------------------------- writing

    def _write(self, step: Step) -> None:
        if (step.action, step.scope) == ("detach", "config"):
            self._removed[step.device] = self._own_xml(step)
        super()._write(step)
        self.done.append(step)

    def _change(self, step: Change) -> None:
        apply_once(lambda: self._make_change(step), lambda: step.action == "define" and not self._is_as_expected(step))
        self._texts.pop(step.scope, None)
        self.done.append(step)

    def _make_change(self, step: Change) -> None:
        if step.action == "define":
            self._define(step)
        elif step.action == "set_balloon":
            self._domain.set_balloon(step.after)
        elif step.action == "set_limits":
            self._domain.set_limits(step.after)
        elif step.action == "set_nodeset":
            self._domain.set_nodeset(step.after)
        elif step.action == "set_stats_period":
            self._domain.set_stats_period(step.after)

    def _define(self, step: Change) -> None:
        """Only a reading with passwords can be defined again without losing them."""
        text = self._domain.xml("config", secure=True)
        if not self._is_as_expected(step, text):
            raise VirtmemError(
                "domain_busy",
                "Somebody else changed the stored definition during the task.",
                hint="Run the task again.",
            )
        self._old_text = text
        self._domain.define(document.edited_domain(text, t.cast(Definition, step.definition)))

    def _is_as_expected(self, step: Change, text: str | None = None) -> bool:
        found = document.parse_definition(self._domain.xml("config") if text is None else text)
        return is_same(found, t.cast(Definition, step.expected))

    def _shut_down(self, step: Change, watch: Watch) -> None:
        """Ask the guest, and wait until it is off. One that does not is left running: it is never destroyed."""
        apply_once(self._domain.shutdown, lambda: not self._domain.state().active)
        self.done.append(step)
        self._texts.pop("live", None)
        if not wait_until(lambda: not self._domain.state().active, watch, self._shutdown_timeout, self._clock):
            raise VirtmemError(
                "timeout",
                f"The guest did not shut down in {self._shutdown_timeout:g} s, and was left running. The stored"
                " definition is as the task says, and counts from the next start.",
                hint="See whether the guest handles the ACPI power button (or runs the guest agent); or shut it down"
                " yourself, and start it again.",
                details={"shutdown_timeout": self._shutdown_timeout},
            )

    def _start(self, step: Change, watch: Watch) -> None:
        """Start the guest; one that does not start with what this task wrote gets back what it had."""
        try:
            apply_once(self._domain.start, lambda: self._domain.state().active)
        except VirtmemError as error:
            error.message = f"The guest was shut down, and does not start again. {error.message}"
            self._start_as_before(step, watch, error)
            raise
        self._texts.pop("live", None)
        self.done.append(step)
        self._deadline = self._clock.monotonic() + self._options.timeout

    def _start_as_before(self, step: Change, watch: Watch, error: VirtmemError) -> None:
        if not any(done.scope == "config" for done in self.done):
            error.message += " It is off."
            return
        try:
            self._roll_back(watch)
            self._domain.start()
        except VirtmemError as again:
            error.message += f" Nor does it with its former definition, and is off: {again.message}"
            return
        self._texts.pop("live", None)
        self.done.append(step)
        self.restored = True
        error.message += " It got its former definition back, and runs with that."

    # ------------------------------------------------------------------------------------------------------- waiting

    def _await_guest(self, step: Step, watch: Watch) -> None:
        """Note what falls short, and go on: what to do about it is decided over all devices together."""
        if not self._options.wait or self._reaches(step.device, step.device.requested, watch, self._time_left()):
            return
        now = self._live_device(step.device)
        self._short.append((step, self._shortfall(step, (now.current or 0) if now else 0)))

    def _await_leaving(self, watch: Watch) -> None:
        def left() -> list[MemoryDevice]:
            return [device for device in self._leaving if self._live_device(device)]

        if not self._options.wait or not self._leaving:
            return
        gone = wait_until(lambda: not left(), watch, self._time_left(), self._clock)
        names = ", ".join(str(device.alias) for device in left())
        self._leaving.clear()
        if not gone:
            raise VirtmemError(
                "timeout",
                f"The guest did not let go of {names} in {self._options.timeout:g} s.",
                hint="The request stays, and the device leaves when the guest handles it. A paused guest does not, nor one"
                " whose kernel uses the memory.",
                details={"wait_timeout": self._options.timeout, "devices": names.split(", ")},
            )

    def _await_balloon(self, step: Change, watch: Watch) -> None:
        start, wanted = step.before or 0, step.after

        def actual() -> int:
            return self._domain.statistics().actual or 0

        def reached() -> bool:
            return bool(abs(actual() - wanted) < _BALLOON_TOLERANCE)

        if not self._options.wait or wait_until(reached, watch, self._time_left(), self._clock):
            return
        now = actual()
        self._short.append(
            (
                step,
                VirtmemError(
                    "partial" if now != start else "timeout",
                    f"The guest's balloon is at {format_size(now)} after {self._options.timeout:g} s, and shall be at"
                    f" {format_size(wanted)}.",
                    hint="See whether the guest has the virtio_balloon driver, and can spare the memory.",
                    details={"requested": wanted, "current": now, "before": start},
                ),
            )
        )

    # --------------------------------------------------------------------------------------------- partial outcomes

    def _deal_with_short(self, watch: Watch) -> None:
        if not self._short:
            return
        short, self._short = self._short, []
        error = _together([problem for _step, problem in short])
        self.fell_short = True
        policy = self._options.on_partial
        if policy == "rollback":
            self._roll_back(watch)
            error.message += " What the task had asked for was rolled back."
            error.hint = "Nothing is asked of the guest any more than before the task."
        if policy in ("fail", "rollback"):
            raise error
        if policy == "settle":
            for step, problem in short:
                self._settle_at(step, problem.details["current"])
            error.message += " The request was settled at what was reached."
        self.outcome.warnings.append(error.message)

    def _settle_at(self, short: AnyStep, reached: int) -> None:
        """Ask for what was reached, in each definition that the task had asked for something else in."""
        if isinstance(short, Change):
            self._change(Change("set_balloon", "live", short.after, reached))
            return
        pairs = pair_lists(self._virtio_mem("live"), self._virtio_mem("config"))
        for pair in pairs:
            if pair[0] and pair[0] == self._live_device(short.device):
                for scope, device in zip(_SCOPES, pair):
                    if device and scope in self._plan.scopes and device.requested == short.device.requested != reached:
                        settled = replace(device, requested=reached)
                        self._write(Step("resize", scope, settled, device, name=short.name))

    def _virtio_mem(self, scope: Scope) -> list[MemoryDevice]:
        return list(document.parse_definition(self._text(scope)).virtio_mem) if scope in self._plan.scopes else []

    def _roll_back(self, watch: Watch) -> None:
        for done in reversed(list(self.done)):
            if isinstance(done, Change):
                self._undo_change(done)
            elif (done.action, done.scope) == ("detach", "config"):
                self._put_back(done)
            elif done.action != "set_current_memory":
                self._undo(done, watch)
        self._restore_current_memory()

    def _put_back(self, done: Step) -> None:
        """Give the stored definition its device again, with its addresses."""
        self._domain.attach(self._removed[done.device], "config")
        self._texts.pop("config", None)
        self.done.append(replace(done, action="attach"))

    def _restore_current_memory(self) -> None:
        """libvirt adds and subtracts what is attached and detached (see _arithmetic), and not always the same."""
        changed = [
            done.device
            for done in self.done
            if isinstance(done, Step) and done.scope == "config" and done.action in ("attach", "detach")
        ]
        if changed:
            before = self._before["config"].current_memory
            now = document.parse_definition(self._text("config"))
            if now.current_memory != before <= now.ram:
                self._write(Step("set_current_memory", "config", changed[-1], None, before))

    def _undo_change(self, done: Change) -> None:
        if done.action == "define":
            self._domain.define(self._old_text)
            self._texts.pop("config", None)
            self.done.append(Change("define", "config", done.after, done.before))
        elif done.action == "set_balloon" and done.before is None:
            return  # nobody knows what it was
        elif done.action not in ("shutdown", "start"):
            self._change(Change(done.action, done.scope, done.after, done.before))


def _together(problems: t.Sequence[VirtmemError]) -> VirtmemError:
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
