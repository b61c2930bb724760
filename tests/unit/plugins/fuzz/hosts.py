# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hypervisors with domains of every sort: prepared or not, on and off, transient, and guests that do as they like."""

from __future__ import annotations

from hypothesis import strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Versions
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.guest import AT_ONCE, NEVER, Guest
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.host import BOOKWORM, SID, TRIXIE
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB

# libvirt takes any name without a slash or a line end.
NAMES = ["web1", "web2", "d<b>&\"'1", "münchen-✓", "web[1]", "<domain>"]
# After so long, in the fake's seconds, a guest does as it is told: a wait of any length comes to an end.
PATIENCE = 400

guests = st.one_of(
    st.builds(Guest),  # that does at once what it is asked
    st.builds(
        Guest,
        rate=st.sampled_from([AT_ONCE, 64 * MIB, GIB]),
        lowest=st.sampled_from([0, 20 * MIB, GIB]),
        highest=st.sampled_from([None, 3 * GIB]),
        driver=st.booleans(),
        lets_go=st.booleans(),
        dies_at=st.sampled_from([NEVER, NEVER, 1001.0]),
        reboots_at=st.sampled_from([NEVER, NEVER, 1001.0]),
        usable=st.sampled_from([None, 0, GIB, 64 * GIB]),
        answers=st.booleans(),
    ),
)
devices = st.builds(
    device,
    alias=st.none(),
    size=st.sampled_from([1, 4, 16]).map(lambda gib: gib * GIB),
    requested=st.sampled_from([0, 256 * MIB, GIB]),
    block=st.sampled_from([2 * MIB, 128 * MIB]),
    node=st.just(0),
    model=st.sampled_from(["virtio-mem", "virtio-mem", "virtio-mem", "dimm"]),
    attributes=st.sampled_from(["", "", "access='shared'"]),
)
BALLOONS = [
    "",
    "<memballoon model='none'/>",
    "<memballoon model='virtio'/>",
    "<memballoon model='virtio'><stats period='1'/></memballoon>",
]
BACKINGS = [
    *[""] * 6,
    "<memoryBacking><locked/></memoryBacking>",
    "<memoryBacking><hugepages/></memoryBacking>",
]


@st.composite
def domain_into(draw, hypervisor, name):
    """Define one domain of that name, and perhaps start it."""
    boot = draw(st.sampled_from([(2 * GIB,)] * 4 + [(GIB, GIB), ()]))
    found = [draw(devices) for _number in range(draw(st.sampled_from([0, 1, 1, 2])))] if boot else []
    for number in range(len(found)):
        alias = draw(st.sampled_from([f"ua-virtiomem{number}", f"ua-virtiomem{number}", None]))
        if alias:
            found[number] = found[number].replace("</memory>", f"<alias name='{alias}'/></memory>")
    prepared = bool(found) or draw(st.sampled_from([True, True, True, False]))
    domain = hypervisor.add(
        *found,
        name=name,
        guest=draw(guests),
        persistent=draw(st.sampled_from([True, True, True, False])),
        machine=draw(st.sampled_from(["pc-q35-9.2", "pc-q35-9.2", "pc-i440fx-8.0"])),
        boot=boot,
        maximum=64 * GIB if prepared and boot else None,
        current=draw(st.sampled_from([None, None, GIB])),
        ports=draw(st.sampled_from([6, 6, 3])),
        balloon=draw(st.sampled_from(BALLOONS)),
        backing=draw(st.sampled_from(BACKINGS)),
    )
    if not domain.persistent or draw(st.booleans()):
        domain.start(settled=draw(st.booleans()))
        domain.paused = draw(st.sampled_from([False, False, False, True]))
    domain.deaf = draw(st.sampled_from([False, False, True]))
    return domain


@st.composite
def hypervisors(draw):
    hypervisor = FakeHypervisor(
        versions_are=draw(st.sampled_from([TRIXIE, TRIXIE, SID, BOOKWORM, Versions((7, 9, 0), (6, 0, 0))])),
        has_events=draw(st.booleans()),
        host=draw(st.sampled_from([1024 * GIB, 1024 * GIB, GIB, 0])),
        thp=draw(st.sampled_from([2 * MIB, None])),
        nodes=draw(
            st.sampled_from([{0: (1024 * GIB, {})}, {0: (64 * GIB, {2 * MIB: 8 * GIB}), 1: (64 * GIB, {2 * MIB: 0})}])
        ),
    )
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
        draw(domain_into(hypervisor, name))
    hypervisor.clock.runners.append(_lose_patience(hypervisor))
    return hypervisor


def _lose_patience(hypervisor):
    """All guests obey once the time is up, and one that is deaf to its power button is switched off."""
    end = hypervisor.clock.now + PATIENCE

    def look():
        if hypervisor.clock.now < end:
            return
        for domain in hypervisor.all.values():
            domain.guest = Guest()
            domain.paused = False
            if domain.deaf and ("shutdown", "live") in hypervisor.calls:
                domain.stop()

    return look
