# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private system daemon: as root, with the kernel's control groups, and none of the machine's libvirt in its sight.

It has namespaces of its own for mounts, network and control groups. What libvirt calls /etc/libvirt, /run/libvirt and so
on are folders of the lab there, so its socket can be reached from outside, and another daemon finds what it left.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import cgroups, huge_pages, polkit
from .errors import LabError, UnavailableError
from .place import Place, User, make_folder

_FOLDERS = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
}

# dynamic_ownership: the image and the console are not QEMU's to own.
# namespaces: with one, libvirt would move our mask of /dev/kvm, and can't.
# hugetlbfs_mount: where it is not said, libvirt takes what the machine has mounted.
_QEMU_CONF = """stdio_handler = "file"
security_driver = "none"
namespaces = []
dynamic_ownership = 0
user = "+{user.uid}"
group = "+{user.gid}"
hugetlbfs_mount = [{huge_pages}]
"""
# libvirt looks for the users that its distribution runs QEMU as, also where it is told another one, and does not come up
# without. Its packages for a machine's own system daemon would make them.
_QEMU_USERS = ("libvirt-qemu", "qemu", "kvm")
# Only root can open the socket; without polkit there is nobody to ask about others (with it, see polkit.py).
_LIBVIRTD_CONF = """auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
log_level = 3
log_outputs = "3:file:{log}"
"""

# What we are in when the namespace is made, is the root of the hierarchy in it.
_JOIN = """
while [ "$1" != -- ]; do
    echo $$ >"$1/cgroup.procs"
    shift
done
shift
exec unshare --cgroup --net --mount --propagation private "$@"
"""

# The machine's own /run (with D-Bus, and so machined and polkit) and /var are hidden; libvirt's folders need not be there
# for that. A lab below one of them stays in sight, which is why mount must not make absolute paths of relative ones.
# Control groups of version 2 have processes in leaves only.
_ENTER = """
cd "$1"
shift
for folder in /run /var; do
    mount -t tmpfs -o mode=755 lab "$folder"
done
ln -s /run /var/run # the name by which clients know it
mkdir -p "$PWD"
mount --no-canonicalize --bind . "$PWD"
while [ "$1" != -- ]; do
    [ -e "$2" ] || mkdir -p "$2"
    mount --no-canonicalize --bind "$1" "$2"
    if [ -e "$2/cgroup.subtree_control" ]; then
        mkdir -p "$2/daemon"
        echo $$ >"$2/daemon/cgroup.procs"
    fi
    shift 2
done
shift
cd "$PWD" # what is mounted there now
if [ -d huge-pages ]; then
    mount -t hugetlbfs -o pagesize=2M lab huge-pages
fi
exec "$@"
"""


def require(accelerator: str) -> None:
    """Say what is in the way before anything is made."""
    if os.geteuid() != 0:
        raise UnavailableError("only root can have a system daemon")
    if accelerator != "tcg":
        raise LabError("guests of a system daemon are emulated here: /dev/kvm is hidden from it")


def make(place: Place, user: User, pages: int, with_polkit: bool) -> None:
    """Make the folders, write the configuration, and take from the machine what the lab gives back in the end."""
    make_folder(place.system, None)
    for name in _FOLDERS:
        make_folder(place.system / name, None)
    _no_kvm(place).touch(mode=0o000)
    if pages:
        make_folder(_huge_pages(place), None)
        huge_pages.reserve(pages, _record(place))
    if with_polkit:
        polkit.make(place)
    cgroups.make(place.directory)
    _write_users(place, user)
    mounted = f'"{_huge_pages(place)}"' if pages else ""
    (place.system / "etc/qemu.conf").write_text(_QEMU_CONF.format(user=user, huge_pages=mounted))
    settings = polkit.LIBVIRTD_CONF if with_polkit else _LIBVIRTD_CONF
    (place.system / "etc/libvirtd.conf").write_text(settings.format(log=place.log))


def _write_users(place: Place, user: User) -> None:
    """Write the users and groups that are known in there: the machine's, QEMU's as other names of the lab's user, and those
    that polkit is asked about."""
    more = {"passwd": f"x:{user.uid}:{user.gid}::/:/usr/sbin/nologin", "group": f"x:{user.gid}:"}
    for file, rest in more.items():
        text = Path("/etc", file).read_text()
        known = {line.partition(":")[0] for line in text.splitlines()}
        added = [f"{name}:{rest}" for name in _QEMU_USERS if name not in known]
        if polkit.folder(place).exists():
            added += polkit.users(known)[file]
        (place.system / file).write_text(text + "".join(f"{line}\n" for line in added))


def clear(place: Place) -> None:
    """Give back what the machine lent; the folders are the lab's own."""
    huge_pages.give_back(_record(place))
    cgroups.remove(place.directory)


def inside(place: Place, command: list[str]) -> list[str]:
    """Return the command that runs a command where the lab's folders are libvirt's."""
    groups = cgroups.groups_of(place.directory)
    binds = [(place.system / name, path) for name, path in _FOLDERS.items()]
    binds += [(place.system / file, f"/etc/{file}") for file in ("passwd", "group")]
    binds += [(group.path, str(group.root)) for group in groups]
    if Path("/dev/kvm").exists():
        binds.append((_no_kvm(place), "/dev/kvm"))
    if polkit.folder(place).exists():
        binds += polkit.binds(place)
        command = polkit.beside(place, command)
    mounts = [str(path) for bind in binds for path in bind]
    enter = ["sh", "-ec", _ENTER, "sh", str(place.directory), *mounts, "--"]
    return ["sh", "-ec", _JOIN, "sh", *(str(group.path) for group in groups), "--", *enter, *command]


def _no_kvm(place: Place) -> Path:
    """What /dev/kvm is in there: QEMU's user may not open it, and libvirt would ask QEMU about it at each call."""
    return place.system / "no-kvm"


def _huge_pages(place: Place) -> Path:
    return place.directory / "huge-pages"


def _record(place: Place) -> Path:
    return place.system / "reserved-pages"
