# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is wanted and what is there to the steps between. Pure: the same plan for check mode and the real run."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .. import _capabilities
from .._device.match import Pair, pair_devices
from .._device.options import VIRTIO_MEM_OPTIONS
from .._device.rules import (
    SIZE_ALIGNMENT,
    check_block,
    check_guest_address,
    check_hotpluggable,
    check_page_size,
    check_pci_address,
    check_port,
    check_requested,
    check_room,
    check_size,
    check_slot,
    check_stated,
    choose_node,
    default_block,
    smallest_block,
)
from .._device.values import check_alias
from .._errors import VirtmemError
from .._model import VIRTIO_MEM, Definition, MemoryDevice, Observed, Scope, Versions
from .._size import MIB, format_size, round_up
from .steps import Action, Step


@dataclass(frozen=True)
class Desired:
    """What a task says about one virtio-mem device. None: keep what is there. Sizes are bytes."""

    present: bool = True
    alias: str | None = None
    node: int | None = None
    size: int | None = None
    block: int | None = None
    requested: int | None = None
    page_size: int | None = None
    node_mask: str | None = None
    access: str | None = None
    discard: bool | None = None
    dynamic_memslots: bool | None = None
    guest_address: int | None = None
    pci_address: str | None = None

    def stated(self) -> dict[str, t.Any]:
        """The device attributes that the task states, by the names that MemoryDevice shares with the options."""
        return {name: value for name in VIRTIO_MEM_OPTIONS if (value := getattr(self, name)) is not None}


SIZE_OPTIONS: t.Final = frozenset({"size", "block", "requested", "page_size"})


@dataclass(frozen=True)
class Plan:
    """What a task will do to one device.

    `before` and `after` are the device by scope, for the scopes of the task (None: not there); `after` is what a real
    run ends with if the guest follows. `target` is what the live guest shall have plugged, in bytes, None where no
    live device is meant. `stays` says why a live device can't be unplugged and stays at 0. `running` is the live
    device where the task does not look at it; `stated` are the options that the task states.
    """

    scopes: tuple[Scope, ...]
    before: t.Mapping[Scope, MemoryDevice | None]
    after: t.Mapping[Scope, MemoryDevice | None]
    steps: tuple[Step, ...] = ()
    target: int | None = None
    stays: str | None = None
    running: MemoryDevice | None = None
    stated: frozenset[str] = frozenset()
    is_active: bool = False

    @property
    def pending(self) -> tuple[str, ...]:
        return pending(self, self.after)

    @property
    def writes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if not step.is_wait)

    @property
    def live_change(self) -> int:
        """Bytes that the running guest gets (positive) or gives back (negative) by this plan's own steps."""
        if self.target is None or not any(step.scope == "live" for step in self.writes):
            return 0
        live = self.before["live"]
        return self.target - ((live.current or 0) if live else 0)


def select(desired: Desired, observed: Observed) -> dict[Scope, MemoryDevice | None]:
    """The device that the task means, in both definitions, paired. Raises device_ambiguous, device_not_found."""
    pairs = pair_devices(observed)
    if desired.alias is not None:
        pairs = [pair for pair in pairs if any(device and device.alias == desired.alias for device in pair)]
    elif desired.node is not None:
        pairs = [pair for pair in pairs if any(device and device.node == desired.node for device in pair)]
    if len(pairs) > 1:
        raise _ambiguous(observed.domain.name, desired, pairs)
    live, config = pairs[0] if pairs else (None, None)
    return {"live": live, "config": config}


def _describe(device: MemoryDevice) -> str:
    name = device.label or "no alias"
    return f"{name} ({format_size(device.size)} on node {device.node})"


def _ambiguous(name: str, desired: Desired, pairs: list[Pair]) -> VirtmemError:
    devices = [t.cast(MemoryDevice, live or config) for live, config in pairs]
    where = "" if desired.node is None else f" on node {desired.node}"
    return VirtmemError(
        "device_ambiguous",
        f"{name} has {len(devices)} virtio-mem devices{where}: {', '.join(map(_describe, devices))}.",
        hint="Say which one with the option alias or node; where two share a node and have no alias, give them one"
        " (<alias name='ua-...'/>) in the stored definition.",
        details={"devices": [{"alias": device.alias, "node": device.node, "size": device.size} for device in devices]},
    )


def plan_device(
    desired: Desired,
    observed: Observed,
    scopes: t.Sequence[Scope],
    versions: Versions,
    thp_size: int | None,
    wait: bool = True,
) -> Plan:
    """The plan for one virtio-mem device. Raises VirtmemError for whatever would not work, before anything is done.

    Without `wait` a device that still has memory plugged is not unplugged: the guest has to give it back first.
    """
    found = select(desired, observed)
    plan = (
        _plan_present(desired, found, observed, scopes, versions, thp_size)
        if desired.present
        else _plan_absent(found, observed, scopes, versions, wait)
    )
    return replace(
        plan,
        running=None if "live" in scopes else found["live"],
        stated=frozenset(desired.stated()),
        is_active=observed.live is not None,
    )


# ---------------------------------------------------------------------------------------------------------- present


