# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says, at every moment of it: also if it fails in the next one.

A task about a domain and one about a device say the same things of different nouns: a view says what the noun is.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, replace

from .._device.match import ADDRESSES, Match
from .._errors import VirtmemError
from .._model import MIB, VIRTIO_MEM, Definition, DomainState, Facts, GuestStatistics, MemoryDevice, Scope
from .._xml import document
from .facts import both_facts, definition_facts, device_facts, domain_facts, memory_facts
from .pending import Pending
from .spec import DomainSpec
from .steps import AnyStep, Change, DomainPlan, Outcome, Step

if t.TYPE_CHECKING:
    from .._protocol import Domain

_EMPTY: t.Final[t.Mapping[str, t.Any]] = {
    "changed": False,
    "domain": None,
    "before": {"live": None, "config": None},
    "after": {"live": None, "config": None},
    "steps": [],
    "converged": False,
    "restart_required": False,
    "pending": [],
    "diff": {"before": "", "after": ""},
}
EMPTY: t.Final[t.Mapping[str, t.Any]] = {**_EMPTY, "memory": None}
EMPTY_DEVICE: t.Final[t.Mapping[str, t.Any]] = {**_EMPTY, "device": None}

Definitions = t.Mapping[Scope, Definition]

_BALLOON: t.Final = ("live", "balloon.target")


class DomainView:
    """How all memory of a domain is shown; one device is shown by a view of its own.

    `definitions` are those of the task, `actual` is the live balloon's size in bytes.
    """

    def __init__(self, spec: DomainSpec) -> None:
        self._spec = spec

    def planned(self, plan: DomainPlan) -> None:
        """There is a plan."""

    def both(self, definitions: Definitions, actual: int | None) -> Facts:
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

    def noun(self, definitions: Definitions, running: Definition | None, statistics: GuestStatistics | None) -> Facts:
        """The noun's own key of the result. `running` is the running guest, also where the task is not about it."""
        live = definitions.get("live") or running
        definition = live or definitions.get("config")
        return {"memory": memory_facts(definition, statistics if live else None)} if definition else {}

    def compared(self, definitions: Definitions) -> object:
        """What makes a change, if it is not equal any more: all but the guest's own progress."""
        return [
            (
                scope,
                {name: value for name, value in definition.flat_options.items() if (scope, name) != _BALLOON},
                [dict(asdict(device), current=None) for device in definition.devices],
            )
            for scope, definition in definitions.items()
        ]

    def xml(self, definitions: Definitions, actual: int | None) -> dict[Scope, str]:
        """Addresses that libvirt chose are not shown: check mode can't know them. The live `<currentMemory>` is only the
        balloon's, if the task is about it."""
        texts: dict[Scope, str] = {}
        for scope, definition in definitions.items():
            shown = replace(definition, devices=tuple(_as_stated(device, self._spec) for device in definition.devices))
            if scope == "live":
                balloon = self._balloon(actual)
                shown = replace(shown, current_memory=shown.total if balloon is None else balloon)
            texts[scope] = document.canonical_memory(shown)
        return texts

    def title(self, domain: str) -> str:
        """Above a diff."""
        return domain

    def step(self, step: Change) -> Facts:
        """What a write to the whole domain says of the noun."""
        return change_facts(step)


