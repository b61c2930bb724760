# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How guests behave: a table, one row for each behaviour."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LabError
from .sizes import KIB, MIB


@dataclass(frozen=True)
class Profile:
    """One behaviour; the defaults are those of a guest that does what it is asked."""

    name: str
    story: str
    online: str = "online_movable"  # the kernel's memhp_default_state
    driver: str = "now"  # virtio_mem is loaded: now, never, or so many seconds after a virtio-mem device appeared
    hungry: int = 0  # bytes that the guest keeps in use
    pinned: int = 0  # inodes made in new memory, which then can't be unplugged
    cells: int = 1
    vcpus: int = 1
    balloon: bool = True
    disk: bool = False  # Debian itself on a disk, which one can log in to; see debian.py
    hotplug: bool = True  # a maximum above the boot memory and a NUMA cell: what memory devices need

    def command_line(self) -> str:
        """Return the words for the guest's kernel; those with ``lab.`` are read by init.sh."""
        return (
            f"console=ttyS0 quiet memhp_default_state={self.online}"
            f" lab.driver={self.driver} lab.hungry={self.hungry // KIB} lab.pinned={self.pinned}"
        )


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("normal", "plugs and unplugs whatever it is asked"),
        Profile("refusing", "has no virtio_mem driver: never plugs anything", driver="never"),
        Profile("kernel-zone", "uses new memory for the kernel: gives most of it back, never all",
                online="online_kernel", pinned=6000),
        Profile("hungry", "keeps 300 MiB in use (--hungry SIZE), once it has them", hungry=300 * MIB),
        Profile("slow", "loads its driver 4 s (--slow SECONDS) after a device has appeared", driver="4"),
        Profile("offline", "plugs what it is asked and leaves it offline", online="offline"),
        Profile("two-nodes", "has two NUMA cells, and a processor in each, of which the first runs", cells=2, vcpus=2),
        Profile("no-balloon", "has no balloon device, so no statistics either", balloon=False),
        Profile("no-hotplug", "is a domain that nobody prepared: no maximum, no NUMA cell", hotplug=False),
        # One processor, for the machine is busy: with two (and mitigations) a role's target took a third more of it.
        Profile("debian", "is Debian 12, which boots by GRUB and has systemd and SSH", disk=True),
    )
}  # fmt: skip


def profile_named(name: str) -> Profile:
    """Return the row of the table, or say which rows there are."""
    try:
        return PROFILES[name]
    except KeyError:
        raise LabError(f"no profile {name!r}; there are {', '.join(PROFILES)}") from None
