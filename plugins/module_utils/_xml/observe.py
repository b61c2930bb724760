# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of one domain before anything is decided."""

from __future__ import annotations

import typing as t

from .._model import DomainState, Observed, Scope
from . import document

if t.TYPE_CHECKING:
    from .._protocol import Domain


def observe(domain: Domain, state: DomainState) -> tuple[dict[Scope, str], Observed]:
    """Each definition that there is, once: as text, for editing, and as model."""
    texts: dict[Scope, str] = {}
    if state.active:
        texts["live"] = domain.xml("live")
    if state.persistent:
        texts["config"] = domain.xml("config")
    models = {scope: document.parse_definition(text) for scope, text in texts.items()}
    return texts, Observed(state, models)
