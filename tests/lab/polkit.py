# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A polkit of the lab's own, for a system daemon that asks it what each user may do.

It and its bus run where the daemon does, beside it, so that what is said to them is the lab's alone: the rules, the
actions, and some users that the machine has not got. A process of the machine can become one of them by number.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .errors import LabError, UnavailableError
from .image import cache_folder
from .locking import locked
from .packages import Debian, distribution
from .place import Place, User, make_folder

# Who there is to ask about, and in which groups. A number of its own for each: polkit knows users by that only.
USERS = {
    "reader": (61001, ("memory-readers",)),
    "runner": (61002, ("memory-runners",)),
    "operator": (61003, ("memory-operators",)),
    "starter": (61004, ("memory-operators", "memory-starters")),
    "stranger": (61005, ()),
}
_FIRST_GROUP = 61101

_PROGRAMS = ("dbus-daemon", "polkitd")
# Where the action files of libvirt are: in Debian 12, and later.
_ACTION_PACKAGES = ("libvirt-daemon-system", "libvirt-daemon-common")
_ACTIONS = "usr/share/polkit-1/actions/org.libvirt.*.policy"
# Not in every PATH: nobody is meant to start it by hand.
_POLKITD = ("usr/lib/polkit-1/polkitd", "usr/libexec/polkitd")

LIBVIRTD_CONF = """auth_unix_ro = "polkit"
auth_unix_rw = "polkit"
access_drivers = [ "polkit" ]
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0777"
log_level = 3
log_filters = "1:access.accessdriverpolkit"
log_outputs = "1:file:{log}"
"""
_BUS_CONF = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""
# The bus is there when its first process has ended. polkit comes a moment later, and is not waited for: until then libvirt
# lets nobody in, and the lab asks again.
_BESIDE = """
folder=$1 libraries=$2 bus=$3 polkitd=$4
shift 4
export DBUS_SYSTEM_BUS_ADDRESS="unix:path=$folder/bus"
LD_LIBRARY_PATH="$libraries" "$bus" --config-file "$folder/bus.conf" --fork
LD_LIBRARY_PATH="$libraries" "$polkitd" --no-debug </dev/null >>"$folder/polkitd.log" 2>&1 &
exec "$@"
"""


def folder(place: Place) -> Path:
    """What a lab with polkit has, and no other."""
    return place.system / "polkit"


def rules(place: Place) -> Path:
    """Where rules are put; polkit sees at once that one came or changed."""
    return folder(place) / "rules.d"


def make(place: Place) -> None:
    make_folder(folder(place), None)
    for name in ("rules.d", "share", "share/rules.d", "share/actions"):
        make_folder(folder(place) / name, None)
    root = _provide()
    for path in (*root.glob(_ACTIONS), *Path("/").glob(_ACTIONS)):  # the machine's win
        shutil.copy(path, folder(place) / "share/actions")
    (folder(place) / "bus.conf").write_text(_BUS_CONF.format(folder=folder(place)))


def binds(place: Place) -> list[tuple[Path, str]]:
    """What is polkit's in there, instead of the machine's."""
    return [(rules(place), "/etc/polkit-1/rules.d"), (folder(place) / "share", "/usr/share/polkit-1")]


def beside(place: Place, command: list[str]) -> list[str]:
    """Return the command that starts polkit, and goes on as a command that can ask it."""
    root = _unpacked()
    libraries = ":".join(str(path) for path in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu")))
    programs = [str(_program(name)) for name in _PROGRAMS]
    return ["sh", "-ec", _BESIDE, "sh", str(folder(place)), libraries, *programs, *command]


def users(known: set[str]) -> dict[str, list[str]]:
    """Return lines for passwd and group: the users, and the one that polkit becomes, where the machine has not got it."""
    daemon = [] if "polkitd" in known else [User("polkitd", 61000, 61000)]
    people = [User(name, number, number) for name, (number, _groups) in USERS.items()]
    groups = sorted({group for _number, groups in USERS.values() for group in groups})
    members = {group: [name for name, (_number, groups) in USERS.items() if group in groups] for group in groups}
    own = [f"{user.name}:x:{user.gid}:" for user in (*daemon, *people)]
    shared = [f"{group}:x:{_FIRST_GROUP + place}:{','.join(members[group])}" for place, group in enumerate(groups)]
    return {
        "passwd": [f"{user.name}:x:{user.uid}:{user.gid}::/:/usr/sbin/nologin" for user in (*daemon, *people)],
        "group": own + shared,
    }


def _program(name: str) -> Path | None:
    """Return where a program is: the machine's, or else what was unpacked."""
    found = shutil.which(name)
    if found:
        return Path(found)
    for root in (Path("/"), _unpacked()):
        for path in (*_POLKITD, f"usr/bin/{name}"):
            if path.endswith(name) and (root / path).exists():
                return root / path
    return None


def _unpacked() -> Path:
    return cache_folder() / "polkit"


def _provide() -> Path:
    """Unpack what the machine has not got; nothing is installed, so nothing is started or set up."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / "polkit.lock"):
        lacking = [name for name in _PROGRAMS if not _program(name)]
        actions = [*Path("/").glob(_ACTIONS), *_unpacked().glob(_ACTIONS)]
        if lacking or not actions:
            _unpack(lacking, not actions)
    return _unpacked()


def _unpack(programs: list[str], actions: bool) -> None:
    family = distribution()
    if not isinstance(family, Debian):
        raise UnavailableError(f"polkit needs dbus-daemon, polkitd and libvirt's actions for it ({_ACTIONS})")
    names = family.missing(programs) if programs else []
    names += [name for name in _ACTION_PACKAGES if actions and family.known(name)]
    shutil.rmtree(_unpacked(), ignore_errors=True)
    scratch = cache_folder() / "unpacking-polkit"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        family.unpack(names, scratch).rename(_unpacked())
    except LabError as error:
        raise UnavailableError(f"no polkit for the lab: {error}") from error
    finally:
        shutil.rmtree(scratch)
