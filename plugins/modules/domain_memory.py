#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: domain_memory
short_description: Say how much memory a libvirt domain has, and all about it
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Makes all memory of one libvirt domain be as the task says. In the short form this is one number, O(memory); in the long
    form it is everything that libvirt knows about a domain's memory.
  - What can change in the running guest changes at once, and the task waits until the guest has followed. All else goes
    into the stored definition and is listed in RV(pending); O(restart) can bring it in with a graceful restart.
  - A domain that nobody has prepared for memory hotplug is prepared by the same task. It gets a maximum, a NUMA node and a
    virtio-mem device, which count from its next start.
  - An option that is left out keeps what is there. The domain's XML is edited, never rebuilt.
  - Whatever would not work is refused before anything is touched, with the numbers, the nearest value that would work, and
    an RV(error_code).
attributes:
  check_mode:
    support: full
    details:
      - Uses a read-only connection, and the plan that the real run carries out.
      - RV(after), RV(memory) and RV(converged) say what a real run ends with if the guest follows.
  diff_mode:
    support: full
    details:
      - The diff is what the domain's XML says about memory, without addresses that libvirt chooses and without what the
        guest has plugged; once if both definitions say the same, else for each of them.
  idempotent:
    support: full
    details:
      - What libvirt adds by itself (a NUMA node, slots, addresses, a balloon) is no difference, and neither are other units
        or another order.
      - A guest that still has not followed is waited for again, which changes nothing by itself.
      - After O(on_partial=settle) or O(on_partial=rollback) the next run asks the guest again.
