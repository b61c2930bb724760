# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Rules that a task must keep, checked before anything is touched. Pure: model in, VirtmemError out.

Each rule names the libvirt function or QEMU message that would refuse later, with less to say.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._capabilities import (
    counts_all_slots,
    needs_nodes,
    node_mask_binds,
    takes_slot,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Definition,
    DomainState,
    GuestStatistics,
    HostMemory,
    MemoryDevice,
    Scope,
    Versions,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._sets import format_set, parse_set
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import (
    KIB,
    MIB,
    about,
    format_size,
    round_down,
    round_up,
)

# qemuDomainAlignMemorySizes rounds device sizes to 2 MiB at start, and in the live definition only: other sizes
# would differ between the two definitions for ever. It is also the smallest block that QEMU takes on x86.
SIZE_ALIGNMENT: t.Final = 2 * MIB

# Also the size of ordinary pages on x86.
_HIGHEST_ADDRESS: t.Final = 2**64 - 1
_HOST_BRIDGE: t.Final = "0000:00:00.0"
SMALLEST_PAGE: t.Final = 4 * KIB
# One part in so many of the memory that Linux manages is what it manages it with.
_PAGE_STRUCTURES: t.Final = 64

# virDomainDeviceInfoParseXML keeps such aliases and drops all others without a word (libvirt 3.9 to 12.8).
_USER_ALIAS: t.Final = re.compile(r"ua-[A-Za-z0-9_-]+", re.ASCII)
_ADDRESS: t.Final = re.compile(r"0x[0-9a-f]{1,16}|[0-9]{1,20}", re.ASCII | re.IGNORECASE)
_PCI_ADDRESS: t.Final = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.ASCII | re.IGNORECASE)


def resolve_scopes(scope: str, state: DomainState) -> tuple[Scope, ...]:
    """Which definitions a task means; live comes first. Raises VirtmemError(unsupported) for one that isn't there."""
    if scope in ("live", "both") and not state.active:
        raise VirtmemError(
            "unsupported",
            f"scope={scope} needs a running domain, and {state.name} is {state.state}.",
            hint="Start the domain, or say scope=config.",
            details={"scope": scope, "state": state.state},
        )
    if scope in ("config", "both") and not state.persistent:
        raise VirtmemError(
            "unsupported",
            f"scope={scope} needs a persistent domain, and {state.name} is transient: it has no stored definition.",
            hint="Say scope=live.",
            details={"scope": scope},
        )
    if not state.active and not state.persistent:  # a transient domain that stopped while it was looked at
        raise VirtmemError(
            "domain_not_found",
            f"{state.name} is no longer there.",
            hint="A transient domain is gone when it stops; define it to keep it.",
            details={"domain": state.name},
        )
    scopes: list[Scope] = []
    if scope in ("live", "both") or (scope == "auto" and state.active):
        scopes.append("live")
    if scope in ("config", "both") or (scope == "auto" and state.persistent):
        scopes.append("config")
    return tuple(scopes)


def is_user_alias(alias: str) -> bool:
    return _USER_ALIAS.fullmatch(alias) is not None


def check_alias(alias: str) -> None:
    """A new device's alias must be one that libvirt keeps."""
    if not is_user_alias(alias):
        better = "ua-" + (re.sub(r"[^A-Za-z0-9_-]+", "-", alias.removeprefix("ua-")).strip("-") or "virtiomem0")
        raise VirtmemError(
            "unsupported",
            f"alias: libvirt would drop the alias {alias!r}, and the device could not be found again.",
            hint=f"An alias is ua- and then letters, digits, _ or -, for example {better}.",
            details={"alias": alias, "nearest": better},
        )


def normal_pci_address(text: str) -> str:
    """A PCI address as domain:bus:slot.function in lower case; the domain may be left out."""
    match = _PCI_ADDRESS.fullmatch(text.strip())
    if not match or int(match[3], 16) > 0x1F:
        raise VirtmemError(
            "unsupported",
            f"pci_address: {text!r} is not a PCI address.",
            hint="Write domain:bus:slot.function, for example 0000:04:00.0.",
            details={"pci_address": text},
        )
    return f"{match[1] or '0000'}:{match[2]}:{match[3]}.{match[4]}".lower()


