# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Carrying a plan out, step by step, and dealing with a guest that follows only part of the way."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.plugins.module_utils import _rules, _xml
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import VIRTIO_MEM, MemoryDevice, Scope
from ansible_collections.virtmem.libvirt.plugins.module_utils._pairs import find_device
from ansible_collections.virtmem.libvirt.plugins.module_utils._patience import surely
from ansible_collections.virtmem.libvirt.plugins.module_utils._plan import Plan
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Domain, Watch
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import format_size
from ansible_collections.virtmem.libvirt.plugins.module_utils._step import Outcome, Step
from ansible_collections.virtmem.libvirt.plugins.module_utils._wait import Clock, WaitOptions, wait_until

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
        device = find_device(_xml.parse_definition(text), step.before or step.device)
        if device is None:
            raise VirtmemError(
                "device_not_found",
                f"The device {step.device.alias or step.device.pci_address} is no longer in the {step.scope} definition.",
                hint="Somebody else changed the domain at the same time; run the task again.",
            )
        return _xml.device_xml(text, device.index, requested)

    def _write(self, step: Step) -> None:
        """Do one step, and note it."""
        surely(lambda: self._make(step), lambda: self._is_made(step))
        self._texts.pop(step.scope, None)
        self.outcome.done.append(step)

    def _is_made(self, step: Step) -> bool | None:
        """Whether a device was added or taken away; all else can be asked for twice."""
        self._texts.pop(step.scope, None)
        if step.action not in ("attach", "detach"):
            return False
        if step.action == "attach" and step.device.alias is None:
            return None  # another one like it may be there
        is_there = find_device(_xml.parse_definition(self._text(step.scope)), step.device) is not None
        return is_there == (step.action == "attach")

    def _make(self, step: Step) -> None:
        """Live and config are never written by one call."""
        device, scope = step.device, step.scope
        if step.action == "attach":
            self._domain.attach(_xml.new_device_xml(device), scope)
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
        device = find_device(_xml.parse_definition(text), t.cast(MemoryDevice, step.before))
        if device is None:
            raise VirtmemError("device_not_found", "The device is no longer in the stored definition.")
        self._domain.define(_xml.redefined_domain(text, device.index, step.device))

    # ------------------------------------------------------------------------------------------------------- waiting

    def _live_device(self, device: MemoryDevice) -> MemoryDevice | None:
        self._texts.pop("live", None)
        return find_device(_xml.parse_definition(self._text("live")), device)

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
        live = _xml.parse_definition(self._text("live"))
        return shortfall(
            f"{step.device.alias} has {format_size(reached)} plugged",
            (start, reached, step.device.requested),
            self._options.timeout,
            paused=self._domain.state().state == "paused",
            huge_pages=_rules.host_page_size(live, step.device) is not None,
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
            device = find_device(_xml.parse_definition(self._text(scope)), known)
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
