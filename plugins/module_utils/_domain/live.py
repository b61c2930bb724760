# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running guest: what it can become without a restart, and the calls that ask for it. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace

from .._device.match import LIVE, Match, changed_options, merged
from .._errors import VirtmemError
from .._model import MIB, SIZE_ALIGNMENT, VIRTIO_MEM, Definition, MemoryDevice, round_up
from . import sums
from .pending import shown
from .spec import DomainSpec, PlanInput
from .steps import AnyStep, Change, Step


@dataclass(eq=False, repr=False)
class LivePlan:
    """`after` is the running guest's definition if it follows. By name: `devices` that stay, as they should be; those of
    them that are `awaited`, because the task speaks of them; those that are `unplugging`; and those that should leave and
    can't yet, `kept_because` of what (None: nobody waits until the guest has given them back)."""

    after: Definition
    devices: dict[str, MemoryDevice] = field(default_factory=dict)
    awaited: dict[str, MemoryDevice] = field(default_factory=dict)
    unplugging: dict[str, MemoryDevice] = field(default_factory=dict)
    kept_because: dict[str, str | None] = field(default_factory=dict)

    @property
    def staying(self) -> dict[str, MemoryDevice]:
        """The devices that no step takes anything away from for good."""
        return {name: device for name, device in self.devices.items() if name not in self.kept_because}


def _shape(definition: Definition) -> tuple[object, ...]:
    devices = sorted((d.model, d.size, d.block, -1 if d.node is None else d.node) for d in definition.devices)
    return definition.boot, definition.maximum, devices


def plan_live(
    given: PlanInput, config: Definition | None, structure: Definition, matches: t.Sequence[Match]
) -> LivePlan:
    """What the running guest should have now.

    `config` is the stored definition as it should be. Without one the task is live only: whatever the guest can't have
    now is an error rather than something for the next start, and `structure` is what it should be but for its devices.
    """
    live, stores = given.definition("live"), config is not None
    plan = LivePlan(live if given.spec.one_device else _live_settings(given, live))
    if not stores:
        _refuse_structure(structure, plan.after)
    for match in matches:
        if match.live is None:
            _add(plan, match, given, stores)
        elif match.leaves(given.spec.purge):
            _remove(plan, match, match.live, given)
        else:
            plan.devices[match.name] = _resized(match, match.live, given, stores)
    try:
        _spread(plan, matches, given.spec)
    except VirtmemError:
        if config is None or _shape(sums.started(config)) == _shape(live):
            raise  # else the next start brings other memory or devices, which may do
        _await(plan, plan.staying, matches, given.spec)
    plan.after = plan.after.with_devices([_followed(name, device, plan) for name, device in plan.devices.items()])
    return plan


def _followed(name: str, device: MemoryDevice, plan: LivePlan) -> MemoryDevice:
    """The device as the guest leaves it. One that is on its way out, and not waited for, has what it has."""
    if name not in plan.awaited or plan.kept_because.get(name, "") is None:
        return device
    return replace(device, current=device.requested)


# ------------------------------------------------------------------------------------------------------------ settings


def _live_settings(given: PlanInput, live: Definition) -> Definition:
    """Limits, the statistics' period and a restrictive nodeset go live; all else waits."""
    spec = given.spec
    possible = live
    if spec.tuning:
        possible = replace(possible, tuning=replace(live.tuning, **spec.tuning))
    if spec.balloon and "stats_period" in spec.balloon and live.balloon:
        possible = replace(possible, memballoon=replace(live.memballoon, stats_period=spec.balloon["stats_period"]))
    restrictive = live.placement.mode == "restrictive" and not given.platform.session
    if spec.placement and "nodeset" in spec.placement and restrictive:
        possible = replace(possible, placement=replace(live.placement, nodeset=spec.placement["nodeset"]))
    return possible


