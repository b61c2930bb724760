# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running guest: what it can become without a restart, and the calls that ask for it. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, field, replace

from .._device.match import Match, merged, new_device
from .._device.options import LIVE, changed_options
from .._device.rules import SIZE_ALIGNMENT, check_device, check_free_address, why_no_hotplug, why_no_unplug
from .._errors import VirtmemError
from .._model import VIRTIO_MEM, Definition, MemoryDevice, Versions
from .._size import MIB, round_up
from . import sums
from .facts import flat_options
from .merge import merge_structure, with_devices
from .spec import DomainSpec
from .spread import spread_over
from .steps import AnyStep, Change, Step


@dataclass
class LivePlan:
    """`after` is the running guest's definition if it follows. `concerned` are the virtio-mem devices, by name, that
    the task speaks of, as they shall be; `leaving` those that shall be unplugged, and `stays` why one will not be."""

    after: Definition
    placed: dict[str, MemoryDevice] = field(default_factory=dict)
    concerned: dict[str, MemoryDevice] = field(default_factory=dict)
    leaving: dict[str, MemoryDevice] = field(default_factory=dict)
    stays: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """What aim_live hands down. `config` is the stored definition as it shall be; None: this task is live only, and
    whatever the guest can't have now is an error rather than something for the next start."""

    live: Definition
    config: Definition | None
    spec: DomainSpec
    versions: Versions
    thp_size: int | None

    def later(self, what: str, why: str) -> None:
        """Leave it to the next start, or refuse it."""
        if self.config is None:
            raise VirtmemError(
                "immutable",
                f"{what} can't change in the running guest: {why}.",
                hint="Say scope=auto or scope=config: the stored definition can have it, and the next start brings it.",
                details={"what": what},
            )

    @property
    def restart_helps(self) -> bool:
        """Whether the next start brings other boot memory or other devices, so that what is impossible now may not be."""
        return self.config is not None and _shape(sums.started(self.config)) != _shape(self.live)


def _shape(definition: Definition) -> tuple[object, ...]:
    devices = sorted((d.model, d.size, d.block, -1 if d.node is None else d.node) for d in definition.devices)
    return definition.boot, definition.maximum, devices


def plan_live(
    live: Definition,
    config: Definition | None,
    matches: t.Sequence[Match],
    spec: DomainSpec,
    versions: Versions,
    thp_size: int | None,
    session: bool,
) -> LivePlan:
    """What the running guest shall have now."""
    job = _Job(live, config, spec, versions, thp_size)
    part = LivePlan(_live_settings(job, session))
    for match in matches:
        if match.live is None:
            _add(part, match, job)
        elif match.spec is None and spec.purge:
            _remove(part, match, job)
        else:
            part.placed[match.name] = _resized(match, match.live, job)
    _spread(part, matches, job)
    part.after = with_devices(part.after, [_followed(name, device, part) for name, device in part.placed.items()])
    return part


def _followed(name: str, device: MemoryDevice, part: LivePlan) -> MemoryDevice:
    return replace(device, current=device.requested) if name in part.concerned else device


# ------------------------------------------------------------------------------------------------------------ settings


def _live_settings(job: _Job, session: bool) -> Definition:
    """Limits, the statistics' period and a restrictive nodeset go live; all else waits."""
    live, spec = job.live, job.spec
    possible = live
    if spec.tuning:
        possible = replace(possible, tuning=replace(live.tuning, **spec.tuning))
    if spec.balloon and "stats_period" in spec.balloon and live.balloon:
        possible = replace(possible, memballoon=replace(live.memballoon, stats_period=spec.balloon["stats_period"]))
    if spec.placement and "nodeset" in spec.placement and live.placement.mode == "restrictive" and not session:
        possible = replace(possible, placement=replace(live.placement, nodeset=spec.placement["nodeset"]))
    if job.config is None:
        _refuse_structure(job, possible)
    return possible


def _refuse_structure(job: _Job, possible: Definition) -> None:
    wanted = flat_options(_rounded(merge_structure(job.live, job.spec, job.versions)))
    now = flat_options(possible)
    for name in wanted:
        if wanted[name] != now.get(name) and name != "balloon.target":
            job.later(name, "libvirt and QEMU change it only at start")


def _rounded(definition: Definition) -> Definition:
    cells = tuple(replace(cell, memory=round_up(cell.memory, MIB)) for cell in definition.cells)
    maximum = None if definition.maximum is None else round_up(definition.maximum, MIB)
    return replace(definition, cells=cells, maximum=maximum)


# ------------------------------------------------------------------------------------------------------------- devices


