# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stored definition: what it should become, and the calls that make it so. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .. import _capabilities
from .._device.match import LIVE, Match, changed_options, merged
from .._model import SIZE_ALIGNMENT, Definition, MemoryDevice, Platform, round_down
from . import sums
from .spec import DomainSpec, PlanInput
from .steps import AnyStep, Change, Step


def plan_config(given: PlanInput, structure: Definition, matches: t.Sequence[Match]) -> Definition:
    """What the stored definition should be, as libvirt will read it back; `before` itself if nothing changes.

    `structure` is what the task makes of all but its devices.
    """
    before, spec, platform = given.definition("config"), given.spec, given.platform
    planned = structure
    adds = any(match.spec and match.config is None for match in matches)
    grows = not spec.one_device and (adds or spec.maximum is not None)
    if grows and not planned.cells and _capabilities.needs_cell(planned.arch):
        planned = sums.with_cell(planned)
    planned = _config_devices(planned, matches, spec, platform)
    if grows:
        planned = _with_room(planned, spec, platform)
    planned = replace(planned, current_memory=sums.merge_current_memory(before, planned, spec.target))
    if planned.says_the_same(before):
        return before
    if not spec.one_device or planned.total != before.total:
        from .rules import check_totals

        check_totals(planned, before, platform.versions)
    return sums.read_back(planned, platform.versions)


def _config_devices(
    structure: Definition, matches: t.Sequence[Match], spec: DomainSpec, platform: Platform
) -> Definition:
    placed: dict[str, MemoryDevice] = {}
    for match in matches:
        if match.config is None:
            if match.spec and not match.spec.absent:
                placed[match.name] = _added(match, structure, spec, platform)
        elif not match.leaves(spec.purge):
            placed[match.name] = _like_live(merged(match, match.config), match, spec)
    planned = structure.with_devices(sorted(placed.values(), key=_place))
    if spec.memory is not None:
        from .spread import spread_over

        placed = spread_over(spec, planned, placed, {match.name: match.spec for match in matches})
    for match in matches:
        device = placed.get(match.name)
        if device and (match.config is None or changed_options(match.config, device)):
            _check(device, match, structure, planned, spec, platform)
    return planned.with_devices(sorted(placed.values(), key=_place))


def _check(
    device: MemoryDevice,
    match: Match,
    structure: Definition,
    planned: Definition,
    spec: DomainSpec,
    platform: Platform,
) -> None:
    """A device that is new or changes, among all that the definition will have."""
    from .._device.rules import check_device, check_fits, check_free_address, check_requested, check_room

    place = match.spec.place if match.spec else match.name
    if spec.one_device and match.config and LIVE.issuperset(changed_options(match.config, device)):
        check_requested(device)  # whatever else is wrong with it was so before
        return
    check_device(device, planned, platform, place)
    if spec.one_device and not match.config:
        check_fits(device, structure, "config", platform)
        return
    check_free_address(device, match.config, planned, place)
    if match.config and spec.one_device:
        check_room(structure, device.size - match.config.size, max(device.block, SIZE_ALIGNMENT))


def _added(match: Match, structure: Definition, spec: DomainSpec, platform: Platform) -> MemoryDevice:
    """A new device; a task that prepares the domain makes room for it afterwards."""
    from .._device.rules import check_hotpluggable, new_device

    if spec.one_device:
        check_hotpluggable(structure)
    return new_device(match, structure, "config", platform)


def _like_live(device: MemoryDevice, match: Match, spec: DomainSpec) -> MemoryDevice:
    """Where `memory` is spread, it starts from what the running guest's devices are asked for: both end up alike."""
    stated = match.spec.stated if match.spec else {}
    if spec.memory is None or match.live is None or not device.block or "requested" in stated:
        return device
    return replace(device, requested=round_down(min(match.live.requested, device.size), device.block))


def _place(device: MemoryDevice) -> float:
    """The document's order; new devices come last, in the task's."""
    return float("inf") if device.index < 0 else device.index


