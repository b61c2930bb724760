# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Carrying a domain_memory plan out: many devices, one deadline, and writes to the domain as a whole."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.plugins.module_utils import _xml
from ansible_collections.virtmem.libvirt.plugins.module_utils._apply import Applier
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_config import is_same
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_plan import DomainPlan
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_steps import AnyStep, Change
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, MemoryDevice, Scope
from ansible_collections.virtmem.libvirt.plugins.module_utils._pairs import pair_lists
from ansible_collections.virtmem.libvirt.plugins.module_utils._patience import surely
from ansible_collections.virtmem.libvirt.plugins.module_utils._plan import Plan
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Domain, Watch
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import MIB, format_size
from ansible_collections.virtmem.libvirt.plugins.module_utils._step import Step
from ansible_collections.virtmem.libvirt.plugins.module_utils._wait import Clock, WaitOptions, wait_until

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
                if step.action not in ("wait", "wait_balloon"):
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
        surely(lambda: self._make_change(step), lambda: step.action == "define" and not self._is_as_expected(step))
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
        self._domain.define(_xml.edited_domain(text, t.cast(Definition, step.definition)))

    def _is_as_expected(self, step: Change, text: str | None = None) -> bool:
        found = _xml.parse_definition(self._domain.xml("config") if text is None else text)
        return is_same(found, t.cast(Definition, step.expected))

    def _shut_down(self, step: Change, watch: Watch) -> None:
        """Ask the guest, and wait until it is off. One that does not is left running: it is never destroyed."""
        surely(self._domain.shutdown, lambda: not self._domain.state().active)
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
            surely(self._domain.start, lambda: self._domain.state().active)
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
        return list(_xml.parse_definition(self._text(scope)).virtio_mem) if scope in self._plan.scopes else []

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
            now = _xml.parse_definition(self._text("config"))
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
