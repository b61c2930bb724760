# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Whether the guest can spare, and the host can back, what a domain_memory plan asks for."""

from __future__ import annotations

from ansible_collections.virtmem.libvirt.plugins.module_utils import _rules, _xml
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_plan import DomainPlan
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_steps import Change
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._guest_guards import GuestChange
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    VIRTIO_MEM,
    Definition,
    HostMemory,
    MemoryDevice,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._sets import parse_set
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import about, format_size, round_down
from ansible_collections.virtmem.libvirt.plugins.module_utils._step import Step


def live_changes(plan: DomainPlan) -> list[tuple[MemoryDevice, int]]:
    """Each live device that the plan asks something of, and the bytes that the guest gets (or gives back, negative)."""
    changes = []
    for step in plan.writes:
        if isinstance(step, Step) and step.scope == "live":
            had = (step.before.current or 0) if step.before else 0
            if step.device.model == VIRTIO_MEM and step.action != "detach":
                changes.append((step.device, step.device.requested - had))
            elif step.device.model == "dimm":
                changes.append((step.device, -step.device.size if step.action == "detach" else step.device.size))
    return changes


def _shrink_of(plan: DomainPlan) -> int:
    """Bytes that the running guest gives back on the whole, to its balloon too; 0 or less: none."""
    balloon: int = sum(
        (step.before or 0) - step.after
        for step in plan.writes
        if isinstance(step, Change) and step.action == "set_balloon" and step.before is not None
    )
    return balloon - sum(growth for _device, growth in live_changes(plan))


def change_of(plan: DomainPlan, live: Definition, reserve: int) -> GuestChange:
    """What the plan asks of the running guest, all devices and the balloon together."""
    device, memory = _as_one(plan, live)
    return GuestChange(-_shrink_of(plan), memory + (device.current or 0), reserve, device, memory)


def check_host(plan: DomainPlan, live: Definition, hypervisor: Hypervisor) -> None:
    """Raise VirtmemError(host_lacks_memory); each kind of host memory (node, page size) is looked at by itself."""
    growth: dict[tuple[int | None, str | None], int] = {}
    elastic = set()  # those that a virtio-mem device takes, which can take less
    versions = hypervisor.versions()
    for device, change in live_changes(plan):
        backing = _rules.host_backing(live, device, versions)
        growth[backing] = growth.get(backing, 0) + change
        if device.block:
            elastic.add(backing)
    for (page_size, nodes), more in growth.items():
        if more > 0:
            host = hypervisor.host_memory(page_size, parse_set(nodes) if nodes else None)
            if more > host.available and (page_size, nodes) not in elastic:
                raise _no_room_for_dimms(more, host)
            _rules.check_host_memory(more, host, *_as_one(plan, live))


def _no_room_for_dimms(growth: int, host: HostMemory) -> VirtmemError:
    fits = round_down(host.available, _rules.SIZE_ALIGNMENT)
    return VirtmemError(
        "host_lacks_memory",
        f"The new DIMMs would take {format_size(growth)}, and the host has {about(host.available)} of {host.kind}.",
        hint=f"Together they can have {format_size(fits)}; or set check_host_memory=false.",
        details={"growth": growth, "available": host.available, "nearest": fits},
    )


def _as_one(plan: DomainPlan, live: Definition) -> tuple[MemoryDevice, int]:
    """The guest's virtio-mem devices as if they were one, and the memory that it has without them."""
    devices = [*live.virtio_mem, *(device for device, _growth in live_changes(plan) if device.block)]
    block = max((device.block for device in devices), default=_rules.SIZE_ALIGNMENT)
    current = sum(device.current or 0 for device in live.virtio_mem)
    size = sum(device.size for device in devices)
    return MemoryDevice(VIRTIO_MEM, size, block=block, current=current), live.ram


def check_host_nodes(plan: DomainPlan, hypervisor: Hypervisor) -> None:
    """Refuse host nodes that the host has not got: libvirt stores them, and does not start the guest."""
    asked: dict[str, str] = {}
    for scope, after in plan.after.items():
        before = plan.before[scope]
        masks = {device.node_mask for device in before.devices}
        asked.update({mask: "node_mask" for d in after.devices if (mask := d.node_mask) and mask not in masks})
        if after.placement.nodeset and after.placement.nodeset != before.placement.nodeset:
            asked[after.placement.nodeset] = "placement.nodeset"
    if asked:
        nodes = _xml.parse_capabilities(hypervisor.capabilities()).node_ids
        for nodeset, option in asked.items():
            _rules.check_host_nodes(nodeset, option, nodes)
