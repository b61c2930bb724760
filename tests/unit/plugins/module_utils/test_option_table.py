# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each row of the table has a case, a field, an argument, documentation and a fact: who adds one is told what is missing."""

from __future__ import annotations

import typing as t
from dataclasses import fields, replace

import pytest
import yaml
from lxml import etree

from ansible_collections.virtmem.libvirt.plugins.module_utils import _option_table
from ansible_collections.virtmem.libvirt.plugins.module_utils._capabilities import FEATURES
from ansible_collections.virtmem.libvirt.plugins.module_utils._device import options as device_options
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.spec import read_device_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.facts import device_facts, memory_device_facts
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import MemoryDevice
from ansible_collections.virtmem.libvirt.plugins.module_utils._option_table import MODELS, TABLE
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import device as writer, document, reader
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.domain_xml import domain_xml
from ansible_collections.virtmem.libvirt.tests.unit.plugins.redefining import redefined_domain

KIB, MIB = 1024, 1024**2
UUID = "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"
NAMES = [option.name for option in TABLE]


class Case(t.NamedTuple):
    """What a task says, what the model has, and the parts of `<memory>` that say it, by the element that they stand in."""

    said: t.Any
    value: t.Any
    xml: dict[str, str]
    fact: t.Any = None  # None: the model's value


CASES = {
    "node": Case(1, 1, {"target": "<node>1</node>"}),
    "size": Case("4MiB", 4 * MIB, {}),
    "block": Case("2MiB", 2 * MIB, {"target": "<block unit='KiB'>2048</block>"}),
    "requested": Case("2MiB", 2 * MIB, {"target": "<requested unit='KiB'>2048</requested>"}),
    "page_size": Case("2MiB", 2 * MIB, {"source": "<pagesize unit='KiB'>2048</pagesize>"}),
    "node_mask": Case("0,1", "0-1", {"source": "<nodemask>0-1</nodemask>"}),
    "access": Case("shared", "shared", {"@": "access='shared'"}),
    "discard": Case(False, False, {"@": "discard='no'"}),
    "dynamic_memslots": Case(True, True, {"target@": "dynamicMemslots='yes'"}),
    "guest_address": Case("5368709120", 0x140000000, {"target": "<address base='0x140000000'/>"}, "0x140000000"),
    "pci_address": Case(
        "04:1F.7",
        "0000:04:1f.7",
        {"": "<address type='pci' domain='0x0000' bus='0x04' slot='0x1f' function='0x7'/>"},
    ),
    "path": Case("/a<b", "/a<b", {"source": "<path>/a&lt;b</path>"}),
    "align_size": Case("4KiB", 4 * KIB, {"source": "<alignsize unit='KiB'>4</alignsize>"}),
    "pmem": Case(True, True, {"source": "<pmem/>"}),
    "label_size": Case("128KiB", 128 * KIB, {"target": "<label><size unit='KiB'>128</size></label>"}),
    "readonly": Case(True, True, {"target": "<readonly/>"}),
    "uuid": Case(UUID.upper(), UUID, {"": f"<uuid>{UUID}</uuid>"}),
    "slot": Case(3, 3, {"": "<address type='dimm' slot='3'/>"}),
    "iommu": Case(True, True, {"": "<driver iommu='on'/>"}),
    "ats": Case(False, False, {"": "<driver ats='off'/>"}),
    "packed": Case(True, True, {"": "<driver packed='on'/>"}),
}


def device_xml(model, parts):
    """A device with the size that libvirt always has, the two elements that it always writes for virtio-mem, and `parts`."""
    target = parts.get("target", "")
    for tag in ("block", "requested") if model == "virtio-mem" else ():
        target += "" if f"<{tag}" in target else f"<{tag} unit='KiB'>0</{tag}>"
    source = f"<source>{parts['source']}</source>" if "source" in parts else ""
    return (
        f"<memory model='{model}' {parts.get('@', '')}>{parts.get('', '')}{source}"
        f"<target {parts.get('target@', '')}><size unit='KiB'>4096</size>{target}</target></memory>"
    )


def read(domain):
    return document.parse_definition(domain).devices[0]


def shape(element):
    """All that it says, whatever the order of its children."""
    return element.tag, dict(element.attrib), element.text or "", sorted(map(shape, element), key=str)


