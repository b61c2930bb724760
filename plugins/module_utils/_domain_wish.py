# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What a domain_memory task says, as data. Whatever it leaves out stays as it is."""

from __future__ import annotations

import re
import typing as t
import uuid
from dataclasses import dataclass

from ansible_collections.virtmem.libvirt.plugins.module_utils import _rules
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import HugePage, in_order
from ansible_collections.virtmem.libvirt.plugins.module_utils._sets import format_set, parse_set
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import parse_size

Params = t.Mapping[str, t.Any]

UNLIMITED: t.Final = "unlimited"
# Control characters, halves of surrogate pairs, and what is no character: XML has no way to write most of them.
_LOST_IN_XML: t.Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufffe\\uffff]")


@dataclass(frozen=True)
class DeviceWish:
    """One element of `devices`. `stated` has MemoryDevice's names, and sizes in bytes; `place` is its name in errors."""

    place: str
    model: str
    alias: str | None
    stated: t.Mapping[str, t.Any]


@dataclass(frozen=True)
class CellWish:
    """One element of `numa`; `stated` has NumaCell's names."""

    id: int
    stated: t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Wish:
    """A whole task. Mappings have the names of the model's classes, and only what the task states. Sizes are bytes.

    `tuning` has None for unlimited; `target` is the balloon's; `numa` and `devices` are None where the task has none.
    """

    memory: int | None = None
    maximum: int | None = None
    slots: int | None = None
    boot: int | None = None
    numa: tuple[CellWish, ...] | None = None
    backing: t.Mapping[str, t.Any] | None = None
    tuning: t.Mapping[str, int | None] | None = None
    placement: t.Mapping[str, str] | None = None
    balloon: t.Mapping[str, t.Any] | None = None
    target: int | None = None
    devices: tuple[DeviceWish, ...] | None = None
    purge: bool = False

    def stated_values(self, option: str) -> frozenset[t.Any]:
        """All values that devices of this task state for one option."""
        return frozenset(wish.stated[option] for wish in self.devices or () if option in wish.stated)


