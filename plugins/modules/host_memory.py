#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: host_memory
short_description: Distribute a libvirt host's memory among its guests
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Gives each of many guests of one host as much memory as the task or a policy assigns.
  - All shrinks are requested at once. Growth is requested as memory really comes back. What guests have and what they were
    promised therefore never exceeds what the host has. If a guest gives back less than requested, the others can grow by
    less; this has no other effect on them.
  - Guests are resized with the virtio-mem devices that they have, within the devices' sizes and in whole blocks. This module
    adds no devices, and a guest without one keeps its memory.
  - Every guest has its own result in RV(domains), whether or not other guests fail.
attributes:
  check_mode:
    support: full
    details:
      - Uses a read-only connection, and the plan that the real run carries out.
      - RV(domains[].after) and RV(domains[].converged) predict the result of a real run, provided that all guests follow.
      - The guards and O(policy=demand) only use statistics that guests report by themselves.
  diff_mode:
    support: full
    details:
      - The diff is a table with a line for each domain.
  idempotent:
    support: partial
    details:
      - Full for O(policy=fixed) and O(policy=fair). With O(policy=demand) the result depends on what guests use.
      - If a guest still has not followed, the next run waits for it again. Waiting alone changes nothing.
options:
  domains:
    description:
      - The guests that the task manages, and the limits of each. If several elements match a domain, the first one counts.
      - Running guests that no element matches keep what they have, and the host has that much less to distribute.
    type: list
    elements: dict
    required: true
    suboptions:
      domain:
        description: A name, a UUID or a shell pattern (V(web*)).
        type: str
        required: true
      memory:
        description:
          - How much memory the guest should have, boot memory and what virtio-mem devices give on top, as in
            O(virtmem.libvirt.domain_memory#module:memory).
          - Not together with O(domains[].min) or O(domains[].max).
        type: str
      min:
        description: The least that the guest gets. Boot memory and DIMMs if this is omitted or less.
        type: str
      max:
        description: The most that the guest gets. What its devices can give if this is omitted or more.
        type: str
      weight:
        description: Its share in proportion to the other guests' weights, from 1 to 10000.
        type: int
        default: 1
  policy:
    description:
      - What a guest without O(domains[].memory) gets between its O(domains[].min) and O(domains[].max).
      - V(fixed) - what it has now.
      - V(fair) - the same for each unit of weight. What a guest can't take goes to the others (weighted max-min fairness).
      - V(demand) - first what it uses by its own statistics, plus O(guest_reserve), distributed like V(fair) if the host has
        not enough for all. Then the rest, by weight.
    type: str
    choices: [fixed, fair, demand]
    default: fixed
  reserve:
    description:
      - What the host keeps for itself. The rest is distributed, except the pools of huge pages and the memory of running
        guests that O(domains) does not name.
      - Guests that are bound to NUMA nodes share the memory of these nodes. Guests that use huge pages share their pool.
    type: str
    default: 1GiB
  on_error:
    description:
      - What happens to the other guests if one guest fails.
      - V(continue) - they are resized as planned. The task fails in the end.
      - V(stop) - no guest is resized any further. If the failure is known before the first request, no guest is resized.
    type: str
    choices: [continue, stop]
    default: continue
extends_documentation_fragment:
  - virtmem.libvirt._attributes
  - virtmem.libvirt._connection
  - virtmem.libvirt._change
notes:
  - >-
    Sizes are a number and a unit: V(2GiB), V(512 MiB), V(1.5GiB), V(10GB) (1000-based), V(2G) (1024-based, as in
    virsh). V(0) needs no unit; every other number does, because a bare number is KiB to libvirt and bytes to others.
    Sizes in results are integers, in bytes.
  - If a guest of the task is off, its stored definition takes part. It counts with what the guest gets at its start, so that
    it can be started at any time. Remove it from O(domains) to give its memory to others.
  - Domains that match a pattern but have no definition for O(scope) are skipped silently.
  - With O(on_partial=rollback), the shortfall of one guest returns all guests to their previous requests, as far as memory
    comes back for that within O(wait_timeout).
  - With O(wait=false), only growth that the host has room for at once is requested.
seealso:
  - module: virtmem.libvirt.host_memory_info
  - module: virtmem.libvirt.domain_memory
"""

EXAMPLES = r"""
- name: Give three guests a fixed amount of memory
  virtmem.libvirt.host_memory:
    domains:
      - {domain: web1, memory: 8GiB}
      - {domain: web2, memory: 8GiB}
      - {domain: db1, memory: 32GiB}

- name: Distribute the host's memory among forty guests, databases with three times the weight
  virtmem.libvirt.host_memory:
    domains:
      - {domain: "db*", min: 8GiB, weight: 3}
      - {domain: "*", min: 2GiB, max: 16GiB}
    policy: fair
    reserve: 8GiB
  register: shared

- name: Show which guests do not have their share
  ansible.builtin.debug:
    msg: "{{ item.domain.name }}: {{ item.msg | default('others have not given back enough yet') }}"
  loop: "{{ shared.domains | rejectattr('converged') }}"
  loop_control:
    label: "{{ item.domain.name }}"

- name: Give each guest what it uses plus 1 GiB, and distribute the rest by weight
  virtmem.libvirt.host_memory:
    domains:
      - domain: "*"
    policy: demand
    guest_reserve: 1GiB
    reserve: 4GiB

- name: Show what would change
  virtmem.libvirt.host_memory:
    domains:
      - domain: "web*"
        max: 12GiB
    policy: fair
  check_mode: true
  diff: true

- name: Make room for a new guest of 16 GiB
  virtmem.libvirt.host_memory:
    domains:
      - domain: "web*"
        min: 4GiB
    policy: fair
    reserve: 20GiB

- name: Accept what the guests give back
  virtmem.libvirt.host_memory:
    domains:
      - {domain: web1, memory: 4GiB}
      - {domain: web2, memory: 12GiB}
    on_partial: settle
    wait_timeout: 60

- name: Resize all guests or none
  virtmem.libvirt.host_memory:
    domains:
      - {domain: web1, memory: 4GiB}
      - {domain: web2, memory: 12GiB}
    on_partial: rollback
    on_error: stop

- name: Change the next start only
  virtmem.libvirt.host_memory:
    domains:
      - domain: "batch*"
        memory: 6GiB
    scope: config
"""

RETURN = r"""
host:
  description: The memory that there was to distribute, in bytes. Null if it was not determined.
  returned: always
  type: dict
  contains:
    total:
      description: All memory of the host.
      type: int
    reserve:
      description: What the host keeps for itself.
      type: int
    others:
      description: "Memory not available to the task: pools of huge pages and other running guests."
      type: int
    budget:
      description: What is left for the guests of the task.
      type: int
    limits:
      description: All limits that applied. The host as a whole comes first, then NUMA nodes and huge pages that guests are
        bound to.
      type: list
      elements: dict
      contains:
        where:
          description: The memory that is limited, as text.
          type: str
        size:
          description: The most that the guests that use it can have together.
          type: int
  sample:
    total: 270582939648
    reserve: 8589934592
    others: 17179869184
    budget: 244813135872
    limits: [{where: the host, size: 244813135872}]
domains:
  description: One element for each domain, in the order of O(domains).
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
          description: Its UUID, null if it was not found.
          type: str
        state:
          description: Its state as libvirt names it, such as V(running) or V(shutoff). Null if the domain has gone.
          type: str
    changed:
      description: Whether the request to it changed.
      type: bool
    planned:
      description: What the policy gives it, in bytes. Null if the domain could not be read.
      type: int
    before:
      description: Its memory before the task. Null for a definition that does not exist or that O(scope) excludes.
      type: dict
      contains:
        live:
          description: The running guest's, with the keys of RV(virtmem.libvirt.domain_memory_info#module:domains[].memory)
            except C(balloon).
          type: dict
        config:
          description: The stored definition's, with the same keys; nothing is plugged there.
          type: dict
    after:
      description: The same after the task. In check mode, what a real run leads to if all guests follow.
      type: dict
      contains:
        live:
          description: The running guest's.
          type: dict
        config:
          description: The stored definition's.
          type: dict
    steps:
      description: The changes that were made, or would be in check mode, with the keys of
        RV(virtmem.libvirt.domain_memory#module:steps). Growth that was requested in several parts is one step.
      type: list
      elements: dict
    converged:
      description: Whether the guest has what the policy gives it.
      type: bool
    msg:
      description: What went wrong.
      returned: failure of this guest
      type: str
    error_code:
      description: The kind of failure.
      returned: failure of this guest
      type: str
    details:
      description: The numbers in the message for programs.
      returned: failure of this guest
      type: dict
    hint:
      description: How to solve the problem.
      returned: failure of this guest
      type: str
  sample:
    - domain: {name: web1, uuid: 6a4c5c3e-7c30-4a1d-9f0e-0d6a3f0b7d5e, state: running}
      changed: true
      planned: 4294967296
      converged: true
      steps:
        - {action: resize, scope: live, device: ua-virtiomem0, from: 6442450944, to: 2147483648, done: true}
        - {action: resize, scope: config, device: ua-virtiomem0, from: 6442450944, to: 2147483648, done: true}
totals:
  description: Sums over RV(domains). Null if no domain was read.
  returned: always
  type: dict
  contains:
    domains:
      description: The number of domains.
      type: int
    changed:
      description: The number of domains that changed.
      type: int
    failed:
      description: The number of domains that failed.
      type: int
    before:
      description: What running guests were asked to use (C(requested)) and had (C(current)) before the task, in bytes.
      type: dict
    after:
      description: The same after the task.
      type: dict
  sample:
    domains: 40
    changed: 12
    failed: 0
    before: {requested: 193273528320, current: 193273528320}
    after: {requested: 193273528320, current: 193273528320}
converged:
  description: Whether all guests have what the policy gives them.
  returned: always
  type: bool
duration:
  description: How long the task took on the target, in seconds.
  returned: always
  type: float
  sample: 1.402
diff:
  description: The memory that is requested of each domain, before and after, as a table.
  returned: always
  type: dict
  contains:
    before:
      description: Before.
      type: str
    after:
      description: After.
      type: str
error_code:
  description: The kind of failure. If guests failed, that of the first one.
  returned: failure
  type: str
  sample: host_lacks_memory
details:
  description: The numbers in the message for programs. If guests failed, C(domains) has their error codes by name.
  returned: failure
  type: dict
  sample: {needed: 274877906944, available: 244813135872, missing: 30064771072}
hint:
  description: How to solve the problem.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.virtmem.libvirt.plugins.module_utils._argspec import change_spec, connection_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.module import HostMemory
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.report import EMPTY
from ansible_collections.virtmem.libvirt.plugins.module_utils._host.spec import host_spec
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._task import run_task
from ansible_collections.virtmem.libvirt.plugins.module_utils._xml import document


def main() -> None:
    module = AnsibleModule(
        argument_spec={**host_spec(), **connection_spec(), **change_spec()},
        supports_check_mode=True,
    )
    run_task(module, HostMemory, EMPTY, hypervisor, document)


if __name__ == "__main__":
    main()
