# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two definitions of a domain, as text, and how a test looks at them."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    Element,
    alias_of,
    element,
    text_of,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.rules import sums
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import size_of


class Definitions:
    """`config` and `live` are as libvirt prints them, None where there is none."""

    def __init__(self) -> None:
        self.config: str | None = None
        self.live: str | None = None
        self.counted = 1  # how many times libvirt counts what is plugged

    def root(self, scope: str) -> Element:
        return element(t.cast(str, self.live if scope == "live" else self.config))

    def store(self, scope: str, root: Element) -> None:
        if scope == "live":
            sums.a_running_current_is_of_what_is_plugged(root, self.counted)
        setattr(self, scope, text_of(root))

    def edit(self, scope: str, change: t.Callable[[Element], object]) -> None:
        """Change a definition behind everybody's back."""
        root = self.root(scope)
        change(root)
        setattr(self, scope, text_of(root))

    def current(self, alias: str = "ua-virtiomem0") -> int | None:
        return self._size(alias, "live", "current")

    def requested(self, scope: str = "live", alias: str = "ua-virtiomem0") -> int | None:
        return self._size(alias, scope, "requested")

    def texts(self) -> tuple[str | None, str | None]:
        return self.live, self.config

    def _size(self, alias: str, scope: str, tag: str) -> int | None:
        for memory in self.root(scope).findall("devices/memory"):
            if alias_of(memory) == alias:
                return size_of(memory.find(f"target/{tag}"))
        return None