def wish_from(params: Params) -> Wish:
    """Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    maximum, balloon = params["maximum"] or {}, dict(params["balloon"] or {})
    target = balloon.pop("target", None)
    devices = params["devices"]
    if params["purge_devices"] and devices is None:
        raise VirtmemError(
            "unsupported",
            "purge_devices: the task has no devices, so it does not say which ones shall stay.",
            hint="List the devices that shall stay, or say devices=[] to remove all.",
        )
    return Wish(
        memory=_size(params, "memory"),
        maximum=_size(maximum, "size", "maximum."),
        slots=maximum.get("slots"),
        boot=_size(params, "boot"),
        numa=None if params["numa"] is None else tuple(map(_cell_wish, params["numa"])),
        backing=_backing(params["backing"] or {}),
        tuning=_tuning(params["tuning"] or {}),
        placement=_placement(params["placement"] or {}),
        balloon=_stated(balloon),
        target=None if target is None else parse_size(target, "balloon.target"),
        devices=None if devices is None else tuple(map(_device_wish, range(len(devices)), devices)),
        purge=params["purge_devices"],
    )


def _size(params: Params, name: str, prefix: str = "") -> int | None:
    return None if params.get(name) is None else parse_size(params[name], prefix + name)


def _stated(params: Params) -> dict[str, t.Any]:
    return {name: value for name, value in params.items() if value is not None}


def read_set(text: str, option: str) -> str:
    """A set as libvirt writes it. Raises VirtmemError(unsupported)."""
    try:
        return format_set(parse_set(text))
    except ValueError:
        raise VirtmemError(
            "unsupported",
            f"{option}: {text!r} is not a set of numbers.",
            hint="Write numbers and rising ranges with commas, for example 0-1,3.",
            details={"option": option, "value": text},
        ) from None


def _cell_wish(params: Params) -> CellWish:
    stated = _stated(params)
    number = stated.pop("id")
    where = f"numa[{number}]."
    if "memory" in stated:
        stated["memory"] = parse_size(stated["memory"], f"{where}memory")
    if "cpus" in stated:
        stated["cpus"] = read_set(stated["cpus"], f"{where}cpus")
    return CellWish(number, stated)


def _backing(params: Params) -> dict[str, t.Any]:
    stated = _stated(params)
    for name, value in _stated(stated.pop("allocation", None) or {}).items():
        stated[f"allocation_{name}"] = value
    if "hugepages" in stated:
        stated["hugepages"] = _hugepages(stated["hugepages"])
    return stated


def _hugepages(pages: t.Sequence[Params]) -> tuple[HugePage, ...] | None:
    """None for an empty list (no huge pages at all), () for one without a size (the host's default)."""
    if not pages:
        return None
    if len(pages) == 1 and pages[0]["size"] is None and pages[0]["nodeset"] is None:
        return ()
    return in_order(_huge_page(position, page) for position, page in enumerate(pages))


def _huge_page(position: int, page: Params) -> HugePage:
    where = f"backing.hugepages[{position}]"
    if page["size"] is None:
        raise VirtmemError(
            "unsupported",
            f"{where}: a page needs a size, unless it is the only one and for all nodes.",
            hint="Give it a size, such as 2MiB or 1GiB.",
        )
    nodeset = None if page["nodeset"] is None else read_set(page["nodeset"], f"{where}.nodeset")
    return HugePage(parse_size(page["size"], f"{where}.size"), nodeset)


def _tuning(params: Params) -> dict[str, int | None]:
    return {
        name: None if value.strip() == UNLIMITED else parse_size(value, f"tuning.{name}")
        for name, value in _stated(params).items()
    }


def _placement(params: Params) -> dict[str, str]:
    stated = _stated(params)
    if "nodeset" in stated:
        stated["nodeset"] = read_set(stated["nodeset"], "placement.nodeset")
    return stated


_DEVICE_SIZES: t.Final = ("size", "block", "requested", "page_size", "align_size", "label_size")


def _device_wish(position: int, params: Params) -> DeviceWish:
    stated = _stated(params)
    stated.update(_stated(stated.pop("driver", None) or {}))
    model, alias = stated.pop("model"), stated.pop("alias", None)
    place = f"devices[{position}]"
    for name in _DEVICE_SIZES:
        if name in stated:
            stated[name] = parse_size(stated[name], f"{place}.{name}")
    if stated.get("size") == 0:
        raise VirtmemError(
            "invalid_size",
            f"{place}.size: a device must have more than 0.",
            hint="Say requested=0 to take all memory of a virtio-mem device back, or leave the device out and say"
            " purge_devices=true to remove it.",
            details={"size": 0},
        )
    for name, read in (
        ("node_mask", lambda text: read_set(text, f"{place}.node_mask")),
        ("guest_address", _rules.normal_guest_address),
        ("pci_address", _rules.normal_pci_address),
        ("uuid", lambda text: _uuid(text, place)),
        ("path", lambda text: _path(text, place)),
    ):
        if name in stated:
            stated[name] = read(stated[name])
    for name in ("pmem", "readonly"):  # elements that are there or not: false is their absence
        if name in stated:
            stated[name] = stated[name] or None
    return DeviceWish(place, model, alias, stated)


def _path(text: str, place: str) -> str:
    """libvirt's schema wants an absolute path (absFilePath), which it checks only if asked to."""
    if not text.startswith("/"):
        raise VirtmemError(
            "unsupported",
            f"{place}.path: {text!r} is not an absolute path.",
            hint="Write the whole path of the file or device on the hypervisor, from / on.",
            details={"path": text},
        )
    if _LOST_IN_XML.search(text):
        raise VirtmemError(
            "unsupported",
            f"{place}.path: {text!r} has a character that libvirt can't keep.",
            hint="Rename the file, without line ends and control characters.",
            details={"path": text},
        )
    return text


def _uuid(text: str, place: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise VirtmemError("unsupported", f"{place}.uuid: {text!r} is not a UUID.") from None
