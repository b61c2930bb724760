# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a domain that runs has more than one that is stored, and what only one of the two can be asked."""

from __future__ import annotations

import re

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.document import (
    VIRTIO_MEM,
    Element,
    add,
    alias_of,
)
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.proof import not_proven, proven_by
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.refusal import DENIED, INTERNAL, INVALID, refuse
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fake.sizes import write_kib

_ALIAS = {VIRTIO_MEM: "virtiomem", "dimm": "dimm", "nvdimm": "nvdimm", "virtio-pmem": "virtiopmem"}
_NO_STATISTICS = "Memory balloon model must be virtio to set the collection period"


@proven_by("libvirt_errors", "not running", "no statistics of it", "no unplug")
def it_runs(text: str | None, doing: str) -> str:
    if text is None:
        refuse(doing, INVALID, "domain is not running")
    return text


@proven_by("libvirt_traps", "transient")
def it_is_stored(text: str | None) -> str:
    if text is None:
        refuse("config", INVALID, "transient domains do not have any persistent config")
    return text


@proven_by("libvirt_errors", "read only")
def the_connection_may_write(read_only: bool, scope: str, name: str) -> None:
    if read_only:
        refuse(scope, DENIED, f"read only access prevents {name}")


@proven_by("libvirt_errors", "read only, passwords")
def the_connection_may_read_passwords(read_only: bool) -> None:
    if read_only:
        refuse("read the definition with passwords", DENIED, "virDomainGetXMLDesc with secure flag")


@proven_by("libvirt_traps", "passwords")
def passwords_are_left_out(text: str) -> str:
    return re.sub(r" passwd=(['\"]).*?\1", "", text)


@proven_by("virtio_mem_device_adoption", "Say the name that libvirt has given it")
def every_device_has_an_alias(root: Element, memory: Element) -> None:
    if memory.find("alias") is None:
        prefix = _ALIAS[memory.get("model")]
        used = {alias_of(found) for found in root.findall("devices/memory")}
        add(memory, "alias", name=next(f"{prefix}{number}" for number in range(99) if f"{prefix}{number}" not in used))


@proven_by("libvirt_traps", "without_balloon")
def virtio_mem_says_what_is_plugged(memory: Element) -> None:
    if memory.get("model") == VIRTIO_MEM:
        write_kib(add(memory.find("target"), "current"), 0)


@proven_by("libvirt_traps", "without_balloon")
def statistics_come_from_a_balloon(root: Element) -> Element:
    balloon = root.find("devices/memballoon")
    if balloon is None or balloon.get("model") == "none":
        refuse("live", INTERNAL, _NO_STATISTICS)
    return balloon


@proven_by("libvirt_traps", "other_nodes")
def nodes_change_if_the_placement_is_restrictive(root: Element) -> Element:
    found = root.find("numatune/memory")
    if found is None or found.get("mode") != "restrictive":
        refuse("live", INVALID, "change of nodeset for running domain requires restrictive numa mode")
    return found


@not_proven("The bench shows it in the time of each resize. QEMU 5.1 to 11.1: monitor_qapi_event_conf.")
def qemu_tells_sizes_once_a_second(since_it_told: float) -> bool:
    return since_it_told >= 1
