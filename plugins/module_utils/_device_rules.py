# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What memory devices of each model may be: libvirt's and QEMU's rules, said before either of them would. Pure.

Sources: virDomainMemoryDefValidate and qemuValidateDomainDeviceDefMemory (libvirt 9.0 to 12.8); see also _rules.
"""

from __future__ import annotations

import typing as t
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.virtmem.libvirt.plugins.module_utils import _capabilities, _rules
from ansible_collections.virtmem.libvirt.plugins.module_utils._block import smallest_block
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_options import DRIVER
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain_wish import DeviceWish
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    VIRTIO_MEM,
    VIRTIO_MEM_OPTIONS,
    Definition,
    MemoryDevice,
    Versions,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import KIB, MIB, format_size

# The options that mean something for a model. libvirt drops others without a word, or refuses them.
OPTIONS: t.Final[t.Mapping[str, frozenset[str]]] = {
    "dimm": frozenset({"size", "node", "page_size", "node_mask", "access", "discard", "slot"}),
    "nvdimm": frozenset(
        {"size", "node", "path", "align_size", "pmem", "label_size", "readonly", "uuid", "access", "slot"}
    ),
    "virtio-pmem": frozenset({"size", "path", "access", "pci_address", "guest_address", *DRIVER}),
    VIRTIO_MEM: frozenset({*VIRTIO_MEM_OPTIONS, *DRIVER}),
    "sgx-epc": frozenset({"size", "node", "node_mask"}),
}

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
        lambda device, _: (device.align_size or 0) % _rules.SMALLEST_PAGE != 0,
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


def check_options(wish: DeviceWish) -> None:
    """Only options that the model has."""
    has = OPTIONS[wish.model]
    foreign = sorted(
        name for name, value in wish.stated.items() if value is not None and value is not False and name not in has
    )
    if foreign:
        raise VirtmemError(
            "unsupported",
            f"{wish.place}: a {wish.model} device has no {' and no '.join(foreign)}.",
            hint=f"It has {', '.join(sorted(has))}.",
            details={"model": wish.model, "options": foreign},
        )


def check_features(wish: DeviceWish, versions: Versions, arch: str, *, new: bool) -> None:
    """What this libvirt and QEMU know: older ones drop XML that is new to them without a word."""
    with at(wish.place):
        if wish.model == VIRTIO_MEM:
            _capabilities.require_virtio_mem(versions, arch)
        elif new and wish.model in _capabilities.FEATURES:
            _capabilities.require(wish.model, versions)
        for feature in ("guest_address", "dynamic_memslots"):
            if feature in wish.stated:
                _capabilities.require(feature, versions)
        if any(name in wish.stated for name in DRIVER):
            _capabilities.require("driver", versions)


def check_device(device: MemoryDevice, definition: Definition, thp_size: int | None, place: str) -> None:
    """A device as it shall be, in the definition that shall have it."""
    with at(place):
        _rules.check_page_size(device)
        _check_slot(device, definition)
        if device.model == VIRTIO_MEM:
            _rules.check_block(device, smallest_block(definition, thp_size) or MIB)
            _rules.check_requested(device)
            _rules.check_guest_address(device)
        _rules.check_size(device)
        if device.node is not None:
            _rules.choose_node(definition, device.node)
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
            _rules.check_pci_address(definition, device.pci_address)


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
