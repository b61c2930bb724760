# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps into each trap of libvirt that the modules go around, with libvirt's bare calls, and prints what came of it.

traps.py LAB_SCRIPT LAB GUEST [ALIAS]: GUEST runs, with the device ua-mem; both its definitions are afterwards as they were.
With ALIAS, it only asks the guest for that device, as virsh detach-device does, and waits as long.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import libvirt

sys.path[0] = str(Path(sys.argv[1]).resolve().parent.parent)

from lab import Lab  # noqa: E402

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
VALIDATE = libvirt.VIR_DOMAIN_DEFINE_VALIDATE
UUID = "6f1d5b52-3f0c-4c8e-9c0a-0a4f4f6d7a11"
KIB_OF_GIB = 1024**2
NODES = "<cpu><numa><cell id='0' cpus='0' memory='512' unit='MiB'/></numa></cpu>"


def domain_xml(*devices, slots=4, nodes=NODES):
    """A domain that is only ever defined."""
    return (
        f"<domain type='qemu'><name>trapped</name><uuid>{UUID}</uuid><maxMemory slots='{slots}' unit='GiB'>16</maxMemory>"
        "<memory unit='MiB'>512</memory><currentMemory unit='MiB'>512</currentMemory><vcpu>1</vcpu>"
        f"<os><type arch='x86_64' machine='q35'>hvm</type></os>{nodes}<devices>{''.join(devices)}</devices></domain>"
    )


def virtio_mem(alias, size=1):
    return (
        f"<memory model='virtio-mem'><target><size unit='GiB'>{size}</size><node>0</node><block unit='MiB'>2</block>"
        f"<requested unit='MiB'>0</requested></target><alias name='{alias}'/></memory>"
    )


def dimm(size=128, more="", alias="ua-dimm"):
    return (
        f"<memory model='dimm'><target><size unit='MiB'>{size}</size><node>0</node>{more}</target>"
        f"<alias name='{alias}'/></memory>"
    )


def outcome(call):
    """0, or the number of libvirt's error."""
    try:
        call()
    except libvirt.libvirtError as error:
        return error.get_error_code()
    return 0


def device_text(domain, alias, config=False):
    """The device as libvirt writes it; empty where it has none."""
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if config else 0)
    found = [part for part in re.findall(r"<memory model.*?</memory>", text, re.DOTALL) if f"'{alias}'" in part]
    return found[0] if found else ""


def current_memory(domain):
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    return int(re.search(r"<currentMemory unit='KiB'>(\d+)<", text)[1])


# ------------------------------------------------------------------------------------------ with a guest that runs


def both_at_once(domain):
    """One update of both definitions by the running one's XML: what it has of the running guest goes into the other."""
    code = outcome(lambda: domain.updateDeviceFlags(device_text(domain, "ua-mem"), LIVE | CONFIG))
    return {"code": code, "address stored": "<address base" in device_text(domain, "ua-mem", config=True)}


def both_at_once_by_the_stored(domain):
    text = device_text(domain, "ua-mem", config=True)
    return {"refused": outcome(lambda: domain.updateDeviceFlags(text, LIVE | CONFIG)) > 0}


def detached_from_both(domain):
    text = device_text(domain, "ua-mem")
    refused = outcome(lambda: domain.detachDeviceFlags(text, LIVE | CONFIG)) > 0
    return {"refused": refused, "runs with it": device_text(domain, "ua-mem") == text}


def no_such_alias(domain):
    return {"code": outcome(lambda: domain.detachDeviceAlias("ua-no", LIVE))}


def ignored(domain):
    """What can't change in a running guest, and is taken without a word."""
    before = device_text(domain, "ua-mem")
    after = before.replace("<target>", "<driver iommu='on' packed='on'/><target dynamicMemslots='yes'>", 1)
    return {
        "code": outcome(lambda: domain.updateDeviceFlags(after, LIVE)),
        "unchanged": device_text(domain, "ua-mem") == before,
    }


def other_model(domain):
    """An update of the stored definition makes a DIMM of the device."""
    before = device_text(domain, "ua-mem", config=True)
    text = before.replace("'virtio-mem'", "'dimm'")
    code = outcome(lambda: domain.updateDeviceFlags(text, CONFIG))
    return {"code": code, "is a DIMM": "model='dimm'" in device_text(domain, "ua-mem", config=True)}


def other_size(domain):
    """A DIMM that runs is given another size: refused, and not always for what it is."""
    text = device_text(domain, "ua-dimm")
    try:
        domain.updateDeviceFlags(text.replace("131072", "262144"), LIVE)
    except libvirt.libvirtError as error:
        return {"code": error.get_error_code(), "blames the slot": "slot '0'" in error.get_error_message()}
    return {"code": 0}


