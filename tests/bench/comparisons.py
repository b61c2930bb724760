# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is compared with what: each function is given a lab that is ready for it, and returns rows of the table."""

from __future__ import annotations

from .ansible import play, with_mitogen
from .table import Row

MIB = 2**20
ROUNDS = 5
MORE_ROUNDS = 11  # where a round is short


def added(*parts):
    """Add up numbers of the same round."""
    return [sum(part) for part in zip(*parts)]


def nothing_to_do(uri, guest):
    """Tasks that find all as it shall be, beside one that looks at nothing."""
    took = play("nothing_to_do", MORE_ROUNDS, uri=uri, guest=guest)
    bare = added(took["ping"], took["program"])
    rows = []
    for module in ("virtio_mem_device", "domain_memory"):
        rows.append(Row(f"{module}, nothing to do", "ping", took[module], took["ping"], 1.15))
        rows.append(Row("the same", "ping + a program that reads and parses that domain's XML", took[module], bare))
    return rows + kept(took, play("nothing_to_do", MORE_ROUNDS, with_mitogen(), uri=uri, guest=guest))


def kept(alone, took):
    """The same tasks in one Python, which Mitogen keeps; `alone` is what they took with one each."""
    rows = []
    for module in ("virtio_mem_device", "domain_memory"):
        what = f"{module}, nothing to do, with Mitogen"
        rows.append(Row(what, "ping, with Mitogen", took[module], took["ping"], 1.5))
        rows.append(Row("the same", "without Mitogen", took[module], alone[module], 0.1))
    return rows


def one_guest(uri, guest):
    """A running guest grows by 512 MiB."""
    took = play("one_guest", ROUNDS, uri=uri, guest=guest)
    ours = took["virtio_mem_device"]
    bare = added(took["ping"], took["program"], [0.15] * ROUNDS)
    return [
        Row("virtio_mem_device grows a guest", "virsh, until its XML shows it", ours, took["virsh"], 1.0),
        Row("the same", "ping + a program that waits for the event + 0.15 s", ours, bare, 1.0),
    ]


def twelve_guests(uri, guests):
    """Twelve running guests grow."""
    took = play("twelve_guests", ROUNDS, uri=uri, guests=guests)
    ours = took["host_memory"]
    return [
        Row("host_memory grows 12 guests", "virsh in loops, until their XML shows it", ours, took["virsh"], 0.4),
        Row("the same", "virtio_mem_device grows one of them", ours, took["virtio_mem_device"], 1.3),
    ]


def reading(uri, domains, some):
    """All domains of a hypervisor are read; the loop only takes some of them, and is reckoned for all."""
    took = play("reading", ROUNDS, uri=uri, some=some)
    ours = took["domain_memory_info"]
    loop = [seconds * domains / len(some) for seconds in took["loop"]]
    bare = added(took["ping"], took["program"])
    what = f"domain_memory_info reads {domains} domains"
    return [
        Row(what, f"community.libvirt.virt get_xml in a loop (of {len(some)}, reckoned for all)", ours, loop, 0.02),
        Row("the same", "ping + a program that reads and parses the same XML", ours, bare, 1.5),
    ]


def whole_host(uri):
    """What host_memory takes beyond ping where it finds all as it shall be."""
    took = play("whole_host", ROUNDS, uri=uri)
    return [ours - ping for ours, ping in zip(took["host_memory"], took["ping"])]


def growth(few_took, few, many_took, many):
    """That more domains take no more time each."""
    what = f"host_memory, nothing to do, {many} domains, beyond ping"
    return Row(what, f"{few} domains, beyond ping", many_took, few_took, many / few)