def test_every_option_has_a_case_and_a_field():
    own = {"model", "alias", "current", "index"}  # the device's identity and state, which no task changes
    assert len(NAMES) == len(set(NAMES))
    assert set(NAMES) == set(CASES) == {field.name for field in fields(MemoryDevice)} - own


@pytest.mark.parametrize("option", TABLE, ids=NAMES)
def test_row_is_sound(option):
    assert set(option.models) <= set(MODELS)
    assert option.models
    assert not option.feature or option.feature in FEATURES
    assert (option.kind == "choice") is bool(option.choices)
    assert ("@" in option.xml) is (option.kind in ("choice", "yes_no", "on_off", "hex"))


def test_every_kind_is_read_and_written():
    kinds = set(t.get_args(_option_table.Kind))
    assert kinds == {option.kind for option in TABLE} == set(reader._BY_KIND) == set(writer._WRITERS)


@pytest.mark.parametrize(("model", "name"), [(model, option.name) for option in TABLE for model in option.models])
def test_xml_in_and_out(model, name):
    """XML to model to XML; and a device that does not have it gets it, or loses it, and nothing else changes."""
    case = CASES[name]
    text, bare = device_xml(model, case.xml), device_xml(model, {})
    found, without = read(domain_xml(text)), read(domain_xml(bare))
    assert getattr(found, name) == case.value
    assert replace(without, **{name: case.value}) == found
    assert shape(etree.fromstring(document.new_device_xml(found))) == shape(etree.fromstring(text))
    assert read(redefined_domain(domain_xml(bare), 0, found)) == found
    kept = name in ("slot", "iommu", "ats", "packed")  # nothing takes these away
    assert read(redefined_domain(domain_xml(text), 0, without)) == (found if kept else without)


@pytest.mark.parametrize("option", TABLE, ids=NAMES)
def test_option_is_read_from_a_task(option):
    case = CASES[option.name]
    said = {option.group: {option.name: case.said}} if option.group else {option.name: case.said}
    assert read_device_spec(0, {"model": option.models[0], **said}).stated == {option.name: case.value}


@pytest.mark.parametrize("option", TABLE, ids=NAMES)
def test_option_is_told(option):
    case = CASES[option.name]
    device = replace(MemoryDevice(option.models[0], 0), **{option.name: case.value})
    told = memory_device_facts(device)
    fact = case.value if case.fact is None else case.fact
    assert (told[option.group] if option.group else told)[option.name] == fact
    if option.name in device_options.VIRTIO_MEM_OPTIONS:
        assert device_facts(replace(device, model="virtio-mem"))[option.name] == fact


def documented(name):
    module = running.import_module(name)
    documentation = yaml.safe_load(module.DOCUMENTATION)
    options = dict(documentation["options"])
    for fragment in documentation["extends_documentation_fragment"]:
        path = running.ROOT / f"plugins/doc_fragments/{fragment.rpartition('.')[2]}.py"
        scope: dict[str, t.Any] = {}
        exec(compile(path.read_text(encoding="utf-8"), path, "exec"), scope)
        options.update(yaml.safe_load(scope["ModuleDocFragment"].DOCUMENTATION).get("options", {}))
    return options, yaml.safe_load(module.RETURN)


def test_options_of_a_domains_devices_are_documented():
    told = documented("domain_memory")[0]["devices"]["suboptions"]
    groups = {option.group for option in TABLE if option.group}
    assert set(told) - groups - {"model", "alias"} == {option.name for option in TABLE if not option.group}
    for group in groups:
        assert set(told[group]["suboptions"]) == {option.name for option in TABLE if option.group == group}
    for option in TABLE:
        assert list(option.choices) == (told[option.group]["suboptions"] if option.group else told)[option.name].get(
            "choices", []
        )


def test_options_and_facts_of_virtio_mem_device_are_documented():
    options, returned = documented("virtio_mem_device")
    wanted = set(device_options.VIRTIO_MEM_OPTIONS)
    assert wanted <= set(options)
    assert wanted == set(returned["device"]["contains"]) - {"alias", "model", "current", "offline_in_guest"}
    assert set(device_facts(MemoryDevice("virtio-mem", 0))) == set(returned["device"]["contains"])
