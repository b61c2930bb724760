# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task on one device says, at every moment of it: also if it fails in the next one."""

from __future__ import annotations

import typing as t

from .._device.match import find_device
from .._errors import Facts, VirtmemError
from .._model import DomainState, MemoryDevice, Scope
from .._protocol import Domain
from .._xml import document
from .device_plan import Desired, Plan, pending
from .facts import Devices, both_facts, device_facts, diff, domain_facts, steps_facts
from .steps import Outcome, Step

EMPTY: t.Final[t.Mapping[str, t.Any]] = {
    "changed": False,
    "domain": None,
    "before": {"live": None, "config": None},
    "after": {"live": None, "config": None},
    "device": None,
    "steps": [],
    "converged": False,
    "restart_required": False,
    "pending": [],
    "diff": {"before": "", "after": ""},
}


class DeviceReport:
    """Fills `result`, the task's return values, with what is known by then."""

    def __init__(self, domain: str) -> None:
        self.result: Facts = dict(EMPTY, domain={"name": domain, "uuid": None, "state": None}, _warnings=[])
        self._stated: t.Collection[str] = ()

    def warn(self, text: str) -> None:
        self.result["_warnings"].append(text)

    def found(self, state: DomainState) -> None:
        self.result["domain"] = domain_facts(state)

    def planned(self, plan: Plan, desired: Desired) -> None:
        """There is a plan; if a guard refuses it, all is as it was."""
        self._stated = desired.stated()
        self.result["before"] = both_facts(plan.before)
        self._state(plan, plan.before)
        self._steps(plan, [])
        self.result.update(converged=False, pending=[], restart_required=False)

    def predicted(self, plan: Plan, wait: bool) -> None:
        """Check mode's answer: what a real run ends with if the guest follows."""
        self._state(plan, plan.after)
        self.result["changed"] = bool(plan.writes)
        live = plan.before.get("live")
        if not wait and plan.target is not None:
            self.result["converged"] = (live.current or 0 if live else 0) == plan.target

    def ended(self, plan: Plan, domain: Domain, outcome: Outcome) -> None:
        """What is there now, read anew."""
        self._report(plan, read_devices(plan, domain, outcome.done) if plan.steps else plan.before, outcome)

    def failed(self, plan: Plan, domain: Domain, outcome: Outcome) -> None:
        """The same after a failure. The guest may have stopped meanwhile, or the link broken: then what was done counts."""
        try:
            state = domain.state()
            self.found(state)
            self._report(plan, read_devices(plan, domain, outcome.done, state), outcome)
        except VirtmemError:
            self._report(plan, _by_steps(plan, outcome.done), outcome)
        self.result["converged"] = False

    def _report(self, plan: Plan, after: Devices, outcome: Outcome) -> None:
        self._steps(plan, outcome.done)
        self._state(plan, after)
        live = after.get("live")
        unplugging = any((step.action, step.scope) == ("detach", "live") for step in outcome.done)
        if live and unplugging:
            self.result["pending"] = [f"{live.alias}: leaves as soon as the guest handles the unplug"]
            self.result["restart_required"] = False
        self.result["changed"] = bool(outcome.done) and (unplugging or _differ(plan.before, after))

    def _state(self, plan: Plan, after: Devices) -> None:
        live = after.get("live")
        self.result["after"] = both_facts(after)
        self.result["device"] = device_facts(live or after.get("config"))
        title = f"{self.result['domain']['name']} {_name(plan) or ''}".strip()
        self.result["diff"] = diff(plan.before, after, self._stated, title)
        self.result["pending"] = list(pending(plan, after))
        self.result["restart_required"] = bool(self.result["pending"])
        self.result["converged"] = plan.target is None or (
            live.current == live.requested == plan.target if live else plan.target == 0
        )

    def _steps(self, plan: Plan, done: t.Sequence[Step]) -> None:
        self.result["steps"] = steps_facts(plan.writes, done, _name(plan))


def read_devices(
    plan: Plan, domain: Domain, done: t.Sequence[Step], state: DomainState | None = None
) -> dict[Scope, MemoryDevice | None]:
    """The plan's device as each definition has it now. `state` says which definitions there still are (None: all)."""
    after: dict[Scope, MemoryDevice | None] = {}
    for scope in plan.scopes:
        gone = state is not None and not (state.active if scope == "live" else state.persistent)
        # What was written last is the surest description: a new alias or address came with it.
        known = [step.device for step in done if step.scope == scope]
        device = known[-1] if known else plan.before[scope]
        after[scope] = None if gone or not device else find_device(document.parse_definition(domain.xml(scope)), device)
    return after


def _by_steps(plan: Plan, done: t.Sequence[Step]) -> dict[Scope, MemoryDevice | None]:
    """The same, as far as it can be told without reading: what was there, and what was done to it."""
    after = dict(plan.before)
    for step in done:
        if step.action == "detach":
            after[step.scope] = None
        elif step.action != "set_current_memory":
            after[step.scope] = step.device
    return after


def _name(plan: Plan) -> str | None:
    """What people call the device: its alias, and the live one always has one."""
    names = [device.label for device in (*plan.before.values(), *plan.after.values()) if device]
    return names[0] if names else None


def _differ(before: Devices, after: Devices) -> bool:
    """Whether anything but the guest's own progress is different."""

    def facts(devices: Devices) -> list[t.Any]:
        return [dict(device, current=None) if device else None for device in both_facts(devices).values()]

    return facts(before) != facts(after)
