# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which libvirt and QEMU a lab runs: a table, one row for each generation."""

from __future__ import annotations

from dataclasses import dataclass

from . import network, roots, system
from .errors import LabError
from .place import Place, User


@dataclass(frozen=True)
class Generation:
    """One libvirt and QEMU."""

    name: str
    story: str
    suite: str = ""  # of Debian, in a root of its own; none: what is installed here

    def prepare(self) -> None:
        """Get what is not there yet."""
        if self.suite:
            roots.provide(self.suite)

    def command(self, place: Place, user: User) -> list[str]:
        """Return what starts the daemon, in the background."""
        daemon = ["libvirtd", "-d", "-p", str(place.pid_file), *network.listening(place)]
        if place.system.exists():
            daemon = system.inside(place, daemon)
        elif user.other:
            daemon = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", "--", *daemon]
        return roots.inside(self.suite, place.directory, daemon) if self.suite else daemon


GENERATIONS = {
    generation.name: generation
    for generation in (
        Generation("distribution", "what is installed on this machine"),
        Generation("trixie", "Debian 13: libvirt 11.3, QEMU 10.0", suite="trixie"),
        Generation("sid", "the newest in Debian", suite="sid"),
    )
}


def generation_named(name: str) -> Generation:
    """Return the row of the table, or say which rows there are."""
    try:
        return GENERATIONS[name]
    except KeyError:
        raise LabError(f"no hypervisor {name!r}; there are {', '.join(GENERATIONS)}") from None
