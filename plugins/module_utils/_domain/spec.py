# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task says of a domain's memory, as data. Whatever it leaves out stays as it is. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._device.options import Spec, any_device_spec
from .._device.spec import DeviceSpec, read_device_spec, read_one_device
from .._device.values import Params, read_set, stated_of
from .._errors import VirtmemError
from .._model import Definition, DomainState, HugePage, Observed, Platform, Record, Scope, in_order
from .._size import parse_size

UNLIMITED: t.Final = "unlimited"


@dataclass(frozen=True, eq=False, repr=False)
class CellSpec(Record):
    """One element of `numa`; `stated` has NumaCell's names."""

    id: int
    stated: t.Mapping[str, t.Any]


@dataclass(frozen=True, eq=False, repr=False)
class DomainSpec(Record):
    """A whole task. Mappings have the names of the model's classes, and only what the task states. Sizes are bytes.

    `tuning` has None for unlimited; `target` is the balloon's; `numa` and `devices` are None where the task has none.
    `one_device`: a virtio_mem_device task, whose only element of `devices` it is; it does not prepare the domain.
    """

    memory: int | None = None
    maximum: int | None = None
    slots: int | None = None
    boot: int | None = None
    numa: tuple[CellSpec, ...] | None = None
    backing: t.Mapping[str, t.Any] | None = None
    tuning: t.Mapping[str, int | None] | None = None
    placement: t.Mapping[str, str] | None = None
    balloon: t.Mapping[str, t.Any] | None = None
    target: int | None = None
    devices: tuple[DeviceSpec, ...] | None = None
    purge: bool = False
    one_device: bool = False

    def stated_values(self, option: str) -> frozenset[t.Any]:
        """All values that devices of this task state for one option."""
        return frozenset(spec.stated[option] for spec in self.devices or () if option in spec.stated)


def read_domain_spec(params: Params) -> DomainSpec:
    """Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    maximum, balloon = params["maximum"] or {}, dict(params["balloon"] or {})
    target = balloon.pop("target", None)
    devices = params["devices"]
    if params["purge_devices"] and devices is None:
        raise VirtmemError(
            "unsupported",
            "purge_devices: the task must list the devices that should stay.",
            hint="List them in devices, or set devices=[] to remove all.",
        )
    return DomainSpec(
        memory=_size(params, "memory"),
        maximum=_size(maximum, "size", "maximum."),
        slots=maximum.get("slots"),
        boot=_size(params, "boot"),
        numa=None if params["numa"] is None else tuple(map(_read_cell_spec, params["numa"])),
        backing=_read_backing(params["backing"] or {}),
        tuning=_tuning(params["tuning"] or {}),
        placement=_placement(params["placement"] or {}),
        balloon=stated_of(balloon),
        target=None if target is None else parse_size(target, "balloon.target"),
        devices=None if devices is None else tuple(map(read_device_spec, range(len(devices)), devices)),
        purge=params["purge_devices"],
    )


def read_device_task(params: Params) -> DomainSpec:
    """A virtio_mem_device task. Raises VirtmemError for an option that can't be read."""
    return DomainSpec(devices=(read_one_device(params),), one_device=True)


def read_reserve(params: Params) -> int:
    """What a shrink must leave usable to the guest, in bytes."""
    return parse_size(params["guest_reserve"], "guest_reserve")


def _size(params: Params, name: str, prefix: str = "") -> int | None:
    return None if params.get(name) is None else parse_size(params[name], prefix + name)


def _read_cell_spec(params: Params) -> CellSpec:
    stated = stated_of(params)
    number = stated.pop("id")
    where = f"numa[{number}]."
    if "memory" in stated:
        stated["memory"] = parse_size(stated["memory"], f"{where}memory")
    if "cpus" in stated:
        stated["cpus"] = read_set(stated["cpus"], f"{where}cpus")
    return CellSpec(number, stated)


def _read_backing(params: Params) -> dict[str, t.Any]:
    stated = stated_of(params)
    for name, value in stated_of(stated.pop("allocation", None) or {}).items():
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
        for name, value in stated_of(params).items()
    }


