#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: domain_memory
short_description: Manage the memory of a libvirt domain
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Manages all memory settings of one libvirt domain. In the short form this is one number, O(memory); in the long form it
    is everything that libvirt knows about a domain's memory.
  - Whatever can change in the running guest changes at once, and the task waits until the guest has followed. Everything
    else is written to the stored definition and listed in RV(pending). It takes effect at the next start. With O(restart)
    the task restarts the guest gracefully if that is required.
  - The same task prepares a domain for memory hotplug where necessary. The domain gets a maximum, a NUMA node and a
    virtio-mem device, which take effect at its next start.
  - An option that is omitted keeps its current value. The domain's XML is edited, never rebuilt.
  - A task that can't work is refused before anything changes, with the numbers, the nearest value that works, and an
    RV(error_code).
attributes:
  check_mode:
    support: full
    details:
      - Uses a read-only connection, and the plan that the real run carries out.
      - RV(after), RV(memory) and RV(converged) predict the result of a real run, provided that the guest follows.
  diff_mode:
    support: full
    details:
      - The diff shows the memory elements of the domain's XML, without addresses that libvirt chooses and without what the
        guest has plugged. It shows them once if both definitions are equal, else for each of them.
  idempotent:
    support: full
    details:
      - Elements that libvirt adds by itself (a NUMA node, slots, addresses, a balloon), other units and another order do
        not count as differences.
      - If the guest still has not followed, the next run waits for it again. Waiting alone changes nothing.
      - After O(on_partial=settle) or O(on_partial=rollback) the next run asks the guest again.
