# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host_memory task says, at every moment of it: of the host, of each guest, and of all together."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._domain.facts import domain_facts, memory_facts
from .._domain.report import step_facts
from .._domain.steps import AnyStep, DomainPlan, Step
from .._errors import VirtmemError, failure_facts
from .._model import Definition, DomainState, Facts, Scope, format_size
from .guest import GuestResize, followed
from .plan import HostGuest, HostPlan, requested_of

EMPTY: t.Final[t.Mapping[str, t.Any]] = {
    "changed": False,
    "host": None,
    "domains": [],
    "totals": None,
    "converged": False,
    "diff": {"before": "", "after": ""},
}

Definitions = t.Mapping[Scope, Definition]


class HostReport:
    """Fills `result`, the task's return values, with what is known by then."""

    def __init__(self) -> None:
        self.result: Facts = dict(EMPTY, _warnings=[])
        self._entries: dict[str, Facts] = {}  # by name, in the task's order
        self._definitions: dict[str, tuple[Definitions, Definitions]] = {}  # before and after

    def warn(self, text: str) -> None:
        self.result["_warnings"].append(text)

    # ------------------------------------------------------------------------------------------------------- one guest

    def found(self, guest: HostGuest) -> None:
        """A guest of the task, as it is."""
        definitions = {scope: guest.observed.definitions[scope] for scope in guest.scopes}
        self._enter(guest.name, domain_facts(guest.observed.domain))
        self._now(guest.name, definitions, definitions)

    def lost(self, name: str, error: VirtmemError, state: DomainState | None = None) -> None:
        """A domain of the task that can't be looked at."""
        unknown = {"name": name, "uuid": None, "state": None}
        self._enter(name, domain_facts(state) if state else unknown)
        self.failed(name, error)

    def failed(self, name: str, error: VirtmemError) -> None:
        entry = self._entries[name]
        entry.update(converged=False, msg=error.message, **failure_facts(error))

    def planned(self, plan: HostPlan) -> None:
        for name, entry in self._entries.items():
            entry["planned"] = plan.goals.get(name)
        for name, domain_plan in plan.plans.items():
            self._entries[name]["steps"] = _steps(domain_plan, [])
        for name, error in plan.refused.items():
            self.failed(name, error)

    def predicted(self, plan: HostPlan, wait: bool) -> None:
        """Check mode's answer: what a real run ends with if all guests follow."""
        for name, domain_plan in plan.plans.items():
            self._now(name, domain_plan.before, domain_plan.after)
            at_goal = all(requested_of(after) == plan.goals[name] for after in domain_plan.after.values())
            waits = any(step.action == "wait" for step in domain_plan.steps)
            self._entries[name].update(changed=bool(domain_plan.writes), converged=at_goal and (wait or not waits))

    def ended(self, guest: GuestResize, plan: DomainPlan) -> None:
        """What came of one guest."""
        before, after = self._definitions[guest.name][0], guest.after
        entry = self._entries[guest.name]
        self._now(guest.name, before, after)
        entry["changed"] = bool(guest.done) and _requests(before) != _requests(after)
        entry["steps"] = _steps(plan, guest.done)
        entry["converged"] = guest.is_at_goal
        if guest.is_gone:
            entry["domain"]["state"] = None
        if guest.error:
            self.failed(guest.name, guest.error)

    def _enter(self, name: str, domain: Facts) -> None:
        nothing = {"live": None, "config": None}
        self._definitions[name] = ({}, {})
        self._entries[name] = {
            "domain": domain,
            "changed": False,
            "planned": None,
            "before": nothing,
            "after": nothing,
            "steps": [],
            "converged": False,
        }
        self.result["domains"] = list(self._entries.values())

    def _now(self, name: str, before: Definitions, after: Definitions) -> None:
        self._definitions[name] = (before, after)
        self._entries[name].update(before=_both(before), after=_both(after))

    # ----------------------------------------------------------------------------------------------------------- sums

    def unchanged(self, guest: HostGuest) -> None:
        """Nothing is to be done about a guest that has followed already."""
        live = guest.observed.live if guest.runs else None
        self._entries[guest.name]["converged"] = live is None or followed(live)

    def sum_up(self) -> None:
        """What all the entries come to."""
        entries = list(self._entries.values())
        self.result["changed"] = any(entry["changed"] for entry in entries)
        self.result["converged"] = all(entry["converged"] for entry in entries)
        self.result["totals"] = {
            "domains": len(entries),
            "changed": sum(entry["changed"] for entry in entries),
            "failed": sum("error_code" in entry for entry in entries),
            "before": self._total("before"),
            "after": self._total("after"),
        }
        tables = [_table(self._definitions, position) for position in (0, 1)]
        self.result["diff"] = {"before": tables[0], "after": tables[1]}

    def _total(self, when: str) -> Facts:
        """Of the running guests, what they are asked to have and what they have."""
        live = [entry[when]["live"] for entry in self._entries.values() if entry[when]["live"]]
        return {name: sum(facts[name] for facts in live) for name in ("requested", "current")}

    def failure(self) -> VirtmemError | None:
        """The task's own, if any guest failed: the first one's code, and what each of them says."""
        failed = {name: entry for name, entry in self._entries.items() if "error_code" in entry}
        if not failed:
            return None
        first = next(iter(failed.values()))
        words = " ".join(f"{name}: {entry['msg']}" for name, entry in failed.items())
        return VirtmemError(
            first["error_code"],
            f"{len(failed)} of {len(self._entries)} domains failed. {words}",
            hint=first["hint"],
            details={"domains": {name: entry["error_code"] for name, entry in failed.items()}},
        )


