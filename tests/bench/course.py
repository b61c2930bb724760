# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The course of ./run bench: a lab, guests for one comparison after the other, and the table."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from lab import Lab

from . import comparisons, table
from .costs import costs

PAGE = Path(__file__).resolve().parents[2] / "docs/docsite/rst/benchmarks.rst"
GUESTS = [f"guest{number}" for number in range(12)]
DOMAINS = 300
MANY_DOMAINS = 1000
SOME = 30  # of them, for what would take minutes
REMARKS = [
    "A task with nothing to do is Python at its start, mostly: our files are compiled, libvirt's and lxml's loaded.",
    "With Mitogen, what one task has loaded stays for the next: the medians are of tasks that find it so.",
    "Mitogen lists all installed collections before each task; here the 93 of the package ``ansible`` are left out.",
    "The loop of virsh tasks asks again after a second (``delay: 1``); Ansible's default would be five.",
    "A resize is seen complete about a second after it was asked, because QEMU reports sizes once a second at most.",
]


def main():
    start = time.monotonic()
    with Lab.up(f"bench{os.getpid()}") as lab:
        rows, weights = running(lab)
        for guest in lab.guests():
            guest.stop()
        more_rows, more_weights = defined(lab)
        machine = machine_of(lab.describe())
    rows, weights = rows + more_rows, weights + more_weights
    say(f"The table ({time.monotonic() - start:.0f} s)")
    print(machine, end="\n\n")
    print(table.on_screen(table.HEADER, [row.cells() for row in rows]), end="\n\n")
    print(table.on_screen(table.COST_HEADER, [cost.cells() for cost in weights]), flush=True)
    PAGE.write_text(table.in_docs(rows, weights, machine, REMARKS))
    print(f"\nIt is in {PAGE.relative_to(PAGE.parents[3])} now.")
    return 0


def running(lab):
    """What is measured with guests that run."""
    say(f"Starting {len(GUESTS)} guests")
    for name in GUESTS:
        lab.start_guest(name, memory="192MiB", devices=["size=1GiB,alias=ua-mem,requested=64MiB"])
        print(f"    {name}", flush=True)
    say("Nothing to do")
    rows = comparisons.nothing_to_do(lab.uri, GUESTS[0])
    modules = {name: f"{name}, nothing to do" for name in ("virtio_mem_device", "domain_memory")}
    weights = costs("nothing_to_do", {"ping": "ping", **modules}, uri=lab.uri, guest=GUESTS[0])
    say("One guest grows")
    rows += comparisons.one_guest(lab.uri, GUESTS[0])
    say(f"{len(GUESTS)} guests grow")
    return rows + comparisons.twelve_guests(lab.uri, GUESTS), weights


def defined(lab):
    """What is measured with domains that are off."""
    names = define(lab, 0, DOMAINS)
    say(f"Reading {DOMAINS} domains")
    rows = comparisons.reading(lab.uri, DOMAINS, names[:SOME])
    reading = {"domain_memory_info": f"domain_memory_info, {DOMAINS} domains"}
    weights = costs("reading", reading, uri=lab.uri, some=names[:1])
    few, weight = whole_host(lab, DOMAINS)
    weights += weight
    define(lab, DOMAINS, MANY_DOMAINS)
    many, weight = whole_host(lab, MANY_DOMAINS)
    rows.append(comparisons.growth(few, DOMAINS, many, MANY_DOMAINS))
    return rows, weights + weight


def whole_host(lab, domains):
    say(f"The memory of {domains} domains")
    words = {"host_memory": f"host_memory, nothing to do, {domains} domains"}
    return comparisons.whole_host(lab.uri), costs("whole_host", words, uri=lab.uri)


def define(lab, first, end):
    say(f"Defining {end - first} domains")
    names = [f"domain{number:04}" for number in range(first, end)]
    for name in names:
        lab.start_guest(name, memory="4MiB", devices=["size=1GiB,alias=ua-mem,requested=2MiB"], start=False)
    return names


def machine_of(lab):
    """In words what it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    ansible = subprocess.run(["ansible", "--version"], check=True, capture_output=True, text=True).stdout
    core = ansible.split("[core ", 1)[1].split("]", 1)[0]
    return (
        f"{os.cpu_count()} processors ({processor()}), {memory:.0f} GiB, {release}, Python {platform.python_version()}, "
        f"ansible-core {core}, libvirt {lab['libvirt']}, QEMU {lab['qemu']} ({lab['accelerator']})"
    )


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def say(text):
    print(f"\n=== {text}", flush=True)
