# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Defines the table's domains on a real libvirt, and compares what it makes of them with what _domain/sums foretells.

compare.py URI < {"domains": ..., "impossible": ...}. Leaves no domain behind.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import libvirt
from domains import device_xml, domain_xml

from ansible_collections.virtmem.libvirt.plugins.module_utils._device.rules import check_device
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain import sums
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.rules import check_totals
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor as _hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import Platform
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document

NAME = "arithmetic"  # of each domain: there is one at a time
CELL = ("id", "memory", "cpus")
DEVICE = ("model", "size", "node", "access", "block", "requested")
# A paused guest's <currentMemory> is not what a start foretells: its balloon has not moved, and it has plugged nothing.
SUMS = ("boot", "total", "maximum", "slots")


class Comparison:
    """The table on one hypervisor: how many were compared, and every field that was not as foretold."""

    def __init__(self, uri):
        hypervisor = _hypervisor.connect(uri, read_only=True)
        self.versions = hypervisor.versions()
        hypervisor.close()
        self.connection = libvirt.open(uri)
        self.counts = Counter()
        self.wrong = []

    def possible(self, row):
        """Does with the domain what its row says."""
        text = domain_xml(NAME, row)
        if self.versions.libvirt < tuple(map(int, row.get("since", "0").split("."))):
            self._refused(row, text)
            return
        with self._defined(text) as domain:
            self._compare("defined", row, sums.read_back(written(row, text), self.versions), config(domain))
            if row.get("starts"):
                self._started(row, domain)
            if "attach" in row:
                self._attached(row, domain)
                self._detached(row, domain, -1)
            if "detach" in row:
                self._detached(row, domain, row["detach"])

    def impossible(self, row):
        """libvirt refuses the domain, and so do our rules."""
        text = domain_xml(NAME, row)
        self._refused(row, text)
        try:
            self._judge(document.parse_definition(text))
        except VirtmemError as error:
            code = error.code
        else:
            code = None
        self._note("judged", [] if code == row["code"] else [f"{row['what']}: our rules say {code}"])

    @contextmanager
    def _defined(self, text):
        domain = self.connection.defineXML(text)
        try:
            yield domain
        finally:
            domain.undefine()

    def _refused(self, row, text):
        try:
            self.connection.defineXML(text).undefine()
        except libvirt.libvirtError:
            self._note("refused", [])
        else:
            self._note("refused", [f"{row['what']}: libvirt was to refuse it, and did not"])

    def _judge(self, definition):
        for device in definition.devices:
            check_device(device, definition, Platform(self.versions), "devices")
        nothing = replace(definition, maximum=None, devices=())
        check_totals(sums.read_back(definition, self.versions), nothing, self.versions)

    def _started(self, row, domain):
        foretold = sums.started(config(domain))
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        try:
            self._compare("started", row, foretold, document.parse_definition(domain.XMLDesc(0)), sums=SUMS)
        finally:
            domain.destroy()

    def _attached(self, row, domain):
        before, text = config(domain), device_xml(row["attach"])
        (device,) = document.parse_definition(f"<domain><devices>{text}</devices></domain>").devices
        domain.attachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        self._compare("attached", row, sums.attached(before, device), config(domain))

    def _detached(self, row, domain, place):
        before = config(domain)
        device = before.devices[place]
        text = document.device_xml(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), device.index)
        domain.detachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        self._compare("detached", row, sums.detached(before, device), config(domain))

    def _compare(self, what, row, foretold, found, sums=(*SUMS, "current_memory")):
        expected, seen = fields(foretold, sums), fields(found, sums)
        different = [name for name in expected if expected[name] != seen[name]]
        words = "{}: {}: {}: foretold {}, found {}"
        self._note(what, [words.format(row["what"], what, name, expected[name], seen[name]) for name in different])

    def _note(self, what, wrong):
        self.counts[what] += 1
        self.counts[f"{what}_right"] += not wrong
        self.wrong += wrong


def written(row, text):
    """The definition as the table has it: 0 where it leaves <currentMemory> out, which the model has no word for."""
    definition = document.parse_definition(text)
    return definition if "current" in row else replace(definition, current_memory=0)


def config(domain):
    return document.parse_definition(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def fields(definition, sums):
    """What is compared, by name."""
    return {
        **{name: getattr(definition, name) for name in sums},
        "cells": [{name: getattr(cell, name) for name in CELL} for cell in definition.cells],
        "devices": [{name: getattr(device, name) for name in DEVICE} for device in definition.devices],
    }


def main(uri):
    comparison, table = Comparison(uri), json.load(sys.stdin)
    for row in table["domains"]:
        try:
            comparison.possible(row)
        except libvirt.libvirtError as error:
            comparison.wrong.append(f"{row['what']}: {error}")
    for row in table["impossible"]:
        comparison.impossible(row)
    print(json.dumps({"counts": comparison.counts, "wrong": comparison.wrong}))


main(*sys.argv[1:])
