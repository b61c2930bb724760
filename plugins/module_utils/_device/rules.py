# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What memory devices of each model may be: libvirt's and QEMU's rules, said before either of them would. Pure.

Each rule names the libvirt function or QEMU message that would refuse later, with less to say. Sources:
virDomainMemoryDefValidate and qemuValidateDomainDeviceDefMemory (libvirt 9.0 to 12.8).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from .. import _capabilities
from .._capabilities import counts_all_slots, needs_nodes, node_mask_binds, takes_slot
from .._errors import VirtmemError, at
from .._model import (
    KIB,
    MIB,
    SIZE_ALIGNMENT,
    VIRTIO_MEM,
    Definition,
    MemoryDevice,
    Platform,
    Scope,
    Versions,
    format_size,
    round_down,
    round_up,
)
from .match import Match, new_alias
from .values import HIGHEST_ADDRESS, check_alias


def default_block(device: MemoryDevice, definition: Definition, platform: Platform) -> int:
    """libvirt has no default (9.0 to 12.8): 2 MiB on x86, else the host's THP size; never less than the device's pages."""
    smallest = _capabilities.smallest_block(definition.arch, platform)
    if smallest is None:
        raise VirtmemError(
            "block_invalid",
            f"block: the smallest block of a {definition.arch or 'non-x86'} host is not known over this connection.",
            hint="Give the option block: the size of a transparent huge page of that host, or that times a power of two.",
        )
    return max(smallest, device.page_size or 0)


_HOST_BRIDGE: t.Final = "0000:00:00.0"
SMALLEST_PAGE: t.Final = 4 * KIB


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
            f"page_size: {format_size(size)} is not a valid page size.",
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
            hint="Set requested=0 to take all memory back, or state=absent to remove the device.",
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
            hint=f"Request at most {format_size(device.capacity)}, or give it a larger size.",
            details={
                "requested": device.requested,
                "size": device.size,
                "nearest": device.capacity,
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
        nearest = above if above <= HIGHEST_ADDRESS else round_down(address, device.block)
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
            f"node: the guest has NUMA nodes {listed}, and the task does not name one.",
            hint="Give the option node.",
            details={"nodes": cells},
        )
    if node is not None and node not in cells:
        nearest = f"The nearest is {min(cells, key=lambda cell: abs(cell - node))}." if cells else "Omit the option."
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
        f"{definition.name} {what}; no memory device can be added.",
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
            hint="QEMU refuses the two together; remove one of them from the domain to use the other.",
            details={"blockers": list(definition.blockers)},
        )


def check_room(definition: Definition, extra: int, step: int) -> None:
    """qemuDomainDefValidateMemoryHotplug: boot memory and the full size of all devices fit in maxMemory.

    `extra` is what the task adds to the definition (bytes), in multiples of `step`.
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
        + " A device counts with its full size, however little is requested.",
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
            f"{definition.name} has no free PCIe port; no device can be plugged into the running guest.",
            hint="Add <controller type='pci' model='pcie-root-port'/> to the stored definition and restart the guest.",
            details={"free_pcie_ports": 0},
        )


def check_fits(device: MemoryDevice, definition: Definition, scope: Scope, platform: Platform) -> None:
    """A new device has room, a slot, and in a running guest a port."""
    check_room(definition, device.size, max(device.block, SIZE_ALIGNMENT))
    check_slot(definition, device.model, scope, platform.versions)
    if device.pci_address:
        check_pci_address(definition, device.pci_address)
    if scope == "live":
        check_port(definition)


def check_pci_address(definition: Definition, pci_address: str) -> None:
    """It is free, and an address: virPCIDeviceAddressIsEmpty takes the host bridge's for none, and libvirt chooses."""
    if pci_address == _HOST_BRIDGE:
        raise VirtmemError(
            "unsupported",
            f"pci_address: {pci_address} is the host bridge's.",
            hint="Omit the option, and libvirt chooses a free address.",
            details={"pci_address": pci_address},
        )
    if pci_address in definition.pci_addresses:
        raise VirtmemError(
            "unsupported",
            f"pci_address: {pci_address} is taken by another device of {definition.name}.",
            hint="Omit the option, and libvirt chooses a free address.",
            details={"pci_address": pci_address, "taken": sorted(definition.pci_addresses)},
        )


def host_backing(definition: Definition, device: MemoryDevice, versions: Versions) -> tuple[int | None, str | None]:
    """What backs a device on the host: the page size, and the set of host nodes that it is bound to (None: any), its own
    first, then its guest node's, then the domain's."""
    binding = definition.binding
    node = -1 if device.node is None else device.node
    nodes = binding.cell_nodes.get(node) or binding.nodes
    if device.node_mask:
        loose = node in binding.loose_cells or (binding.loose and node not in binding.cell_nodes)
        nodes = None if loose and not node_mask_binds(versions) else device.node_mask
    return definition.page_size_of(device), nodes


