# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is wanted and what is there to the steps between. Pure: the same plan for check mode and the real run.

A virtio_mem_device task is planned here, too: it is a domain's task with one device.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._device.match import Match, known_to, match_devices, match_one
from .._model import Definition, Scope
from . import sums
from .config import config_steps, plan_config
from .live import LivePlan, live_steps, plan_live
from .pending import Pending, pending_changes
from .spec import PlanInput
from .steps import AnyStep, Change, DomainPlan, Step


def plan_domain(given: PlanInput) -> DomainPlan:
    """The plan. Raises VirtmemError for whatever would not work, before anything is done."""
    structure = _structure(given)
    matches = _matches(given, structure)
    config = plan_config(given, structure, matches) if "config" in given.scopes else None
    live = plan_live(given, config, structure, matches) if "live" in given.scopes else None
    pending = _pending(given, live, config, matches)
    one = next((match for match in matches if match.spec), None) if given.spec.one_device else None
    plan = DomainPlan(
        scopes=given.scopes,
        before={scope: given.definition(scope) for scope in given.scopes},
        after={},
        pending=pending,
        warnings=_warnings(given),
        match=one,
    )
    if given.restart and pending and live and config:
        return _with_restart(plan, config, matches)
    return _with_steps(plan, given, live, config, matches)


def _structure(given: PlanInput) -> Definition:
    """The definition that the task is about in the end, with all that the task says but for devices and `memory`."""
    definition = given.definition("config" if "config" in given.scopes else "live")
    if given.spec.one_device:
        return definition
    from .merge import merge_structure
    from .rules import check_session

    structure = merge_structure(definition, given.spec, given.platform)
    for known in given.observed.definitions.values():
        check_session(known, given.spec, given.platform)
    return structure


def _with_steps(
    plan: DomainPlan,
    given: PlanInput,
    live: LivePlan | None,
    config: Definition | None,
    matches: t.Sequence[Match],
) -> DomainPlan:
    after: dict[Scope, Definition] = {}
    steps: list[AnyStep] = []
    if live:
        after["live"] = live.after
        steps += live_steps(plan.before["live"], live, given.spec, given.actual)
    if config:
        after["config"] = config
        steps += config_steps(plan.before["config"], config, matches, one_device=given.spec.one_device)
    # Where a device leaves the running guest, the stored definition keeps it until the guest has released it. Else nothing
    # that is written waits for the guest.
    leaving = bool(live and (live.unplugging or live.kept_because))
    steps.sort(key=lambda step: step.scope == "config" if leaving else step.is_wait)
    return replace(plan, after=after, steps=tuple(steps), awaited=live.awaited if live else None)


def _matches(given: PlanInput, structure: Definition) -> list[Match]:
    """All devices, with what the task says of them, and what `memory` implies."""
    spec = given.spec
    if spec.one_device and spec.devices:
        matches = match_one(spec.devices[0], given.observed)
    else:
        matches = match_devices(spec.devices or (), given.observed)
        if spec.memory is not None:
            from .spread import with_implied

            matches = with_implied(matches, given, structure)
    return known_to(given.platform, structure.arch, matches)


def _pending(
    given: PlanInput, live: LivePlan | None, config: Definition | None, matches: t.Sequence[Match]
) -> tuple[Pending, ...]:
    running = live.after if live else given.observed.live
    kept = live.kept_because if live else {}
    if running is None:
        return ()
    if config is None:
        return tuple(Pending(name, leaves=True, why=why) for name, why in kept.items() if why is not None)
    return tuple(pending_changes(running, config, given.spec, matches, kept))


def _with_restart(plan: DomainPlan, config: Definition, matches: t.Sequence[Match]) -> DomainPlan:
    """The plan with a restart, for what the running guest can't have without one.

    The stored definition is written first, and the guest started with it: nothing is asked of the running one.
    """
    started = sums.started(config)
    steps: list[AnyStep] = list(config_steps(plan.before["config"], config, matches))
    steps += [Change("shutdown", "live"), Change("start", "live")]
    awaited = {device.label or str(device.index): device for device in started.virtio_mem}
    steps += [
        Step("wait", "live", device, replace(device, current=0), name=name)
        for name, device in awaited.items()
        if device.requested
    ]
    devices = tuple(replace(device, current=device.requested) if device.block else device for device in started.devices)
    return replace(
        plan,
        after={"live": replace(started, devices=devices), "config": config},
        steps=tuple(steps),
        pending=(),
        postponed=plan.pending,
        awaited=awaited,
        restarts=True,
    )


def _warnings(given: PlanInput) -> tuple[str, ...]:
    """Upstream's word (virtio-mem user guide): a balloon does not know of virtio-mem, and both together are unsupported."""
    definition = given.observed.live or given.observed.config
    target = given.spec.target
    if definition is None or target is None or not definition.virtio_mem or target >= definition.boot:
        return ()
    return (
        (
            "A balloon target below boot memory, together with virtio-mem devices, is not supported by QEMU's developers: the"
            " balloon may take memory that a virtio-mem device gave, and the device can't shrink by it."
        ),
    )
