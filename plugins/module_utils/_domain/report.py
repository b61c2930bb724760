# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a domain_memory task says, at every moment of it: also if it fails in the next one."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, replace

from .._device.match import find_device
from .._device.options import ADDRESSES
from .._errors import Facts, VirtmemError
from .._model import VIRTIO_MEM, Definition, DomainState, GuestStatistics, MemoryDevice, Scope
from .._protocol import Domain
from .._size import MIB
from .._xml import document
from .facts import definition_facts, domain_facts, flat_options, memory_facts, step_facts
from .plan import DomainPlan
from .spec import DomainSpec
from .steps import AnyStep, Change, Step

if t.TYPE_CHECKING:
    from .apply import DomainApplier

EMPTY: t.Final[t.Mapping[str, t.Any]] = {
    "changed": False,
    "domain": None,
    "memory": None,
    "before": {"live": None, "config": None},
    "after": {"live": None, "config": None},
    "steps": [],
    "converged": False,
    "restart_required": False,
    "pending": [],
    "diff": {"before": "", "after": ""},
}

Definitions = t.Mapping[Scope, Definition]


class DomainReport:
    """Fills `result`, the task's return values, with what is known by then."""

    def __init__(self, domain: str) -> None:
        self.result: Facts = dict(EMPTY, domain={"name": domain, "uuid": None, "state": None}, _warnings=[])
        self._spec = DomainSpec()
        self._statistics: GuestStatistics | None = None
        self._found_actual: int | None = None  # the balloon's size before the task, in bytes
        self._running: Definition | None = None

    def warn(self, text: str) -> None:
        self.result["_warnings"].append(text)

    def found(self, state: DomainState, statistics: GuestStatistics | None, definitions: Definitions) -> None:
        self._statistics = statistics
        self._found_actual = statistics.actual if statistics else None
        self._running = definitions.get("live")
        self.result["domain"] = domain_facts(state)
        self.result["before"] = self.result["after"] = self._both(definitions, self._found_actual)
        self._memory(definitions)

    def planned(self, plan: DomainPlan, spec: DomainSpec) -> None:
        """There is a plan; if a guard refuses it, all is as it was."""
        self._spec = spec
        self.result["before"] = self._both(plan.before, self._found_actual)
        self._state(plan, plan.before, self._actual())
        self._nothing_done()
        self._steps(plan, [])

    def _nothing_done(self) -> None:
        self.result.update(converged=False, pending=[], restart_required=False)

    def predicted(self, plan: DomainPlan, wait: bool) -> None:
        """Check mode's answer: what a real run ends with if the guest follows."""
        target = self._spec.target
        self._state(plan, plan.after, self._foreseen(plan) if target is None else target)
        self.result["changed"] = bool(plan.writes)
        if not wait and any(step.is_wait for step in plan.steps):
            self.result["converged"] = False
        if plan.restarts:
            self.result["domain"]["state"] = "running"

    def _foreseen(self, plan: DomainPlan) -> int | None:
        """The balloon's size counts DIMMs, and starts with all that there is."""
        actual = self._actual()
        if actual is None or "live" not in plan.after:
            return actual
        if plan.restarts:
            return min(plan.after["live"].current_memory, plan.after["live"].ram)
        return actual + plan.after["live"].ram - plan.before["live"].ram

    def ended(
        self, plan: DomainPlan, domain: Domain, done: t.Sequence[AnyStep] = (), stays: str | None = None
    ) -> Definitions:
        """What is there now, read anew if there was something to do. `stays`: why a device could not be unplugged."""
        self._steps(plan, done)
        after: Definitions = plan.before
        if plan.steps:
            state = domain.state()
            self.result["domain"] = domain_facts(state)
            scopes = [scope for scope in plan.scopes if state.active or scope == "config"]
            after = {scope: document.parse_definition(domain.xml(scope)) for scope in scopes}
            self._statistics = domain.statistics() if state.active else None
            self._running = self._running if state.active else None
        self._state(plan, after, self._actual())
        self.result["changed"] = bool(done) and _differ(plan.before, after, done)
        self._still_there(plan, after, stays)
        return after

    def failed(self, plan: DomainPlan, domain: Domain, applier: DomainApplier) -> None:
        """The same after a failure: what is known for sure, even if the domain can't be read any more."""
        try:
            self.ended(plan, domain, applier.done, applier.outcome.stays)
        except VirtmemError:
            self.result["changed"] = bool(applier.done)
        self.result["converged"] = False
        if plan.restarts:
            running = self.result["domain"]["state"] != "shutoff" and not applier.restored
            self.result.update(pending=list(plan.postponed) if running else [], restart_required=running)
        elif not any(step.scope == "config" for step in applier.done):
            self._nothing_done()

    def _actual(self) -> int | None:
        return self._statistics.actual if self._statistics else None

    def _still_there(self, plan: DomainPlan, after: Definitions, stays: str | None) -> None:
        """Devices that were to be unplugged, and would not be."""
        for step in plan.steps:
            if isinstance(step, Step) and (step.action, step.scope) == ("detach", "live") and "live" in after:
                left = find_device(after["live"], step.device)
                if left:
                    reason = stays or "the guest has not let go of it"
                    self.result["pending"].append(
                        f"{left.alias}: {reason}; leaves the guest when it is next powered off"
                    )
                    self.result["restart_required"] = True
                    self.result["converged"] = False

    def _state(self, plan: DomainPlan, after: Definitions, actual: int | None) -> None:
        self.result["after"] = self._both(after, actual)
        self._memory(after, actual)
        self.result["pending"] = list(plan.pending)
        self.result["restart_required"] = bool(plan.pending)
        self.result["converged"] = self._converged(plan, after.get("live"), actual)
        name = self.result["domain"]["name"]
        self.result["diff"] = {
            "before_header": name,
            "after_header": name,
            "before": self._canonical(plan.before, self._found_actual),
            "after": self._canonical(after, actual),
        }

    def _both(self, definitions: Definitions, actual: int | None) -> Facts:
        """Both definitions; the live balloon, if the task is about it, as QEMU has it now."""
        shown = dict(definitions)
        balloon = self._balloon(actual)
        if "live" in shown and balloon is not None:
            shown["live"] = replace(shown["live"], current_memory=balloon)
        return {scope: definition_facts(shown.get(scope)) for scope in t.get_args(Scope)}

    def _balloon(self, actual: int | None) -> int | None:
        """The live balloon's size to show in place of `<currentMemory>`, None if the task is not about it: QEMU tells libvirt
        of a change once a second at most (BALLOON_CHANGE, QEMU 7.2), and the XML is behind by as much."""
        return None if self._spec.target is None else actual

    def _memory(self, definitions: Definitions, actual: int | None = None) -> None:
        definition = definitions.get("live") or self._running or definitions.get("config")
        if definition:
            statistics = self._statistics if "live" in definitions or self._running else None
            if statistics and actual is not None:
                statistics = replace(statistics, actual=actual)
            self.result["memory"] = memory_facts(definition, statistics)

    def _converged(self, plan: DomainPlan, live: Definition | None, actual: int | None) -> bool:
        if live is None:
            return "live" not in plan.scopes
        for device in (plan.concerned or {}).values():
            found = find_device(live, device)
            if found and found.current != device.requested:
                return False
        target = self._spec.target
        return target is None or not live.balloon or abs((actual or 0) - target) < MIB

    def _canonical(self, definitions: Definitions, actual: int | None) -> str:
        """All that the module owns, as XML: once if both definitions say the same. Addresses that libvirt chose are not
        shown: check mode can't know them. The live `<currentMemory>` is only the balloon's, if the task is about it."""
        texts: dict[Scope, str] = {}
        for scope, definition in definitions.items():
            shown = replace(definition, devices=tuple(map(self._shown, definition.devices)))
            if scope == "live":
                balloon = self._balloon(actual)
                shown = replace(shown, current_memory=shown.total if balloon is None else balloon)
            texts[scope] = document.canonical_memory(shown)
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return "".join(f"<!-- {scope} -->\n{text}" for scope, text in texts.items())

    def _shown(self, device: MemoryDevice) -> MemoryDevice:
        nobodys: dict[str, t.Any] = {
            name: None for name in ADDRESSES if getattr(device, name) not in self._spec.stated_values(name)
        }
        return replace(device, **{"alias": device.user_alias, **nobodys})

    def _steps(self, plan: DomainPlan, done: t.Sequence[AnyStep]) -> None:
        left = [step for step in plan.writes if step not in done]
        self.result["steps"] = [any_step_facts(step, True) for step in done] + [
            any_step_facts(step, False) for step in left
        ]