options:
  domain:
    description: The domain's name or UUID.
    type: str
    required: true
  memory:
    description:
      - How much memory the guest should have now. This is boot memory, DIMMs, and what virtio-mem devices give on top.
      - It is spread over the virtio-mem devices evenly by NUMA node, in whole blocks. If the total is right already, the
        devices keep what they have. Devices with O(devices[].requested) give exactly that.
      - Less than boot memory and DIMMs is refused (RV(error_code) V(immutable)); see O(boot) and O(balloon.target).
      - A domain without a virtio-mem device gets one on each guest NUMA node. The devices take all the room that the maximum
        leaves, or are just large enough if the domain has no maximum and O(maximum) is omitted. A running guest that was
        started with a maximum gets them at once.
    type: str
  maximum:
    description:
      - The limit for boot memory and the full size of all devices together, libvirt's C(<maxMemory>). Changes at the next
        start.
      - If this is omitted, the maximum of a domain that gets its first device is the sum of what it then has.
    type: dict
    suboptions:
      size:
        description: The limit itself.
        type: str
      slots:
        description:
          - How many DIMMs the guest can have. libvirt before 9.5 requires a slot for each device of any model.
          - A domain that gets its first maximum gets 16 slots if it needs any.
        type: int
  boot:
    description:
      - The memory that the guest starts with. Changes at the next start.
      - A domain with several NUMA nodes needs O(numa) instead.
    type: str
  numa:
    description:
      - The guest's NUMA nodes, all of them. Changes at the next start.
      - An option that is omitted keeps the value of the existing node with the same O(numa[].id).
    type: list
    elements: dict
    suboptions:
      id:
        description: The node's number. Nodes are numbered from 0 without a gap.
        type: int
        required: true
      cpus:
        description: Its vCPUs, such as V(0-3,8). vCPUs that belong to no node go to node 0.
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
            description: The guest NUMA nodes that use it. If this is omitted, all other nodes.
            type: str
      source:
        description: The type of memory.
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
            description: V(immediate) at the guest's start, V(ondemand) when the guest first uses it.
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
      - Limits on the host for the whole QEMU process, libvirt's C(<memtune>). They change in the running guest.
      - Each is a size, or V(unlimited). A user's own daemon (C(qemu:///session)) can't set them.
      - If a limit is too low, the host kills the guest. Most guests need no limit.
    type: dict
    suboptions:
      hard_limit:
        description: The most memory that QEMU can use.
        type: str
      soft_limit:
        description: The limit that the kernel enforces while the host is short of memory.
        type: str
      swap_hard_limit:
        description: The most memory and swap together that QEMU can use. Requires O(tuning.hard_limit), and can't be less.
        type: str
  placement:
    description: The host NUMA nodes that memory comes from, libvirt's C(<numatune>).
    type: dict
    suboptions:
      mode:
        description: How strictly the nodes bind. Changes at the next start.
        type: str
        choices: [strict, preferred, interleave, restrictive]
      nodeset:
        description:
          - The host's nodes, such as V(0-1).
          - Changes in the running guest if it was started with V(restrictive), else at the next start.
        type: str
  balloon:
    description:
      - The memory balloon. It takes boot memory (and DIMMs) away from the guest, and does not cover virtio-mem.
      - QEMU's developers don't support a balloon that takes memory from a guest with virtio-mem devices; a task that asks for
        it gets a warning. The balloon is always useful as a source of statistics.
    type: dict
    suboptions:
      target:
        description:
          - How much of boot memory and DIMMs the balloon should leave the guest, in the running guest and at the next start.
        type: str
      model:
        description: The model of the balloon device; V(none) removes it. Changes at the next start.
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
          - How often the guest reports statistics, in seconds; V(0) means never. Changes in the running guest.
        type: int
  devices:
    description:
      - Memory devices. Devices that the task does not list stay as they are, unless O(purge_devices) is V(true).
      - An element manages the device with its O(devices[].alias). Without an alias, it manages the next device that matches
        O(devices[].model), O(devices[].node) and O(devices[].path); a device with the same O(devices[].size) comes first. If
        no device matches, the task adds one.
      - V(virtio-mem) and V(dimm) can be added and removed while the guest runs, as far as guest and QEMU allow it.
        V(virtio-pmem) can be added while the guest runs, V(nvdimm) only if the guest was started with one, V(sgx-epc) only at
        the next start. With libvirt before 9.4, which does not start a guest with V(virtio-pmem), such a task is refused.
      - Only O(devices[].requested) of V(virtio-mem) can change in the running guest.
    type: list
    elements: dict
    suboptions:
      model:
        description: The type of the device.
        type: str
        required: true
        choices: [dimm, nvdimm, virtio-pmem, virtio-mem, sgx-epc]
      alias:
        description:
          - Its name in both definitions, C(ua-) followed by letters, digits, C(_) or C(-).
          - If this is omitted, a new device gets one, such as C(ua-virtiomem0) or C(ua-dimm0).
        type: str
      node:
        description: The guest NUMA node that it belongs to. Required to add one if the guest has several; not V(virtio-pmem).
        type: int
      size:
        description: Its size; for V(virtio-mem) the most that it can give. Required to add one. A multiple of 2 MiB.
        type: str
      block:
        description: V(virtio-mem) - the unit in which the guest takes and gives back memory; a power of two.
        type: str
      requested:
        description: V(virtio-mem) - how much of it the guest should have now; a multiple of O(devices[].block).
        type: str
      page_size:
        description: V(dimm), V(virtio-mem) - the size of the host's pages that back it.
        type: str
      node_mask:
        description: V(dimm), V(virtio-mem), V(sgx-epc) - the host NUMA nodes that its memory comes from, such as V(0-1).
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
          - V(nvdimm), V(virtio-pmem) - the file or device on the host that holds its contents, as an absolute path. Required
            to add one.
        type: path
      align_size:
        description: V(nvdimm) - the alignment of the mapping, a multiple of 4 KiB.
        type: str
      pmem:
        description: V(nvdimm) - whether O(devices[].path) is real persistent memory, which makes writes persistent.
        type: bool
      label_size:
        description: V(nvdimm) - the size of its label area, at least 128 KiB.
        type: str
      readonly:
        description: V(nvdimm) - whether the guest can only read it.
        type: bool
      uuid:
        description: V(nvdimm) - its UUID, in pSeries guests only.
        type: str
      slot:
        description: V(dimm), V(nvdimm) - its memory slot. If this is omitted, libvirt chooses a free one.
        type: int
      driver:
        description: V(virtio-mem), V(virtio-pmem) - options of the virtio driver. Needs libvirt 11.9.
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
      - Remove memory devices that O(devices) does not list. A virtio-mem device gives back its memory first. The task then
        waits for another second before it unplugs the device, because Linux can lock up without that pause.
      - The stored definition keeps a device until the guest has released it. A device that can't be unplugged leaves the
        stored definition once it is empty, and the guest at its next power-off.
    type: bool
    default: false
  restart:
    description:
      - Whether the task may restart the guest for changes that can't be made while it runs.
      - V(if_required) writes the stored definition, shuts the guest down gracefully, starts it, and waits until its devices
        are plugged again. It does not resize the running guest before that. If the guest does not shut down, the task
        leaves it running and fails with RV(error_code) V(timeout). It never destroys the guest.
      - If the guest does not start with its new definition, the task restores the previous one, starts the guest with that,
        and fails.
      - Requires that O(scope) covers both definitions.
    type: str
    choices: [never, if_required]
    default: never
  shutdown_timeout:
    description: How long to wait for the guest to shut down, in seconds.
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
    it. The kernel option C(memhp_default_state=online_movable) brings it online and keeps it removable.
  - If only devices change, the stored definition is written with device calls. Every other change requires the permission to
    read the definition with its passwords (C(domain.read-secure)), because they would be lost otherwise.
seealso:
  - module: virtmem.libvirt.domain_memory_info
  - module: virtmem.libvirt.virtio_mem_device
  - name: virtio-mem user guide
    description: What the device can and can't do, written by its authors.
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