_SMALLEST_LABEL: t.Final = 128 * KIB  # virDomainNVDimmLabelSize


@dataclass(frozen=True, eq=False, repr=False)
class _Rule:
    """A device of one of `models` is refused where `broken` says so."""

    models: tuple[str, ...]
    broken: t.Callable[[MemoryDevice, Definition], bool]
    sentence: str
    hint: str = ""


def _is_ppc(definition: Definition) -> bool:
    return definition.arch.startswith("ppc64")


_RULES: t.Final = (
    _Rule(
        ("nvdimm", "virtio-pmem"),
        lambda device, _: device.path is None,
        "path: a {model} device needs the file or device on the host that holds its contents",
        "Give it a path.",
    ),
    _Rule(
        ("virtio-pmem",),
        lambda device, _: device.access == "private",
        "access: a virtio-pmem device is always shared",
        "Omit the option.",
    ),
    _Rule(
        ("nvdimm",),
        lambda device, _: device.label_size is not None and device.label_size < _SMALLEST_LABEL,
        "label_size: a label area has at least 128 KiB",
        "Give it 128KiB or more.",
    ),
    _Rule(
        ("nvdimm",),
        lambda device, _: device.label_size is not None and device.label_size >= device.size,
        "label_size: the label area is not smaller than the device",
        "Give it a smaller label area, or the device a larger size.",
    ),
    _Rule(
        ("nvdimm",),
        lambda device, _: (device.align_size or 0) % SMALLEST_PAGE != 0,
        "align_size: it must be a multiple of 4 KiB, because QEMU maps whole pages",
        "Use 4KiB, or 2MiB where the guest maps the device with huge pages.",
    ),
    _Rule(
        ("nvdimm",),
        lambda device, definition: device.label_size is None and _is_ppc(definition),
        "label_size: an NVDIMM of a pSeries guest needs a label area",
        "Give it 128KiB or more.",
    ),
    _Rule(
        ("nvdimm",),
        lambda device, definition: device.uuid is not None and not _is_ppc(definition),
        "uuid: only the NVDIMMs of pSeries guests have one",
        "Omit the option.",
    ),
    _Rule(
        ("nvdimm",),
        lambda device, _: bool(device.readonly) and device.access == "shared" and device.pmem is True,
        "pmem: a read-only device can't promise persistent writes",
        "Leave out pmem or readonly.",
    ),
    _Rule(
        (VIRTIO_MEM,),
        lambda _, definition: bool(definition.blockers),
        "{domain} can't have a virtio-mem device: {blockers}",
    ),
)


def check_device(device: MemoryDevice, definition: Definition, platform: Platform, place: str) -> None:
    """A planned device, in the definition that gets it."""
    with at(place):
        check_page_size(device)
        _check_slot(device, definition)
        if device.model == VIRTIO_MEM:
            check_block(device, _capabilities.smallest_block(definition.arch, platform) or MIB)
        check_size(device)
        if device.model == VIRTIO_MEM:
            check_requested(device)
            check_guest_address(device)
        if device.node is not None:
            choose_node(definition, device.node)
        for rule in _RULES:
            if device.model in rule.models and rule.broken(device, definition):
                raise _broken(rule, device, definition)


def _check_slot(device: MemoryDevice, definition: Definition) -> None:
    """qemuDomainDefValidateMemoryHotplugDevice and qemuCheckMemoryDimmConflict: each slot once, and only those there are."""
    if device.slot is None:
        return
    taken = {other.slot for other in definition.devices if (other.index, other.alias) != (device.index, device.alias)}
    if device.slot < 0:
        raise VirtmemError(
            "unsupported",
            f"slot: {device.slot} is not a valid slot number.",
            hint="Slots are numbered from 0; leave the option out, and libvirt chooses one.",
            details={"slot": device.slot, "nearest": 0},
        )
    if device.slot in taken:
        free = next(number for number in range(len(taken) + 1) if number not in taken)
        raise VirtmemError(
            "unsupported",
            f"slot: slot {device.slot} is taken by another memory device of {definition.name}.",
            hint=f"Omit the option, or set slot={free}.",
            details={"slot": device.slot, "nearest": free},
        )
    if 0 < definition.slots <= device.slot:
        raise VirtmemError(
            "exceeds_max_memory",
            f"slot: {definition.name} has {definition.slots} memory slots; slot {device.slot} does not exist.",
            hint=f"They are numbered 0 to {definition.slots - 1}; or give maximum.slots a larger number.",
            details={"slot": device.slot, "slots": definition.slots, "nearest": definition.slots - 1},
        )


