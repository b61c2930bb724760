#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: host_memory_info
short_description: Get information about a libvirt host's memory and features
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Returns the memory of a hypervisor by NUMA node, its huge pages, and the memory that its guests were promised and have.
  - Returns the features that this collection can use, whether the hypervisor supports each of them, and the reason if it does
    not.
extends_documentation_fragment:
  - virtmem.libvirt._attributes
  - virtmem.libvirt._attributes.info_module
  - virtmem.libvirt._connection
notes:
  - All sizes are integers, in bytes.
seealso:
  - module: virtmem.libvirt.host_memory
  - module: virtmem.libvirt.domain_memory_info
"""

EXAMPLES = r"""
- name: Read what the host has
  virtmem.libvirt.host_memory_info:
  register: info

- name: Show what its guests were promised, and what they could be given
  ansible.builtin.debug:
    msg: >-
      {{ info.host.guests.running.domains }} guests were promised {{ info.host.overcommit.requested * 100 }} % of its
      memory, and could be given {{ info.host.overcommit.maximum * 100 }} %.

- name: Continue only if virtio-mem devices can be unplugged
  ansible.builtin.assert:
    that: info.host.features.virtio_mem_unplug.supported
    fail_msg: "{{ info.host.features.virtio_mem_unplug.reason }}"

- name: Read another host
  virtmem.libvirt.host_memory_info:
    uri: qemu+ssh://kvm2.example.com/system
"""

RETURN = r"""
host:
  description: The hypervisor.
  returned: success
  type: dict
  contains:
    arch:
      description: Its architecture.
      type: str
    total:
      description: All its memory, huge pages included.
      type: int
    available:
      description: What it can give to guests now without swapping (page cache counts as available).
      type: int
    nodes:
      description: Its NUMA nodes. libvirt's totals do not include memory that was hotplugged into the host.
      type: list
      elements: dict
      contains:
        id:
          description: The node's number.
          type: int
        total:
          description: All its memory, huge pages included.
          type: int
        available:
          description: What it can give to guests now.
          type: int
        huge_pages:
          description: Its pools of huge pages, by page C(size), with their C(total) and C(free) bytes.
          type: list
          elements: dict
    huge_pages:
      description: The pools of huge pages, summed over all nodes.
      type: list
      elements: dict
      contains:
        size:
          description: The size of a page.
          type: int
        total:
          description: The size of the pool.
          type: int
        free:
          description: The free part of the pool.
          type: int
    guests:
      description: Sums over all guests.
      type: dict
      contains:
        running:
          description: Guests that run, as they are now.
          type: dict
          contains:
            domains:
              description: The number of guests.
              type: int
            boot:
              description: The memory that they started with.
              type: int
            requested:
              description: The memory that they are asked to use, boot memory and devices.
              type: int
            current:
              description: The memory that they have, boot memory and what is plugged.
              type: int
            maximum:
              description: The memory that they could be asked to use with the devices that they have.
              type: int
        stopped:
          description: Guests that don't run, as they would start; the keys are the same.
          type: dict
    overcommit:
      description: What running guests were promised, as a share of the host's memory; more than 1 means overcommitment.
      type: dict
      contains:
        requested:
          description: The share that they are asked to use.
          type: float
        maximum:
          description: The share that they could be asked to use.
          type: float
    versions:
      description: The hypervisor's software.
      type: dict
      contains:
        libvirt:
          description: The libvirt daemon's version.
          type: str
        qemu:
          description: QEMU's version.
          type: str
    features:
      description:
        - The features that this hypervisor supports or not. Each has C(supported) (a boolean) and C(reason), why the feature
          is not supported; null if it is.
        - V(virtio_mem), V(virtio_mem_unplug) (with a machine type from 8.1), V(guest_address), V(dynamic_memslots),
          V(device_driver) (O(virtmem.libvirt.domain_memory#module:devices[].driver)), V(virtio_pmem), V(sgx_epc)
          (libvirt and QEMU support it; only a guest's start shows whether the processor has SGX),
          V(allocation_threads), V(numa_node_without_memory), V(huge_pages), V(kvm).
      type: dict
  sample:
    arch: x86_64
    total: 270582939648
    available: 71940702208
    nodes:
      - {id: 0, total: 270582939648, available: 71940702208, huge_pages: [{size: 2097152, total: 0, free: 0}]}
    huge_pages: [{size: 2097152, total: 0, free: 0}]
    guests:
      running: {domains: 40, boot: 85899345920, requested: 193273528320, current: 193273528320, maximum: 773094113280}
      stopped: {domains: 2, boot: 4294967296, requested: 4294967296, current: 0, maximum: 4294967296}
    overcommit: {requested: 0.714, maximum: 2.857}
    versions: {libvirt: 11.3.0, qemu: 10.0.13}
    features:
      virtio_mem: {supported: true, reason: null}
      device_driver: {supported: false, reason: "driver needs libvirt 11.9.0 or later, this is 11.3.0"}
duration:
  description: How long the task took on the target, in seconds.
  returned: always
  type: float
  sample: 0.034
error_code:
  description: The kind of failure.
  returned: failure
  type: str
  sample: connection_failed
details:
  description: The numbers in the message for programs, and libvirt's own message if it sent one.
  returned: failure
  type: dict
hint:
  description: How to solve the problem.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.virtmem.libvirt.plugins.module_utils._argspec import connection_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.info import EMPTY, HostMemoryInfo
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._task import run_task
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document


def main() -> None:
    module = AnsibleModule(argument_spec=connection_spec(), supports_check_mode=True)
    run_task(module, HostMemoryInfo, EMPTY, hypervisor, document, read_only=True)


if __name__ == "__main__":
    main()