def _both(definitions: Definitions) -> Facts:
    return {scope: _amounts(definitions.get(scope), scope) for scope in t.get_args(Scope)}


def _amounts(definition: Definition | None, scope: Scope) -> Facts | None:
    """The sums of one definition; nothing is plugged in a stored one."""
    if definition is None:
        return None
    facts = memory_facts(definition, None)
    del facts["balloon"]
    return facts if scope == "live" else {**facts, "plugged": None, "current": None}


def _requests(definitions: Definitions) -> list[t.Any]:
    return [
        (scope, [(device.alias, device.requested) for device in definition.virtio_mem])
        for scope, definition in definitions.items()
    ]


def _table(definitions: t.Mapping[str, tuple[Definitions, Definitions]], position: int) -> str:
    """A line for each domain, with what it is asked to have: once if both definitions say the same."""
    width = max(map(len, definitions), default=0)
    return "".join(f"{name:<{width}}  {_words(pair[position])}\n" for name, pair in sorted(definitions.items()))


def _words(definitions: Definitions) -> str:
    amounts = {scope: format_size(requested_of(definition)) for scope, definition in definitions.items()}
    if len(set(amounts.values())) == 1:
        return next(iter(amounts.values()))
    return ", ".join(f"{amount} ({scope})" for scope, amount in amounts.items()) or "-"


def _steps(plan: DomainPlan, done: t.Sequence[AnyStep]) -> list[Facts]:
    """Done steps first, then what was not reached. A device that grew bit by bit has one step."""
    together = _together(done)
    left = [step for step in plan.writes if _key(step) not in {_key(other) for other in together}]
    return [step_facts(step, True) for step in together] + [step_facts(step, False) for step in left]


def _together(done: t.Sequence[AnyStep]) -> list[AnyStep]:
    merged: dict[tuple[str, ...], AnyStep] = {}
    for step in done:
        first = merged.get(_key(step))
        if isinstance(first, Step) and isinstance(step, Step):
            merged[_key(step)] = replace(first, device=step.device, size=step.size)
        else:
            merged[_key(step)] = step
    return list(merged.values())


def _key(step: AnyStep) -> tuple[str, ...]:
    device = (step.name or step.device.alias or "") if isinstance(step, Step) else ""
    return step.action, step.scope, device