def stubborn(domain):
    """A guest that does not give up a DIMM: the call waits 5 s (libvirt's constant), and all who read wait with it."""
    text = device_text(domain, "ua-dimm")
    longest, codes = 0.0, []
    caller = threading.Thread(target=lambda: codes.append(outcome(lambda: domain.detachDeviceFlags(text, LIVE))))
    domain.suspend()
    caller.start()
    while caller.is_alive():
        started = time.monotonic()
        domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        longest = max(longest, time.monotonic() - started)
    facts = {"code": codes[0], "still there": bool(device_text(domain, "ua-dimm")), "readers wait": longest > 2}
    domain.resume()
    return facts


RUNNING = [
    both_at_once,
    both_at_once_by_the_stored,
    detached_from_both,
    no_such_alias,
    ignored,
    other_model,
    other_size,
    stubborn,
]


# ------------------------------------------------------------------------------- with a domain that is only defined


def wrong_sum(connection):
    """A device of 4 GiB comes to the stored definition, or goes, and <currentMemory> with it."""
    domain = connection.defineXML(domain_xml(virtio_mem("ua-a", 4)))
    before = current_memory(domain)
    domain.attachDeviceFlags(virtio_mem("ua-b", 4), CONFIG)
    added = current_memory(domain) - before
    domain = connection.defineXML(domain_xml(virtio_mem("ua-a", 4), virtio_mem("ua-b", 4)))
    domain.detachDeviceFlags(device_text(domain, "ua-b", config=True), CONFIG)
    return {"added": added == 4 * KIB_OF_GIB, "left": current_memory(domain) == before + 4 * KIB_OF_GIB}


def counted_slots(connection):
    """Slots that are free: whether a DIMM is stored hangs on how many devices there are that take none."""
    facts = {}
    for slots in (2, 1):
        domain = connection.defineXML(domain_xml(virtio_mem("ua-a"), slots=slots))
        facts[f"beside one, of {slots}"] = outcome(lambda domain=domain: domain.attachDeviceFlags(dimm(), CONFIG))
    with suppress(libvirt.libvirtError):  # where virtio-mem takes slots, too
        domain = connection.defineXML(domain_xml(virtio_mem("ua-a"), virtio_mem("ua-b"), slots=1))
        facts["beside two, of 1"] = outcome(lambda: domain.attachDeviceFlags(dimm(), CONFIG))
    return facts


def too_many_dimms(connection):
    return {"code": outcome(lambda: connection.defineXML(domain_xml(dimm(), dimm(alias="ua-other"), slots=1)))}


def validated(connection):
    """What passes libvirt's validation, and is then dropped."""
    alias = connection.defineXMLFlags(domain_xml(virtio_mem("ua-v.m0")), VALIDATE)
    kept_alias = device_text(alias, "ua-v.m0", config=True)
    block = connection.defineXMLFlags(domain_xml(dimm(more="<block unit='MiB'>2</block>")), VALIDATE)
    kept_block = "<block" in device_text(block, "ua-dimm", config=True)
    return {"alias": bool(kept_alias), "block": kept_block}


def invented_node(connection):
    """The same sizes pass or not, depending on whether the domain says that it has a node."""
    with_node = domain_xml(virtio_mem("ua-a"))
    without = domain_xml(virtio_mem("ua-a"), nodes="")
    with_devices = without.replace("<memory unit='MiB'>512<", "<memory unit='MiB'>1536<")
    return {
        "with a node": outcome(lambda: connection.defineXML(with_node)),
        "without": outcome(lambda: connection.defineXML(without)),
        "without, devices counted": outcome(lambda: connection.defineXML(with_devices)),
    }


DEFINED = [wrong_sum, counted_slots, too_many_dimms, validated, invented_node]


def step_into_all(connection, guest):
    stored = guest.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    guest.attachDeviceFlags(dimm(), LIVE)
    facts = {}
    for trap in RUNNING:
        facts[trap.__name__] = trap(guest)
        connection.defineXML(stored)
    try:
        for trap in DEFINED:
            facts[trap.__name__] = trap(connection)
    finally:
        for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE):
            domain.undefine()
    print(json.dumps(facts))


def main(name, guest_name, alias=None):
    lab = Lab.attach(name)
    guest = lab.guest(guest_name).domain
    if alias:
        guest.detachDeviceFlags(device_text(guest, alias), LIVE)
    else:
        step_into_all(lab.connection, guest)


if __name__ == "__main__":
    libvirt.registerErrorHandler(lambda *_args: None, None)
    main(*sys.argv[2:])
