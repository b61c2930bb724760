# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model as task results: plain dictionaries, sizes as integers of bytes, and the diff that a person reads."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, replace

from .._device.options import DEVICE_OPTIONS, VIRTIO_MEM_OPTIONS, grouped
from .._errors import Facts
from .._model import Backing, Definition, DomainState, GuestStatistics, MemoryDevice, Scope
from .._option_table import TABLE
from .._xml import document

if t.TYPE_CHECKING:
    from .steps import Step

Devices = t.Mapping[Scope, t.Optional[MemoryDevice]]


def domain_facts(state: DomainState) -> Facts:
    return {"name": state.name, "uuid": state.uuid, "state": state.state}


def saved_warning(state: DomainState) -> str:
    return f"{state.name} has a saved state: its next start goes on from there, as it was saved."


def device_facts(device: MemoryDevice | None) -> Facts | None:
    """One device; `current` is null in a stored definition, and an option that the XML leaves open is null."""
    if device is None:
        return None
    return {
        **_identity(device),
        **_option_facts(device, VIRTIO_MEM_OPTIONS),
        "offline_in_guest": None,
    }


def both_facts(devices: Devices) -> Facts:
    return {"live": device_facts(devices.get("live")), "config": device_facts(devices.get("config"))}


def step_facts(step: Step, done: bool, device: str | None) -> Facts:
    """`device` is what people call it, whatever the definition does.

    `from` and `to` are requested sizes; a redefine has dictionaries of the options that change.
    """
    before: t.Any = None if step.before is None else step.before.requested
    after: t.Any = step.device.requested
    if step.action == "detach":
        before, after = step.device.requested, None
    elif step.action == "set_current_memory":
        before, after = None, step.size
    elif step.action == "redefine" and step.before is not None:
        old, new = t.cast(Facts, device_facts(step.before)), t.cast(Facts, device_facts(step.device))
        before = {name: value for name, value in old.items() if value != new[name]}
        after = {name: new[name] for name in before}
    return {
        "action": step.action,
        "scope": step.scope,
        "device": device,
        "from": before,
        "to": after,
        "done": done,
    }


def steps_facts(planned: t.Sequence[Step], done: t.Sequence[Step], device: str | None) -> list[Facts]:
    """All that was planned and all that was done, in order: done ones first, then what was not reached."""
    left = [step for step in planned if step not in done]
    return [step_facts(step, True, device) for step in done] + [step_facts(step, False, device) for step in left]


def diff(before: Devices, after: Devices, stated: t.Collection[str], name: str) -> Facts:
    """Just the device, as canonical XML: without what the guest has plugged, and without the alias and addresses that
    libvirt chose by itself (check mode can't know them), unless the task states them (`stated`)."""
    return {
        "before_header": name,
        "after_header": name,
        "before": _canonical(before, stated),
        "after": _canonical(after, stated),
    }


def _canonical(devices: Devices, stated: t.Collection[str]) -> str:
    texts = {
        scope: "" if device is None else document.canonical_device(_as_stated(device, stated))
        for scope, device in devices.items()
    }
    if len(set(texts.values())) == 1:  # both definitions say the same, or there is but one
        return next(iter(texts.values()))
    return "".join(f"<!-- {scope} -->\n{text}" for scope, text in texts.items() if text)


def _as_stated(device: MemoryDevice, stated: t.Collection[str]) -> MemoryDevice:
    return replace(
        device,
        alias=device.user_alias,
        guest_address=device.guest_address if "guest_address" in stated else None,
        pci_address=device.pci_address if "pci_address" in stated else None,
    )


def memory_facts(definition: Definition, statistics: GuestStatistics | None) -> Facts:
    """The domain's memory in sums, in bytes. Persistent memory is not counted; `total` counts it, as libvirt does.

    libvirt's `<currentMemory>` is not used: it counts plugged memory twice after a guest's reboot (9.0 to 12.8).
    The balloon's size is the statistics' `actual`, which knows nothing of virtio-mem, or the config's target.
    """
    fixed = definition.ram - definition.boot
    actual = statistics.actual if statistics else min(definition.current_memory, definition.ram)
    return {
        "boot": definition.boot,
        "plugged": fixed + definition.current,
        "requested": definition.ram + definition.requested,
        "current": definition.ram + definition.current,
        "total": definition.total,
        "maximum": definition.maximum,
        "balloon": actual if definition.balloon else None,
    }


def definition_facts(definition: Definition | None) -> Facts | None:
    """One definition, in the words of domain_memory's options, and what goes with them."""
    if definition is None:
        return None
    return {
        **domain_options(definition),
        "total": definition.total,
        "current_memory": definition.current_memory,
        "devices": [memory_device_facts(device) for device in definition.devices],
        "arch": definition.arch,
        "machine": definition.machine,
    }


def memory_device_facts(device: MemoryDevice) -> Facts:
    """A memory device of any model; options that it has not got are null."""
    return {**_identity(device), **grouped(_option_facts(device, DEVICE_OPTIONS))}


def _identity(device: MemoryDevice) -> Facts:
    return {"alias": device.alias, "model": device.model, "current": device.current}


def _option_facts(device: MemoryDevice, names: t.Collection[str]) -> Facts:
    facts = {option.name: option.of(device) for option in TABLE if option.name in names}
    for option in TABLE:
        if option.kind == "hex" and facts.get(option.name) is not None:
            facts[option.name] = f"{facts[option.name]:#x}"
    return facts


def domain_options(definition: Definition) -> Facts:
    """All but devices, by option name; sizes are bytes, and null is what the definition leaves open."""
    balloon = definition.memballoon
    return {
        "boot": definition.boot,
        "maximum": None if definition.maximum is None else {"size": definition.maximum, "slots": definition.slots},
        "numa": [asdict(cell) for cell in definition.cells],
        "backing": _backing(definition.backing),
        "tuning": asdict(definition.tuning),
        "placement": {"mode": definition.placement.mode, "nodeset": definition.placement.nodeset},
        "balloon": {**asdict(balloon), "target": balloon_target(definition)},
    }


def balloon_target(definition: Definition) -> int | None:
    """What the balloon leaves of boot memory and DIMMs at the next start; None without a balloon. A `<currentMemory>` of
    as much or more means all of it, whatever libvirt has added to it."""
    return min(definition.current_memory, definition.ram) if definition.balloon else None


def _backing(backing: Backing) -> Facts:
    pages: list[Facts] = [asdict(page) for page in backing.hugepages or ()]
    if backing.hugepages == ():
        pages = [{"size": None, "nodeset": None}]  # the host's default size
    return {
        "hugepages": pages,
        "source": backing.source,
        "access": backing.access,
        "allocation": {"mode": backing.allocation_mode, "threads": backing.allocation_threads},
        "locked": backing.locked,
        "nosharepages": backing.nosharepages,
        "discard": backing.discard,
    }


def flat_options(definition: Definition) -> Facts:
    """The same by dotted names (maximum.size), for telling what differs."""
    return dict(_flat("", domain_options(definition)))


def _flat(prefix: str, facts: Facts) -> t.Iterator[tuple[str, t.Any]]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
        else:
            yield prefix + name, value