options:
  domain:
    description: The domain's name or UUID.
    type: str
    required: true
  memory:
    description:
      - What the guest shall have now. This is boot memory, DIMMs, and what virtio-mem devices give on top.
      - It is spread over the virtio-mem devices evenly by NUMA node, in whole blocks. A total that is right already is left
        as it is. Devices for which O(devices[].requested) is stated give just that.
      - Less than boot memory and DIMMs is refused (RV(error_code) V(immutable)); see O(boot) and O(balloon.target).
      - In a domain that has no virtio-mem device, one is made on each guest NUMA node. It takes all room that the maximum
        leaves, or is just large enough where O(maximum) is neither there nor stated. A running guest that was started with
        a maximum gets it at once.
    type: str
  maximum:
    description:
      - What boot memory and the full size of all devices may add up to, libvirt's C(<maxMemory>). Changes at the next start.
      - The maximum of a domain that gets its first device is what it then has, if this is left out.
    type: dict
    suboptions:
      size:
        description: How much.
        type: str
      slots:
        description:
          - How many DIMMs the guest can have. libvirt before 9.5 wants a slot for each device of any model.
          - A domain that gets its first maximum gets 16 where it needs any.
        type: int
  boot:
    description:
      - What the guest starts with. Changes at the next start.
      - A domain with several NUMA nodes needs O(numa) instead.
    type: str
  numa:
    description:
      - The guest's NUMA nodes, all of them. Changes at the next start.
      - What is left out of a node, the node of that O(numa[].id) keeps.
    type: list
    elements: dict
    suboptions:
      id:
        description: The node's number. Nodes are numbered from 0 without a gap.
        type: int
        required: true
      cpus:
        description: Its vCPUs, such as V(0-3,8). Those that no node has go to node 0.
        type: str
      memory:
        description: Its boot memory. A node without memory needs libvirt 11.8.
        type: str
      access:
        description: Whether its memory is shared with other processes of the host.
        type: str
        choices: [shared, private]
      discard:
        description: Whether its contents are discarded at power-off, rather than written back to a file.
        type: bool
  backing:
    description: Where the guest's memory comes from on the host. Changes at the next start.
    type: dict
    suboptions:
      hugepages:
        description:
          - Pages of these sizes back the guest. V([]) means none; one element without O(backing.hugepages[].size) means
            the host's default size.
          - Not together with O(backing.source=anonymous) or O(backing.allocation.mode=ondemand).
        type: list
        elements: dict
        suboptions:
          size:
            description: The page's size, such as V(2MiB) or V(1GiB).
            type: str
          nodeset:
            description: The guest NUMA nodes that it is for; all others if this is left out.
            type: str
      source:
        description: What kind of memory it is.
        type: str
        choices: [anonymous, file, memfd]
      access:
        description: Whether memory is shared with other processes of the host (vhost-user, virtiofs).
        type: str
        choices: [shared, private]
      allocation:
        description: When memory is allocated.
        type: dict
        suboptions:
          mode:
            description: At start, or when the guest first touches it.
            type: str
            choices: [immediate, ondemand]
          threads:
            description: How many threads allocate it. Needs libvirt 8.2.
            type: int
      locked:
        description: Whether memory is locked, so that the host can't swap it out. Not together with virtio-mem devices.
        type: bool
      nosharepages:
        description: Whether the host must not merge equal pages (KSM).
        type: bool
      discard:
        description: Whether contents are discarded at power-off, rather than written back to a file.
        type: bool
  tuning:
    description:
      - Limits on the host's side, for all of QEMU, libvirt's C(<memtune>). They change in the running guest.
      - Each is a size, or V(unlimited). A user's own daemon (C(qemu:///session)) can't set them.
      - A limit that is too low makes the host end the guest; most guests need none.
    type: dict
    suboptions:
      hard_limit:
        description: What QEMU can use at most.
        type: str
      soft_limit:
        description: What it is pressed down to while the host is short of memory.
        type: str
      swap_hard_limit:
        description: What it can use of memory and swap together. Not less than O(tuning.hard_limit), and not without it.
        type: str
  placement:
    description: Which NUMA nodes of the host memory comes from, libvirt's C(<numatune>).
    type: dict
    suboptions:
      mode:
        description: How strictly. Changes at the next start.
        type: str
        choices: [strict, preferred, interleave, restrictive]
      nodeset:
        description:
          - The host's nodes, such as V(0-1).
          - Changes in the running guest where it was started with V(restrictive), else at the next start.
        type: str
  balloon:
    description:
      - The memory balloon. It takes boot memory (and DIMMs) away from the guest, and knows nothing of virtio-mem.
      - QEMU's developers don't support a balloon that takes memory together with virtio-mem devices; a task that asks for it
        gets a warning. As a source of statistics it is always of use.
    type: dict
    suboptions:
      target:
        description:
          - What the balloon shall leave the guest of boot memory and DIMMs, in the running guest and at the next start.
        type: str
      model:
        description: The balloon's device; V(none) for none. Changes at the next start.
        type: str
        choices: ["none", virtio, virtio-transitional, virtio-non-transitional, xen]
      autodeflate:
        description: Whether it gives memory back before the guest's out-of-memory killer acts. Changes at the next start.
        type: bool
      free_page_reporting:
        description: Whether the guest tells the host which pages it does not use. Changes at the next start.
        type: bool
      stats_period:
        description:
          - How often the guest reports statistics, in seconds; V(0) for never. Changes in the running guest.
        type: int
  devices:
    description:
      - Memory devices. Those that the task does not list stay as they are, unless O(purge_devices) says otherwise.
      - The device is meant that has the O(devices[].alias); without one, the next that fits O(devices[].model),
        O(devices[].node) and O(devices[].path), one with the same O(devices[].size) first. If there is none, it is added.
      - V(virtio-mem) and V(dimm) come and go while the guest runs, as far as guest and QEMU let them. V(virtio-pmem) can be
        added (before libvirt 9.4 not at all, for it would not start such a guest), V(nvdimm) only where the guest was
        started with one, V(sgx-epc) only at the next start. Nothing but O(devices[].requested) of V(virtio-mem) changes in
        the running guest.
    type: list
    elements: dict
    suboptions:
      model:
        description: What kind of device it is.
        type: str
        required: true
        choices: [dimm, nvdimm, virtio-pmem, virtio-mem, sgx-epc]
      alias:
        description:
          - Its name in both definitions, C(ua-) and then letters, digits, C(_) or C(-).
          - A new device gets one, such as C(ua-virtiomem0) or C(ua-dimm0), if this is left out.
        type: str
      node:
        description: The guest NUMA node that it belongs to. Needed to add one to a guest with several; not for V(virtio-pmem).
        type: int
      size:
        description: How large it is; for V(virtio-mem) the most that it can give. Needed to add one. A multiple of 2 MiB.
        type: str
      block:
        description: V(virtio-mem) - the unit in which the guest takes and gives back memory; a power of two.
        type: str
      requested:
        description: V(virtio-mem) - what the guest shall have of it now; a multiple of O(devices[].block).
        type: str
      page_size:
        description: V(dimm), V(virtio-mem) - the size of the host's pages that back it.
        type: str
      node_mask:
        description: V(dimm), V(virtio-mem), V(sgx-epc) - the host NUMA nodes that it is taken from, such as V(0-1).
        type: str
      access:
        description: All but V(sgx-epc) - whether it is shared with other processes of the host.
        type: str
        choices: [shared, private]
      discard:
        description: V(dimm), V(virtio-mem) - whether its contents are discarded at power-off.
        type: bool
      dynamic_memslots:
        description: V(virtio-mem) - let QEMU use several smaller memory slots. Needs libvirt 10.1 and QEMU 8.2.
        type: bool
      guest_address:
        description: V(virtio-mem), V(virtio-pmem) - the guest physical address of its memory. Needs libvirt 9.4.
        type: str
      pci_address:
        description: V(virtio-mem), V(virtio-pmem) - its PCI address, such as V(0000:04:00.0).
        type: str
      path:
        description:
          - V(nvdimm), V(virtio-pmem) - the file or device on the host that holds its contents, as an absolute path. Needed to
            add one.
        type: path
      align_size:
        description: V(nvdimm) - the alignment of the mapping, a multiple of 4 KiB.
        type: str
      pmem:
        description: V(nvdimm) - whether O(devices[].path) is real persistent memory, so that writes are made persistent.
        type: bool
      label_size:
        description: V(nvdimm) - the size of its label area, at least 128 KiB.
        type: str
      readonly:
        description: V(nvdimm) - whether the guest can only read it.
        type: bool
      uuid:
        description: V(nvdimm) - its UUID, in guests of the pSeries only.
        type: str
      slot:
        description: V(dimm), V(nvdimm) - its memory slot. libvirt chooses a free one if this is left out.
        type: int
      driver:
        description: V(virtio-mem), V(virtio-pmem) - virtio's own settings. Needs libvirt 11.9.
        type: dict
        suboptions:
          iommu:
            description: Whether it uses an emulated IOMMU.
            type: bool
          ats:
            description: Whether it has PCI address translation.
            type: bool
          packed:
            description: Whether it has packed virtqueues.
            type: bool
  purge_devices:
    description:
      - Remove memory devices that O(devices) does not list. A virtio-mem device gives back its memory first, and has a
        second more, for Linux locks up if it is hurried.
      - The stored definition keeps a device until the guest has let go of it. One that can't be unplugged leaves the stored
        definition once it is empty, and the guest when it is next powered off.
    type: bool
    default: false
  restart:
    description:
      - Whether the guest may be restarted for what can't change while it runs.
      - V(if_required) writes the stored definition, shuts the guest down gracefully, starts it, and waits until it has its
        devices plugged again; the running guest is not asked for anything before. A guest that does not shut down is left
        running, and the task fails with RV(error_code) V(timeout). It is never destroyed.
      - A guest that does not start with its new definition gets the former one back, is started with that, and the task
        fails.
      - Only where O(scope) covers both definitions.
    type: str
    choices: [never, if_required]
    default: never
  shutdown_timeout:
    description: How long the guest may take to shut down, in seconds.
    type: int
    default: 300