def _refuse_structure(structure: Definition, possible: Definition) -> None:
    wanted, now = _rounded(structure).flat_options, possible.flat_options
    for name in wanted:
        if wanted[name] != now.get(name) and name != "balloon.target":
            raise _immutable(name, "libvirt and QEMU change it only at start")


def _rounded(definition: Definition) -> Definition:
    cells = tuple(replace(cell, memory=round_up(cell.memory, MIB)) for cell in definition.cells)
    maximum = None if definition.maximum is None else round_up(definition.maximum, MIB)
    return replace(definition, cells=cells, maximum=maximum)


def _immutable(what: str, why: str) -> VirtmemError:
    return VirtmemError(
        "immutable",
        f"{what} can't change in the running guest: {why}.",
        hint="Use scope=auto or scope=config: the change is then stored, and takes effect at the next start.",
        details={"what": what},
    )


# ------------------------------------------------------------------------------------------------------------- devices


def _add(plan: LivePlan, match: Match, given: PlanInput, stores: bool) -> None:
    """Plug the device in, or leave it to the next start."""
    spec, live = match.spec, plan.after
    if spec is None or spec.absent:
        return
    from .._device.rules import (
        check_device,
        check_fits,
        check_free_address,
        check_hotpluggable,
        new_device,
        why_no_hotplug,
    )

    reason = why_no_hotplug(spec.model, spec.stated.get("size") or (match.config.size if match.config else 0), live)
    if reason is not None and stores:
        return
    if given.spec.one_device:
        check_hotpluggable(live)
    elif reason is not None:
        raise _immutable(spec.place, reason)
    device = new_device(match, live, "live", given.platform)
    check_device(device, live, given.platform, spec.place)
    check_free_address(device, None, live, spec.place)
    if given.spec.one_device:
        check_fits(device, live, "live", given.platform)
    plan.devices[match.name] = device
    if device.model == VIRTIO_MEM:
        plan.awaited[match.name] = device
    ports = live.free_pcie_ports
    if device.model.startswith("virtio-") and ports:
        ports -= 1
    devices = (*live.devices, device)
    plan.after = replace(live, total=live.total + device.size, devices=devices, free_pcie_ports=ports)


def _remove(plan: LivePlan, match: Match, device: MemoryDevice, given: PlanInput) -> None:
    """Take the device out, or leave it there with nothing requested until the guest is powered off."""
    from .._device.rules import why_no_unplug

    reason = why_no_unplug(device, given.definition("live"), given.platform.versions)
    emptied = replace(device, requested=0)
    if device.model == VIRTIO_MEM:
        plan.awaited[match.name] = emptied
    if reason is None and (given.wait or not device.current):
        plan.unplugging[match.name] = emptied
        return
    insists = given.live_only or (not given.spec.one_device and "config" not in given.scopes)
    if reason is not None and insists:
        raise VirtmemError(
            "unplug_unsupported",
            f"{match.name} can't be unplugged from the running guest: {reason}.",
            hint="Set requested=0 to take all its memory back, or use scope=auto to remove it from the stored definition, too:"
            " it then leaves at the next power-off.",
            details={"reason": reason},
        )
    plan.devices[match.name] = emptied
    plan.kept_because[match.name] = reason


def _resized(match: Match, device: MemoryDevice, given: PlanInput, stores: bool) -> MemoryDevice:
    """The device with what is requested of it; all else waits for a restart."""
    if match.spec is None:
        return device
    wanted = merged(match, device)
    rounded = replace(wanted, size=round_up(wanted.size, SIZE_ALIGNMENT))
    fixed = [name for name in changed_options(device, rounded) if name not in LIVE]
    asked = replace(device, requested=wanted.requested)
    if not fixed and asked == device:
        return device
    from .._device.rules import check_device, check_requested

    live, platform, place = given.definition("live"), given.platform, match.spec.place
    if given.spec.one_device and not fixed:
        check_requested(asked)  # whatever else is wrong with it was so before
        return asked
    if fixed and not stores:
        check_device(wanted, live, platform, place)
        raise _fixed(match.name, device, wanted, fixed)
    try:
        check_device(asked, live, platform, place)
    except VirtmemError:
        if not fixed:
            raise
        return device  # the next start brings a device that it fits
    return asked


