# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parsing, editing, canonical form; the whole corpus; and libvirt's own schema for all that is written."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from lxml import etree

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import MemoryDevice, NumaCell
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import canonical, element
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device, domain_xml
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.host import BOOKWORM, SID
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB, MIB, size_of, write_kib
from ansible_collections.virtmem.libvirt.tests.unit.plugins.redefining import redefined_domain

# ----------------------------------------------------------------------------------------------------- generated devices

aliases = st.from_regex(r"\Aua-[A-Za-z0-9_-]{1,12}\Z")
blocks = st.integers(21, 30).map(lambda power: 1 << power)


@st.composite
def devices(draw):
    block = draw(blocks)
    size = draw(st.integers(1, 64)) * block
    return MemoryDevice(
        model="virtio-mem",
        size=size,
        block=block,
        requested=draw(st.integers(0, size // block)) * block,
        node=draw(st.one_of(st.none(), st.integers(0, 7))),
        alias=draw(st.one_of(st.none(), aliases)),
        page_size=draw(st.one_of(st.none(), st.sampled_from([4096, 2 * MIB, GIB]))),
        node_mask=draw(st.one_of(st.none(), st.sampled_from(["0", "0-1", "0-1,3"]))),
        access=draw(st.sampled_from([None, "shared", "private"])),
        discard=draw(st.sampled_from([None, True, False])),
        dynamic_memslots=draw(st.sampled_from([None, True, False])),
        guest_address=draw(st.one_of(st.none(), st.integers(0, 2**20).map(lambda number: number * block))),
        pci_address=draw(st.sampled_from([None, "0000:04:00.0", "0001:ab:1f.7"])),
        index=0,
    )


def put_in_domain(*texts, **options):
    return domain_xml(*texts, **options)


def read(text, index=0):
    return document.parse_definition(text).devices[index]


@given(devices())
def test_model_to_xml_and_back_is_the_identity(wanted):
    text = document.new_device_xml(wanted)
    assert read(put_in_domain(text)) == wanted
    assert document.new_device_xml(read(put_in_domain(text))) == text


@given(devices())
def test_canonical_form_reads_back_and_has_a_line_for_each_element(wanted):
    text = document.canonical_device(wanted)
    assert text.endswith("</memory>\n")
    assert read(put_in_domain(text)) == wanted
    assert all(line.count("<") <= 2 for line in text.splitlines())


@given(devices(), devices(), st.sampled_from(["", "<driver iommu='on'/>", "<x:y xmlns:x='urn:x' x:z='1'>&lt;</x:y>"]))
def test_redefined_domain_has_what_the_model_says(before, after, foreign):
    """But for an alias that is there already."""
    text = put_in_domain(document.new_device_xml(before).replace("<target", foreign + "<target", 1))
    got = read(redefined_domain(text, 0, after))
    assert got == replace(after, alias=before.alias or after.alias, iommu=True if "iommu" in foreign else None)


@given(devices(), st.integers(0, 64))
def test_device_xml_changes_nothing_but_requested(wanted, blocks_requested):
    text = put_in_domain(document.new_device_xml(wanted))
    requested = blocks_requested * wanted.block
    assert read(put_in_domain(document.device_xml(text, 0, requested))) == replace(wanted, requested=requested)
    own = element(text).find("devices/memory")
    assert canonical(document.device_xml(text, 0)) == canonical(etree.tostring(own, encoding="unicode"))


# ----------------------------------------------------------------------------------------------------- foreign content

FOREIGN = """\
<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>caf\u00e9 &lt;&amp;&gt; &quot;it's&quot; \u732b</name>
  <uuid>6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e</uuid>
  <metadata>
    <a:x xmlns:a="urn:a" a:y="1 &lt; 2 &amp; &quot;3&quot;">  mixed <a:b/> text\t&#13;</a:x>
    <!-- a person's note: <memory> & such -->
    <b xmlns="urn:b"><?php echo 1 ?></b>
  </metadata>
  <maxMemory slots='4' unit='KiB'>33554432</maxMemory>
  <memory unit='KiB'>6291456</memory>
  <currentMemory unit='KiB'>6291456</currentMemory>
  <os><type arch='x86_64' machine='pc-q35-9.2'>hvm</type></os>
  <cpu><numa><cell id='0' cpus='0' memory='2097152' unit='KiB'/></numa></cpu>
  <devices>
    <!-- before -->
    <memory model='virtio-mem' future='yes'>
      <!-- inside -->
      <driver iommu='on' ats='off'/>
      <source><pagesize unit='KiB'>2048</pagesize><future a='1'>x</future></source>
      <target future='1'>
        <size unit='KiB'>4194304</size>
        <node>0</node>
        <block unit='KiB'>2048</block>
        <requested unit='KiB'>1048576</requested>
        <current unit='KiB'>1048576</current>
        <address base='0x100000000'/>
        <future/>
      </target>
      <alias name='ua-a'/>
      <acpi index='3' nodeset='0'/>
      <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0' multifunction='on'/>
    </memory>
    <x:strange xmlns:x='urn:strange'/>
  </devices>
  <qemu:commandline><qemu:arg value='-a&quot;b&apos;'/></qemu:commandline>
</domain>
"""


def test_foreign_content_survives_byte_for_byte():
    text = etree.tostring(etree.fromstring(FOREIGN.encode()), encoding="unicode")  # as lxml writes quotes
    own = read(text)
    assert redefined_domain(text, 0, own) == text
    changed = redefined_domain(text, 0, replace(own, size=8 * GIB, requested=2 * GIB))
    expected = (
        text.replace('<memory unit="KiB">6291456<', '<memory unit="KiB">10485760<')
        .replace('<currentMemory unit="KiB">6291456<', '<currentMemory unit="KiB">10485760<')
        .replace('<size unit="KiB">4194304<', '<size unit="KiB">8388608<')
        .replace('<requested unit="KiB">1048576<', '<requested unit="KiB">2097152<')
    )
    assert changed == expected


def test_foreign_content_of_a_device_survives():
    got = element(document.device_xml(FOREIGN, 0, 2 * GIB))
    want = element(FOREIGN).find("devices/memory")
    want.tail = None
    want.find("target/requested").text = str(2 * GIB // 1024)
    assert etree.tostring(got, method="c14n") == etree.tostring(want, method="c14n")


def test_cdata_survives():
    text = domain_xml(device()).replace("kept &amp; kept", "<![CDATA[kept & kept]]>")
    assert "<![CDATA[kept & kept]]>" in redefined_domain(text, 0, read(text))


def test_names_are_read_as_people_write_them():
    assert document.parse_definition(FOREIGN).name == 'caf\u00e9 <&> "it\'s" \u732b'


def test_names_are_escaped():
    strange = replace(read(FOREIGN), alias="ua-<&>\"'\u732b", node_mask="<0&1>", access="\"'<&")
    for text in (document.new_device_xml(strange), document.canonical_device(strange)):
        got = element(text)
        assert got.find("alias").get("name") == strange.alias
        assert got.findtext("source/nodemask") == strange.node_mask
        assert got.get("access") == strange.access


# ------------------------------------------------------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "<domain>", "<domain/><domain/>", "<memory/>", "<domain><memory unit='KiB'>x</memory></domain>"],
)
def test_what_is_no_domain(text):
    with pytest.raises(VirtmemError) as caught:
        document.parse_definition(text)
    assert caught.value.code == "libvirt_error"
    assert caught.value.details


@pytest.mark.parametrize(
    "piece",
    [
        "<memory unit='parsec'>1</memory>",
        "<memory>1.5</memory>",
        "<maxMemory slots='many'>1</maxMemory>",
        "<cpu><numa><cell id='a' memory='1'/></numa></cpu>",
        "<memoryBacking><hugepages><page size='2' unit='M' nodeset='a'/></hugepages></memoryBacking>",
        "<devices><memory model='virtio-mem'><target><address base='here'/></target></memory></devices>",
        "<devices><memory model='dimm'><address type='pci' bus='x'/></memory></devices>",
        "<devices><memballoon model='virtio'><stats period='often'/></memballoon></devices>",
    ],
)
def test_values_that_are_no_numbers(piece):
    with pytest.raises(VirtmemError) as caught:
        document.parse_definition(f"<domain>{piece}</domain>")
    assert caught.value.code == "libvirt_error"
    assert caught.value.details["reason"]


LAUGHS = "".join(f"<!ENTITY l{level} '{f'&l{level - 1};' * 10}'>" for level in range(1, 9))
HOSTILE = {
    "entity": "<!DOCTYPE domain [<!ENTITY a 'expanded'>]><domain><name>&a;</name></domain>",
    "attribute": "<!DOCTYPE domain [<!ENTITY a 'expanded'>]><domain><name x='&a;'/></domain>",
    "laughs": f"<!DOCTYPE domain [<!ENTITY l0 'ha'>{LAUGHS}]><domain><name>&l8;</name></domain>",
    "laughs-in-an-attribute": f"<!DOCTYPE domain [<!ENTITY l0 'ha'>{LAUGHS}]><domain><name x='&l8;'/></domain>",
    "external": "<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain><name>&a;</name></domain>",
    "dtd": "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'><domain><name>a</name></domain>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_entities_bring_nothing_in(name):
    with contextlib.suppress(VirtmemError):
        assert document.parse_definition(HOSTILE[name]).name in ("", "a", None)


@pytest.mark.parametrize("name", ["entity", "attribute", "external", "dtd"])
def test_a_doctype_is_refused(name):
    with pytest.raises(VirtmemError):
        document.parse_definition(HOSTILE[name])


# -------------------------------------------------------------------------------------------------------------- parsing


def test_a_whole_definition():
    found = document.parse_definition(FOREIGN)
    assert (found.arch, found.machine) == ("x86_64", "pc-q35-9.2")
    assert (found.total, found.current_memory, found.maximum, found.slots) == (6 * GIB, 6 * GIB, 32 * GIB, 4)
    assert found.boot == 2 * GIB
    assert found.cells == (NumaCell(0, 2 * GIB, "0"),)
    assert found.devices == found.virtio_mem
    assert found.devices[0] == MemoryDevice(
        model="virtio-mem",
        size=4 * GIB,
        block=2 * MIB,
        requested=GIB,
        current=GIB,
        node=0,
        alias="ua-a",
        page_size=2 * MIB,
        guest_address=0x100000000,
        pci_address="0000:04:00.0",
        iommu=True,
        ats=False,
        index=0,
    )
    assert found.devices[0].user_alias == "ua-a"
    assert replace(found.devices[0], alias="virtiomem0").user_alias is None
    assert (found.anonymous, found.balloon, found.stats_period, found.free_pcie_ports) == (True, False, 0, None)


# -------------------------------------------------------------------------------------------------------------- editing


@pytest.mark.parametrize(
    ("current", "after"),
    [(18 * GIB, 34 * GIB), (2 * GIB, 2 * GIB), (17 * GIB, 17 * GIB)],
    ids=["all", "boot", "between"],
)
def test_redefinition_takes_memory_along(current, after):
    text = domain_xml(device(size=16 * GIB), current=current)
    got = document.parse_definition(redefined_domain(text, 0, replace(read(text), size=32 * GIB)))
    assert (got.total, got.current_memory) == (34 * GIB, after)


def test_redefinition_can_take_things_away():
    text = domain_xml(
        device(attributes="discard='yes'", source="<source><pagesize>2048</pagesize><nodemask>1</nodemask></source>")
    )
    before = read(text)
    assert (before.discard, before.page_size, before.node_mask) == (True, 2 * MIB, "1")
    after = replace(before, discard=None, page_size=None, node_mask=None, node=None)
    assert read(redefined_domain(text, 0, after)) == after


def test_an_address_of_another_kind_stays():
    ccw = "<address type='ccw' cssid='0xfe' ssid='0x0' devno='0x0001'/>"
    text = domain_xml(device(extra=ccw))
    assert canonical(ccw) in canonical(redefined_domain(text, 0, replace(read(text), size=GIB)))


def test_redefinition_of_the_second_of_two():
    text = domain_xml(device("ua-a"), device("ua-b"))
    got = redefined_domain(text, 1, replace(read(text, 1), size=8 * GIB))
    assert [(found.alias, found.size) for found in document.parse_definition(got).devices] == [
        ("ua-a", 16 * GIB),
        ("ua-b", 8 * GIB),
    ]
    assert document.device_xml(text, 1).count("ua-b") == 1


def test_a_new_address_replaces_the_old_one():
    text = domain_xml(device(extra="<address type='pci' domain='0' bus='4' slot='0' function='0' multifunction='on'/>"))
    got = redefined_domain(text, 0, replace(read(text), pci_address="0000:05:00.0"))
    assert dict(element(got).find("devices/memory/address").attrib) == {
        "type": "pci",
        "domain": "0x0000",
        "bus": "0x05",
        "slot": "0x00",
        "function": "0x0",
    }


def test_other_models_get_no_virtio_mem_elements():
    text = domain_xml(device("ua-d", GIB, model="dimm"))
    assert redefined_domain(text, 0, read(text)).count("<requested") == 0


# --------------------------------------------------------------------------------------------------------------- corpus


def corpus():
    """Files of ../shared/corpus, seen from the checkout or from a copy somewhere below it."""
    told = os.environ.get("VIRTMEM_CORPUS")
    places = [Path(told)] if told else [parent / "shared/corpus" for parent in Path(__file__).parents]
    return next((sorted(place.rglob("*.xml")) for place in places if place.is_dir()), [])


CORPUS = corpus() or [None]


@pytest.fixture(params=CORPUS, ids=lambda path: path.stem if path else "absent")
def foreign_domain(request):
    if request.param is None:
        pytest.skip("the corpus (../shared/corpus, or VIRTMEM_CORPUS) is not here")
    return request.param.read_text(encoding="utf-8")


def test_corpus(foreign_domain):
    """What nobody here wrote is understood, and comes out as it went in, but for the layout and units of sizes."""
    found = document.parse_definition(foreign_domain)
    root = element(foreign_domain)
    assert found.name == root.findtext("name")
    assert len(found.devices) == len(root.findall("devices/memory"))
    assert len(found.cells) == len(root.findall("cpu/numa/cell"))
    assert found.total > 0
    for index, own in enumerate(found.devices):
        assert own.size > 0
        assert own.index == index
        original = etree.tostring(root.findall("devices/memory")[index], encoding="unicode", with_tail=False)
        assert canonical(document.device_xml(foreign_domain, index)) == canonical(original)
        redefined = redefined_domain(foreign_domain, index, own)
        assert plain(redefined) == plain(foreign_domain)
        assert document.parse_definition(redefined) == found


def plain(text):
    root = element(text)
    for sized in root.iter("size", "block", "requested", "pagesize", "memory", "currentMemory"):
        if sized.text and sized.text.strip().isdigit():
            write_kib(sized, size_of(sized))
    for target in root.iterfind("devices/memory[@model='virtio-mem']/target"):
        if target.find("requested") is None:  # libvirt writes a 0 there itself
            etree.SubElement(target, "requested", unit="KiB").text = "0"
    for target in root.iterfind("devices/memory/target"):
        target[:] = sorted(target, key=lambda child: str(child.tag))
    return etree.tostring(root, method="c14n").decode()


def test_corpus_has_devices():
    if CORPUS == [None]:
        pytest.skip("the corpus (../shared/corpus, or VIRTMEM_CORPUS) is not here")
    models = {
        own.model for path in CORPUS for own in document.parse_definition(path.read_text(encoding="utf-8")).devices
    }
    assert {"dimm", "nvdimm", "virtio-mem", "virtio-pmem"} <= models


# --------------------------------------------------------------------------------------------------------------- schema

PLACES = [
    "/usr/share/libvirt/schemas/domain.rng",
    "/usr/local/share/libvirt/schemas/domain.rng",
    "/opt/libvirt/share/libvirt/schemas/domain.rng",
]


@functools.cache
def rng():
    path = next((place for place in PLACES if os.path.exists(place)), None)
    return path and etree.RelaxNG(file=path)


def validates(text):
    schema = rng()
    return schema.validate(etree.fromstring(text.encode())), str(schema.error_log)


@pytest.fixture
def schema():
    if rng() is None:
        pytest.skip("libvirt's domain.rng is not installed here")
    valid, log = validates(domain_xml())
    assert valid, log


FEATURES = {
    "dynamic_memslots": "<memory model='virtio-mem'><target dynamicMemslots='yes'><size>1</size></target></memory>",
    "guest_address": "<memory model='virtio-mem'><target><size>1</size><address base='0x1'/></target></memory>",
}


@functools.cache
def too_new():
    """Options that the schema installed here does not know yet."""
    return frozenset(
        name
        for name, text in FEATURES.items()
        if not validates(domain_xml().replace("<graphics", text + "<graphics"))[0]
    )


def known_only(wanted):
    return replace(wanted, **dict.fromkeys(too_new()))


@given(wanted=devices())
def test_written_devices_are_valid(wanted):
    if rng() is None:
        pytest.skip("libvirt's domain.rng is not installed here")
    valid, log = validates(put_in_domain(document.new_device_xml(known_only(wanted))))
    assert valid, log


@given(before=devices(), after=devices())
def test_redefined_domains_are_valid(before, after):
    if rng() is None:
        pytest.skip("libvirt's domain.rng is not installed here")
    before, after = known_only(before), known_only(after)
    text = put_in_domain(document.new_device_xml(before))
    valid, log = validates(redefined_domain(text, 0, after))
    assert valid, log


@pytest.mark.parametrize("versions", [BOOKWORM, SID], ids=["bookworm", "sid"])
def test_updates_are_valid(schema, versions):
    if versions == SID and "guest_address" in too_new():
        pytest.skip("the schema installed here is older than libvirt 9.4: no <target><address>")
    hypervisor = FakeHypervisor(versions_are=versions)
    domain = hypervisor.add(device()).start()
    for text in domain.texts():
        valid, log = validates(put_in_domain(document.device_xml(text, 0, 4 * GIB)))
        assert valid, log


def test_corpus_stays_valid(schema):
    if CORPUS == [None]:
        pytest.skip("the corpus (../shared/corpus, or VIRTMEM_CORPUS) is not here")
    checked = 0
    for path in CORPUS:
        text = path.read_text(encoding="utf-8")
        found = document.parse_definition(text)
        if not found.devices or not validates(text)[0]:  # newer than the schema that is installed here
            continue
        for index, own in enumerate(found.devices):
            valid, log = validates(redefined_domain(text, index, own))
            assert valid, (path.name, log)
            checked += 1
    assert checked >= 5


def test_every_field_of_the_model_is_generated():
    assert {field.name for field in fields(MemoryDevice)} - {"model", "current", "index"} == {
        *("size", "block", "requested", "node", "alias", "page_size", "node_mask", "access", "discard"),
        *("dynamic_memslots", "guest_address", "pci_address"),
        # of other models, or newer: test_xml_device generates these
        *("path", "align_size", "pmem", "label_size", "readonly", "uuid", "slot", "iommu", "ats", "packed"),
    }
