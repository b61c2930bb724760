# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""What is read of one domain before anything is decided: its definitions, and its guest's statistics."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils import _xml
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Definition,
    DomainState,
    GuestStatistics,
    Observed,
    Scope,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Domain
from ansible_collections.virtmem.libvirt.plugins.module_utils._wait import Clock, fresh_statistics


def read(domain: Domain, state: DomainState) -> tuple[dict[Scope, str], Observed]:
    """Each definition that there is, once: as text, for editing, and as model."""
    texts: dict[Scope, str] = {}
    if state.active:
        texts["live"] = domain.xml("live")
    if state.persistent:
        texts["config"] = domain.xml("config")
    models = {scope: _xml.parse_definition(text) for scope, text in texts.items()}
    return texts, Observed(state, models.get("live"), models.get("config"))


def statistics_to_go_by(
    domain: Domain, observed: Observed, check_mode: bool, clock: Clock
) -> tuple[GuestStatistics | None, str]:
    """What the running guest says of its memory just now; or None, and a warning that says why a shrink goes unchecked."""
    live = t.cast(Definition, observed.live)
    if not live.balloon:
        return usable_statistics(live, GuestStatistics())
    may_ask = not check_mode and observed.domain.state == "running"  # a paused guest says nothing new
    return usable_statistics(live, fresh_statistics(domain, live.stats_period, may_ask, clock))


def usable_statistics(live: Definition, statistics: GuestStatistics) -> tuple[GuestStatistics | None, str]:
    """The statistics if they are something to go by; or None, and a warning that says why they are not."""
    if not live.balloon:
        return None, _UNCHECKED.format("the domain has no memory balloon to ask")
    if statistics.usable is None:
        return None, _UNCHECKED.format("the guest reports no statistics")
    if not statistics.fresh:
        return None, _UNCHECKED.format("the guest's statistics are old")
    return statistics, ""


_UNCHECKED: t.Final = "Whether the guest can spare the memory was not checked: {}."