- name: Show what waits for the next start
  ansible.builtin.debug:
    msg: "{{ web1.pending | default(['Nothing is pending.'], true) }}"

- name: Prepare a domain for 64 GiB, and give it 16 GiB now
  virtmem.libvirt.domain_memory:
    domain: web2
    memory: 16GiB
    maximum:
      size: 64GiB

- name: The same, and restart the guest if that is required
  virtmem.libvirt.domain_memory:
    domain: web2
    memory: 16GiB
    maximum:
      size: 64GiB
    restart: if_required
    shutdown_timeout: 600

- name: Take memory back, and accept what the guest gives
  virtmem.libvirt.domain_memory:
    domain: web1
    memory: 8GiB
    on_partial: settle

- name: All memory settings of a database server
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

- name: Report statistics every five seconds, and return unused pages to the host
  virtmem.libvirt.domain_memory:
    domain: web1
    balloon:
      stats_period: 5
      free_page_reporting: true

- name: Limit QEMU's memory on the host to 40 GiB
  virtmem.libvirt.domain_memory:
    domain: web1
    tuning:
      hard_limit: 40GiB

- name: Remove the limits
  virtmem.libvirt.domain_memory:
    domain: web1
    tuning:
      hard_limit: unlimited
      swap_hard_limit: unlimited

- name: Change the next start only
  virtmem.libvirt.domain_memory:
    domain: web3
    boot: 4GiB
    scope: config
"""

RETURN = r"""
domain:
  description: The domain.
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
      description: Its state as libvirt names it, such as V(running), V(paused) or V(shutoff).
      type: str
  sample: {name: web1, uuid: 6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e, state: running}
memory:
  description: Sums for the running guest, or for the stored definition if it does not run, in bytes, after the task. Null
    if the domain was not found.
  returned: always
  type: dict
  contains:
    boot:
      description: The memory that the guest starts with.
      type: int
    plugged:
      description: The memory that DIMMs and virtio-mem devices have given it on top.
      type: int
    requested:
      description: The memory that it is asked to use, boot memory and devices.
      type: int
    current:
      description: The memory that it has, boot memory and what is plugged.
      type: int
    total:
      description: Boot memory and the full size of all devices; libvirt's C(<memory>).
      type: int
    maximum:
      description: libvirt's C(<maxMemory>); null for a domain without memory hotplug.
      type: int
    balloon:
      description: How much of boot memory and DIMMs the memory balloon leaves the guest, without virtio-mem. Null without a
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
  description: The definitions before the task. Null for one that does not exist or that O(scope) excludes.
  returned: always
  type: dict
  contains:
    live:
      description: The running guest's, under the names of the options, sizes in bytes. The keys are those of
        RV(virtmem.libvirt.domain_memory_info#module:domains[].live).
      type: dict
    config:
      description: The stored one, with the same keys.
      type: dict
after:
  description: The same after the task. In check mode, what a real run leads to if the guest follows.
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
  description: The changes that were made, or would be in check mode, in order. After a failure, also those that were not made.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(attach), V(resize) or V(detach) a device; V(set_balloon), V(set_limits), V(set_nodeset),
        V(set_stats_period) in the running guest; V(define) the stored definition; V(set_current_memory) (correct the
        balloon's target in the stored definition, which libvirt gets wrong when it adds or removes a device); V(shutdown),
        V(start).
      type: str
    scope:
      description: V(live) or V(config).
      type: str
    device:
      description: The device's alias; null for a step that concerns the domain.
      type: str
    from:
      description: The value before, sizes in bytes; for V(define) and V(set_limits) a dictionary of the options that change.
      type: raw
    to:
      description: The value after, in the same form.
      type: raw
    done:
      description: Whether the step was carried out.
      type: bool
  sample:
    - {action: resize, scope: live, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
    - {action: resize, scope: config, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
converged:
  description: Whether the running guest has what the task requests. V(true) if the task does not concern a running guest.
  returned: always
  type: bool
duration:
  description: How long the task took on the target, in seconds.
  returned: always
  type: float
  sample: 1.184
restart_required:
  description: Whether part of what the task requests waits for the guest's next power-off and start.
  returned: always
  type: bool
pending:
  description: What waits for the restart, one sentence for each option.
  returned: always
  type: list
  elements: str
  sample: ["maximum.size: 64 GiB at the next start", "ua-virtiomem0: is added at the next start"]
diff:
  description: The memory elements of the domain's XML, before and after.
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
  description: The kind of failure, for rescue blocks. See
    R(the table of error codes, ansible_collections.virtmem.libvirt.docsite.virtio_mem_guide).
  returned: failure
  type: str
  sample: exceeds_device_size
details:
  description: The numbers in the message for programs, sizes in bytes, and libvirt's own message if it sent one.
  returned: failure
  type: dict
  sample: {memory: 137438953472, nearest: 68719476736, room: 0}
hint:
  description: How to solve the problem.
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