def check_free_address(device: MemoryDevice, before: MemoryDevice | None, definition: Definition, place: str) -> None:
    """A PCI address that the device gets, and has not had before, is nobody else's."""
    if device.pci_address is not None and (before is None or before.pci_address != device.pci_address):
        with at(place):
            check_pci_address(definition, device.pci_address)


def _broken(rule: _Rule, device: MemoryDevice, definition: Definition) -> VirtmemError:
    words = {
        "model": device.model,
        "domain": definition.name,
        "blockers": " and ".join(definition.blockers),
    }
    code = "not_hotpluggable" if "{blockers}" in rule.sentence else "unsupported"
    return VirtmemError(code, rule.sentence.format(**words) + ".", hint=rule.hint, details={"model": device.model})


def why_no_hotplug(model: str, size: int, live: Definition) -> str | None:
    """Why the running guest can't get a device of `size` bytes before its next start, as a clause; None where it can."""
    if model == "sgx-epc":
        return "QEMU adds EPC sections only at start"
    if model == "nvdimm" and not any(other.model == "nvdimm" for other in live.devices):
        return "a guest takes an NVDIMM only if it was started with one"
    if live.maximum is None:
        return "it was started without <maxMemory>"
    if model != "virtio-pmem" and not live.cells and _capabilities.needs_nodes(live.arch):
        return "it was started without a NUMA node"
    room = live.maximum - live.total
    if size > room:
        return f"it was started with room for only {format_size(max(room, 0))} more"
    if model.startswith("virtio-") and live.free_pcie_ports == 0:
        return "it has no free PCIe port"
    return None


def why_no_unplug(device: MemoryDevice, live: Definition, versions: Versions) -> str | None:
    """Why the running guest keeps the device until it is powered off, as a clause; None where it need not."""
    if device.model == VIRTIO_MEM:
        return _capabilities.why_no_unplug(versions, live, device)
    return None if device.model == "dimm" else f"QEMU can't unplug a {device.model} device"


# ----------------------------------------------------------------------------------------------------------- new devices

# Devices that sit on no guest node: virtio-pmem never does.
_NODELESS: t.Final = "virtio-pmem"


def new_device(match: Match, definition: Definition, scope: Scope, platform: Platform) -> MemoryDevice:
    """The device to add: what the task says, then what its twin in the other definition has, then defaults."""
    spec = match.wanted
    twin = match.twin(scope)
    # Addresses and what the guest has plugged belong to the definition that they were read from.
    base = twin or MemoryDevice(spec.model, size=0)
    base = replace(base, current=None, guest_address=None, pci_address=None, slot=None, index=-1)
    device = replace(base, **spec.stated)
    if twin is None and "size" not in spec.stated:
        raise _cannot_make(match, definition)
    with at(spec.place):
        if spec.model != _NODELESS:
            device = replace(device, node=choose_node(definition, device.node))
        if spec.model == VIRTIO_MEM and "block" not in spec.stated and not device.block:
            device = replace(device, block=default_block(device, definition, platform))
        taken = {other.alias for other in definition.devices}
        # A twin may have been found by an alias that libvirt gave it, which no other definition can have.
        alias = (twin.user_alias if twin else match.alias or spec.alias) or new_alias(spec.model, device.node, taken)
        if alias is not None:
            check_alias(alias)
            _check_taken(alias, taken, definition)
    # virDomainMemoryDefPostParse writes it, in the stored definition only
    access = "shared" if spec.model == "virtio-pmem" and device.access is None else device.access
    return replace(device, alias=alias, access=access)


def _check_taken(alias: str, taken: t.Collection[str | None], definition: Definition) -> None:
    if alias in taken:
        raise VirtmemError(
            "device_ambiguous",
            f"alias: another memory device of {definition.name} is called {alias}.",
            hint="Give the new device another alias.",
            details={"alias": alias},
        )


def _cannot_make(match: Match, definition: Definition) -> VirtmemError:
    spec = match.wanted
    node = spec.stated.get("node")
    which = f" called {spec.alias}" if spec.alias else "" if node is None else f" on node {node}"
    others = [device.alias or "(no alias)" for device in definition.devices if device.model == spec.model]
    has = f", only {', '.join(others)}" if others else ""
    place = f"{spec.place}: " if spec.place else ""
    return VirtmemError(
        "device_not_found",
        f"{place}{definition.name} has no {spec.model} device{which}{has}, and a new one needs a size.",
        hint="Set the option size to add a device, or the alias of an existing one.",
        details={"devices": others},
    )
