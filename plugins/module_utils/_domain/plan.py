# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a domain_memory task and what is there to the steps between. Pure: check mode and the real run share the plan."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .._device.match import Match, match_devices
from .._device.rules import check_features, check_options
from .._errors import VirtmemError
from .._model import Definition, MemoryDevice, Observed, Scope, Versions
from . import sums
from .config import config_steps, plan_config
from .live import LivePlan, live_steps, plan_live
from .merge import merge_structure, with_devices
from .pending import pending_words
from .rules import check_session
from .spec import DomainSpec
from .spread import implied_devices
from .steps import AnyStep, Change, Step


@dataclass(frozen=True)
class PlanInput:
    """All that a plan is made from. `actual` is the size of the live balloon in bytes, None where it is not known;
    `session` says that the daemon is a user's own."""

    spec: DomainSpec
    observed: Observed
    scopes: tuple[Scope, ...]
    versions: Versions
    thp_size: int | None = None
    actual: int | None = None
    session: bool = False
    restart: bool = False

    def definitions(self) -> list[Definition]:
        return [self.observed.definitions[scope] for scope in self.scopes]


@dataclass(frozen=True)
class DomainPlan:
    """What a task will do. `before` and `after` are the definitions of the task's scopes; `after` is what a real run
    ends with if the guest follows. `pending` is what waits for a restart, in words. `concerned` are the names of the
    live devices that the task says something about, as they shall be. `restarts`
    says that the guest is shut down and started for what would be `postponed` otherwise."""

    scopes: tuple[Scope, ...]
    before: t.Mapping[Scope, Definition]
    after: t.Mapping[Scope, Definition]
    steps: tuple[AnyStep, ...] = ()
    pending: tuple[str, ...] = ()
    concerned: t.Mapping[str, MemoryDevice] | None = None
    restarts: bool = False
    postponed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def writes(self) -> tuple[AnyStep, ...]:
        return tuple(step for step in self.steps if not step.is_wait)


def plan_domain(situation: PlanInput) -> DomainPlan:
    """The plan. Raises VirtmemError for whatever would not work, before anything is done."""
    s = situation
    matches = _matches(s)
    before = {scope: s.observed.definitions[scope] for scope in s.scopes}
    config = plan_config(before["config"], matches, s.spec, s.versions, s.thp_size) if "config" in before else None
    for definition, planned in ((s.observed.config, config), (s.observed.live, _live_structure(s))):
        if definition and planned:
            check_session(planned, definition, "/session" if s.session else "")
    if config and s.restart and s.observed.live is not None and "live" in before:
        restarted = _restarted(s, config, matches)
        if restarted:
            return restarted
    live = None
    if "live" in before:
        live = plan_live(before["live"], config, matches, s.spec, s.versions, s.thp_size, s.session)
    after: dict[Scope, Definition] = {}
    steps: list[AnyStep] = []
    if live:
        after["live"] = live.after
        steps += live_steps(before["live"], live, s.spec, s.actual)
    if config:
        after["config"] = config
        steps += config_steps(before["config"], config, matches)
    steps.sort(key=_order_leaving if live and (live.leaving or live.stays) else _order)
    return DomainPlan(
        scopes=s.scopes,
        before=before,
        after=after,
        steps=tuple(steps),
        pending=_pending(s, live, config, matches),
        concerned=live.concerned if live else None,
        warnings=_warnings(s),
    )


def _live_structure(s: PlanInput) -> Definition | None:
    return merge_structure(s.observed.live, s.spec, s.versions) if s.observed.live and s.spec.tuning else None


def _order(step: AnyStep) -> int:
    """Live asks first, then the stored definition, then waiting."""
    if step.is_wait:
        return 2
    return 1 if step.scope == "config" else 0


def _order_leaving(step: AnyStep) -> int:
    """Where a device leaves the running guest, the stored definition keeps it until the guest has let go of it."""
    if step.is_wait:
        return 1
    if step.scope == "config":
        return 3
    return 2 if step.action == "detach" else 0