def _plan_present(
    desired: Desired,
    found: dict[Scope, MemoryDevice | None],
    observed: Observed,
    scopes: t.Sequence[Scope],
    versions: Versions,
    thp_size: int | None,
) -> Plan:
    steps: list[Step] = []
    after: dict[Scope, MemoryDevice | None] = {}
    _check_features(desired, observed, versions)
    for scope in scopes:
        definition = observed.definitions[scope]
        device = found[scope]
        if device is None:
            twin = found["config" if scope == "live" else "live"]
            wanted = _new_device(desired, twin, definition, thp_size)
            _check_attach(wanted, definition, scope, versions, thp_size)
            steps.append(Step("attach", scope, wanted))
        else:
            wanted = _merged(desired, device)
            _check_change(wanted, device, desired, definition, scope, thp_size)
            steps.extend(_change_steps(scope, device, wanted))
        if scope == "config":
            steps.extend(_restore_current_memory(definition, wanted, device))
        after[scope] = wanted
    live = after.get("live")
    if live is not None:
        steps.extend(_wait_steps(found["live"], live))
        after["live"] = _followed(live)
    return Plan(
        scopes=tuple(scopes),
        before={scope: found[scope] for scope in scopes},
        after=after,
        steps=tuple(steps),
        target=live.requested if live else None,
    )


def _followed(device: MemoryDevice) -> MemoryDevice:
    return replace(device, current=device.requested)


def _wait_steps(before: MemoryDevice | None, wanted: MemoryDevice) -> list[Step]:
    """A wait, unless the guest has what it shall have already."""
    current = (before.current or 0) if before else 0
    return [] if current == wanted.requested else [Step("wait", "live", wanted, before)]


def _check_features(desired: Desired, observed: Observed, versions: Versions) -> None:
    definition = t.cast(Definition, observed.live or observed.config)
    _capabilities.require_virtio_mem(versions, definition.arch)
    check_stated(desired.stated(), versions)


def _new_device(
    desired: Desired, twin: MemoryDevice | None, definition: Definition, thp_size: int | None
) -> MemoryDevice:
    """The device to attach: what the task says, then what its twin in the other definition has, then defaults."""
    check_hotpluggable(definition)
    base = twin or MemoryDevice(VIRTIO_MEM, size=0)
    # Addresses and what the guest has plugged belong to the definition they were read from.
    base = replace(base, current=None, guest_address=None, pci_address=None, index=-1)
    device = replace(base, **desired.stated())
    if twin is None and desired.size is None:
        raise _cannot_make(desired, definition)
    device = replace(device, node=choose_node(definition, device.node))
    if desired.block is None and not device.block:
        device = replace(device, block=default_block(device, definition, thp_size))
    # A twin may have been found by an alias that libvirt gave it, which no other definition can have.
    alias = base.user_alias or (twin is None and desired.alias) or f"ua-virtiomem{device.node or 0}"
    check_alias(alias)
    return replace(device, alias=alias)


def _cannot_make(desired: Desired, definition: Definition) -> VirtmemError:
    which = (
        f"called {desired.alias}" if desired.alias else f"on node {desired.node}" if desired.node is not None else ""
    )
    others = [device.alias or "(no alias)" for device in definition.virtio_mem]
    has = f", only {', '.join(others)}" if others else ""
    return VirtmemError(
        "device_not_found",
        f"{definition.name} has no virtio-mem device{' ' + which if which else ''}{has}, and without a size none can be"
        " made.",
        hint="Give the option size to add a device, or the alias of one that is there.",
        details={"devices": others},
    )


def _merged(desired: Desired, device: MemoryDevice) -> MemoryDevice:
    return replace(device, **desired.stated())


def _check_attach(
    wanted: MemoryDevice, definition: Definition, scope: Scope, versions: Versions, thp_size: int | None
) -> None:
    _check_geometry(wanted, definition, thp_size)
    if any(device.alias == wanted.alias for device in definition.devices):
        raise VirtmemError(
            "device_ambiguous",
            f"alias: another memory device of {definition.name} is called {wanted.alias}.",
            hint="Give the new device another alias.",
            details={"alias": wanted.alias},
        )
    check_room(definition, wanted.size, max(wanted.block, SIZE_ALIGNMENT))
    check_slot(definition, wanted.model, scope, versions)
    if wanted.pci_address:
        check_pci_address(definition, wanted.pci_address)
    if scope == "live":
        check_port(definition)


def _check_geometry(device: MemoryDevice, definition: Definition, thp_size: int | None) -> None:
    check_page_size(device)
    check_block(device, smallest_block(definition, thp_size) or MIB)
    check_size(device)
    check_requested(device)
    check_guest_address(device)


def _changed_options(before: MemoryDevice, after: MemoryDevice) -> list[str]:
    return [name for name in VIRTIO_MEM_OPTIONS if getattr(before, name) != getattr(after, name)]