def normal_node_mask(text: str) -> str:
    """A set of host NUMA nodes as libvirt reads it back: 0,1 is 0-1."""
    try:
        return format_set(parse_set(text))
    except ValueError:
        raise VirtmemError(
            "unsupported",
            f"node_mask: {text!r} is not a set of host NUMA nodes.",
            hint="Write numbers and rising ranges with commas, for example 0-1,3.",
            details={"node_mask": text},
        ) from None


def check_block(device: MemoryDevice, smallest: int) -> None:
    """virDomainMemoryDefValidate: a power of two, at least the host's THP size; QEMU: at least the page size."""
    block, page_size = device.block, device.page_size or 0
    smallest = max(smallest, page_size)
    if block & (block - 1) or block < smallest:
        nearest = max(smallest, _near_power_of_two(block))
        reason = (
            "is not a power of two"
            if block & (block - 1)
            else f"is less than {format_size(smallest)}, the smallest here"
            + (" (the size of the device's pages)" if smallest == page_size else "")
        )
        raise VirtmemError(
            "block_invalid",
            f"block: {format_size(block)} {reason}.",
            hint=f"The nearest block size that works is {format_size(nearest)}.",
            details={"block": block, "smallest": smallest, "nearest": nearest},
        )


def _near_power_of_two(number: int) -> int:
    above = 1 << max(number - 1, 0).bit_length()
    return above if above - number <= number - above // 2 else above // 2


def check_page_size(device: MemoryDevice) -> None:
    """A page is a power of two, and no kernel has smaller ones than 4 KiB."""
    size = device.page_size
    if size is not None and (size < SMALLEST_PAGE or size & (size - 1)):
        nearest = max(_near_power_of_two(size), SMALLEST_PAGE)
        raise VirtmemError(
            "unsupported",
            f"page_size: {format_size(size)} is no size of a page.",
            hint=f"Pages are powers of two such as {format_size(nearest)}; ordinary huge pages have 2 MiB or 1 GiB.",
            details={"page_size": size, "nearest": nearest},
        )


def check_size(device: MemoryDevice) -> None:
    """Not checked by libvirt: QEMU refuses a size that is no multiple of the block, at start or attach."""
    unit = max(device.block, SIZE_ALIGNMENT)
    if device.size == 0:
        raise VirtmemError(
            "invalid_size",
            f"size: a device must have more than 0; the smallest here has {format_size(unit)}.",
            hint="Say requested=0 to take all memory back, or state=absent to remove the device.",
            details={"size": 0, "nearest": unit},
        )
    if device.size % unit:
        raise _not_multiple("size", device.size, unit, lowest=unit)


def check_requested(device: MemoryDevice) -> None:
    """virDomainMemoryDefValidate: whole blocks, and not more than the size."""
    if device.requested > device.size:
        raise VirtmemError(
            "exceeds_device_size",
            f"requested: {format_size(device.requested)} is more than the device's size of {format_size(device.size)}.",
            hint=f"Ask for at most {format_size(round_down(device.size, device.block))}, or give it a larger size.",
            details={
                "requested": device.requested,
                "size": device.size,
                "nearest": round_down(device.size, device.block),
            },
        )
    if device.requested % max(device.block, 1):
        raise _not_multiple("requested", device.requested, device.block, highest=device.size)


def _not_multiple(option: str, value: int, unit: int, *, lowest: int = 0, highest: int | None = None) -> VirtmemError:
    below, above = max(round_down(value, unit), lowest), max(round_up(value, unit), lowest)
    near = [size for size in (below, above) if highest is None or size <= highest]
    nearest = min(near, key=lambda size: abs(size - value))
    choices = " and ".join(format_size(size) for size in sorted(set(near)))
    return VirtmemError(
        "not_multiple_of_block",
        f"{option}: {format_size(value)} is not a whole number of {format_size(unit)} blocks.",
        hint=f"The nearest {'sizes that work are' if len(set(near)) > 1 else 'size that works is'} {choices}.",
        details={option: value, "block": unit, "nearest": nearest},
    )