class DeviceView(DomainView):
    """One virtio-mem device."""

    def __init__(self, spec: DomainSpec) -> None:
        super().__init__(spec)
        self._known: dict[Scope, list[MemoryDevice]] = {}  # as the plan makes the device, and as it was
        self._name = ""

    def planned(self, plan: DomainPlan) -> None:
        if plan.match:
            self._name = plan.match.name
            self._known = {scope: _known(plan, plan.match, scope) for scope in plan.scopes}

    def _device(self, definitions: Definitions, scope: Scope) -> MemoryDevice | None:
        if scope not in definitions:
            return None
        found = (definitions[scope].find(device) for device in self._known.get(scope, ()))
        return next((device for device in found if device), None)

    def devices(self, definitions: Definitions) -> dict[Scope, MemoryDevice | None]:
        return {scope: self._device(definitions, scope) for scope in self._known or definitions}

    def both(self, definitions: Definitions, _actual: int | None) -> Facts:
        return both_facts(self.devices(definitions))

    def noun(self, definitions: Definitions, _running: Definition | None, _statistics: GuestStatistics | None) -> Facts:
        devices = self.devices(definitions)
        return {"device": device_facts(devices.get("live") or devices.get("config"))}

    def compared(self, definitions: Definitions) -> object:
        return {scope: device and replace(device, current=None) for scope, device in self.devices(definitions).items()}

    def xml(self, definitions: Definitions, _actual: int | None) -> dict[Scope, str]:
        """Without what the guest has plugged, and without the alias and addresses that libvirt chose by itself (check mode
        can't know them), unless the task states them."""
        stated = self._spec.devices[0].stated if self._spec.devices else {}
        chosen = [name for name in ADDRESSES if name not in stated]
        return {
            scope: document.canonical_device(_without_chosen(device, chosen)) if device else ""
            for scope, device in self.devices(definitions).items()
        }

    def title(self, domain: str) -> str:
        return f"{domain} {self._name}".strip()

    def step(self, step: Change) -> Facts:
        """A new definition of the domain is one of the device, where the task is about nothing else."""
        before, after = ({**_shown_options(options)} for options in (step.before, step.after))
        return {"action": "redefine", "device": self._name, "from": before, "to": after}


def _known(plan: DomainPlan, match: Match, scope: Scope) -> list[MemoryDevice]:
    before = match.device(scope)
    place = before.index if before else -1  # new ones have no place yet
    after = [device for device in plan.after[scope].devices if device.index == place and device.model == VIRTIO_MEM]
    return [*after, *([before] if before else [])]


def _shown_options(changes: t.Mapping[str, t.Any]) -> Facts:
    options: Facts = dict(next(iter(changes.get("devices", {}).values()), {}))
    if options.get("guest_address") is not None:
        options["guest_address"] = f"{options['guest_address']:#x}"
    return options


def _as_stated(device: MemoryDevice, spec: DomainSpec) -> MemoryDevice:
    return _without_chosen(
        device, [name for name in ADDRESSES if getattr(device, name) not in spec.stated_values(name)]
    )


def _without_chosen(device: MemoryDevice, addresses: t.Sequence[str]) -> MemoryDevice:
    """The device without what libvirt chose: an alias that is nobody's own, and these addresses."""
    chosen: dict[str, t.Any] = dict.fromkeys(addresses)
    return replace(device, alias=device.user_alias, **chosen)