def any_step_facts(step: AnyStep, done: bool) -> Facts:
    if isinstance(step, Step):
        facts = step_facts(step, done, step.name or step.device.alias)
        if step.device.model != VIRTIO_MEM and step.action in (
            "attach",
            "detach",
        ):  # it is there with its whole size, or not at all
            facts.update(
                {"from": step.device.size, "to": None} if step.action == "detach" else {"to": step.device.size}
            )
        return facts
    return {
        "action": step.action,
        "scope": step.scope,
        "device": None,
        "from": step.before,
        "to": step.after,
        "done": done,
    }


def _differ(before: Definitions, after: Definitions, done: t.Sequence[AnyStep]) -> bool:
    """Whether anything but the guest's own progress is different."""
    balloons = [step for step in done if isinstance(step, Change) and step.action == "set_balloon"]
    if balloons and balloons[0].before != balloons[-1].after:
        return True
    if any(step.action == "start" for step in done):
        return True
    return _facts(before) != _facts(after)


def _facts(definitions: Definitions) -> list[t.Any]:
    return [
        (
            scope,
            {name: value for name, value in flat_options(definition).items() if (scope, name) != _BALLOON},
            [dict(asdict(device), current=None) for device in definition.devices],
        )
        for scope, definition in definitions.items()
    ]


_BALLOON: t.Final = ("live", "balloon.target")