def check_guest_address(device: MemoryDevice) -> None:
    """virDomainMemoryDefValidate from 9.8; QEMU before: the address is a multiple of the block."""
    address = device.guest_address
    if address is not None and address % device.block:
        above = round_up(address, device.block)
        nearest = above if above <= _HIGHEST_ADDRESS else round_down(address, device.block)
        raise VirtmemError(
            "not_multiple_of_block",
            f"guest_address: {address:#x} is not a multiple of the block size, {format_size(device.block)}.",
            hint=f"The nearest address that works is {nearest:#x}.",
            details={"guest_address": address, "block": device.block, "nearest": nearest},
        )


def choose_node(definition: Definition, node: int | None) -> int | None:
    """The guest NUMA node of a new device: the one that is asked for, or the only one."""
    cells = [cell.id for cell in definition.cells]
    listed = ", ".join(map(str, cells)) or "none at all"
    if not cells and node is None and not needs_nodes(definition.arch):
        return None
    if not cells and needs_nodes(definition.arch):
        raise not_prepared(definition, "has no guest NUMA node (<cpu><numa>)")
    if node is None and len(cells) > 1:
        raise VirtmemError(
            "node_not_found",
            f"node: the guest has NUMA nodes {listed}, and the task does not say which one.",
            hint="Give the option node.",
            details={"nodes": cells},
        )
    if node is not None and node not in cells:
        nearest = (
            f"The nearest is {min(cells, key=lambda cell: abs(cell - node))}." if cells else "Leave the option out."
        )
        raise VirtmemError(
            "node_not_found",
            f"node: the guest has no NUMA node {node}, only {listed}.",
            hint=nearest,
            details={"node": node, "nodes": cells},
        )
    return cells[0] if node is None else node


def not_prepared(definition: Definition, what: str) -> VirtmemError:
    return VirtmemError(
        "not_hotpluggable",
        f"{definition.name} {what}, so no memory device can be added.",
        hint="Give the domain <maxMemory> and a <numa> cell in its stored definition, and restart it.",
        details={"maximum": definition.maximum, "nodes": [cell.id for cell in definition.cells]},
    )


def check_hotpluggable(definition: Definition) -> None:
    """qemuDomainDefValidateMemoryHotplug: no device without maxMemory. QEMU: no virtio-mem with locked memory etc."""
    if definition.maximum is None:
        raise not_prepared(definition, "has no <maxMemory>")
    if definition.blockers:
        raise VirtmemError(
            "not_hotpluggable",
            f"{definition.name} can't have a virtio-mem device: {' and '.join(definition.blockers)}.",
            hint="QEMU refuses the two together; take the one out of the domain to use the other.",
            details={"blockers": list(definition.blockers)},
        )


def check_room(definition: Definition, extra: int, step: int) -> None:
    """qemuDomainDefValidateMemoryHotplug: boot memory and the full size of all devices fit in maxMemory.

    `extra` is what the definition shall get more (bytes), in multiples of `step`.
    """
    maximum = definition.maximum or 0
    room = maximum - definition.total
    if extra <= room:
        return
    fits = max(round_down(room, step), 0)
    raise VirtmemError(
        "exceeds_max_memory",
        f"{definition.name} has room for {format_size(max(room, 0))} more: its maxMemory is {format_size(maximum)}, and"
        f" boot memory and devices take {format_size(definition.total)} already; {format_size(extra)} does not fit.",
        hint=(f"The largest that fits is {format_size(fits)}." if fits else "Raise maxMemory in the stored definition.")
        + " A device counts with its whole size, however little is requested.",
        details={"room": max(room, 0), "asked": extra, "maximum": maximum, "nearest": fits},
    )


