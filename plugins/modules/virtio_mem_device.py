#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: virtio_mem_device
short_description: Manage a virtio-mem device of a libvirt domain
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Adds, resizes and removes one virtio-mem device of a libvirt domain, in the running guest, in the stored definition,
    or in both, and waits until the guest has followed.
  - A device has a maximum (O(size)) that it can give the guest, and an amount that the guest is asked to use now
    (O(requested)). Resizing changes the latter. It works up and down, without a reboot, in steps of O(block).
  - Only O(requested) can change in a running guest. With O(scope=auto) and O(scope=both), other changes are written to the
    stored definition, named in RV(pending), and take effect at the next start.
  - An option that is omitted keeps its current value.
  - A task that can't work is refused before anything changes, with the numbers, the nearest value that works, and an
    RV(error_code).
attributes:
  check_mode:
    support: full
    details:
      - Uses a read-only connection, and the plan that the real run carries out.
      - RV(after) and RV(converged) predict the result of a real run, provided that the guest follows.
  diff_mode:
    support: full
    details:
      - The diff shows the device's own XML, without addresses that libvirt chooses and without what the guest has plugged.
  idempotent:
    support: full
    details:
      - If the guest still has not followed, the next run waits for it again. Waiting alone changes nothing.
      - After O(on_partial=settle) or O(on_partial=rollback) the next run asks the guest again.
options:
  domain:
    description: The domain's name or UUID.
    type: str
    required: true
  state:
    description:
      - V(present) ensures that the device exists with the given options.
      - >-
        V(absent) takes all its memory back and waits for that. It waits for another second, because Linux can lock up
        without that pause. It then unplugs the device and removes it from the stored definition.
        If QEMU (before 8.1) or the machine type (before 8.1) can't unplug, the device stays in the running guest with
        nothing plugged, leaves the stored definition, and RV(restart_required) is V(true). With O(scope=live) such a
        task is refused.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - virtmem.libvirt._attributes
  - virtmem.libvirt._connection
  - virtmem.libvirt._change
  - virtmem.libvirt._device
notes:
  - The domain must be prepared for memory hotplug, with C(<maxMemory>) and a guest NUMA node. Adding them requires a restart
    of the guest; M(virtmem.libvirt.domain_memory) can do both.
  - >-
    The guest needs Linux 5.8 or later with the C(virtio_mem) driver. What it can give back depends on how it uses the
    memory; the kernel option C(memhp_default_state=online_movable) helps best.
  - RV(device.current) is what the guest has plugged. A guest without a policy (Debian 12) leaves it offline, and
    can't use it; see RV(device.offline_in_guest).
  - This module does not change the memory balloon of the guest.
seealso:
  - module: virtmem.libvirt.domain_memory_info
  - name: virtio-mem user guide
    description: What the device can and can't do, written by its authors.
    link: https://virtio-mem.gitlab.io/user-guide/
  - name: libvirt domain XML, memory devices
    description: The elements behind the options.
    link: https://libvirt.org/formatdomain.html#memory-devices
"""

EXAMPLES = r"""
- name: web1 has 6 GiB of a device that can give it 16 GiB
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    size: 16GiB
    requested: 6GiB

- name: Grow the only device of web1, and wait for the guest
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    requested: 8GiB
  register: grown

- name: Show what the guest has now
  ansible.builtin.debug:
    msg: "{{ grown.domain.name }} uses {{ (grown.device.current / 1024 ** 3) | round(1) }} GiB of its device"

- name: Take memory back, and accept what the guest gives within a minute
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    requested: 1GiB
    wait_timeout: 60
    on_partial: settle

- name: Take all memory back, or none
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    requested: 0
    on_partial: rollback

- name: A device for each NUMA node of a large guest
  virtmem.libvirt.virtio_mem_device:
    domain: db1
    node: "{{ item }}"
    size: 256GiB
    block: 32MiB
    requested: 64GiB
    page_size: 2MiB
    node_mask: "{{ item }}"
  loop: [0, 1]

- name: Change the device at the next start, and leave the running guest alone
  virtmem.libvirt.virtio_mem_device:
    domain: db1
    alias: ua-virtiomem0
    size: 512GiB
    scope: config

- name: Memory for a guest with a virtiofs share, from a service account's own daemon
  virtmem.libvirt.virtio_mem_device:
    uri: qemu:///session
    domain: dev1
    size: 8GiB
    requested: 2GiB
    access: shared

- name: Change the request without waiting for the guest
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    requested: 4GiB
    wait: false

- name: Remove the device
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    state: absent
  register: removed

- name: Show whether the guest must be powered off for that
  ansible.builtin.debug:
    msg: "{{ removed.pending | default(['Nothing is pending.'], true) }}"

