# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says of one memory device. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .. import _capabilities
from .._errors import VirtmemError, at
from .._model import VIRTIO_MEM, Record, Versions
from .._option_table import TABLE, Option
from .._size import parse_size
from .options import OPTIONS, VIRTIO_MEM_OPTIONS
from .values import (
    Params,
    normal_guest_address,
    normal_node_mask,
    normal_pci_address,
    read_path,
    read_set,
    read_uuid,
    stated_of,
)


@dataclass(frozen=True, eq=False, repr=False)
class DeviceSpec(Record):
    """One element of `devices`, or all of a virtio_mem_device task.

    `stated` has MemoryDevice's names, and sizes in bytes; `place` is what errors call it (nothing where the task is about
    one device). `absent`: the device should not be there.
    """

    place: str
    model: str
    alias: str | None
    stated: t.Mapping[str, t.Any]
    absent: bool = False


def read_device_spec(position: int, params: Params) -> DeviceSpec:
    stated = stated_of(params)
    for group in {option.group for option in TABLE if option.group}:
        stated.update(stated_of(stated.pop(group, None) or {}))
    model, alias = stated.pop("model"), stated.pop("alias", None)
    place = f"devices[{position}]"
    values = read_options(stated, f"{place}.")
    if values.get("size") == 0:
        raise VirtmemError(
            "invalid_size",
            f"{place}.size: a device must have more than 0.",
            hint="Set requested=0 to take all memory of a virtio-mem device back, or omit the device and set"
            " purge_devices=true to remove it.",
            details={"size": 0},
        )
    return DeviceSpec(place, model, alias, values)


def read_one_device(params: Params) -> DeviceSpec:
    """A whole virtio_mem_device task. Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    stated = read_options({name: params[name] for name in VIRTIO_MEM_OPTIONS if name != "node_mask"})
    if params["node_mask"] is not None:
        stated["node_mask"] = normal_node_mask(params["node_mask"])
    return DeviceSpec("", VIRTIO_MEM, params["alias"], stated, absent=params["state"] == "absent")


def read_options(params: Params, prefix: str = "") -> dict[str, t.Any]:
    """The options that a task states, as the model has them. Raises VirtmemError (invalid_size, unsupported) for one
    that can't be read; `prefix` goes before its name."""
    stated = stated_of(params)
    return {
        option.name: _read(option, stated[option.name], prefix + option.name)
        for option in _IN_ORDER
        if option.name in stated
    }


# Of several that can't be read, a size is the first to be named.
_IN_ORDER: t.Final = sorted(TABLE, key=lambda option: option.kind != "size")


def _read(option: Option, value: object, name: str) -> object:
    reader = _READERS.get(option.kind)
    return reader(value, name) if reader else value


# How a value of a kind is read, where it is not as the task says it.
_READERS: t.Final[t.Mapping[str, t.Callable[[t.Any, str], t.Any]]] = {
    "size": parse_size,
    "set": read_set,
    "hex": lambda text, _: normal_guest_address(text),
    "pci": lambda text, _: normal_pci_address(text),
    "uuid": read_uuid,
    "path": read_path,
    "presence": lambda value, _: value or None,  # an element that is there or not: false is its absence
}


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
    """What this libvirt and QEMU know: older ones silently drop XML that is new to them."""
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