class Report:
    """Fills `result`, the task's return values, with what is known by then."""

    def __init__(self, domain: str, empty: t.Mapping[str, t.Any]) -> None:
        self.result: Facts = dict(empty, domain={"name": domain, "uuid": None, "state": None}, _warnings=[])
        self._view: DomainView
        self._target: int | None = None
        self._statistics: GuestStatistics | None = None
        self._found_actual: int | None = None  # the balloon's size before the task, in bytes
        self._running: Definition | None = None
        self._xml_before = ""  # what a diff is against

    def warn(self, text: str) -> None:
        self.result["_warnings"].append(text)

    def found(
        self, state: DomainState, view: DomainView, definitions: Definitions, statistics: GuestStatistics | None = None
    ) -> None:
        self._view = view
        self._statistics = statistics
        self._found_actual = self._actual()
        self.result["domain"] = domain_facts(state)
        self.result["before"] = self.result["after"] = view.both(definitions, self._found_actual)
        self._running = definitions.get("live")
        self.result.update(view.noun(definitions, self._running, statistics))

    def planned(self, plan: DomainPlan, target: int | None = None) -> None:
        """There is a plan; if a guard refuses it, all is as it was. `target` is the balloon's."""
        self._target = target
        self._view.planned(plan)
        self.result["before"] = self._view.both(plan.before, self._found_actual)
        self._xml_before = _together(self._view.xml(plan.before, self._found_actual))
        self._state(plan, plan.before, self._actual())
        self._nothing_done()
        self._steps(plan, [])

    def _nothing_done(self) -> None:
        self.result.update(converged=False, pending=[], restart_required=False)

    def predicted(self, plan: DomainPlan, wait: bool) -> None:
        """Check mode's answer: what a real run ends with if the guest follows."""
        self._state(plan, plan.after, self._foreseen(plan) if self._target is None else self._target)
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

    def ended(self, plan: DomainPlan, domain: Domain, outcome: Outcome | None = None) -> Definitions:
        """What is there now, read anew if there was something to do."""
        outcome = outcome or Outcome()
        after: Definitions = plan.before
        if plan.steps:
            after = self._read(plan, domain)
        self._told(plan, after, outcome)
        return after

    def _read(self, plan: DomainPlan, domain: Domain) -> Definitions:
        state = domain.state()
        self.result["domain"] = domain_facts(state)
        if self._statistics is not None:
            self._statistics = domain.statistics() if state.active else None
        self._running = self._running if state.active else None
        there = {"live": state.active, "config": state.persistent}
        return {scope: document.parse_definition(domain.xml(scope)) for scope in plan.scopes if there[scope]}

    def failed(self, plan: DomainPlan, domain: Domain, outcome: Outcome) -> None:
        """The same after a failure. The guest may have stopped meanwhile, or the connection broken: then what was done
        counts."""
        try:
            after = self.ended(plan, domain, outcome)
        except VirtmemError:
            after = _by_steps(plan, outcome.done)
            self._told(plan, after, outcome)
        self.result["converged"] = False
        if plan.restarts:
            running = self.result["domain"]["state"] != "shutoff" and not outcome.restored
            self._pending(plan.postponed if running else ())
            self.result["restart_required"] = running
        elif self._is_stored_as_before(plan, after):
            self._nothing_done()
            self._still_there(plan, after, outcome)

    def _is_stored_as_before(self, plan: DomainPlan, after: Definitions) -> bool:
        """Whether the next start brings nothing new: the task stored nothing, or took it back."""
        config: list[Scope] = ["config"] if "config" in after and "config" in plan.before else []
        return self._view.compared({scope: plan.before[scope] for scope in config}) == self._view.compared(
            {scope: after[scope] for scope in config}
        )

    def _told(self, plan: DomainPlan, after: Definitions, outcome: Outcome) -> None:
        self._steps(plan, outcome.done)
        self._state(plan, after, self._actual())
        unplugging = any(step.unplugs for step in outcome.done)
        self.result["changed"] = bool(outcome.done) and (unplugging or self._differ(plan.before, after, outcome.done))
        self._still_there(plan, after, outcome)

    def _differ(self, before: Definitions, after: Definitions, done: t.Sequence[AnyStep]) -> bool:
        """Whether anything but the guest's own progress is different."""
        balloons = [step for step in done if isinstance(step, Change) and step.action == "set_balloon"]
        if balloons and balloons[0].before != balloons[-1].after:
            return True
        if any(step.action == "start" for step in done):
            return True
        return self._view.compared(before) != self._view.compared(after)

    def _still_there(self, plan: DomainPlan, after: Definitions, outcome: Outcome) -> None:
        """Devices that were to be unplugged, and are still there; also those of this task that a rollback could not unplug."""
        live = after.get("live")
        leaving = [step for step in plan.steps if isinstance(step, Step) and step.unplugs]
        for step in (*leaving, *outcome.left_behind):
            if live is None or live.find(step.device) is None:
                continue
            if plan.match and step in outcome.done and step.unplugs:
                self.result.update(pending=[str(Pending(step.name, soon=True))], restart_required=False)
                continue
            why = outcome.kept_because or ("the guest has not released it" if step in leaving else None)
            others = [text for text in self.result["pending"] if not text.startswith(f"{step.name}:")]
            self.result["pending"] = [*others, str(Pending(step.name, leaves=True, why=why))]
            self.result.update(restart_required=True, converged=False)

    def _actual(self) -> int | None:
        return self._statistics.actual if self._statistics else None

    def _pending(self, pending: t.Iterable[Pending]) -> None:
        self.result["pending"] = [str(one) for one in pending]
        self.result["restart_required"] = bool(self.result["pending"])

    def _state(self, plan: DomainPlan, after: Definitions, actual: int | None) -> None:
        view, statistics = self._view, self._statistics
        if statistics and actual is not None:
            statistics = replace(statistics, actual=actual)
        self.result["after"] = view.both(after, actual)
        self.result.update(view.noun(after, self._running, statistics))
        self._pending(plan.pending)
        self.result["converged"] = self._converged(plan, after.get("live"), actual)
        title = view.title(self.result["domain"]["name"])
        is_as_before = after is plan.before and actual == self._found_actual
        self.result["diff"] = {
            "before_header": title,
            "after_header": title,
            "before": self._xml_before,
            "after": self._xml_before if is_as_before else _together(view.xml(after, actual)),
        }

    def _converged(self, plan: DomainPlan, live: Definition | None, actual: int | None) -> bool:
        """Whether all that the task asks of the running guest is so."""
        if live is None or "live" not in plan.scopes:
            return "live" not in plan.scopes
        if plan.match and any(not one.leaves for one in plan.pending):
            return False  # the one device that the task is about is another one after the next start
        for device in (plan.awaited or {}).values():
            found = live.find(device)
            if found and not found.current == found.requested == device.requested:
                return False
            if found is None and device.requested:
                return False
        return self._target is None or not live.balloon or abs((actual or 0) - self._target) < MIB

    def _steps(self, plan: DomainPlan, done: t.Sequence[AnyStep]) -> None:
        """All that was planned and all that was done, in order: done ones first, then what was not reached."""
        left = [step for step in plan.writes if step not in done]
        self.result["steps"] = [step_facts(step, True, self._view) for step in done]
        self.result["steps"] += [step_facts(step, False, self._view) for step in left]


