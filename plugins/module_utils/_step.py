# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""A plan's steps, and what came of them: what planning, applying and reporting share."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import MemoryDevice, Scope

Action = t.Literal["attach", "resize", "redefine", "detach", "set_current_memory", "wait"]


@dataclass(frozen=True)
class Step:
    """One write, or a wait for the guest to follow it.

    `device` is the device as the step leaves it (detach: as it finds it), `before` as it finds it. `size` is the
    `<currentMemory>` that a set_current_memory puts right, in bytes. `name` pairs the steps of one device in both
    definitions, where a plan has several devices.
    """

    action: Action
    scope: Scope
    device: MemoryDevice
    before: MemoryDevice | None = None
    size: int = 0
    name: str = ""


@dataclass
class Outcome:
    """What came of a plan: `done` are the writes that were made, in order, those of a settle or rollback included."""

    done: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stays: str | None = None
