# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The XML reader, with documents that somebody has been at: a coded failure or a model, whatever they say.

They are made from libvirt's own test data where it is here (VIRTMEM_CORPUS, ../shared/corpus), else from ours.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st
from lxml import etree

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import canonical
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import device, domain_xml
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.hypervisor import FakeHypervisor
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import GIB
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fuzz import tally, tasks
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fuzz.grammar import PROGRAMMERS_WORDS
from ansible_collections.virtmem.libvirt.tests.unit.plugins.redefining import redefined_domain

EXAMPLES = int(os.environ.get("VIRTMEM_FUZZ_EXAMPLES", "500"))
LAUGHS = "".join(f"<!ENTITY l{level} '{f'&l{level - 1};' * 10}'>" for level in range(1, 12))
HOSTILE = [
    f"<!DOCTYPE domain [<!ENTITY l0 'ha'>{LAUGHS}]><domain><name>&l11;</name></domain>",
    "<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain><name>&a;</name></domain>",
    "<!DOCTYPE domain [<!ENTITY % a SYSTEM 'http://127.0.0.1:1/'> %a;]><domain/>",
    "<domain>" + "<x>" * 200000,
    "<domain>" + "<memory>1</memory>" * 1000 + "</domain>",
    "<domain><devices><memory model='virtio-mem'/></devices></domain>",
    "<domain><devices><memory/><memory><target/></memory></devices></domain>",
    "<domain xmlns='urn:x'><memory>1</memory></domain>",
    "<domain><!-- -- --></domain>",
    "<?xml version='1.0' encoding='utf-16'?><domain/>",
]


def documents():
    told = os.environ.get("VIRTMEM_CORPUS")
    places = [Path(told)] if told else [parent / "shared/corpus" for parent in Path(__file__).parents]
    for place in places:
        if place.is_dir():
            return [path.read_text(encoding="utf-8") for path in sorted(place.rglob("*.xml"))]
    running = FakeHypervisor().add(device(), device("ua-d", GIB, model="dimm")).start()
    own = [domain_xml(device(), boot=(GIB, GIB)), domain_xml(), *running.texts()]
    backing = "<memoryBacking><hugepages><page size='2' unit='MiB' nodeset='0-1'/></hugepages><locked/></memoryBacking>"
    tune = "<memtune><hard_limit unit='GiB'>8</hard_limit></memtune><numatune><memory mode='strict' nodeset='0'/></numatune>"
    return [*own, domain_xml(device(), backing=backing + tune, balloon="<memballoon model='none'/>")]


DOCUMENTS = documents()
numbers = st.sampled_from(
    ["-1", "9" * 30, "9" * 5000, "1e3", "0x", "٣", "", " 7 ", "1.5", "0-16383", "18446744073709551616"]
)
words = st.one_of(numbers, tasks.nasty.filter(lambda text: all(sign.isprintable() for sign in text)))


@st.composite
def mutated(draw, texts):
    """A document in which elements, attributes and texts are gone, doubled, moved or say something else; or letters are."""
    text = draw(st.sampled_from(texts))
    if draw(st.booleans()):
        return _letters(draw, text)
    root = etree.fromstring(text.encode())
    for _number in range(draw(st.integers(1, 4))):
        every = [found for found in root.iter(etree.Element) if found is not root]
        if every:
            draw(st.sampled_from(CHANGES))(draw, draw(st.sampled_from(every)), every)
    return etree.tostring(root, encoding="unicode")


def _letters(draw, text):
    for _number in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = text[:start] + draw(st.sampled_from(["", text[start:end] * 2, "<", "&", "'", "\0", "&x;"])) + text[end:]
    return text


def _say(draw, found, _every):
    found.text = draw(words)


def _attribute(draw, found, _every):
    names = sorted(found.attrib) or ["unit"]
    found.set(draw(st.sampled_from([*names, "id", "type", "model"])), draw(words))


