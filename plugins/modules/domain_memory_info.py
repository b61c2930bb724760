#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: domain_memory_info
short_description: Get information about the memory of libvirt domains
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Returns the memory of one, several or all domains of a hypervisor, running or not, as it is now and as it will be
    after the next start. This includes their memory devices and the statistics that the guests report.
options:
  domains:
    description:
      - Names, UUIDs or shell patterns (V(web*)) of domains.
      - If this is omitted or empty, all domains.
    type: list
    elements: str
extends_documentation_fragment:
  - virtmem.libvirt._attributes
  - virtmem.libvirt._attributes.info_module
  - virtmem.libvirt._connection
notes:
  - All sizes are integers, in bytes.
seealso:
  - module: virtmem.libvirt.domain_memory
  - module: virtmem.libvirt.virtio_mem_device
"""

EXAMPLES = r"""
- name: Read the memory of web1
  virtmem.libvirt.domain_memory_info:
    domains: [web1]
  register: info

- name: Show what it has and could have
  ansible.builtin.debug:
    msg: >-
      {{ info.domains[0].memory.current // 1024 ** 2 }} MiB of
      {{ (info.domains[0].memory.maximum or info.domains[0].memory.total) // 1024 ** 2 }} MiB

- name: Read all domains of a hypervisor
  virtmem.libvirt.domain_memory_info:
  register: everything

- name: List guests that will be different after their next start
  ansible.builtin.debug:
    msg: "{{ everything.domains | selectattr('drift') | map(attribute='domain.name') | list }}"

- name: List guests that have not given back or taken all that was requested
  ansible.builtin.debug:
    msg: "{{ item.domain.name }}: {{ item.memory.current }} of {{ item.memory.requested }} bytes"
  loop: "{{ everything.domains | selectattr('live') }}"
  when: item.memory.current != item.memory.requested
  loop_control:
    label: "{{ item.domain.name }}"

- name: Read the web servers of another hypervisor
  virtmem.libvirt.domain_memory_info:
    uri: qemu+ssh://kvm2.example.com/system
    domains: ["web*"]
"""

RETURN = r"""
domains:
  description: One element for each domain, in the order of O(domains), or in libvirt's order.
  returned: always
  type: list
  elements: dict
  contains:
    domain:
      description: The domain.
      type: dict
      contains:
        name:
          description: Its name.
          type: str
        uuid:
          description: Its UUID.
          type: str
        state:
          description: Its state as libvirt names it, such as V(running) or V(shutoff).
          type: str
    memory:
      description: Sums for the running guest, or for the stored definition if it does not run, in bytes.
      type: dict
      contains:
        boot:
          description: The memory that the guest starts with.
          type: int
        plugged:
          description: The memory that memory devices have given it on top.
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
          description: How much of boot memory (and DIMMs) the memory balloon leaves the guest, without virtio-mem. Null
            without a balloon.
          type: int
    live:
      description: The running guest's definition; null if it does not run.
      type: dict
      contains: &definition
        boot:
          description: Boot memory in bytes.
          type: int
        total:
          description: libvirt's C(<memory>) in bytes, boot memory and the full size of all devices.
          type: int
        current_memory:
          description: libvirt's C(<currentMemory>) in bytes. In a running guest it counts plugged memory twice after a
            reboot; use RV(domains[].memory.current) instead.
          type: int
        maximum:
          description: libvirt's C(<maxMemory>), with its C(size) in bytes and its C(slots); null for a domain without memory
            hotplug.
          type: dict
        numa:
          description: Guest NUMA nodes, each with C(id), C(cpus), boot C(memory) in bytes, C(access) and C(discard).
          type: list
          elements: dict
        backing:
          description: Where memory comes from, with C(hugepages) (a list; one of size null is the host's default size),
            C(source), C(access), C(allocation) (C(mode), C(threads)), C(locked), C(nosharepages) and C(discard).
          type: dict
        tuning:
          description: C(hard_limit), C(soft_limit) and C(swap_hard_limit) in bytes, null for unlimited.
          type: dict
        placement:
          description: The host NUMA nodes that memory comes from, C(mode) and C(nodeset).
          type: dict
        balloon:
          description: The memory balloon.
          type: dict
          contains:
            model:
              description: The model of its device; V(none) without a balloon.
              type: str
            autodeflate:
              description: Whether it gives memory back before the guest's out-of-memory killer acts, or null.
              type: bool
            free_page_reporting:
              description: Whether the guest tells the host which pages it does not use, or null.
              type: bool
            stats_period:
              description: How often the guest reports statistics, in seconds; V(0) means never.
              type: int
            target:
              description: How much of boot memory it leaves at the next start, in bytes; null without a balloon.
              type: int
        devices:
          description: Memory devices, with C(model), C(current) (what the guest has plugged, null in a stored definition), and
            the options of O(virtmem.libvirt.domain_memory#module:devices), null where they don't apply or are not set.
          type: list
          elements: dict
        arch:
          description: The architecture.
          type: str
        machine:
          description: The machine type.
          type: str
    config:
      description: The stored definition, with the same keys; null for a transient domain.
      type: dict
      contains: *definition
    drift:
      description: The differences between the running guest and the stored definition; null unless the domain has both.
      type: list
      elements: dict
      contains:
        device:
          description: The device's alias, or null for the domain itself.
          type: str
        option:
          description: The option that differs (V(maximum.size)); V(state) for a device that only one of them has.
          type: str
        live:
          description: Its value in the running guest.
          type: raw
        config:
          description: Its value in the stored definition.
          type: raw
    statistics:
      description: The statistics that the running guest reports through its balloon driver, in bytes; null if it does not run.
      type: dict
      contains:
        usable:
          description: The guest's MemAvailable, or null.
          type: int
        available:
          description: The guest's MemTotal, or null.
          type: int
        unused:
          description: The guest's MemFree, or null.
          type: int
        actual:
          description: The balloon's size, or null.
          type: int
        rss:
          description: The memory that the QEMU process uses on the host.
          type: int
        last_update:
          description: When the guest last reported, in seconds since 1970 by the hypervisor's clock; null for never.
          type: int
        age:
          description: How many seconds ago it reported, by the target's clock; null for never.
          type: int
        offline_in_guest:
          description: About how many bytes of plugged memory the guest has left offline. Null if it does not report by
            itself (RV(domains[].live.balloon.stats_period) is V(0)).
          type: int
  sample:
    - domain: {name: web1, uuid: 6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e, state: running}
      memory:
        boot: 2147483648
        plugged: 6442450944
        requested: 8589934592
        current: 8589934592
        total: 19327352832
        maximum: 34359738368
        balloon: 2147483648
      drift: []
duration:
  description: How long the task took on the target, in seconds.
  returned: always
  type: float
  sample: 0.021
error_code:
  description: The kind of failure.
  returned: failure
  type: str
  sample: domain_not_found
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
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.info import EMPTY, DomainMemoryInfo
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._task import run_task
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document


def main() -> None:
    module = AnsibleModule(
        argument_spec={"domains": {"type": "list", "elements": "str"}, **connection_spec()},
        supports_check_mode=True,
    )
    run_task(module, DomainMemoryInfo, EMPTY, hypervisor, document, read_only=True)


if __name__ == "__main__":
    main()
