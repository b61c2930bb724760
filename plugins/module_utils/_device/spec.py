# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says of one memory device. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._errors import VirtmemError
from .._model import VIRTIO_MEM
from .._size import parse_size
from .values import Params, _path, _stated, _uuid, normal_guest_address, normal_node_mask, normal_pci_address, read_set


@dataclass(frozen=True)
class DeviceSpec:
    """One element of `devices`, or all of a virtio_mem_device task.

    `stated` has MemoryDevice's names, and sizes in bytes; `place` is what errors call it (nothing where the task is about
    one device). `absent`: the device should not be there.
    """

    place: str
    model: str
    alias: str | None
    stated: t.Mapping[str, t.Any]
    absent: bool = False


_DEVICE_SIZES: t.Final = ("size", "block", "requested", "page_size", "align_size", "label_size")


def read_device_spec(position: int, params: Params) -> DeviceSpec:
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
            hint="Set requested=0 to take all memory of a virtio-mem device back, or omit the device and set"
            " purge_devices=true to remove it.",
            details={"size": 0},
        )
    for name, read in (
        ("node_mask", lambda text: read_set(text, f"{place}.node_mask")),
        ("guest_address", normal_guest_address),
        ("pci_address", normal_pci_address),
        ("uuid", lambda text: _uuid(text, place)),
        ("path", lambda text: _path(text, place)),
    ):
        if name in stated:
            stated[name] = read(stated[name])
    for name in ("pmem", "readonly"):  # elements that are there or not: false is their absence
        if name in stated:
            stated[name] = stated[name] or None
    return DeviceSpec(place, model, alias, stated)


_SIZES: t.Final = frozenset({"size", "block", "requested", "page_size"})


def read_one_device(params: Params) -> DeviceSpec:
    """A whole virtio_mem_device task. Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    stated: dict[str, t.Any] = {}
    for name in ("node", "access", "discard", "dynamic_memslots"):
        stated[name] = params[name]
    for name in _SIZES:
        stated[name] = None if params[name] is None else parse_size(params[name], name)
    for name, normal in (
        ("node_mask", normal_node_mask),
        ("guest_address", normal_guest_address),
        ("pci_address", normal_pci_address),
    ):
        stated[name] = None if params[name] is None else normal(params[name])
    stated = {name: value for name, value in stated.items() if value is not None}
    return DeviceSpec("", VIRTIO_MEM, params["alias"], stated, absent=params["state"] == "absent")
