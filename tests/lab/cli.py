# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab on the command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import libvirt

from . import debian, ssh
from .accelerator import CHOICES
from .domain import Device
from .errors import LabError, UnavailableError
from .generations import GENERATIONS, generation_named
from .guest import BOOT_TIMEOUT
from .laboratory import Lab
from .polkit import USERS
from .profiles import PROFILES
from .sizes import parse, show

Result = TypeVar("Result")

CANNOT_HERE = 77  # the exit code by which automake and meson know a test that is skipped


def main(arguments: list[str] | None = None) -> int:
    """Run one command; what it says of itself goes to stderr, results to stdout."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (LabError, libvirt.libvirtError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return CANNOT_HERE if isinstance(error, UnavailableError) else 1
    except KeyboardInterrupt:
        return 130
    return 0


# The lab


def _up(options: argparse.Namespace) -> None:
    lab = Lab.up(
        options.name,
        options.hypervisor,
        options.accel,
        system_mode=options.system or options.huge_pages > 0 or options.polkit,
        huge_pages=options.huge_pages,
        with_polkit=options.polkit,
        with_network=options.network,
    )
    _print(options, lab.describe(), lab.uri)


def _ssh(options: argparse.Namespace) -> None:
    access = ssh.serve(Lab.attach(options.name).place)
    line = (
        "{name} ansible_host={host} ansible_port={port} ansible_user={user} ansible_ssh_private_key_file={key}"
        " ansible_ssh_common_args='-o UserKnownHostsFile={known_hosts}'"
    )
    _print(options, access, line.format(name=options.name, **access))


def _status(options: argparse.Namespace) -> None:
    try:
        lab = Lab.attach(options.name)
    except LabError:
        _print(options, {"name": options.name, "running": False, "guests": []}, f"lab {options.name}: not up")
        return
    facts = lab.describe()
    guests = [lab.guest_facts(guest) for guest in lab.guests()]
    lines = [f"{key:12} {value}" for key, value in facts.items()]
    lines += [f"{guest['name']:16} {guest['state']:10} {guest['profile']}" for guest in guests]
    _print(options, {**facts, "running": True, "guests": guests}, "\n".join(lines))


def _down(options: argparse.Namespace) -> None:
    for name in Lab.names() if options.all else [options.name]:
        Lab.take_down(name)


def _hypervisors(options: argparse.Namespace) -> None:
    stories = {name: generation.story for name, generation in GENERATIONS.items()}
    _print(options, stories, "\n".join(f"{name:16} {story}" for name, story in stories.items()))


def _prepare(options: argparse.Namespace) -> None:
    generation_named(options.hypervisor).prepare()


def _as(options: argparse.Namespace) -> None:
    command = [*Lab.attach(options.name).as_user(options.user), *options.command]
    os.execvp(command[0], command)


# Guests


def _start(options: argparse.Namespace) -> None:
    lab = Lab.attach(options.name)
    started = time.monotonic()
    guest = lab.start_guest(
        options.guest,
        options.profile,
        memory=options.memory,
        maximum=options.max_memory,
        slots=options.slots,
        devices=options.device,
        machine=options.machine,
        stats_period=options.stats_period,
        command_line=options.cmdline,
        hungry=options.hungry,
        slow=options.slow,
        transient=options.transient,
        start=not options.no_start,
        timeout=options.timeout,
    )
    facts = lab.guest_facts(guest)
    _print(options, facts, f"{guest.name}: {facts['state']} after {time.monotonic() - started:.1f} s")


def _act(options: argparse.Namespace) -> None:
    """Call the method of the command's name."""
    guest = Lab.attach(options.name).guest(options.guest)
    getattr(guest, options.action.replace("-", "_"))()


def _mem(options: argparse.Namespace) -> None:
    guest = Lab.attach(options.name).guest(options.guest)
    if options.wait_total is not None:
        record = guest.wait_total(options.wait_total, options.tolerance, options.timeout)
    elif options.fresh:
        record = guest.fresh_memory(options.timeout)
    else:
        record = guest.memory()
    text = f"{show(record.total)} ({show(record.available)} available, {record.age:.1f} s ago)"
    _print(options, record.as_json(), text)


def _limits(options: argparse.Namespace) -> None:
    lab = Lab.attach(options.name)
    limits = lab.guest_limits(lab.guest(options.guest))
    _print(options, limits, "\n".join(f"{name:16} {value}" for name, value in limits.items()))


def _reboot(options: argparse.Namespace) -> None:
    lab = Lab.attach(options.name)
    debian.reboot(lab, lab.guest(options.guest))


def _log_in(options: argparse.Namespace) -> None:
    """Become ssh: its exit code is ours, and so is the terminal."""
    lab = Lab.attach(options.name)
    command = debian.login(lab, lab.guest(options.guest)).command(*options.words)
    os.execvp(command[0], command)


def _xml(options: argparse.Namespace) -> None:
    print(Lab.attach(options.name).guest(options.guest).xml(options.config), end="")


def _size(text: str) -> int:
    return _understood(parse, text)


def _device(text: str) -> Device:
    return _understood(Device.parse, text)