def _fixed(name: str, device: MemoryDevice, wanted: MemoryDevice, options: t.Sequence[str]) -> VirtmemError:
    """qemuDomainChangeMemoryLiveValidateChange: only `requested` of a running device can change. What libvirt would
    silently ignore (dynamicMemslots, 10.1 to 12.8) is refused here, too."""
    changes = {option: {"from": getattr(device, option), "to": getattr(wanted, option)} for option in options}
    what = [f"{option} from {shown(option, c['from'])} to {shown(option, c['to'])}" for option, c in changes.items()]
    return VirtmemError(
        "immutable",
        f"{name}: a running guest's device can't change {', '.join(what)}.",
        hint="Use scope=auto or scope=config, and restart the guest; only requested changes live.",
        details=changes,
    )


def _spread(plan: LivePlan, matches: t.Sequence[Match], spec: DomainSpec) -> None:
    """`memory` over the devices that the guest has now, or at the next start over those that it has then."""
    spread_out = plan.staying
    if spec.memory is not None:
        from .spread import spread_over

        specs = {match.name: match.spec for match in matches}
        spread_out = spread_over(spec, plan.after.with_devices(spread_out.values()), spread_out, specs)
    plan.devices.update(spread_out)
    _await(plan, spread_out, matches, spec)


def _await(plan: LivePlan, devices: t.Mapping[str, MemoryDevice], matches: t.Sequence[Match], spec: DomainSpec) -> None:
    """The guest has to follow where the task says what a device should give."""
    stated = {match.name for match in matches if match.spec}
    for name, device in devices.items():
        if device.model == VIRTIO_MEM and (spec.memory is not None or name in stated):
            plan.awaited[name] = device


# --------------------------------------------------------------------------------------------------------------- steps


def live_steps(before: Definition, plan: LivePlan, spec: DomainSpec, actual: int | None) -> list[AnyStep]:
    """The writes, shrinks before growth, and then one wait for each device that has not got there."""
    old = {device.index: device for device in before.devices}
    writes: list[tuple[int, AnyStep]] = []
    waits: list[AnyStep] = []
    for name, device in {**plan.devices, **plan.unplugging}.items():
        was = old.get(device.index)
        if was is None:
            writes.append((device.requested or device.size, Step("attach", "live", device, name=name)))
        elif was.requested != device.requested:
            writes.append((device.requested - was.requested, Step("resize", "live", device, was, name=name)))
        if name in plan.awaited and ((was and was.current) or 0) != device.requested:
            waits.append(Step("wait", "live", device, was, name=name))
    steps = [step for _growth, step in sorted(writes, key=lambda write: write[0])]
    steps += _setting_steps(before, plan.after)
    if spec.target is not None and before.balloon and actual != spec.target:
        steps.append(Change("set_balloon", "live", actual, spec.target))
        waits.append(Change("wait_balloon", "live", actual, spec.target))
    leaves: list[AnyStep] = [
        Step("detach", "live", device, device, name=name) for name, device in plan.unplugging.items()
    ]
    return [*steps, *waits, *leaves]


def _setting_steps(before: Definition, after: Definition) -> list[AnyStep]:
    steps: list[AnyStep] = []
    old, new = asdict(before.tuning), asdict(after.tuning)
    changed = [name for name in new if new[name] != old[name]]
    if changed:
        limits = [{name: facts[name] for name in changed} for facts in (old, new)]
        steps.append(Change("set_limits", "live", limits[0], limits[1]))
    if before.placement.nodeset != after.placement.nodeset:
        steps.append(Change("set_nodeset", "live", before.placement.nodeset, after.placement.nodeset))
    if before.stats_period != after.stats_period:
        steps.append(Change("set_stats_period", "live", before.stats_period, after.stats_period))
    return steps
