# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a domain's memory may be as a whole: contradictions, said in one sentence before anything is touched. Pure.

Sources: virDomainDefPostParseMemory, qemuDomainDefValidateMemoryHotplug, qemuValidateDomainDefMemory and friends (libvirt
9.0 to 12.8), and what only QEMU or the kernel refuses, at start.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass, replace

from .. import _capabilities
from .._bitmap import format_bitmap, members_of
from .._errors import VirtmemError
from .._model import MIB, Definition, Platform, Versions, format_size
from .spec import DomainSpec

_MOST_SLOTS: t.Final = 255  # ACPI_MAX_RAM_SLOTS is 256 in QEMU, and libvirt's slots are less


@dataclass(frozen=True, eq=False, repr=False)
class _Rule:
    """The task is refused where `broken` says so of the definition as it would be. `stated` names parts of the spec:
    only a task that names one of them is checked: what was there before is no reason to fail."""

    stated: tuple[str, ...]
    broken: t.Callable[[Definition], bool]
    sentence: str
    hint: str = ""
    code: str = "unsupported"


_RULES: t.Final = (
    _Rule(
        ("backing",),
        lambda d: d.backing.hugepages is not None and d.backing.source == "anonymous",
        "backing.hugepages: huge pages can't be anonymous memory",
        "Set source=memfd or source=file, or omit hugepages.",
    ),
    _Rule(
        ("backing",),
        lambda d: d.backing.hugepages is not None and d.backing.allocation_mode == "ondemand",
        "backing.allocation.mode: huge pages are allocated at once, not on demand",
        "Set mode=immediate, or omit hugepages.",
    ),
    _Rule(
        ("backing",),
        lambda d: sum(page.nodeset is None for page in d.backing.hugepages or ()) > 1,
        "backing.hugepages: more than one page size is for all nodes",
        "Give all but one a nodeset.",
    ),
    _Rule(
        ("backing",),
        lambda d: bool(_shared_members([page.nodeset for page in d.backing.hugepages or () if page.nodeset])),
        "backing.hugepages: a guest node has two page sizes",
        "Name each guest node in one nodeset only.",
    ),
    _Rule(
        ("backing",),
        lambda d: any(page.size < 4096 or page.size & (page.size - 1) for page in d.backing.hugepages or ()),
        "backing.hugepages: a page size is a power of two",
        "x86 has 2MiB and 1GiB.",
        "invalid_size",
    ),
    _Rule(
        ("backing", "numa"),
        lambda d: bool({n for p in d.backing.hugepages or () for n in members_of(p.nodeset)} - _node_ids(d)),
        "backing.hugepages: a nodeset names a guest NUMA node that does not exist",
        "The nodeset lists guest NUMA nodes.",
        "node_not_found",
    ),
    _Rule(
        ("backing",),
        lambda d: d.backing.allocation_threads is not None and d.backing.allocation_threads < 1,
        "backing.allocation.threads: it takes at least one thread",
    ),
    _Rule(
        ("backing", "devices"),
        lambda d: d.backing.locked and bool(d.virtio_mem),
        "backing.locked: QEMU can't use virtio-mem devices in a guest whose memory is locked",
        "Set locked=false, or remove the virtio-mem devices.",
        "not_hotpluggable",
    ),
    _Rule(
        ("tuning",),
        lambda d: 0 in (d.tuning.hard_limit, d.tuning.soft_limit, d.tuning.swap_hard_limit),
        "tuning: a limit of 0 would leave the guest nothing",
        "Use unlimited to remove a limit.",
    ),
    _Rule(
        ("tuning",),
        lambda d: d.tuning.swap_hard_limit is not None and d.tuning.hard_limit is None,
        "tuning.swap_hard_limit: it counts memory and swap together, and needs a hard_limit",
        "Give hard_limit, too.",
    ),
    _Rule(
        ("tuning",),
        lambda d: (d.tuning.hard_limit or 0) > (d.tuning.swap_hard_limit or d.tuning.hard_limit or 0),
        "tuning.hard_limit: it is more than swap_hard_limit, which counts memory and swap together",
        "Raise swap_hard_limit, or lower hard_limit.",
    ),
    _Rule(
        ("placement",),
        lambda d: d.placement.mode is not None and not d.placement.nodeset and not d.placement.auto,
        "placement.mode needs placement.nodeset",
        "Give nodeset, too.",
    ),
    _Rule(
        ("balloon", "target"),
        lambda d: (
            d.memballoon.model == "none"
            and (
                d.memballoon.stats_period > 0
                or d.memballoon.autodeflate is not None
                or d.memballoon.free_page_reporting is not None
            )
        ),
        "balloon: the domain has no memory balloon (model=none), and its other options need one",
        "Set model=virtio, or omit the other options of balloon.",
    ),
    _Rule(
        ("balloon",),
        lambda d: d.memballoon.stats_period < 0,
        "balloon.stats_period: it is a number of seconds, or 0 for never",
    ),
    _Rule(
        ("slots",),
        lambda d: not 0 <= d.slots <= _MOST_SLOTS,
        f"maximum.slots: a domain has 0 to {_MOST_SLOTS} slots",
    ),
    _Rule(
        ("slots",),
        lambda d: d.slots > 0 and d.maximum is None,
        "maximum.slots: slots need a maximum size",
        "Give maximum.size, too.",
    ),
    _Rule(
        ("boot", "numa"),
        lambda d: d.boot < MIB,
        "boot: a guest can't start with less than 1 MiB",
        "Most need 256 MiB or more.",
        "invalid_size",
    ),
)