def _understood(function: Callable[[str], Result], text: str) -> Result:
    """Let argparse say why a word is wrong: of a ValueError it would only say that there was one."""
    try:
        return function(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _print(options: argparse.Namespace, facts: object, text: str) -> None:
    print(json.dumps(facts, indent=2) if options.json else text)


# The words


def _parser() -> argparse.ArgumentParser:
    name = argparse.ArgumentParser(add_help=False)
    name.add_argument("--name", default="default", help="which lab (%(default)s)")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON")

    parser = argparse.ArgumentParser(prog="lab", description="A private hypervisor with small real guests.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", parents=[name, as_json], help="start a lab, print its libvirt URI")
    up.add_argument("--hypervisor", choices=GENERATIONS, help="which generation (distribution)")
    up.add_argument("--accel", default="tcg", choices=CHOICES, help="auto: KVM where it really works (%(default)s)")
    up.add_argument("--system", action="store_true", help="with a system daemon and control groups (as root)")
    up.add_argument("--huge-pages", type=int, default=0, metavar="N", help="the same, with N pages of 2 MiB reserved")
    up.add_argument("--polkit", action="store_true", help="the same, with a polkit that says what each user may do")
    up.add_argument("--network", action="store_true", help="reached by TCP with a password, and by TLS, too")
    up.set_defaults(run=_up)
    become = commands.add_parser("as", parents=[name], help="run a command as one of the users that polkit knows")
    become.add_argument("user", choices=USERS)
    become.add_argument("command", nargs=argparse.REMAINDER, metavar="...", help="the command (virsh list)")
    become.set_defaults(run=_as)
    reached = commands.add_parser("ssh", parents=[name, as_json], help="be reached over SSH, print a line of inventory")
    reached.set_defaults(run=_ssh)
    commands.add_parser("status", parents=[name, as_json], help="say what there is").set_defaults(run=_status)
    down = commands.add_parser("down", parents=[name], help="leave nothing of a lab")
    down.add_argument("--all", action="store_true", help="of all labs")
    down.set_defaults(run=_down)
    hypervisors = commands.add_parser("hypervisors", parents=[as_json], help="say which generations there are")
    hypervisors.set_defaults(run=_hypervisors)
    prepare = commands.add_parser("prepare", help="set up what a generation needs, and start nothing")
    prepare.add_argument("hypervisor", choices=GENERATIONS)
    prepare.set_defaults(run=_prepare)
    guest = commands.add_parser("guest", help="start guests and do things to them")
    _guest_words(guest.add_subparsers(required=True, metavar="ACTION"), name, as_json)
    return parser


def _guest_words(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: argparse.ArgumentParser,
    as_json: argparse.ArgumentParser,
) -> None:
    which = argparse.ArgumentParser(add_help=False, parents=[name])
    which.add_argument("guest", metavar="GUEST")
    _start_words(actions.add_parser("start", parents=[which, as_json], help="define, start, wait until it is up"))
    for action, story in (
        ("stop", "destroy and undefine"),
        ("reset", "press reset, wait until it is up again"),
        ("power-off", "destroy, and keep the definition"),
        ("power-on", "start again, wait until it is up"),
        ("pause", "stop its processors"),
        ("resume", "let them go on"),
    ):
        actions.add_parser(action, parents=[which], help=story).set_defaults(run=_act, action=action)
    mem = actions.add_parser("mem", parents=[which, as_json], help="the guest's own word on its memory")
    mem.add_argument("--fresh", action="store_true", help="wait for the next record")
    mem.add_argument("--wait-total", type=_size, metavar="SIZE", help="wait until the guest says this MemTotal")
    mem.add_argument("--tolerance", type=_size, default=0, metavar="SIZE")
    mem.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS")
    mem.set_defaults(run=_mem)
    limits = actions.add_parser("limits", parents=[which, as_json], help="what the kernel holds it to (--system)")
    limits.set_defaults(run=_limits)
    reboot = actions.add_parser("reboot", parents=[which], help="as from within (profile debian)")
    reboot.set_defaults(run=_reboot)
    log_in = actions.add_parser("ssh", parents=[which], help="log in (profile debian), or run a command")
    log_in.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    log_in.set_defaults(run=_log_in)
    xml = actions.add_parser("xml", parents=[which], help="print the domain XML")
    xml.add_argument("--config", action="store_true", help="of the next start, not of now")
    xml.set_defaults(run=_xml)


def _start_words(start: argparse.ArgumentParser) -> None:
    start.add_argument("--profile", default="normal", choices=PROFILES)
    start.add_argument("--memory", type=_size, default="512MiB", metavar="SIZE")
    start.add_argument("--max-memory", type=_size, default="16GiB", metavar="SIZE")
    start.add_argument("--slots", type=int, default=16, metavar="N")
    start.add_argument("--device", type=_device, action="append", default=[],
                       metavar="size=2GiB,block=2MiB,requested=0,alias=ua-x,node=0")  # fmt: skip
    start.add_argument("--machine", default="q35", help="pc, q35 or an exact type (%(default)s)")
    start.add_argument("--stats-period", type=int, default=0, metavar="SECONDS")
    start.add_argument("--hungry", type=_size, metavar="SIZE", help="keep so much in use")
    start.add_argument("--slow", type=int, metavar="SECONDS", help="load the driver so long after a device appeared")
    start.add_argument("--cmdline", default="", metavar="WORDS", help="more words for the guest's kernel")
    start.add_argument("--transient", action="store_true")
    start.add_argument("--no-start", action="store_true", help="only define")
    start.add_argument(
        "--timeout", type=float, default=BOOT_TIMEOUT, metavar="SECONDS", help="to boot in (%(default)s)"
    )
    start.set_defaults(run=_start)
