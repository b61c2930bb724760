# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory devices of all models, and all else that a domain says about memory: written, and read back."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.options import OPTIONS
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import (
    Backing,
    Balloon,
    Definition,
    HugePage,
    MemoryDevice,
    NumaCell,
    Placement,
    Tuning,
    in_order,
)
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document

KIB, MIB, GIB = 1024, 1024**2, 1024**3
SIZES = st.integers(1, 2**30).map(lambda kib: kib * KIB)
YES_NO = st.none() | st.booleans()
SETS = st.sampled_from(["0", "0-1", "0,2-3"])

VALUES = {
    "size": SIZES,
    "node": st.none() | st.integers(0, 7),
    "block": SIZES,
    "requested": st.just(0) | SIZES,
    "page_size": st.none() | SIZES,
    "node_mask": st.none() | SETS,
    "access": st.sampled_from([None, "shared", "private"]),
    "discard": YES_NO,
    "dynamic_memslots": YES_NO,
    "guest_address": st.none() | st.integers(1, 2**40),
    "pci_address": st.sampled_from([None, "0000:04:00.0", "0000:0a:1f.7"]),
    "path": st.sampled_from(["/var/lib/a", "/dev/dax0.0", "/a<&>b"]),
    "align_size": st.none() | SIZES,
    "pmem": st.sampled_from([None, True]),
    "label_size": st.none() | SIZES,
    "readonly": st.sampled_from([None, True]),
    "uuid": st.sampled_from([None, "6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e"]),
    "slot": st.none() | st.integers(0, 255),
    "iommu": YES_NO,
    "ats": YES_NO,
    "packed": YES_NO,
}


def devices(model):
    return st.builds(
        MemoryDevice,
        model=st.just(model),
        alias=st.sampled_from([None, "ua-a"]),
        **{name: VALUES[name] for name in OPTIONS[model]},
    )


ANY_DEVICE = st.sampled_from(sorted(OPTIONS)).flatmap(devices)
EMPTY = (
    "<domain><name>web1</name><uuid>u</uuid><memory unit='KiB'>1048576</memory><vcpu>4</vcpu>"
    "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices/></domain>"
)


def test_all_options_are_the_models_own():
    known = {field.name for field in fields(MemoryDevice)}
    assert set().union(*OPTIONS.values()) <= known
    assert set(VALUES) == known - {"model", "alias", "current", "index"}


@given(st.lists(ANY_DEVICE, max_size=4))
def test_devices_read_back(wanted):
    text = document.edited_domain(EMPTY, replace(document.parse_definition(EMPTY), devices=tuple(wanted)))
    assert [replace(found, index=-1) for found in document.parse_definition(text).devices] == wanted


@given(st.lists(ANY_DEVICE, min_size=1, max_size=4), st.data())
def test_devices_can_be_changed_removed_and_added(before, data):
    text = document.edited_domain(EMPTY, replace(document.parse_definition(EMPTY), devices=tuple(before)))
    found = document.parse_definition(text)
    kept = data.draw(st.sets(st.sampled_from(found.devices)))
    after = [replace(device, size=device.size + MIB) for device in found.devices if device in kept]
    after.append(data.draw(ANY_DEVICE))
    again = document.parse_definition(document.edited_domain(text, replace(found, devices=tuple(after))))
    assert [replace(device, index=-1) for device in again.devices] == [replace(device, index=-1) for device in after]


PAGES = st.builds(HugePage, SIZES, st.none() | SETS)
DEFINITIONS = st.builds(
    Definition,
    name=st.just("web1"),
    uuid=st.just("u"),
    arch=st.just("x86_64"),
    machine=st.just("q35"),
    vcpus=st.just(4),
    total=SIZES,
    current_memory=SIZES,
    maximum=st.none() | SIZES,
    cells=st.lists(
        st.builds(
            NumaCell,
            st.just(0),
            SIZES,
            st.none() | SETS,
            st.sampled_from([None, "shared", "private"]),
            YES_NO,
        ),
        max_size=3,
    ).map(lambda cells: tuple(replace(cell, id=number) for number, cell in enumerate(cells))),
    backing=st.builds(
        Backing,
        hugepages=st.none() | st.lists(PAGES, max_size=3).map(in_order),
        source=st.sampled_from([None, "file", "anonymous", "memfd"]),
        access=st.sampled_from([None, "shared", "private"]),
        allocation_mode=st.sampled_from([None, "immediate", "ondemand"]),
        allocation_threads=st.none() | st.integers(1, 9),
        locked=st.booleans(),
        nosharepages=st.booleans(),
        discard=st.booleans(),
    ),
    tuning=st.builds(Tuning, st.none() | SIZES, st.none() | SIZES, st.none() | SIZES),
    placement=st.sampled_from([Placement(), Placement("strict", "0"), Placement("preferred", None, True)]),
    memballoon=st.builds(
        Balloon,
        model=st.sampled_from(["none", "virtio", "xen"]),
        autodeflate=YES_NO,
        free_page_reporting=YES_NO,
        stats_period=st.integers(0, 60),
    ),
)
OWNED = ("total", "current_memory", "maximum", "cells", "backing", "tuning", "placement", "memballoon")


@given(DEFINITIONS, DEFINITIONS)
def test_definitions_read_back(first, second):
    """Whatever was there before."""
    text = EMPTY
    for wanted in (first, second):
        text = document.edited_domain(text, wanted)
        found = document.parse_definition(text)
        if wanted.placement == Placement():  # nothing takes an element away that is there: no task can ask for it
            found = replace(found, placement=wanted.placement)
        assert {name: getattr(found, name) for name in OWNED} == {name: getattr(wanted, name) for name in OWNED}
        assert "<name>web1</name>" in text


@given(DEFINITIONS)
def test_the_same_changes_nothing(wanted):
    text = document.edited_domain(EMPTY, wanted)
    assert document.edited_domain(text, document.parse_definition(text)) == text


@pytest.mark.parametrize(("current", "shown"), [(512 * MIB, True), (GIB, False), (2 * GIB, False)])
def test_current_memory_is_shown_where_it_means_something(current, shown):
    definition = replace(document.parse_definition(EMPTY), total=GIB, current_memory=current)
    assert ("<currentMemory" in document.canonical_memory(definition)) is shown