def check_structure(planned: Definition, spec: DomainSpec, versions: Versions) -> None:
    """All of the table, and the rules that need numbers in their sentence."""
    spoken = {name for name in ("backing", "tuning", "placement", "balloon") if getattr(spec, name)}
    spoken |= {name for name in ("target", "slots", "boot", "numa", "devices") if getattr(spec, name) is not None}
    for rule in _RULES:
        if spoken & set(rule.stated) and rule.broken(planned):
            raise VirtmemError(rule.code, rule.sentence + ".", hint=rule.hint)
    if "target" in spoken:
        _check_target(planned, t.cast(int, spec.target))
    if "numa" in spoken:
        _check_cells(planned, versions)
    if spec.backing and "allocation_threads" in spec.backing:
        _capabilities.require("allocation.threads", versions)
    if spec.slots == 0 and planned.maximum and not _capabilities.behaves("slots are optional", versions):
        raise VirtmemError(
            "unsupported", "maximum.slots: libvirt needs at least one slot before 9.5.", hint="Omit slots."
        )


def _check_target(planned: Definition, target: int) -> None:
    if planned.memballoon.model == "none":
        raise VirtmemError(
            "unsupported",
            "balloon.target: the domain has no memory balloon.",
            hint="Set balloon.model=virtio, which works after the next start.",
        )
    most = planned.ram
    if target > most:
        raise VirtmemError(
            "unsupported",
            f"balloon.target: {format_size(target)} is more than boot memory and DIMMs together, {format_size(most)}.",
            hint="A balloon only takes away; the option memory sets how much the guest should have with its virtio-mem devices.",
            details={"target": target, "nearest": most},
        )
    if target <= 0:
        raise VirtmemError("invalid_size", "balloon.target: the balloon can't take all of the guest's memory.")


def check_cell_ids(ids: t.Sequence[int]) -> None:
    """virDomainNumaDefParseXML: each once, from 0 on, without a gap."""
    if list(ids) != list(range(len(ids))) or not ids:
        raise VirtmemError(
            "unsupported",
            f"numa: the nodes are {', '.join(map(str, ids)) or 'none'}, and they must be numbered 0, 1, 2 and so on, each"
            " once.",
            hint="List all nodes of the guest.",
            details={"ids": list(ids)},
        )


def _check_cells(planned: Definition, versions: Versions) -> None:
    sets = [cell.cpus for cell in planned.cells if cell.cpus]
    twice = _shared_members(sets)
    if twice:
        raise VirtmemError("unsupported", f"numa: vCPU {format_bitmap(twice)} is in more than one node.")
    beyond = {cpu for text in sets for cpu in members_of(text)} - set(range(planned.vcpus))
    if beyond:
        raise VirtmemError(
            "unsupported",
            f"numa: the domain has {planned.vcpus} vCPUs, so there is no vCPU {format_bitmap(beyond)}.",
            hint=f"They are numbered 0 to {planned.vcpus - 1}.",
            details={"vcpus": planned.vcpus},
        )
    if any(cell.memory == 0 for cell in planned.cells):
        _capabilities.require("a NUMA node without memory", versions)
    lost = sorted({device.node for device in planned.devices if device.node is not None} - _node_ids(planned))
    if lost:
        raise VirtmemError(
            "node_not_found",
            f"numa: a memory device belongs to node {lost[0]}, which the task removes.",
            hint="Keep the node, or move or remove the device first.",
            details={"nodes": lost},
        )


def _shared_members(sets: t.Sequence[str | None]) -> set[int]:
    seen: set[int] = set()
    twice: set[int] = set()
    for text in sets:
        members = set(members_of(text))
        twice |= seen & members
        seen |= members
    return twice


def _node_ids(definition: Definition) -> set[int]:
    return {cell.id for cell in definition.cells} or {0}


def check_totals(planned: Definition, before: Definition, versions: Versions) -> None:
    """The sums of a stored definition, where the task changes them."""
    if planned.maximum is None or (planned.maximum, planned.slots, planned.total, planned.devices) == (
        before.maximum,
        before.slots,
        before.total,
        before.devices,
    ):
        return
    if planned.total > planned.maximum:
        raise VirtmemError(
            "exceeds_max_memory",
            f"{planned.name} would have {format_size(planned.total)} with its devices at their full size, and its maximum is"
            f" {format_size(planned.maximum)}.",
            hint=f"Set maximum.size={format_size(planned.total)} or more, or make boot memory or a device smaller. A device"
            " counts with its full size, however little is requested.",
            details={"total": planned.total, "maximum": planned.maximum, "nearest": planned.total},
        )
    if planned.slots and planned.maximum <= planned.boot:
        raise VirtmemError(
            "exceeds_max_memory",
            f"maximum.size: {format_size(planned.maximum)} is no more than boot memory and leaves nothing for the"
            f" {planned.slots} memory slots, and QEMU would not start.",
            hint="Give it more than boot memory.",
            details={"maximum": planned.maximum, "boot": planned.boot},
        )
    used = sum(_capabilities.takes_slot(device.model, versions) for device in planned.devices)
    if used > planned.slots:
        raise VirtmemError(
            "exceeds_max_memory",
            f"{planned.name} has {planned.slots} memory slots, and {used} devices would need one each.",
            hint=f"Set maximum.slots={used} or more.",
            details={"slots": planned.slots, "used": used, "nearest": used},
        )


def check_session(definition: Definition, spec: DomainSpec, platform: Platform) -> None:
    """A user's own daemon has no rights to cgroups: it refuses limits, some of them only at start (libvirt 9.0 to 12.8)."""
    tuning = replace(definition.tuning, **spec.tuning or {})
    if platform.session and tuning != definition.tuning and any(asdict(tuning).values()):
        raise VirtmemError(
            "unsupported",
            "tuning: memory limits are not available in session mode.",
            hint="Use qemu:///system, or omit tuning.",
        )
