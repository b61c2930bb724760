# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""The model as task results: plain dictionaries, sizes as integers of bytes, and the diff that a person reads."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.virtmem.libvirt.plugins.module_utils import _xml
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import DomainState, MemoryDevice, Scope

if t.TYPE_CHECKING:  # who only reads needs no plan
    from ansible_collections.virtmem.libvirt.plugins.module_utils._step import Step

Facts = dict[str, t.Any]
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
        "alias": device.alias,
        "model": device.model,
        "node": device.node,
        "size": device.size,
        "block": device.block,
        "requested": device.requested,
        "current": device.current,
        "page_size": device.page_size,
        "node_mask": device.node_mask,
        "access": device.access,
        "discard": device.discard,
        "dynamic_memslots": device.dynamic_memslots,
        "guest_address": None if device.guest_address is None else f"{device.guest_address:#x}",
        "pci_address": device.pci_address,
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
        scope: "" if device is None else _xml.canonical_device(_as_stated(device, stated))
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


def failure_facts(error: VirtmemError) -> Facts:
    return {"error_code": error.code, "details": error.details, "hint": error.hint}