def _together(texts: t.Mapping[Scope, str]) -> str:
    """Once, if both definitions say the same, or there is but one."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "".join(f"<!-- {scope} -->\n{text}" for scope, text in texts.items() if text)


def _by_steps(plan: DomainPlan, done: t.Sequence[AnyStep]) -> Definitions:
    """The definitions as far as they can be told without reading: what was there, and what was done to it."""
    after = dict(plan.before)
    for step in done:
        if isinstance(step, Change):
            after[step.scope] = step.definition or after[step.scope]
        elif step.action != "set_current_memory":
            old = after[step.scope].find(step.before or step.device)
            others = tuple(device for device in after[step.scope].devices if device != old)
            devices = others if step.action == "detach" else (*others, step.device)
            after[step.scope] = replace(after[step.scope], devices=devices)
    return after


def change_facts(step: Change) -> Facts:
    return {"action": step.action, "device": None, "from": step.before, "to": step.after}


def step_facts(step: AnyStep, done: bool, view: DomainView | None = None) -> Facts:
    """One element of `steps`. `from` and `to` are requested sizes; a define has dictionaries of the options that change."""
    if isinstance(step, Change):
        facts = view.step(step) if view else change_facts(step)
        return {"action": facts.pop("action"), "scope": step.scope, **facts, "done": done}
    before: t.Any = None if step.before is None else step.before.requested
    after: t.Any = step.device.requested
    if step.action == "set_current_memory":
        before, after = None, step.size
    elif step.action in ("attach", "detach"):
        # Another model than virtio-mem is there with its whole size, or not at all.
        size = step.device.requested if step.device.model == VIRTIO_MEM else step.device.size
        before, after = (size, None) if step.action == "detach" else (None, size)
    name = step.name or step.device.alias
    return {"action": step.action, "scope": step.scope, "device": name, "from": before, "to": after, "done": done}
