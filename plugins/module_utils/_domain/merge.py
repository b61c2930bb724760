# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A planned definition: the present one with the task's options merged in, devices excepted. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from .._errors import VirtmemError
from .._model import Definition, NumaCell, Placement, Platform, format_size
from .rules import check_cell_ids, check_structure
from .spec import CellSpec, DomainSpec


def merge_structure(definition: Definition, spec: DomainSpec, platform: Platform) -> Definition:
    """The definition with all that the task says, but for devices and `memory`. Raises VirtmemError for what is
    contradictory in itself or in this definition."""
    planned = replace(
        definition,
        maximum=definition.maximum if spec.maximum is None else spec.maximum,
        slots=definition.slots if spec.slots is None else spec.slots,
        backing=replace(definition.backing, **spec.backing or {}),
        tuning=replace(definition.tuning, **spec.tuning or {}),
        placement=_placement(definition, spec),
        memballoon=replace(definition.memballoon, **spec.balloon or {}),
    )
    planned = _merge_boot(planned, spec)
    check_structure(planned, spec, platform.versions)
    return planned


def _placement(definition: Definition, spec: DomainSpec) -> Placement:
    wanted: dict[str, t.Any] = dict(spec.placement or {})
    if "nodeset" in wanted:
        wanted["auto"] = False
    placement = replace(definition.placement, **wanted)
    # virDomainNumatuneParseXML: a nodeset without a mode is strict
    return replace(placement, mode="strict") if placement.nodeset and not placement.mode else placement


def with_boot(definition: Definition, boot: int) -> Definition:
    return replace(definition, total=definition.total - definition.boot + boot)


# ------------------------------------------------------------------------------------------- boot memory and NUMA cells


def _merge_boot(definition: Definition, spec: DomainSpec) -> Definition:
    if spec.numa is not None:
        return _merge_cells(definition, spec)
    if spec.boot is None:
        return definition
    cells = definition.cells
    if len(cells) > 1:
        raise VirtmemError(
            "unsupported",
            f"boot: {definition.name} has {len(cells)} NUMA nodes, and the task does not name the one whose memory changes.",
            hint="Use numa, with one element for each node: "
            + ", ".join(f"id={cell.id} memory={format_size(cell.memory)}" for cell in cells)
            + " is what it has.",
            details={"numa": [{"id": cell.id, "memory": cell.memory} for cell in cells]},
        )
    if cells:
        definition = replace(definition, cells=(replace(cells[0], memory=spec.boot),))
    return with_boot(definition, spec.boot)


def _merge_cells(definition: Definition, spec: DomainSpec) -> Definition:
    """The whole topology as the task lists it; what it leaves out of a node, the node of that id keeps."""
    specs = sorted(t.cast("tuple[CellSpec, ...]", spec.numa), key=lambda cell: cell.id)
    check_cell_ids([cell.id for cell in specs])
    old = {cell.id: cell for cell in definition.cells}
    cells = tuple(_merge_cell(cell, old.get(cell.id), definition, spec, alone=len(specs) == 1) for cell in specs)
    boot = sum(cell.memory for cell in cells)
    if spec.boot is not None and spec.boot != boot:
        raise VirtmemError(
            "unsupported",
            f"boot: {format_size(spec.boot)} is not the sum of the NUMA nodes' memory, {format_size(boot)}.",
            hint="Omit boot, or make the sizes of numa add up to it.",
            details={"boot": spec.boot, "numa": boot},
        )
    return with_boot(replace(definition, cells=cells), boot)


def _merge_cell(
    cell: CellSpec, old: NumaCell | None, definition: Definition, spec: DomainSpec, *, alone: bool
) -> NumaCell:
    if old is None and "memory" not in cell.stated and not alone:
        raise VirtmemError(
            "unsupported",
            f"numa[{cell.id}]: a new node needs its boot memory.",
            hint="Give it the option memory.",
            details={"id": cell.id},
        )
    base = old or NumaCell(cell.id, definition.boot)
    if alone and spec.boot is not None and "memory" not in cell.stated:
        base = replace(base, memory=spec.boot)
    return replace(base, **cell.stated)
