# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What memory devices of each model may be: libvirt's and QEMU's rules, said before either of them would. Pure.

Each rule names the libvirt function or QEMU message that would refuse later, with less to say. Sources:
virDomainMemoryDefValidate and qemuValidateDomainDeviceDefMemory (libvirt 9.0 to 12.8).
"""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from dataclasses import dataclass

from .. import _capabilities
from .._capabilities import counts_all_slots, needs_nodes, node_mask_binds, takes_slot
from .._errors import VirtmemError
from .._model import VIRTIO_MEM, Definition, MemoryDevice, Scope, Versions
from .._option_table import TABLE
from .._size import KIB, MIB, format_size, round_down, round_up
from .options import OPTIONS
from .spec import DeviceSpec
from .values import _HIGHEST_ADDRESS


def default_block(device: MemoryDevice, definition: Definition, thp_size: int | None) -> int:
    """libvirt has no default (9.0 to 12.8): 2 MiB on x86, else the host's THP size; never less than the device's pages."""
    smallest = smallest_block(definition, thp_size)
    if smallest is None:
        raise VirtmemError(
            "block_invalid",
            f"block: the smallest block of a {definition.arch or 'non-x86'} host can't be known over this connection.",
            hint="Give the option block: the size of a transparent huge page of that host, or a multiple by 2 of it.",
        )
    return max(smallest, device.page_size or 0)


def smallest_block(definition: Definition, thp_size: int | None) -> int | None:
    # virDomainMemoryDefValidate compares with virHostMemGetTHPSize, which falls back to 2 MiB.
    if thp_size is not None:
        return max(thp_size, MIB)
    return 2 * MIB if definition.arch in ("x86_64", "i686") else None


# qemuDomainAlignMemorySizes rounds device sizes to 2 MiB at start, and in the live definition only: other sizes
# would differ between the two definitions for ever. It is also the smallest block that QEMU takes on x86.
SIZE_ALIGNMENT: t.Final = 2 * MIB

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


def host_page_size(definition: Definition, device: MemoryDevice) -> int | None:
    """The size of the pages that back a device, in bytes (None: ordinary pages, 0: the default huge page size): its own
    source's, then its guest node's, then the domain's (qemuBuildMemoryBackendProps, libvirt 9.0 and 11.3)."""
    if device.page_size is not None:
        return device.page_size
    backing = definition.backing
    return backing.cell_page_sizes.get(-1 if device.node is None else device.node, backing.page_size)


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


_SMALLEST_LABEL: t.Final = 128 * KIB  # virDomainNVDimmLabelSize


@dataclass(frozen=True)
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
        "Leave the option out.",
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
        "align_size: QEMU maps whole pages, so it is a multiple of 4 KiB",
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
        "Leave the option out.",
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


@contextmanager
def at(place: str) -> t.Iterator[None]:
    """Errors of the block name the element of `devices` that they are about."""
    try:
        yield
    except VirtmemError as error:
        error.message = f"{place}: {error.message}"
        error.args = (error.message,)
        raise


def check_options(spec: DeviceSpec) -> None:
    """Only options that the model has."""
    has = OPTIONS[spec.model]
    foreign = sorted(
        name for name, value in spec.stated.items() if value is not None and value is not False and name not in has
    )
    if foreign:
        raise VirtmemError(
            "unsupported",
            f"{spec.place}: a {spec.model} device has no {' and no '.join(foreign)}.",
            hint=f"It has {', '.join(sorted(has))}.",
            details={"model": spec.model, "options": foreign},
        )


def check_features(spec: DeviceSpec, versions: Versions, arch: str, *, new: bool) -> None:
    """What this libvirt and QEMU know: older ones drop XML that is new to them without a word."""
    with at(spec.place):
        if spec.model == VIRTIO_MEM:
            _capabilities.require_virtio_mem(versions, arch)
        elif new and spec.model in _capabilities.FEATURES:
            _capabilities.require(spec.model, versions)
        check_stated(spec.stated, versions)


def check_stated(stated: t.Container[str], versions: Versions) -> None:
    """The features that these options need."""
    needed = {option.feature for option in TABLE if option.name in stated}
    for feature in _capabilities.FEATURES:  # in the order in which they came
        if feature in needed:
            _capabilities.require(feature, versions)


def check_device(device: MemoryDevice, definition: Definition, thp_size: int | None, place: str) -> None:
    """A device as it shall be, in the definition that shall have it."""
    with at(place):
        check_page_size(device)
        _check_slot(device, definition)
        if device.model == VIRTIO_MEM:
            check_block(device, smallest_block(definition, thp_size) or MIB)
            check_requested(device)
            check_guest_address(device)
        check_size(device)
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
            f"slot: {device.slot} is no number of a slot.",
            hint="Slots are numbered from 0; leave the option out, and libvirt chooses one.",
            details={"slot": device.slot, "nearest": 0},
        )
    if device.slot in taken:
        free = next(number for number in range(len(taken) + 1) if number not in taken)
        raise VirtmemError(
            "unsupported",
            f"slot: slot {device.slot} is taken by another memory device of {definition.name}.",
            hint=f"Leave the option out, or say slot={free}.",
            details={"slot": device.slot, "nearest": free},
        )
    if 0 < definition.slots <= device.slot:
        raise VirtmemError(
            "exceeds_max_memory",
            f"slot: {definition.name} has {definition.slots} memory slots, so there is no slot {device.slot}.",
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


def why_no_hotplug(device: MemoryDevice, live: Definition) -> str | None:
    """Why the running guest can't get the device before its next start, as a clause; None where it can."""
    if device.model == "sgx-epc":
        return "QEMU adds EPC sections only at start"
    if device.model == "nvdimm" and not any(other.model == "nvdimm" for other in live.devices):
        return "a guest takes an NVDIMM only if it was started with one"
    if live.maximum is None:
        return "it was started without <maxMemory>"
    if device.model != "virtio-pmem" and not live.cells and _capabilities.needs_nodes(live.arch):
        return "it was started without a NUMA node"
    room = live.maximum - live.total
    if device.size > room:
        return f"it was started with room for only {format_size(max(room, 0))} more"
    if device.model.startswith("virtio-") and live.free_pcie_ports == 0:
        return "it has no free PCIe port"
    return None


def why_no_unplug(device: MemoryDevice, live: Definition, versions: Versions) -> str | None:
    """Why the running guest keeps the device until it is powered off, as a clause; None where it need not."""
    if device.model == VIRTIO_MEM:
        return _capabilities.why_no_unplug(versions, live, device)
    return None if device.model == "dimm" else f"QEMU can't unplug a {device.model} device"
