# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is, as model, read before anything is decided: one domain, one definition, the nodes of the host."""

from __future__ import annotations

import typing as t

from .._model import Definition, DomainState, HostTopology, Observed, Scope
from . import document

if t.TYPE_CHECKING:
    from .._protocol import Domain, Hypervisor


def observe(domain: Domain, state: DomainState) -> tuple[dict[Scope, str], Observed]:
    """Each definition that there is, once: as text, for editing, and as model."""
    texts: dict[Scope, str] = {}
    if state.active:
        texts["live"] = domain.xml("live")
    if state.persistent:
        texts["config"] = domain.xml("config")
    models = {scope: document.parse_definition(text) for scope, text in texts.items()}
    return texts, Observed(state, models)


def read_definition(domain: Domain, scope: Scope) -> Definition:
    """One definition alone, as model."""
    return document.parse_definition(domain.xml(scope))


def read_topology(hypervisor: Hypervisor) -> HostTopology:
    """The host's nodes, and the huge pages of each."""
    return document.parse_capabilities(hypervisor.capabilities())
