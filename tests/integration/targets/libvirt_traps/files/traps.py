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
from contextlib import contextmanager, suppress
from pathlib import Path

import libvirt

sys.path[0] = str(Path(sys.argv[1]).resolve().parent.parent)

from lab import Lab  # noqa: E402

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
VALIDATE = libvirt.VIR_DOMAIN_DEFINE_VALIDATE
UUID = "6f1d5b52-3f0c-4c8e-9c0a-0a4f4f6d7a11"
KIB_OF_GIB = 1024**2
NODES = "<cpu><numa><cell id='0' cpus='0' memory='512' unit='MiB'/></numa></cpu>"


def domain_xml(*devices, slots=4, nodes=NODES, machine="q35"):
    """A domain that is only ever defined, or started paused: nothing in it has to run."""
    return (
        f"<domain type='qemu'><name>trapped</name><uuid>{UUID}</uuid><maxMemory slots='{slots}' unit='GiB'>16</maxMemory>"
        "<memory unit='MiB'>512</memory><currentMemory unit='MiB'>512</currentMemory><vcpu>1</vcpu>"
        f"<os><type arch='x86_64' machine='{machine}'>hvm</type></os><features><acpi/></features>{nodes}"
        f"<devices>{''.join(devices)}</devices></domain>"
    )


