# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a domain's document says, as the model has it."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Binding
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document, reader
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import element, text_of
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device, domain_xml
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB


def test_next_to_nothing():
    found = document.parse_definition("<domain/>")
    assert (found.name, found.arch, found.machine, found.total, found.maximum) == ("", "", "", 0, None)


def test_memory_may_be_left_to_the_cells():
    text = domain_xml(device(size=4 * GIB), boot=(GIB, GIB))
    root = element(text)
    root.remove(root.find("memory"))
    assert document.parse_definition(text_of(root)).total == 6 * GIB


@pytest.mark.parametrize(
    ("unit", "number", "size"),
    [("", 1024, MIB), ("unit='b'", 4096, 4096), ("unit='MB'", 512, 512 * 10**6), ("unit='G'", 2, 2 * GIB)],
)
def test_units(unit, number, size):
    assert document.parse_definition(f"<domain><memory {unit}> {number} </memory></domain>").total == size


BACKING = [
    ("", Binding(), True),
    ("<memoryBacking><hugepages/></memoryBacking>", Binding(), False),
    ("<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking>", Binding(), False),
    ("<memoryBacking><source type='memfd'/></memoryBacking>", Binding(), False),
    ("<memoryBacking><source type='file'/></memoryBacking>", Binding(), False),
    ("<memoryBacking><source type='anonymous'/></memoryBacking>", Binding(), True),
    ("<memoryBacking><access mode='shared'/></memoryBacking>", Binding(), False),
    ("<memoryBacking><access mode='private'/></memoryBacking>", Binding(), True),
    ("<cpu><numa><cell memory='1' memAccess='shared'/></numa></cpu>", Binding(), True),
    ("<numatune><memory mode='strict' nodeset='0-1'/></numatune>", Binding(nodes="0-1"), True),
    ("<numatune><memory nodeset='1'/></numatune>", Binding(nodes="1"), True),
    ("<numatune><memory mode='preferred' nodeset='1'/></numatune>", Binding(loose=True), True),
    ("<numatune><memory mode='interleave' nodeset='1'/></numatune>", Binding(loose=True), True),
    ("<numatune><memory mode='restrictive' nodeset='1'/></numatune>", Binding(nodes="1"), True),
    ("<numatune><memory mode='strict' placement='auto'/></numatune>", Binding(), True),
    (
        "<numatune><memnode cellid='0' mode='strict' nodeset='0'/><memnode cellid='1' mode='preferred' nodeset='1'/></numatune>",
        Binding(cell_nodes={0: "0"}, loose_cells=frozenset({1})),
        True,
    ),
]


@pytest.mark.parametrize(("piece", "binding", "anonymous"), BACKING)
def test_backing(piece, binding, anonymous):
    found = document.parse_definition(f"<domain>{piece}</domain>")
    assert (found.binding, found.anonymous) == (binding, anonymous)


@pytest.mark.parametrize(
    ("piece", "size", "by_cell"),
    [
        ("", None, {}),
        ("<hugepages/>", 0, {}),
        ("<hugepages><!-- the host's default --></hugepages>", 0, {}),
        (
            "<hugepages><page size='1' unit='GiB'/><page size='2048' nodeset='1-2'/></hugepages>",
            GIB,
            {1: 2 * MIB, 2: 2 * MIB},
        ),
        ("<hugepages><page size='2048' nodeset='0'/></hugepages>", None, {0: 2 * MIB}),
    ],
)
def test_page_sizes(piece, size, by_cell):
    backing = document.parse_definition(f"<domain><memoryBacking>{piece}</memoryBacking></domain>").backing
    assert (backing.page_size, backing.cell_page_sizes) == (size, by_cell)


@pytest.mark.parametrize("nodeset", ["", "x", "3-1", "16384"])
def test_pages_for_what_is_no_set(nodeset):
    text = f"<domain><memoryBacking><hugepages><page nodeset='{nodeset}'/></hugepages></memoryBacking></domain>"
    with pytest.raises(VirtmemError, match="an invalid value"):
        document.parse_definition(text)


def test_shared_cells():
    text = "<cell id='0' memory='1'/><cell id='1' memory='1' memAccess='shared'/><cell id='2' memAccess='private'/>"
    assert document.parse_definition(f"<domain><cpu><numa>{text}</numa></cpu></domain>").shared_cells == {1}


def test_taken_addresses():
    text = (
        "<hostdev><source><address domain='0' bus='9' slot='0' function='0'/></source>"
        "<address type='pci' bus='0x04' slot='0x00' function='0x1'/></hostdev>"
        "<disk><address type='drive' bus='5'/></disk><memory><target><size>1</size><address base='0x1'/></target></memory>"
    )
    assert document.parse_definition(f"<domain><devices>{text}</devices></domain>").pci_addresses == {"0000:04:00.1"}