def _matches(s: PlanInput) -> list[Match]:
    """All devices, with the wishes that the task states, and those that `memory` implies."""
    specs = s.spec.devices or ()
    for spec in specs:
        check_options(spec)
    matches = match_devices(specs, s.observed)
    implied = implied_devices(s.spec, s.definitions(), _reference(s, matches), s.thp_size)
    if implied:
        matches = match_devices((*specs, *implied), s.observed)
    arch = s.definitions()[0].arch
    for match in matches:
        if match.spec:
            is_new = match.live is None and match.config is None
            check_features(match.spec, s.versions, arch, new=is_new)
    return matches


def _reference(s: PlanInput, matches: t.Sequence[Match]) -> Definition:
    """The definition whose room tells how large a device for `memory` can be: the running one if it has some."""
    added = [
        MemoryDevice(match.spec.model, match.spec.stated.get("size", 0))
        for match in matches
        if match.spec and match.live is None and match.config is None
    ]
    live = s.observed.live
    if "live" in s.scopes and live is not None and live.maximum is not None:
        reference = with_devices(live, (*live.devices, *added))
        if (s.spec.memory or 0) - reference.ram <= live.maximum - reference.total:
            return reference
    reference = merge_structure(t.cast(Definition, s.observed.config or live), s.spec, s.versions)
    return with_devices(reference, (*reference.devices, *added))


def _pending(
    s: PlanInput, live: LivePlan | None, config: Definition | None, matches: t.Sequence[Match]
) -> tuple[str, ...]:
    if s.observed.live is None or config is None:
        return ()
    words = pending_words(live.after if live else s.observed.live, config, s.spec, matches)
    stays = live.stays if live else []
    told = {text.split(":")[0] for text in stays}
    return (*(text for text in words if text.split(":")[0] not in told), *stays)


def _restarted(s: PlanInput, config: Definition, matches: t.Sequence[Match]) -> DomainPlan | None:
    """The plan with a restart, if it brings anything that the running guest can't have without one.

    The stored definition is written first, and the guest started with it: nothing is asked of the running one.
    """
    before = s.observed.definitions["live"]
    live = plan_live(before, config, matches, s.spec, s.versions, s.thp_size, s.session)
    postponed = _pending(s, live, config, matches)
    if not postponed:
        return None
    if not s.observed.domain.persistent:
        raise VirtmemError("unsupported", "restart: a transient domain is gone once it is shut down.")
    started = sums.started(config)
    steps: list[AnyStep] = list(config_steps(s.observed.definitions["config"], config, matches))
    steps += [Change("shutdown", "live"), Change("start", "live")]
    concerned = {device.label or str(device.index): device for device in started.virtio_mem}
    steps += [
        Step("wait", "live", device, replace(device, current=0), name=name)
        for name, device in concerned.items()
        if device.requested
    ]
    devices = tuple(replace(device, current=device.requested) if device.block else device for device in started.devices)
    return DomainPlan(
        scopes=s.scopes,
        before={"live": before, "config": s.observed.definitions["config"]},
        after={"live": replace(started, devices=devices), "config": config},
        steps=tuple(steps),
        concerned=concerned,
        restarts=True,
        postponed=postponed,
        warnings=_warnings(s),
    )


def _warnings(s: PlanInput) -> tuple[str, ...]:
    """Upstream's word (virtio-mem user guide): a balloon does not know of virtio-mem, and both together are unsupported."""
    definition = s.observed.live or s.observed.config
    target = s.spec.target
    if definition is None or target is None or not definition.virtio_mem or target >= definition.boot:
        return ()
    return (
        (
            "A balloon target below boot memory, together with virtio-mem devices, is not supported by QEMU's developers: the"
            " balloon may take memory that a virtio-mem device gave, and the device can't shrink by it."
        ),
    )