def check_slot(definition: Definition, model: str, scope: Scope, versions: Versions) -> None:
    """virDomainDefPostParseMemory and qemuDomainDefValidateMemoryHotplug: a slot for each device that takes one.

    Before 10.0 qemuDomainAttachMemoryConfig counted every device where the slots are just used up (NEWS 10.0.0).
    """
    used = sum(takes_slot(device.model, versions) for device in definition.devices)
    full = takes_slot(model, versions) and used >= definition.slots
    if scope == "config" and counts_all_slots(versions) and len(definition.devices) == definition.slots:
        full, used = True, definition.slots
    if full:
        raise VirtmemError(
            "exceeds_max_memory",
            f"{definition.name} has {definition.slots} memory slots, and {used} devices take them all.",
            hint="Raise the slots of <maxMemory> in the stored definition (libvirt 10.0 and later needs none for this).",
            details={"slots": definition.slots, "used": used},
        )


def check_port(definition: Definition) -> None:
    """libvirt's "No more available PCI slots": a running PCIe guest needs a free root port for a new device."""
    if definition.free_pcie_ports == 0:
        raise VirtmemError(
            "not_hotpluggable",
            f"{definition.name} has no free PCIe port, so no device can be plugged into the running guest.",
            hint="Add <controller type='pci' model='pcie-root-port'/> to the stored definition and restart the guest.",
            details={"free_pcie_ports": 0},
        )


def check_pci_address(definition: Definition, pci_address: str) -> None:
    """It is free, and an address: virPCIDeviceAddressIsEmpty takes the host bridge's for none, and libvirt chooses."""
    if pci_address == _HOST_BRIDGE:
        raise VirtmemError(
            "unsupported",
            f"pci_address: {pci_address} is the host bridge's.",
            hint="Leave the option out, and libvirt chooses a free address.",
            details={"pci_address": pci_address},
        )
    if pci_address in definition.pci_addresses:
        raise VirtmemError(
            "unsupported",
            f"pci_address: {pci_address} is taken by another device of {definition.name}.",
            hint="Leave the option out, and libvirt chooses a free address.",
            details={"pci_address": pci_address, "taken": sorted(definition.pci_addresses)},
        )


def check_guest_memory(
    shrink: int, reserve: int, statistics: GuestStatistics, device: MemoryDevice, memory: int | None = None
) -> None:
    """Refuse a shrink (bytes) that leaves the guest less than `reserve` usable, by its own fresh statistics.

    `memory` is what the guest has without the device, where the option that could help is memory and not requested.
    Source: measured on Linux 6.1 guests: a shrink beyond MemAvailable ends in the guest's OOM killer, not in an error.
    """
    usable = statistics.usable
    if usable is None or usable - shrink >= reserve:
        return
    current = device.current or 0
    lowest = min(round_up(current - max(usable - reserve, 0), device.block), current)
    raise VirtmemError(
        "guest_needs_memory",
        f"The guest has {about(usable)} usable; taking back {format_size(shrink)} would leave it less than its reserve of"
        f" {format_size(reserve)}.",
        hint=f"The lowest that it can go now is {_as_option(lowest, memory)}; or free memory in the guest, lower"
        " guest_reserve, or set check_guest_memory=false.",
        details={"usable": usable, "shrink": shrink, "guest_reserve": reserve, "nearest": lowest},
    )


