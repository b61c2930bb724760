# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every link R(text, label) of the plugins' documentation leads to a page of the guides.

The first comma ends the text, and the rest is the label: a comma in the text makes a link to nowhere, and neither
ansible-doc nor antsibull-docs says so.
"""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.virtmem.libvirt.tests.unit.plugins.running import ROOT

LINK = re.compile(r"\bR\(([^)]*)\)")
LABEL = re.compile(r"^\.\. _(.+):$", re.MULTILINE)
# The texts of a module or of a doc fragment that are documentation.
DOCUMENTATION = re.compile(r'^ *(?:[A-Z_]+) = r"""$(.*?)^"""$', re.MULTILINE | re.DOTALL)


def strings(node):
    """Every string in parsed YAML, as one line each, as Ansible reads them."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, (dict, list)):
        for part in node.values() if isinstance(node, dict) else node:
            yield from strings(part)


def links_in(text):
    """(text, label) of each R() in a file."""
    for block in DOCUMENTATION.findall(text):
        for line in strings(yaml.safe_load(block)):
            for inside in LINK.findall(line):
                shown, _comma, label = inside.partition(",")
                yield shown, label.strip()


def labels():
    pages = (ROOT / "docs/docsite/rst").glob("*.rst")
    return {label for page in pages for label in LABEL.findall(page.read_text(encoding="utf-8"))}


FILES = sorted((ROOT / "plugins").glob("modules/*.py")) + sorted((ROOT / "plugins").glob("doc_fragments/*.py"))
LINKS = [(path.stem, *link) for path in FILES for link in links_in(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("name", "text", "label"), LINKS)
def test_a_link_leads_to_a_page(name, text, label):
    assert text
    assert label in labels()


def test_links_are_found():
    """The fragment that all modules share has one, and so has RETURN."""
    assert {"_connection", "domain_memory"} <= {name for name, _text, _label in LINKS}


def test_a_comma_in_the_text_is_seen():
    text = 'DOCUMENTATION = r"""\ndescription:\n  - R(Who may look,\n    and who not, a.label).\n"""\n'
    assert list(links_in(text)) == [("Who may look", "and who not, a.label")]
