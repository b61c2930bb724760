# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings other people's domains, and our own, to a real libvirt.

domains.py define URI OWN LAB_SCRIPT   Define all files of the folder OWN and of the corpus, and say what became of each.
                                       The corpus is in VIRTMEM_CORPUS, or else in ../shared/corpus of the checkout that
                                       the lab is in; where there is none, it does without.
domains.py read URI                    Say what libvirt has of each domain that was defined so.
domains.py undefine URI                Leave none of them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import libvirt
from lxml import etree

PREFIX = "corpus-"
OURS = "own-"


class Host:
    """What a file has to be told of the hypervisor at hand: its QEMU, and the machine types that this has."""

    def __init__(self, connection):
        capabilities = etree.fromstring(connection.getCapabilities().encode())
        self.arches = {arch.get("name"): arch for arch in capabilities.iterfind("guest/arch")}

    def adapted(self, text, name):
        """The domain under another name, for an emulated machine of this host; all that it says of memory stays."""
        root = etree.fromstring(text.encode())
        root.set("type", "qemu")
        root.find("name").text = name
        for uuid in root.findall("uuid"):
            root.remove(uuid)
        kind = root.find("os/type")
        arch = self.arches.get(kind.get("arch", "x86_64"))
        if arch is not None:
            for emulator in root.iterfind("devices/emulator"):
                emulator.text = arch.findtext("emulator")
            if kind.get("machine") not in {machine.text for machine in arch.iterfind("machine")}:
                kind.set("machine", "q35" if "q35" in kind.get("machine", "") else "pc")
        return etree.tostring(root, encoding="unicode")


def corpus(lab_script):
    told = os.environ.get("VIRTMEM_CORPUS")
    places = [Path(told)] if told else [parent / "shared/corpus" for parent in Path(lab_script).resolve().parents]
    return next((place for place in places if place.is_dir()), None)


def files(own, lab_script):
    """Each file by the name that its domain gets."""
    found = {f"{PREFIX}{OURS}{path.stem}": path for path in sorted(Path(own).glob("*.xml"))}
    place = corpus(lab_script)
    for path in sorted(place.rglob("*.xml")) if place else ():
        found[PREFIX + "-".join(path.relative_to(place).with_suffix("").parts)] = path
    return found


def define(connection, own, lab_script):
    host, found = Host(connection), files(own, lab_script)
    refused = defaultdict(list)
    for name, path in found.items():
        try:
            connection.defineXML(host.adapted(path.read_text(encoding="utf-8"), name))
        except libvirt.libvirtError as error:
            refused[reason(error)].append(path.name)
    return {
        "files": len(found),
        "own": sum(name.startswith(PREFIX + OURS) for name in found),
        "defined": sorted(domain.name() for domain in defined(connection)),
        "refused": refused,
    }


def reason(error):
    """libvirt's sentence without the names and numbers of one domain, so that equal ones come together."""
    return re.sub(r"\B'[^']*'|\b\d+\b", "…", str(error))


def defined(connection):
    return [domain for domain in connection.listAllDomains() if domain.name().startswith(PREFIX)]


def read(connection):
    return {domain.name(): domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) for domain in defined(connection)}


def undefine(connection):
    for domain in defined(connection):
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def main(verb, uri, *arguments):
    libvirt.registerErrorHandler(lambda *_args: None, None)  # errors come as exceptions, too
    print(json.dumps({"define": define, "read": read, "undefine": undefine}[verb](libvirt.open(uri), *arguments)))


main(*sys.argv[1:])