extends_documentation_fragment:
  - virtmem.libvirt._attributes
  - virtmem.libvirt._connection
  - virtmem.libvirt._change
notes:
  - >-
    Sizes are a number and a unit: V(2GiB), V(512 MiB), V(1.5GiB), V(10GB) (1000-based), V(2G) (1024-based, as in
    virsh). V(0) needs no unit; every other number does, because a bare number is KiB to libvirt and bytes to others.
    Sizes in results are integers, in bytes.
  - RV(memory) is what the guest has plugged. A guest without a policy (Debian 12) leaves new memory offline, and can't use
    it. Kernel option C(memhp_default_state=online_movable) brings it online, and lets it go again.
  - A stored definition is written with device calls where only devices change. All else needs the permission to read it with
    passwords (C(domain.read-secure)), so that none is lost.
seealso:
  - module: virtmem.libvirt.domain_memory_info
  - module: virtmem.libvirt.virtio_mem_device
  - name: virtio-mem user guide
    description: What the device can and can't do, by its authors.
    link: https://virtio-mem.gitlab.io/user-guide/
  - name: libvirt domain XML, memory
    description: The elements behind the options.
    link: https://libvirt.org/formatdomain.html#memory-allocation
"""

EXAMPLES = r"""
- name: web1 has 24 GiB
  virtmem.libvirt.domain_memory:
    domain: web1
    memory: 24GiB
  register: web1

