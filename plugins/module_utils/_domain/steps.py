# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan, its steps, and what came of them: what planning, applying and reporting share. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from .._device.match import Match
from .._model import Definition, MemoryDevice, Record, Scope
from .pending import Pending

Action = t.Literal["attach", "resize", "detach", "set_current_memory", "wait"]
ChangeAction = t.Literal[
    "define", "set_balloon", "set_limits", "set_stats_period", "set_nodeset", "wait_balloon", "shutdown", "start"
]


@dataclass(frozen=True, eq=False, repr=False)
class Step(Record):
    """One write to a device, or a wait for the guest to follow it.

    `device` is the device as the step leaves it (detach: as it finds it), `before` as it finds it. `size` is the
    `<currentMemory>` that a set_current_memory puts right, in bytes. `name` is what people call the device, the same in
    both definitions.
    """

    action: Action
    scope: Scope
    device: MemoryDevice
    before: MemoryDevice | None = None
    size: int = 0
    name: str = ""

    @property
    def is_wait(self) -> bool:
        return self.action == "wait"

    @property
    def unplugs(self) -> bool:
        """Whether it asks the running guest to release the device."""
        return self.action == "detach" and self.scope == "live"


@dataclass(frozen=True, eq=False, repr=False)
class Change(Record):
    """One write to the domain as a whole, or the wait for a balloon.

    `before` and `after` are what changes: bytes, seconds, a nodeset, or a dictionary by option. `definition` is what a
    define makes of the stored one, and `expected` what that must still be.
    """

    action: ChangeAction
    scope: Scope
    before: t.Any = None
    after: t.Any = None
    definition: Definition | None = None
    expected: Definition | None = None

    @property
    def is_wait(self) -> bool:
        return self.action == "wait_balloon"

    @property
    def unplugs(self) -> bool:
        return False


AnyStep = t.Union[Step, Change]


@dataclass(frozen=True, eq=False, repr=False)
class DomainPlan(Record):
    """What a task will do. `before` and `after` are the definitions of the task's scopes; `after` is what a real run
    ends with if the guest follows. `pending` is what waits for a restart then. `awaited` are the virtio-mem devices of the
    running guest that the task says something about, by name, as they should be. `restarts` says that the guest is shut
    down and started for what would be `postponed` otherwise. `match` is the one device of a virtio_mem_device task."""

    scopes: tuple[Scope, ...]
    before: t.Mapping[Scope, Definition]
    after: t.Mapping[Scope, Definition]
    steps: tuple[AnyStep, ...] = ()
    pending: tuple[Pending, ...] = ()
    awaited: t.Mapping[str, MemoryDevice] | None = None
    restarts: bool = False
    postponed: tuple[Pending, ...] = ()
    warnings: tuple[str, ...] = ()
    match: Match | None = None

    @property
    def writes(self) -> tuple[AnyStep, ...]:
        return tuple(step for step in self.steps if not step.is_wait)


@dataclass(eq=False, repr=False)
class Outcome:
    """What came of a plan: `done` are the writes that were made, in order, those of a settle or rollback included.

    `kept_because`: QEMU's own word why a device could not be unplugged. `left_behind`: devices of this task that a rollback
    takes out of the guest again, if it can. `restored`: the guest did not start with what the task wrote, and runs with
    what it had.
    """

    done: list[AnyStep] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    kept_because: str | None = None
    fell_short: bool = False
    left_behind: list[Step] = field(default_factory=list)
    restored: bool = False