def _add(part: LivePlan, match: Match, job: _Job) -> None:
    """Plug the device in, or leave it to the next start."""
    if match.spec is None:
        return
    stub = MemoryDevice(match.spec.model, match.spec.stated.get("size") or (match.config.size if match.config else 0))
    reason = why_no_hotplug(stub, part.after)
    if reason is not None:
        job.later(match.spec.place, reason)
        return
    device = new_device(match, part.after, "live", job.thp_size)
    check_device(device, part.after, job.thp_size, match.spec.place)
    check_free_address(device, None, part.after, match.spec.place)
    part.placed[match.name] = device
    if device.model == VIRTIO_MEM:
        part.concerned[match.name] = device
    if device.model.startswith("virtio-") and part.after.free_pcie_ports:
        part.after = replace(part.after, free_pcie_ports=part.after.free_pcie_ports - 1)
    part.after = replace(part.after, total=part.after.total + device.size, devices=(*part.after.devices, device))


def _remove(part: LivePlan, match: Match, job: _Job) -> None:
    """Take the device out, or leave it there with nothing requested until the guest is powered off."""
    device = t.cast(MemoryDevice, match.live)
    reason = why_no_unplug(device, job.live, job.versions)
    emptied = replace(device, requested=0)
    if device.model == VIRTIO_MEM:
        part.concerned[match.name] = emptied
    if reason is None:
        part.leaving[match.name] = emptied
        return
    if job.config is None:
        raise VirtmemError(
            "unplug_unsupported",
            f"{match.name} can't be unplugged from the running guest: {reason}.",
            hint="Say scope=auto: it then leaves the stored definition, and the guest at its next power-off.",
        )
    part.placed[match.name] = emptied
    part.stays.append(f"{match.name}: {reason}; leaves the guest when it is next powered off")


def _resized(match: Match, device: MemoryDevice, job: _Job) -> MemoryDevice:
    """The device with what is requested of it; all else waits for a restart."""
    if match.spec is None:
        return device
    wanted = merged(match, device)
    rounded = replace(wanted, size=round_up(wanted.size, SIZE_ALIGNMENT))
    fixed = [name for name in changed_options(device, rounded) if name not in LIVE]
    for name in fixed:
        job.later(f"{match.name}: {name}", "only requested of a virtio-mem device changes live")
    asked = replace(device, requested=wanted.requested)
    if asked != device:
        try:
            check_device(asked, job.live, job.thp_size, match.spec.place)
        except VirtmemError:
            if not fixed:
                raise
            return device  # the next start brings a device that it fits
    return asked


def _spread(part: LivePlan, matches: t.Sequence[Match], job: _Job) -> None:
    """`memory` over the devices that the guest has now, or at the next start over those that it has then."""
    specs = {match.name: match.spec for match in matches}
    leaving = part.leaving.keys() | {words.split(":")[0] for words in part.stays}
    placed = {name: device for name, device in part.placed.items() if name not in leaving}
    try:
        spread_out = spread_over(job.spec, with_devices(job.live, placed.values()), placed, specs)
    except VirtmemError:
        if not job.restart_helps:
            raise
        spread_out = placed
    part.placed.update(spread_out)
    for name, device in spread_out.items():
        if device.model == VIRTIO_MEM and (job.spec.memory is not None or specs.get(name)):
            part.concerned[name] = device


# --------------------------------------------------------------------------------------------------------------- steps


def live_steps(before: Definition, part: LivePlan, spec: DomainSpec, actual: int | None) -> list[AnyStep]:
    """The writes, shrinks before growth, and then one wait for each device that has not got there."""
    old = {device.index: device for device in before.devices}
    writes: list[tuple[int, AnyStep]] = []
    waits: list[AnyStep] = []
    for name, device in {**part.placed, **part.leaving}.items():
        was = old.get(device.index)
        if was is None:
            writes.append((device.requested or device.size, Step("attach", "live", device, name=name)))
        elif was.requested != device.requested:
            writes.append((device.requested - was.requested, Step("resize", "live", device, was, name=name)))
        if name in part.concerned and ((was and was.current) or 0) != device.requested:
            waits.append(Step("wait", "live", device, was, name=name))
    steps = [step for _growth, step in sorted(writes, key=lambda write: write[0])]
    steps += _setting_steps(before, part.after)
    if spec.target is not None and before.balloon and actual != spec.target:
        steps.append(Change("set_balloon", "live", actual, spec.target))
        waits.append(Change("wait_balloon", "live", actual, spec.target))
    leaves: list[AnyStep] = [Step("detach", "live", device, device, name=name) for name, device in part.leaving.items()]
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