def _lose(_draw, found, _every):
    found.getparent().remove(found)


def _double(draw, found, _every):
    copy = etree.fromstring(etree.tostring(found, with_tail=False))
    for _number in range(draw(st.sampled_from([1, 2, 300]))):
        found.addnext(etree.fromstring(etree.tostring(copy)))


def _move(draw, found, every):
    place = draw(st.sampled_from(every))
    if found not in [place, *place.iterancestors()]:
        place.append(found)


def _rename(draw, found, every):
    found.tag = draw(st.sampled_from(every)).tag


def _comment(_draw, found, _every):
    found.insert(0, etree.Comment("a comment"))
    found.append(etree.ProcessingInstruction("a", "b"))


CHANGES = [_say, _attribute, _attribute, _lose, _double, _move, _rename, _comment]


def outcome(read, text):
    """The model, or None for a failure that is in our words."""
    try:
        return read(text)
    except VirtmemError as refused:
        error = refused
    assert error.code == "libvirt_error"
    assert error.message.isprintable()
    assert not PROGRAMMERS_WORDS.search(error.message)
    return None


def test_domains():
    @settings(max_examples=EXAMPLES)
    @given(mutated(DOCUMENTS))
    def fuzz(text):
        found = outcome(document.parse_definition, text)
        tally.count("domain XML", "refused" if found is None else "read")
        if found is None:
            return
        # What can be read can be edited; an edit that changes nothing may only say the same in libvirt's own way.
        edited = document.edited_domain(text, found)
        assert outcome(document.parse_definition, edited) == found
        assert canonical(document.edited_domain(edited, found)) == canonical(edited)
        assert canonical(document.canonical_memory(found))
        for own in found.devices[:3]:
            canonical(document.device_xml(text, own.index, requested=0))
            assert outcome(document.parse_definition, redefined_domain(text, own.index, own)) is not None

    for hostile in HOSTILE:
        fuzz = example(hostile)(fuzz)
    fuzz()


def test_capabilities():
    capabilities = FakeHypervisor(nodes={0: (64 * GIB, {2 * 1024**2: GIB}), 1: (GIB, {})}).capabilities()

    @settings(max_examples=EXAMPLES // 5)
    @given(mutated([capabilities]))
    def fuzz(text):
        found = outcome(document.parse_capabilities, text)
        tally.count("host XML", "refused" if found is None else "read")

    fuzz()


@pytest.mark.parametrize("hostile", HOSTILE[:4])
def test_entities_and_depth_are_refused(hostile):
    assert outcome(document.parse_definition, hostile) is None


@pytest.mark.parametrize("read", [document.parse_definition, document.parse_capabilities])
def test_ten_megabytes_are_not_even_parsed(read, monkeypatch):
    monkeypatch.setattr(document.etree, "fromstring", None)
    assert outcome(read, "<domain>" + "x" * 10_000_000 + "</domain>") is None


@pytest.mark.parametrize(
    "piece",
    [
        device(),
        "<memory model='dimm'><target><size>1</size></target></memory>",
        "<controller type='pci' index='1' model='pcie-root-port'/>",
        "<disk><address type='pci' bus='1'/></disk>",
    ],
)
def test_as_much_as_libvirt_can_send(piece):
    text = "<domain><memory>1</memory><devices>" + piece * (4_000_000 // len(piece)) + "</devices></domain>"
    assert len(outcome(document.parse_definition, text).devices) == text.count("<target>")


def test_many_sets_of_many_nodes():
    page = "<page size='2' unit='MiB' nodeset='" + "0-16383," * 100 + "0'/>"
    pages = f"<domain><memory>1</memory><memoryBacking><hugepages>{page * 256}</hugepages></memoryBacking></domain>"
    assert len(outcome(document.parse_definition, pages).backing.cell_page_sizes) == 16384
    assert outcome(document.parse_definition, pages.replace("</hugepages>", page + "</hugepages>")) is None
