# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What reading domains costs without Ansible and without us.

read.py URI [NAME ...]    without names: all
"""

from __future__ import annotations

import sys

import libvirt
from lxml import etree


def main(uri, *names):
    connection = libvirt.openReadOnly(uri)
    for domain in [connection.lookupByName(name) for name in names] or connection.listAllDomains():
        if domain.isActive():
            etree.fromstring(domain.XMLDesc())
        etree.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    connection.close()


main(*sys.argv[1:])
