#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: virtio_mem_device
short_description: Give a running guest memory, and take it back, with a virtio-mem device
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Adds, resizes and removes one virtio-mem device of a libvirt domain, in the running guest, in the stored definition,
    or in both, and waits until the guest has followed.
  - A device has a maximum (O(size)) that it can give the guest, and an amount that the guest is asked to use now
    (O(requested)). Resizing means to change the latter; it works up and down, without a reboot, in steps of O(block).
  - An option that is left out keeps what is there.
  - Whatever would not work is refused before anything is touched, with the numbers, the nearest value that would work,
    and an RV(error_code).
attributes:
  check_mode:
    support: full
    details:
      - Uses a read-only connection, and the plan that the real run carries out.
      - RV(after) and RV(converged) say what a real run ends with if the guest follows.
  diff_mode:
    support: full
    details:
      - The diff is the device's own XML, without addresses that libvirt chooses and without what the guest has plugged.
  idempotent:
    support: full
    details:
      - A guest that still has not followed is waited for again, which changes nothing by itself.
      - After O(on_partial=settle) or O(on_partial=rollback) the next run asks the guest again.
options:
  domain:
    description: The domain's name or UUID.
    type: str
    required: true
  state:
    description:
      - V(present) makes the device be there and have the stated options.
      - >-
        V(absent) takes all its memory back, waits for that and a second more (Linux locks up if it is hurried), and then
        unplugs it and takes it out of the stored definition.
        Where QEMU (before 8.1) or the machine type (before 8.1) can't unplug, the device stays in the running guest with
        nothing plugged, leaves the stored definition, and RV(restart_required) is V(true). With O(scope=live) such a
        task is refused instead.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - virtmem.libvirt._attributes
  - virtmem.libvirt._connection
  - virtmem.libvirt._change
  - virtmem.libvirt._device
notes:
  - The domain must be prepared for memory hotplug, with C(<maxMemory>) and a guest NUMA node; adding those needs a restart
    of the guest.
  - >-
    The guest needs Linux 5.8 or later with the C(virtio_mem) driver. What it can give back depends on how it uses the
    memory; kernel option C(memhp_default_state=online_movable) is the best help.
  - RV(device.current) is what the guest has plugged. A guest without a policy (Debian 12) leaves it offline, and
    can't use it; see RV(device.offline_in_guest).
  - Memory ballooning of the same guest is a matter of its own, and not changed here.
seealso:
  - module: virtmem.libvirt.domain_memory_info
  - name: virtio-mem user guide
    description: What the device can and can't do, by its authors.
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

- name: Grow web1, and wait for the guest (its only device is meant)
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    requested: 8GiB
  register: grown

- name: Show what the guest has now
  ansible.builtin.debug:
    msg: "{{ grown.domain.name }} uses {{ (grown.device.current / 1024 ** 3) | round(1) }} GiB of its device"

- name: Take memory back; be content with what the guest gives within a minute
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    requested: 1GiB
    wait_timeout: 60
    on_partial: settle

- name: Take memory back entirely, or not at all
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

- name: Prepare the next start of a guest, and leave the running one alone
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

- name: Ask, and don't wait
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    requested: 4GiB
    wait: false

- name: Remove the device
  virtmem.libvirt.virtio_mem_device:
    domain: web1
    state: absent
  register: removed

- name: Tell whether the guest must be powered off for that
  ansible.builtin.debug:
    msg: "{{ removed.pending | default(['Nothing is left to do.'], true) }}"

- name: Try, and do something else where the guest can't spare it
  block:
    - name: Take 4 GiB back
      virtmem.libvirt.virtio_mem_device:
        domain: web1
        requested: 2GiB
        guest_reserve: 512MiB
      register: shrunk
  rescue:
    - name: Say why
      ansible.builtin.debug:
        msg: "{{ ansible_failed_result.error_code }}: {{ ansible_failed_result.hint }}"
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
device:
  description: The device as it is now, the live one if there is one, else that of the stored definition. Null if it is in
    neither.
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
      description: The most it can give, in bytes.
      type: int
    block:
      description: The unit in which it gives, in bytes.
      type: int
    requested:
      description: What the guest is asked to use, in bytes.
      type: int
    current:
      description: What the guest has plugged, in bytes. Null in a stored definition.
      type: int
    page_size:
      description: The size of the host's pages that back it, in bytes, null if the XML leaves that open.
      type: int
    node_mask:
      description: The host NUMA nodes that it is taken from.
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
      description: Where the memory is in the guest, in hexadecimal, null if libvirt does not say.
      type: str
    pci_address:
      description: Its PCI address.
      type: str
    offline_in_guest:
      description:
        - About how many bytes of its plugged memory the guest has left offline, so that it can't use them.
        - Only known (not null) where the guest reports statistics by itself every few seconds, and was not changed by
          this task.
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
  description: The device in each definition before the task, with the keys of RV(device). Null where it is not, or where
    O(scope) does not look.
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
  description: The same after the task; in check mode, what a real run ends with if the guest follows.
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
  description: What was written, or would be in check mode, in order. After a failure, what was done and what was not.
  returned: always
  type: list
  elements: dict
  contains:
    action:
      description: V(attach), V(resize), V(redefine) (other options of the stored device), V(detach), or
        V(set_current_memory) (the balloon's target of the stored definition, which libvirt spoils when it adds or removes
        a device).
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
      description: Whether it was done.
      type: bool
  sample:
    - {action: resize, scope: live, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
    - {action: resize, scope: config, device: ua-virtiomem0, from: 2147483648, to: 6442450944, done: true}
converged:
  description: Whether the guest has what the task asks for. V(true) where no running guest is concerned.
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
  description: What kind of failure it was, for rescue blocks. The collection's guide has the table.
  returned: failure
  type: str
  sample: guest_needs_memory
details:
  description: The numbers of the message for programs, sizes in bytes, and libvirt's own text where it said something.
  returned: failure
  type: dict
  sample: {usable: 734003200, shrink: 1073741824, guest_reserve: 134217728, nearest: 545259520}
hint:
  description: What to do about it.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.virtmem.libvirt.plugins.module_utils._argspec import change_spec, connection_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._device.options import device_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.device_module import VirtioMemDevice
from ansible_collections.virtmem.libvirt.plugins.module_utils._domain.device_report import EMPTY
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
    run_task(module, VirtioMemDevice, EMPTY, hypervisor, document)


if __name__ == "__main__":
    main()