def _placement(params: Params) -> dict[str, str]:
    stated = stated_of(params)
    if "nodeset" in stated:
        stated["nodeset"] = read_set(stated["nodeset"], "placement.nodeset")
    return stated


@dataclass(frozen=True, eq=False, repr=False)
class PlanInput:
    """All that a plan is made from. `actual` is the size of the live balloon in bytes, None where it is not known;
    `restart` says that the guest may be restarted, `wait` that somebody waits for it, `live_only` that the task insists on
    the running guest (scope=live)."""

    spec: DomainSpec
    observed: Observed
    scopes: tuple[Scope, ...]
    platform: Platform
    actual: int | None = None
    restart: bool = False
    wait: bool = True
    live_only: bool = False

    def definition(self, scope: Scope) -> Definition:
        """One of those that the task is about."""
        return self.observed.definitions[scope]


def resolve_scopes(scope: str, state: DomainState) -> tuple[Scope, ...]:
    """Which definitions a task means; live comes first. Raises VirtmemError(unsupported) for one that isn't there."""
    if scope in ("live", "both") and not state.active:
        raise VirtmemError(
            "unsupported",
            f"scope={scope} needs a running domain, and {state.name} is {state.state}.",
            hint="Start the domain, or use scope=config.",
            details={"scope": scope, "state": state.state},
        )
    if scope in ("config", "both") and not state.persistent:
        raise VirtmemError(
            "unsupported",
            f"scope={scope} needs a persistent domain, and {state.name} is transient: it has no stored definition.",
            hint="Use scope=live.",
            details={"scope": scope},
        )
    if not state.active and not state.persistent:  # a transient domain that stopped while it was looked at
        raise VirtmemError(
            "domain_not_found",
            f"{state.name} no longer exists.",
            hint="A transient domain disappears when it stops; define it to keep it.",
            details={"domain": state.name},
        )
    scopes: list[Scope] = []
    if scope in ("live", "both") or (scope == "auto" and state.active):
        scopes.append("live")
    if scope in ("config", "both") or (scope == "auto" and state.persistent):
        scopes.append("config")
    return tuple(scopes)


# -------------------------------------------------------------------------------------------------------- argument spec

_BALLOONS: t.Final = ("none", "virtio", "virtio-transitional", "virtio-non-transitional", "xen")


def domain_spec() -> Spec:
    """All memory of a domain."""
    return {
        "memory": {"type": "str"},
        "maximum": _options(size={"type": "str"}, slots={"type": "int"}),
        "boot": {"type": "str"},
        "numa": _elements(
            id={"type": "int", "required": True},
            cpus={"type": "str"},
            memory={"type": "str"},
            access={"type": "str", "choices": ["shared", "private"]},
            discard={"type": "bool"},
        ),
        "backing": _backing_spec(),
        "tuning": _options(hard_limit={"type": "str"}, soft_limit={"type": "str"}, swap_hard_limit={"type": "str"}),
        "placement": _options(
            mode={"type": "str", "choices": ["strict", "preferred", "interleave", "restrictive"]},
            nodeset={"type": "str"},
        ),
        "balloon": _options(
            target={"type": "str"},
            model={"type": "str", "choices": list(_BALLOONS)},
            autodeflate={"type": "bool"},
            free_page_reporting={"type": "bool"},
            stats_period={"type": "int"},
        ),
        "devices": _elements(**any_device_spec()),
        "purge_devices": {"type": "bool", "default": False},
        "restart": {"type": "str", "choices": ["never", "if_required"], "default": "never"},
        "shutdown_timeout": {"type": "int", "default": 300},
    }


def _backing_spec() -> Spec:
    return _options(
        hugepages=_elements(size={"type": "str"}, nodeset={"type": "str"}),
        source={"type": "str", "choices": ["anonymous", "file", "memfd"]},
        access={"type": "str", "choices": ["shared", "private"]},
        allocation=_options(mode={"type": "str", "choices": ["immediate", "ondemand"]}, threads={"type": "int"}),
        locked={"type": "bool"},
        nosharepages={"type": "bool"},
        discard={"type": "bool"},
    )


def _options(**options: t.Any) -> Spec:
    return {"type": "dict", "options": options}


def _elements(**options: t.Any) -> Spec:
    return {"type": "list", "elements": "dict", "options": options}
