# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a real libvirt refuse in many ways, and prints what our one door makes of it: provoke.py URI.

Whatever else comes out of it, on stderr above all, would come out of a module. Leaves no domain behind.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager

import libvirt

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor as _hypervisor

NAME = "refused"
TESTS = "test:///default"  # libvirt's own driver for tests, with a domain "test"
MIB = 1024**2
DOMAIN = f"""\
<domain type='qemu'>
  <name>{NAME}</name>
  <maxMemory slots='2' unit='MiB'>4096</maxMemory>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <cpu><numa><cell id='0' cpus='0' memory='512' unit='MiB'/></numa></cpu>
</domain>
"""


def device(size=1024, block=2, requested=0, node=0, alias="ua-vm0", more=""):
    return (
        f"<memory model='virtio-mem'>{more}<target><size unit='MiB'>{size}</size><node>{node}</node>"
        f"<block unit='MiB'>{block}</block><requested unit='MiB'>{requested}</requested></target>"
        f"<alias name='{alias}'/></memory>"
    )


def provocations(hypervisor, read_only, driver_of_tests):
    """What each is called, and a call that is to fail."""
    domain = hypervisor.domain(NAME)
    watcher = read_only.domain(NAME)
    yield "no such domain", lambda: hypervisor.domain("nobody")
    yield "no such daemon", lambda: _hypervisor.connect("qemu+tcp://127.0.0.1:1/system", False)
    yield "no such driver", lambda: _hypervisor.connect("nonsense://there/is", False)
    yield "block", lambda: domain.attach(device(block=3), "config")
    yield "small block", lambda: domain.attach(device(block=1), "config")
    yield "part of a block", lambda: domain.attach(device(block=4, requested=2), "config")
    yield "more than the size", lambda: domain.attach(device(requested=2048), "config")
    yield "no such node", lambda: domain.attach(device(node=5), "config")
    yield "no room", lambda: domain.attach(device(size=65536), "config")
    yield "same alias", lambda: [domain.attach(device(), "config") for _twice in range(2)]
    yield "no such device", lambda: domain.detach_config(device(alias="ua-other"))
    yield "not there to update", lambda: domain.update(device(alias="ua-other"), "config")
    yield "not running", lambda: domain.attach(device(), "live")
    yield "no statistics of it", domain.statistics
    yield "no unplug", lambda: domain.unplug("ua-vm0")
    yield "no XML", lambda: domain.define("<domain")
    yield (
        "not a domain",
        lambda: domain.define(DOMAIN.replace("<memory unit='MiB'>512</memory>", "").replace("512", "0")),
    )
    yield "balloon", lambda: domain.set_current_memory(4096 * MIB)
    yield "more than maxMemory", lambda: domain.define(DOMAIN.replace("4096", "256"))
    yield "read only", lambda: watcher.attach(device(), "config")
    yield "read only, passwords", lambda: watcher.xml("config", secure=True)
    yield "limits in session mode", lambda: domain.set_limits({"hard_limit": 1024 * MIB})
    # This one is no libvirtError: the binding itself does not know the word.
    yield "limit that nobody knows", lambda: driver_of_tests.domain("test").set_limits({"min_guarantee": 1024 * MIB})


@contextmanager
def connected(uri, read_only):
    hypervisor = _hypervisor.connect(uri, read_only)
    try:
        yield hypervisor
    finally:
        hypervisor.close()


def outcome(call):
    try:
        call()
    except VirtmemError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint, "details": error.details}
    return {"code": "none"}


def main(uri):
    with connected(uri, False) as hypervisor, connected(uri, True) as read_only, connected(TESTS, False) as tests:
        plain = libvirt.open(uri)
        domain = plain.defineXML(DOMAIN)
        try:
            return {name: outcome(call) for name, call in provocations(hypervisor, read_only, tests)}
        finally:
            domain.undefine()
            plain.close()


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