def check_page_structures(
    growth: int, statistics: GuestStatistics, device: MemoryDevice, memory: int | None = None
) -> None:
    """Refuse growth (bytes) for whose page structures the guest has no memory. See check_guest_memory for `memory`.

    Linux keeps 64 bytes for each page of 4 KiB, and takes them from what it has already if new memory is movable.
    Measured on Linux 6.1: a guest with 129 MiB usable that was asked to take 12 GiB stopped at 7.6 GiB, with a kernel
    that had nothing left. A sixteenth is therefore left to it; what is suggested leaves an eighth, so that it still stands
    when the guest has a little less a moment later.
    """
    usable = statistics.usable
    if usable is None or growth // _PAGE_STRUCTURES <= usable - usable // 16:
        return
    current = device.current or 0
    highest = current + round_down((usable - usable // 8) * _PAGE_STRUCTURES, device.block)
    raise VirtmemError(
        "guest_needs_memory",
        f"The guest would need {format_size(growth // _PAGE_STRUCTURES)} of its own memory to manage"
        f" {format_size(growth)} more, and has {about(usable)} usable.",
        hint=f"The most that it can take at once is {_as_option(highest, memory)}; or set check_guest_memory=false for a"
        " guest that uses new memory for its kernel, too.",
        details={
            "usable": usable,
            "growth": growth,
            "page_structures": growth // _PAGE_STRUCTURES,
            "nearest": highest,
        },
    )


def check_host_memory(growth: int, host: HostMemory, device: MemoryDevice, memory: int | None = None) -> None:
    """Refuse growth (bytes) that the host can't back. See check_guest_memory for `memory`."""
    if growth <= host.available:
        return
    current = device.current or 0
    highest = current + round_down(host.available, device.block)
    raise VirtmemError(
        "host_lacks_memory",
        f"The guest would take {format_size(growth)} more, and the host has {about(host.available)} of {host.kind}.",
        hint=f"The most that it can have now is {_as_option(highest, memory)}; or set check_host_memory=false.",
        details={"growth": growth, "available": host.available, "nearest": highest},
    )


def check_host_nodes(nodeset: str, option: str, nodes: t.Sequence[int]) -> None:
    """`nodes` are those that the host has (none: it does not say). virNumaNodesetIsAvailable says so only at start."""
    missing = sorted(set(parse_set(nodeset)) - set(nodes))
    if nodes and missing:
        raise VirtmemError(
            "unsupported",
            f"{option}: the host has no NUMA node {format_set(missing)}, only {format_set(nodes)}.",
            hint="host_memory_info lists the host's nodes, with the memory of each.",
            details={"option": option, "nodes": list(nodes), "missing": missing},
        )


def _as_option(requested: int, memory: int | None) -> str:
    return f"requested={format_size(requested)}" if memory is None else f"memory={format_size(memory + requested)}"


def host_page_size(definition: Definition, device: MemoryDevice) -> int | None:
    """The size of the pages that back a device, in bytes (None: ordinary pages, 0: the default huge page size): its own
    source's, then its guest node's, then the domain's (qemuBuildMemoryBackendProps, libvirt 9.0 and 11.3)."""
    if device.page_size is not None:
        return device.page_size
    binding = definition.binding
    return binding.cell_page_sizes.get(-1 if device.node is None else device.node, binding.page_size)


def host_backing(definition: Definition, device: MemoryDevice, versions: Versions) -> tuple[int | None, str | None]:
    """What backs a device on the host: the page size, and the set of host nodes that it is bound to (None: any), its own
    first, then its guest node's, then the domain's."""
    binding = definition.binding
    node = -1 if device.node is None else device.node
    nodes = binding.cell_nodes.get(node) or binding.nodes
    if device.node_mask:
        loose = node in binding.loose_cells or (binding.loose and node not in binding.cell_nodes)
        nodes = None if loose and not node_mask_binds(versions) else device.node_mask
    return host_page_size(definition, device), nodes


def normal_guest_address(text: str) -> int:
    """A guest physical address, as libvirt writes it (0x140000000) or in decimal."""
    text = text.strip()
    address = int(text, 16 if text[:2] in ("0x", "0X") else 10) if _ADDRESS.fullmatch(text) else 0
    if not 0 < address <= _HIGHEST_ADDRESS:
        raise VirtmemError(
            "unsupported",
            f"guest_address: {text!r} is not an address.",
            hint="Write it as libvirt does, for example 0x140000000.",
            details={"guest_address": text},
        )
    return address