def controllers(*models, more=""):
    every = "".join(
        f"<controller type='pci' index='{index}' model='{model}'>{inside}</controller>"
        for index, (model, _blank, inside) in enumerate(text.partition(" ") for text in models)
    )
    return f"<domain><devices>{every}<controller type='usb' index='0'/>{more}</devices></domain>"


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        (controllers(), None),
        (controllers("pci-root"), None),
        (controllers("pcie-root"), 0),
        (controllers("pcie-root", "pcie-root-port", "pcie-root-port"), 2),
        (controllers("pcie-root", "pcie-root-port", more="<a><address type='pci' bus='0x01'/></a>"), 0),
        (controllers("pcie-root", "pcie-root-port", more="<a><address type='pci' bus='0x00'/></a>"), 1),
        (controllers("pcie-root", "pcie-root-port", more="<a><address type='drive' bus='1'/></a>"), 1),
        (
            controllers(
                "pcie-root",
                "pcie-root-port",
                more="<hostdev><source><address type='pci' bus='0x01'/></source></hostdev>",
            ),
            1,
        ),
        (controllers("pcie-root", "pcie-root-port <target hotplug='off'/>"), 0),
        (controllers("pcie-root", "pcie-root-port <target hotplug='on'/>"), 1),
        (controllers("pcie-root", "pcie-switch-upstream-port", "pcie-switch-downstream-port"), 1),
        (controllers("pcie-root", "dmi-to-pci-bridge", "pci-bridge"), None),
        (controllers("pcie-root", "pcie-to-pci-bridge"), None),
    ],
)
def test_free_ports(text, ports):
    assert document.parse_definition(text).free_pcie_ports == ports


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        ("<memoryBacking><locked/></memoryBacking>", "locked"),
        ("<launchSecurity type='sev'/>", "confidential"),
        ("<devices><disk type='nvme'/></devices>", "nvme"),
        ("<devices><interface type='vdpa'/></devices>", "vdpa"),
        ("<devices><interface type='bridge'/><disk type='file'/></devices>", None),
    ],
)
def test_blockers(piece, words):
    found = document.parse_definition(f"<domain>{piece}</domain>").blockers
    assert len(found) == bool(words)
    assert all(words in reason for reason in found)


@pytest.mark.parametrize(
    ("piece", "balloon", "period"),
    [
        ("", False, 0),
        ("<memballoon model='none'/>", False, 0),
        ("<memballoon model='virtio'/>", True, 0),
        ("<memballoon model='virtio'><stats period='10'/></memballoon>", True, 10),
    ],
)
def test_balloon(piece, balloon, period):
    found = document.parse_definition(f"<domain><devices>{piece}</devices></domain>")
    assert (found.balloon, found.stats_period) == (balloon, period)


@pytest.mark.parametrize(
    ("text", "base", "number"), [("7", 10, 7), (" 7 ", 10, 7), ("0x10", 0, 16), ("-1", 10, -1), ("0", 0, 0)]
)
def test_whole_numbers(text, base, number):
    assert reader.whole(text, base) == number


@pytest.mark.parametrize("text", ["", "1_000", "\u0663", "1.0", "0x10", "one"])
def test_what_python_alone_takes_for_a_number(text):
    """int() reads underscores and the digits of every script; libvirt does not."""
    with pytest.raises(ValueError, match=r"number|invalid literal"):
        reader.whole(text)


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ("type='pci' domain='0x0001' bus='0xab' slot='0x1f' function='0x7'", "0001:ab:1f.7"),
        ("type='pci' bus='4'", "0000:04:00.0"),
        ("type='dimm' slot='3'", None),
    ],
)
def test_addresses_as_people_write_them(attributes, text):
    assert reader.pci_text(element(f"<address {attributes}/>")) == text
    assert reader.pci_text(None) is None


@pytest.mark.parametrize(
    ("attributes", "slot"),
    [("type='dimm' slot='3'", 3), ("type='dimm' slot='0'", 0), ("type='dimm'", None), ("type='pci' slot='3'", None)],
)
def test_slots(attributes, slot):
    assert reader.dimm_slot(element(f"<address {attributes}/>")) == slot
    assert reader.dimm_slot(None) is None


def test_a_device_needs_a_size():
    with pytest.raises(ValueError, match="without a size"):
        reader.device(0, element("<memory model='dimm'><target><node>0</node></target></memory>"))


@pytest.mark.parametrize(
    ("piece", "limits"),
    [
        ("", (None, None, None)),
        ("<hard_limit unit='GiB'>2</hard_limit><soft_limit>1024</soft_limit>", (2 * GIB, MIB, None)),
        ("<swap_hard_limit>9007199254740991</swap_hard_limit>", (None, None, None)),  # libvirt's word for unlimited
        ("<swap_hard_limit>9007199254740990</swap_hard_limit>", (None, None, 9007199254740990 * 1024)),
    ],
)
def test_limits(piece, limits):
    tuning = document.parse_definition(f"<domain><memtune>{piece}</memtune></domain>").tuning
    assert (tuning.hard_limit, tuning.soft_limit, tuning.swap_hard_limit) == limits