def _check_change(
    wanted: MemoryDevice,
    device: MemoryDevice,
    desired: Desired,
    definition: Definition,
    scope: Scope,
    thp_size: int | None,
) -> None:
    changed = _changed_options(device, wanted)
    if not changed:
        return
    if changed == ["requested"]:
        check_requested(wanted)
        return
    if desired.node is not None:
        choose_node(definition, desired.node)
    _check_geometry(wanted, definition, thp_size)
    if scope == "live":
        raise _immutable(device, wanted, [name for name in changed if name != "requested"])
    check_room(definition, wanted.size - device.size, max(wanted.block, SIZE_ALIGNMENT))
    if "pci_address" in changed:
        check_pci_address(definition, t.cast(str, wanted.pci_address))


def _immutable(device: MemoryDevice, wanted: MemoryDevice, changed: list[str]) -> VirtmemError:
    """qemuDomainChangeMemoryLiveValidateChange: only `requested` of a running device can change. What libvirt would
    ignore without a word (dynamicMemslots, 10.1 to 12.8) is refused here, too."""
    what = ", ".join(f"{name} from {_shown(name, device)} to {_shown(name, wanted)}" for name in changed)
    return VirtmemError(
        "immutable",
        f"{device.alias}: a running guest's device can't change {what}.",
        hint="Change the stored definition with scope=config, and restart the guest; only requested changes live.",
        details={name: {"from": getattr(device, name), "to": getattr(wanted, name)} for name in changed},
    )


def _shown(name: str, device: MemoryDevice) -> str:
    value = getattr(device, name)
    if value is None:
        return "none"
    if name in SIZE_OPTIONS:
        return format_size(value)
    return f"{value:#x}" if name == "guest_address" else str(value)


def _change_steps(scope: Scope, device: MemoryDevice, wanted: MemoryDevice) -> list[Step]:
    changed = _changed_options(device, wanted)
    if not changed:
        return []
    action: Action = "resize" if changed == ["requested"] else "redefine"
    return [Step(action, scope, wanted, device)]


def _restore_current_memory(
    definition: Definition, after: MemoryDevice | None, before: MemoryDevice | None
) -> list[Step]:
    """Put `<currentMemory>` of the config back after an attach or a detach.

    libvirt adds the device's size, or subtracts it unsigned and unclamped (qemuDomainAttachDeviceConfig and
    qemuDomainDetachDeviceConfig via virDomainDefSetMemoryTotal, 9.0 to 12.8), so that a balloon set for the next boot
    is lost, or underflows. Values above boot memory and DIMMs mean "no balloon" either way and can't be set by the API.
    """
    if (after is None) == (before is None) or definition.current_memory > definition.ram:
        return []
    device = t.cast(MemoryDevice, after or before)
    return [Step("set_current_memory", "config", device, before, definition.current_memory)]


def pending(plan: Plan, after: t.Mapping[Scope, MemoryDevice | None]) -> tuple[str, ...]:
    """What the next start of a domain that runs now will change, in words; `after` is what is there, by scope.

    Only what the task is about: that the device is there, and the options that the task states.
    """
    live = after.get("live", plan.running)
    if not plan.is_active or "config" not in plan.scopes:
        return (_leaves(live),) if live and plan.stays else ()
    config = after["config"]
    if config is None:
        return (_leaves(live),) if live else ()
    name = config.alias or (live and live.alias) or config.pci_address
    if live is None:
        return (f"{name}: is added at the next start",)
    # libvirt rounds sizes up in the live definition only (qemuDomainAlignMemorySizes).
    rounded = replace(config, size=round_up(config.size, SIZE_ALIGNMENT))
    differing = [option for option in _changed_options(live, rounded) if option in plan.stated]
    if not differing:
        return ()
    return (f"{name}: {', '.join(f'{option}={_shown(option, config)}' for option in differing)} at the next start",)


def _leaves(live: MemoryDevice) -> str:
    return f"{live.alias}: leaves the guest when it is next powered off"


# ----------------------------------------------------------------------------------------------------------- absent


def _plan_absent(
    found: dict[Scope, MemoryDevice | None],
    observed: Observed,
    scopes: t.Sequence[Scope],
    versions: Versions,
    wait: bool,
) -> Plan:
    """Shrink to 0, wait, unplug; then the stored definition. A device that can't be unplugged stays, at 0."""
    steps: list[Step] = []
    stays: str | None = None
    live = found["live"] if "live" in scopes else None
    config = found["config"] if "config" in scopes else None
    after: dict[Scope, MemoryDevice | None] = dict.fromkeys(scopes)
    if live is not None:
        stays = _capabilities.why_no_unplug(versions, observed.definitions["live"], live)
        emptied = replace(live, requested=0)
        if live.requested:
            steps.append(Step("resize", "live", emptied, live))
        steps.extend(_wait_steps(live, emptied))
        if stays is not None:
            after["live"] = _followed(emptied)
        elif not wait and live.current:
            after["live"] = emptied
        else:
            steps.append(Step("detach", "live", emptied, emptied))
    if config is not None:
        steps.append(Step("detach", "config", config, config))
        steps.extend(_restore_current_memory(observed.definitions["config"], None, config))
    return Plan(
        scopes=tuple(scopes),
        before={scope: found[scope] for scope in scopes},
        after=after,
        steps=tuple(steps),
        target=None if live is None else 0,
        stays=stays,
    )