def _with_room(planned: Definition, spec: DomainSpec, platform: Platform) -> Definition:
    """A maximum that just holds everything, and slots, where there are none."""
    maximum = planned.total if planned.maximum is None else planned.maximum
    slots = planned.slots
    if not slots and spec.slots is None:
        dimms = any(device.model in ("dimm", "nvdimm") for device in planned.devices)
        slots = _capabilities.default_slots(platform.versions, dimms)
    return replace(planned, maximum=maximum, slots=slots)


def config_steps(
    before: Definition, after: Definition, matches: t.Sequence[Match], *, one_device: bool = False
) -> list[AnyStep]:
    """Device calls where only devices come, go or are resized, else one definition of the whole.

    Device calls need no reading with passwords, which not everybody is allowed.
    """
    if before.says_the_same(after):
        return []
    options = (before.flat_options, after.flat_options)
    names = [name for name in options[0].keys() | options[1].keys() if options[0].get(name) != options[1].get(name)]
    if not before.inflated and not after.inflated:
        names = [name for name in names if name != "balloon.target"]  # it goes with boot memory and DIMMs
    if names or _needs_define(before, after, counts_slots=not one_device):
        old, new = ({name: facts.get(name) for name in sorted(names)} for facts in options)
        if before.devices != after.devices:
            old["devices"], new["devices"] = _device_changes(before, after), _device_changes(after, before)
        return [Change("define", "config", old, new, after, before)]
    steps, current = _device_steps(before, after, matches)
    # A task about one device leaves nothing to what libvirt clamps.
    restores = one_device and len(before.devices) != len(after.devices) and before.current_memory <= before.ram
    if current == after.current_memory and not restores:
        return list(steps)
    # libvirt has added or subtracted the device's size (sums.attached, sums.detached), and takes no more than boot
    # memory and DIMMs here.
    wanted, last = min(after.current_memory, after.ram), steps[-1]
    return [*steps, Step("set_current_memory", "config", last.device, None, wanted, last.name)]


def _device_changes(one: Definition, other: Definition) -> dict[str, t.Any]:
    """By device, the options that `one` has otherwise than `other`; all that it has of a device that is in one only."""
    twins = {device.index: device for device in other.devices if device.index >= 0}
    changes = {}
    for position, device in enumerate(one.devices):
        twin = twins.get(device.index, MemoryDevice("", 0, index=device.index))
        changed = {name: getattr(device, name) for name in changed_options(twin, device)}
        if changed:
            changes[device.alias or f"{device.model} {position}"] = changed
    return changes


def _needs_define(before: Definition, after: Definition, *, counts_slots: bool) -> bool:
    """Whether a device changes in more than what is requested of it, or an attach would meet libvirt's slot check: up
    to 12.8 it counts all devices, and refuses a DIMM if they are as many as the slots (qemuDomainAttachMemoryConfig).
    A task about one device is refused before where that would happen to it (check_slot)."""
    old = {device.index: device for device in before.devices}
    kept = [device for device in after.devices if device.index >= 0]
    if any(not LIVE.issuperset(changed_options(old[device.index], device)) for device in kept):
        return True
    new = [device for device in after.devices if device.index < 0]
    full = counts_slots and len(before.devices) >= before.slots > 0
    return bool(new) and (full or any(device.model in ("dimm", "nvdimm", "sgx-epc") for device in new))


def _device_steps(before: Definition, after: Definition, matches: t.Sequence[Match]) -> tuple[list[Step], int]:
    """The steps, and what `<currentMemory>` is after them. Removals come from the back, so that places stay true."""
    names = {match.config.index: match.name for match in matches if match.config}
    kept = {device.index: device for device in after.devices if device.index >= 0}
    steps: list[Step] = []
    definition = before
    for device in reversed(before.devices):
        if device.index not in kept:
            steps.append(Step("detach", "config", device, device, name=names.get(device.index, "")))
            definition = sums.detached(definition, device)
    for device in before.devices:
        wanted = kept.get(device.index, device)
        if wanted != device:
            steps.append(Step("resize", "config", wanted, device, name=names.get(device.index, "")))
    called = iter([match.name for match in matches if match.config is None and match.spec and not match.spec.absent])
    for device in after.devices:
        if device.index < 0:
            steps.append(Step("attach", "config", device, name=next(called, device.alias or "")))
            definition = sums.attached(definition, device)
    return steps, definition.current_memory