- name: Tell whether it has it now, or after its next start
  ansible.builtin.debug:
    msg: "{{ web1.pending | default(['It has it now.'], true) }}"

- name: Prepare a domain for 64 GiB, and give it 16 of them
  virtmem.libvirt.domain_memory:
    domain: web2
    memory: 16GiB
    maximum:
      size: 64GiB

- name: The same, and restart the guest for it if need be
  virtmem.libvirt.domain_memory:
    domain: web2
    memory: 16GiB
    maximum:
      size: 64GiB
    restart: if_required
    shutdown_timeout: 600

- name: Take memory back, and be content with what the guest gives
  virtmem.libvirt.domain_memory:
    domain: web1
    memory: 8GiB
    on_partial: settle

- name: A database server's memory, in full
  virtmem.libvirt.domain_memory:
    domain: db1
    numa:
      - {id: 0, cpus: 0-7, memory: 16GiB}
      - {id: 1, cpus: 8-15, memory: 16GiB}
    maximum:
      size: 512GiB
      slots: 8
    backing:
      hugepages:
        - size: 2MiB
      source: memfd
      access: shared
      allocation:
        mode: immediate
        threads: 4
    placement:
      mode: strict
      nodeset: 0-1
    devices:
      - {model: virtio-mem, node: 0, size: 128GiB, requested: 32GiB, node_mask: "0"}
      - {model: virtio-mem, node: 1, size: 128GiB, requested: 32GiB, node_mask: "1"}
    purge_devices: true

- name: Plug a DIMM into a guest that has no virtio-mem driver
  virtmem.libvirt.domain_memory:
    domain: old1
    devices:
      - model: dimm
        alias: ua-dimm0
        size: 4GiB

- name: Persistent memory from a file
  virtmem.libvirt.domain_memory:
    domain: db1
    devices:
      - model: nvdimm
        path: /var/lib/libvirt/pmem/db1.img
        size: 8GiB
        node: 0
        label_size: 128KiB

- name: Statistics every five seconds, and pages that the guest does not use back to the host
  virtmem.libvirt.domain_memory:
    domain: web1
    balloon:
      stats_period: 5
      free_page_reporting: true

- name: Nothing of the host's is taken beyond 40 GiB
  virtmem.libvirt.domain_memory:
    domain: web1
    tuning:
      hard_limit: 40GiB

- name: No limits any more
  virtmem.libvirt.domain_memory:
    domain: web1
    tuning:
      hard_limit: unlimited
      swap_hard_limit: unlimited

- name: Only for the next start
  virtmem.libvirt.domain_memory:
    domain: web3
    boot: 4GiB
    scope: config
"""

RETURN = r"""
domain:
  description: The domain that was meant.
  returned: always
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    uuid:
      description: Its UUID, null if it was not found.
      type: str
    state:
      description: libvirt's word for its state, such as V(running), V(paused) or V(shutoff).
      type: str
  sample: {name: web1, uuid: 6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e, state: running}