def virtio_mem(alias, size=1, more=""):
    return (
        f"<memory model='virtio-mem'{more}><target><size unit='GiB'>{size}</size><node>0</node><block unit='MiB'>2</block>"
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


def current_memory(domain, which=libvirt.VIR_DOMAIN_XML_INACTIVE):
    text = domain.XMLDesc(which)
    return int(re.search(r"<currentMemory unit='KiB'>(\d+)<", text)[1])


@contextmanager
def paused(connection, text):
    """A transient domain, until it is no longer looked at."""
    domain = connection.createXML(text, libvirt.VIR_DOMAIN_START_PAUSED)
    try:
        yield domain
    finally:
        domain.destroy()


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


def unchangeable(domain):
    """What libvirt does not let anybody change of a device that runs."""
    text = device_text(domain, "ua-mem")
    changes = {
        "size": ("<size unit='KiB'>1048576<", "<size unit='KiB'>2097152<"),
        "block": ("<block unit='KiB'>2048<", "<block unit='KiB'>4096<"),
        "page size": ("<target>", "<source><pagesize unit='KiB'>4</pagesize></source><target>"),
        "access": ("model='virtio-mem'", "model='virtio-mem' access='shared'"),
        "discard": ("model='virtio-mem'", "model='virtio-mem' discard='yes'"),
        "address": ("<address base='0x", "<address base='0x1"),
    }
    return {
        name: outcome(lambda new=new: domain.updateDeviceFlags(text.replace(*new, 1), LIVE))
        for name, new in changes.items()
        if new[0] in text
    }


def nameless(domain):
    """An update without the alias finds the device by its address, and QEMU is given no name."""
    text = re.sub(r"<alias .*?/>", "", device_text(domain, "ua-mem"))
    return {"code": outcome(lambda: domain.updateDeviceFlags(text, LIVE))}


def early_unplug(domain):
    """A device of which the guest may still have something."""
    before = device_text(domain, "ua-mem")
    requested = re.sub(r"(<requested unit='KiB'>)\d+", r"\g<1>131072", before)
    domain.updateDeviceFlags(requested, LIVE)
    code = outcome(lambda: domain.detachDeviceAlias("ua-mem", LIVE))
    domain.updateDeviceFlags(before, LIVE)
    return {"code": code, "still there": bool(device_text(domain, "ua-mem"))}


def part_of_a_block(domain):
    """A size that QEMU refuses, and libvirt does not."""
    text = virtio_mem("ua-part").replace("<size unit='GiB'>1<", "<size unit='MiB'>257<")
    return {"code": outcome(lambda: domain.attachDeviceFlags(text, LIVE))}


def other_nodes(domain):
    """Host nodes of a guest whose placement is not restrictive."""
    return {"refused": outcome(lambda: domain.setNumaParameters({"numa_nodeset": "0"}, LIVE)) > 0}


RUNNING = [
    both_at_once,
    both_at_once_by_the_stored,
    detached_from_both,
    no_such_alias,
    ignored,
    other_model,
    other_size,
    unchangeable,
    nameless,
    early_unplug,
    part_of_a_block,
    other_nodes,
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


def nodes(connection):
    """A device that does not say its node, and one that may have none."""
    domain = connection.defineXML(domain_xml())
    without = virtio_mem("ua-a").replace("<node>0</node>", "")
    persistent = "<memory model='virtio-pmem' access='shared'><source><path>/nowhere/pmem</path></source>"
    with_one = f"{persistent}<target><size unit='MiB'>128</size><node>0</node></target></memory>"
    return {
        "not said": outcome(lambda: connection.defineXML(domain_xml(without))),
        "none allowed": outcome(lambda: domain.attachDeviceFlags(with_one, CONFIG)),
    }


def no_maximum(connection):
    domain = connection.defineXML(re.sub(r"<maxMemory.*?</maxMemory>", "", domain_xml()))
    return {"code": outcome(lambda: domain.attachDeviceFlags(virtio_mem("ua-a"), CONFIG))}


def taken_address(connection):
    domain = connection.defineXML(domain_xml(virtio_mem("ua-a")))
    address = re.search(r"<address type=.*?/>", device_text(domain, "ua-a", config=True))[0]
    second = virtio_mem("ua-b").replace("</memory>", f"{address}</memory>")
    return {"code": outcome(lambda: domain.attachDeviceFlags(second, CONFIG))}


def no_port(connection):
    """A q35 machine that runs has no more PCIe ports than it was started with."""
    with paused(connection, domain_xml(virtio_mem("ua-a"))) as domain:
        codes = {outcome(lambda n=n: domain.attachDeviceFlags(virtio_mem(f"ua-{n}"), LIVE)) for n in range(8)}
    return {"code": max(codes)}


def outgrown(connection):
    """An update of the stored definition does not change <memory>, and may not outgrow it."""
    domain = connection.defineXML(domain_xml(virtio_mem("ua-a")))
    larger = device_text(domain, "ua-a", config=True).replace(">1048576<", ">4194304<")
    return {"code": outcome(lambda: domain.updateDeviceFlags(larger, CONFIG))}


def rewritten(connection):
    """Sets and numbers are stored in libvirt's own form."""
    source = "<source><nodemask>0,1,2-4,^3</nodemask></source><target>"
    text = (
        virtio_mem("ua-a").replace("<target>", source).replace("</target>", "<address base='0x0200000000'/></target>")
    )
    stored = device_text(connection.defineXML(domain_xml(text)), "ua-a", config=True)
    return {"nodes": "<nodemask>0-2,4<" in stored, "address": "<address base='0x200000000'/>" in stored}


def passwords(connection):
    graphics = "<graphics type='vnc' port='-1' autoport='yes' passwd='secret'/>"
    domain = connection.defineXML(domain_xml(graphics))
    stored, secure = libvirt.VIR_DOMAIN_XML_INACTIVE, libvirt.VIR_DOMAIN_XML_SECURE
    return {"plain": "secret" in domain.XMLDesc(stored), "secure": "secret" in domain.XMLDesc(stored | secure)}


def transient(connection):
    with paused(connection, domain_xml()) as domain:
        return {"code": outcome(lambda: domain.attachDeviceFlags(virtio_mem("ua-a"), CONFIG))}


def balloon_of_a_dimm(connection):
    """What runs has boot memory and the DIMM, before the guest has plugged anything of virtio-mem."""
    with paused(connection, domain_xml(dimm(), virtio_mem("ua-a"))) as domain:
        return {"mib": current_memory(domain, 0) // 1024}


def without_balloon(connection):
    """<currentMemory> is all that there could be; and there are no statistics."""
    with paused(connection, domain_xml(virtio_mem("ua-a"), "<memballoon model='none'/>")) as domain:
        return {
            "mib": current_memory(domain, 0) // 1024,
            "plugged": re.search(r"<current unit='KiB'>(\d+)<", device_text(domain, "ua-a"))[1],
            "period": outcome(lambda: domain.setMemoryStatsPeriod(1, LIVE)),
        }


def old_machine(connection):
    """An unplug from a machine type before 8.1: only where the memory has a file behind it, and QEMU is not as old."""
    codes = {}
    for backing, more in (("anonymous", ""), ("file", " access='shared'")):
        with paused(connection, domain_xml(virtio_mem("ua-a", more=more), machine="pc-q35-7.2")) as domain:
            codes[backing] = outcome(lambda domain=domain: domain.detachDeviceAlias("ua-a", LIVE))
    return codes


DEFINED = [
    *(wrong_sum, counted_slots, too_many_dimms, validated, invented_node, nodes, no_maximum, taken_address),
    *(outgrown, rewritten, passwords),
]
STARTED = [no_port, transient, balloon_of_a_dimm, without_balloon, old_machine]


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
    for trap in STARTED:
        facts[trap.__name__] = trap(connection)
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
