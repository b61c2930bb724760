# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from the table of device options: argument specs and facts. Pure."""

from __future__ import annotations

import typing as t

from .._model import VIRTIO_MEM, MemoryDevice
from .._option_table import MODELS, TABLE, Option

Spec = dict[str, t.Any]

# A device's attributes that a task can state, besides its alias (the identity) and model.
DEVICE_OPTIONS: t.Final = tuple(option.name for option in TABLE)

# Those of virtio_mem_device, which leaves virtio's own settings to domain_memory.
VIRTIO_MEM_OPTIONS: t.Final = tuple(option.name for option in TABLE if VIRTIO_MEM in option.models and not option.group)

# The options that mean something for a model. libvirt silently drops others, or refuses them.
OPTIONS: t.Final[t.Mapping[str, frozenset[str]]] = {
    model: frozenset(option.name for option in TABLE if model in option.models) for model in MODELS
}


def grouped(values: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Values by option name, as tasks and facts have them: those of a group in a dictionary of its name."""
    found: dict[str, t.Any] = {}
    for option in TABLE:
        if option.name in values:
            place = found.setdefault(option.group, {}) if option.group else found
            place[option.name] = values[option.name]
    return found


def shown_options(device: MemoryDevice, names: t.Collection[str]) -> dict[str, t.Any]:
    """The device's values as facts have them, by option name; None where the XML does not say."""
    facts: dict[str, t.Any] = {option.name: option.of(device) for option in TABLE if option.name in names}
    for option in TABLE:
        if option.kind == "hex" and facts.get(option.name) is not None:
            facts[option.name] = f"{facts[option.name]:#x}"
    return facts


def device_spec() -> Spec:
    """One virtio-mem device."""
    return {"alias": {"type": "str"}, **_specs(VIRTIO_MEM_OPTIONS)}


def any_device_spec() -> Spec:
    """A memory device of any model; spec.check_options says which option which model has."""
    spec = grouped(_specs(DEVICE_OPTIONS))
    for group in {option.group for option in TABLE if option.group}:
        spec[group] = {"type": "dict", "options": spec[group]}
    return {"model": {"type": "str", "required": True, "choices": list(MODELS)}, "alias": {"type": "str"}, **spec}


def _specs(names: t.Collection[str]) -> Spec:
    return {option.name: _spec(option) for option in TABLE if option.name in names}


# Ansible's word for a kind; all others are text.
_TYPES: t.Final = {
    "int": "int",
    "slot": "int",
    "path": "path",
    "yes_no": "bool",
    "on_off": "bool",
    "presence": "bool",
}


def _spec(option: Option) -> Spec:
    spec: Spec = {"type": _TYPES.get(option.kind, "str")}
    if option.choices:
        spec["choices"] = list(option.choices)
    return spec
