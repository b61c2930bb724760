# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which libvirt and QEMU a lab runs: a table, one row for each generation."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LabError
from .place import Place, User


@dataclass(frozen=True)
class Generation:
    """One libvirt and QEMU."""

    name: str
    story: str

    def prepare(self) -> None:
        """Get what is not there yet."""

    def command(self, place: Place, user: User) -> list[str]:
        """Return what starts the daemon, in the background."""
        drop = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", "--"] if user.other else []
        return [*drop, "libvirtd", "-d", "-p", str(place.pid_file)]


GENERATIONS = {
    generation.name: generation for generation in (Generation("distribution", "what is installed on this machine"),)
}


def generation_named(name: str) -> Generation:
    """Return the row of the table, or say which rows there are."""
    try:
        return GENERATIONS[name]
    except KeyError:
        raise LabError(f"no hypervisor {name!r}; there are {', '.join(GENERATIONS)}") from None