- name: Handle a guest that can't spare the memory
  block:
    - name: Take 4 GiB back
      virtmem.libvirt.virtio_mem_device:
        domain: web1
        requested: 2GiB
        guest_reserve: 512MiB
      register: shrunk
  rescue:
    - name: Show why
      ansible.builtin.debug:
        msg: "{{ ansible_failed_result.error_code }}: {{ ansible_failed_result.hint }}"
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
device:
  description: The device as it is now. This is the live device if the running guest has it, else the stored one. Null if
    neither definition has it.
  returned: always
  type: dict
  contains:
    alias:
      description: Its name.
      type: str
    model:
      description: Always V(virtio-mem).
      type: str
    node:
      description: The guest NUMA node.
      type: int
    size:
      description: The most that it can give, in bytes.
      type: int
    block:
      description: The unit in which it gives, in bytes.
      type: int
    requested:
      description: The memory that the guest is asked to use, in bytes.
      type: int
    current:
      description: The memory that the guest has plugged, in bytes. Null in a stored definition.
      type: int
    page_size:
      description: The size of the host's pages that back it, in bytes. Null if the XML does not set it.
      type: int
    node_mask:
      description: The host NUMA nodes that its memory comes from.
      type: str
    access:
      description: V(shared), V(private) or null.
      type: str
    discard:
      description: Whether contents are discarded at power-off, or null.
      type: bool
    dynamic_memslots:
      description: Whether QEMU uses several memory slots, or null.
      type: bool
    guest_address:
      description: The guest physical address of its memory, in hexadecimal. Null if libvirt does not report it.
      type: str
    pci_address:
      description: Its PCI address.
      type: str
    offline_in_guest:
      description:
        - About how many bytes of its plugged memory the guest has left offline. It can't use them.
        - Null unless the guest reports statistics by itself every few seconds and this task did not change it.
      type: int
  sample:
    alias: ua-virtiomem0
    model: virtio-mem
    node: 0
    size: 17179869184
    block: 2097152
    requested: 6442450944
    current: 6442450944
    page_size: null
    node_mask: null
    access: null
    discard: null
    dynamic_memslots: null
    guest_address: "0x140000000"
    pci_address: "0000:04:00.0"
    offline_in_guest: null
before:
  description: The device in each definition before the task, with the keys of RV(device). Null for a definition that does
    not have it or that O(scope) excludes.
  returned: always
  type: dict
  contains:
    live:
      description: In the running guest.
      type: dict
    config:
      description: In the stored definition.
      type: dict
after:
  description: The same after the task. In check mode, what a real run leads to if the guest follows.
  returned: always
  type: dict
  contains:
    live:
      description: In the running guest.
      type: dict
    config:
      description: In the stored definition.
      type: dict
steps:
  description: The changes that were made, or would be in check mode, in order. After a failure, also those that were not made.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(attach), V(resize), V(redefine) (change other options of the stored device), V(detach), or
        V(set_current_memory) (correct the balloon's target in the stored definition, which libvirt gets wrong when it adds
        or removes a device).
      type: str
    scope:
      description: V(live) or V(config).
      type: str
    device:
      description: The device's alias.
      type: str
    from:
      description: The requested size before, in bytes; for V(redefine) a dictionary of the options that change.
      type: raw
    to:
      description: The requested size after, in bytes; for V(redefine) a dictionary of the options that change.
      type: raw
    done:
      description: Whether the step was carried out.
      type: bool
  sample:
    - {action: resize, scope: live, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
    - {action: resize, scope: config, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
converged:
  description:
    - Whether the guest has what the task requests. V(true) if the task does not concern a running guest.
    - V(false) as long as an option that the task states, or the device itself, comes only with the next start.
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
  sample: ["ua-virtiomem0: leaves the guest when it is next powered off"]
diff:
  description: The device before and after, as XML.
  returned: always
  type: dict
  contains:
    before:
      description: Before; empty if there was none.
      type: str
    after:
      description: After; empty if there is none.
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
  sample: guest_needs_memory
details:
  description: The numbers in the message for programs, sizes in bytes, and libvirt's own message if it sent one.
  returned: failure
  type: dict
  sample: {usable: 734003200, shrink: 1073741824, guest_reserve: 134217728, nearest: 545259520}
hint:
  description: How to solve the problem.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.virtmem.libvirt.plugins.module_utils._argspec import change_spec, connection_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.options import device_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.device_module import VirtioMemDevice
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.report import EMPTY_DEVICE
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._task import run_task
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "domain": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **device_spec(),
            **connection_spec(),
            **change_spec(),
        },
        supports_check_mode=True,
    )
    run_task(module, VirtioMemDevice, EMPTY_DEVICE, hypervisor, document)


if __name__ == "__main__":
    main()