memory:
  description: Sums over the running guest, or over the stored definition if it does not run, in bytes, after the task. Null
    if the domain was not found.
  returned: always
  type: dict
  contains:
    boot:
      description: What the guest starts with.
      type: int
    plugged:
      description: What DIMMs and virtio-mem devices have given it on top.
      type: int
    requested:
      description: What it is asked to use, boot memory and devices.
      type: int
    current:
      description: What it has, boot memory and what is plugged.
      type: int
    total:
      description: Boot memory and the full size of all devices; libvirt's C(<memory>).
      type: int
    maximum:
      description: libvirt's C(<maxMemory>); null for a domain without memory hotplug.
      type: int
    balloon:
      description: What the memory balloon leaves the guest of boot memory and DIMMs, without virtio-mem. Null without a
        balloon.
      type: int
  sample:
    boot: 2147483648
    plugged: 6442450944
    requested: 8589934592
    current: 8589934592
    total: 19327352832
    maximum: 34359738368
    balloon: 2147483648
before:
  description: The definitions before the task. Null for one that is not there, or that O(scope) does not look at.
  returned: always
  type: dict
  contains:
    live:
      description: The running guest's, in the words of the options and with sizes in bytes; the keys are those of
        RV(virtmem.libvirt.domain_memory_info#module:domains[].live).
      type: dict
    config:
      description: The stored one, with the same keys.
      type: dict
after:
  description: The same after the task; in check mode, what a real run ends with if the guest follows.
  returned: always
  type: dict
  contains:
    live:
      description: The running guest's.
      type: dict
    config:
      description: The stored one.
      type: dict
steps:
  description: What was written, or would be in check mode, in order. After a failure, what was done and what was not.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(attach), V(resize) or V(detach) a device; V(set_balloon), V(set_limits), V(set_nodeset),
        V(set_stats_period) in the running guest; V(define) the stored definition; V(set_current_memory) (put the balloon's
        target of the stored definition right, which libvirt spoils when it adds or removes a device); V(shutdown), V(start).
      type: str
    scope:
      description: V(live) or V(config).
      type: str
    device:
      description: The device's alias; null where it is about the domain.
      type: str
    from:
      description: What it was, sizes in bytes; for V(define) and V(set_limits) a dictionary of the options that change.
      type: raw
    to:
      description: What it becomes, likewise.
      type: raw
    done:
      description: Whether it was done.
      type: bool
  sample:
    - {action: resize, scope: live, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
    - {action: resize, scope: config, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
converged:
  description: Whether the running guest has what the task asks of it. V(true) where it is not concerned.
  returned: always
  type: bool
duration:
  description: How long the task took on the target, in seconds.
  returned: always
  type: float
  sample: 1.184
restart_required:
  description: Whether something of what the task asks for waits for the guest's next power-off and start.
  returned: always
  type: bool
pending:
  description: What that is, in words.
  returned: always
  type: list
  elements: str
  sample: ["maximum.size: 64 GiB at the next start", "ua-virtiomem0: is added at the next start"]
diff:
  description: What the domain's XML says about memory, before and after.
  returned: always
  type: dict
  contains:
    before:
      description: Before.
      type: str
    after:
      description: After.
      type: str
    before_header:
      description: The domain's name.
      type: str
    after_header:
      description: The domain's name.
      type: str
error_code:
  description: What kind of failure it was, for rescue blocks. The collection's guide has the table.
  returned: failure
  type: str
  sample: exceeds_device_size
details:
  description: The numbers of the message for programs, sizes in bytes, and libvirt's own text where it said something.
  returned: failure
  type: dict
  sample: {memory: 137438953472, nearest: 68719476736, room: 0}
hint:
  description: What to do about it.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.virtmem.libvirt.plugins.module_utils._argspec import change_spec, connection_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.module import DomainMemory
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.report import EMPTY
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.spec import domain_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._task import run_task
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "domain": {"type": "str", "required": True},
            **domain_spec(),
            **connection_spec(),
            **change_spec(),
        },
        supports_check_mode=True,
    )
    run_task(module, DomainMemory, EMPTY, hypervisor, document)


if __name__ == "__main__":
    main()
