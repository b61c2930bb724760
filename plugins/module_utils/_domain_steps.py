# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""The steps of a domain_memory plan that are not about one device. Pure."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Definition, Scope
from ansible_collections.virtmem.libvirt.plugins.module_utils._step import Step

ChangeAction = t.Literal[
    "define", "set_balloon", "set_limits", "set_stats_period", "set_nodeset", "wait_balloon", "shutdown", "start"
]


@dataclass(frozen=True)
class Change:
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


AnyStep = t.Union[Step, Change]
