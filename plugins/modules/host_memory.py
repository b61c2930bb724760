#!/usr/bin/python

# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: host_memory
short_description: Share the memory of a libvirt host out among its guests
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Gives each of many guests of one host as much memory as the task says, or as much as a policy makes of what the host has.
  - All shrinks are asked at once. Growth is asked as memory really comes back, so that what guests have and what they were
    promised is never more than the host has. A guest that gives back less than it was asked to leaves the others less to
    grow by, and nothing else.
  - Guests are resized by the virtio-mem devices that they have, within their sizes and in whole blocks; this module makes no
    devices. A guest without one always has what it has.
  - Every guest has its own result in RV(domains), whatever becomes of the others.
attributes:
  check_mode:
    support: full
    details:
      - Uses a read-only connection, and the plan that the real run carries out.
      - RV(domains[].after) and RV(domains[].converged) say what a real run ends with if all guests follow.
      - The guards and O(policy=demand) only have statistics that guests report by themselves to go by.
  diff_mode:
    support: full
    details:
      - The diff is a table with a line for each domain.
  idempotent:
    support: partial
    details:
      - Full for O(policy=fixed) and O(policy=fair). With O(policy=demand) the answer follows what guests use.
      - A guest that still has not followed is waited for again, which changes nothing by itself.
options:
  domains:
    description:
      - The guests that the task is about, and what each can have. A domain that several elements fit counts with the first.
      - Guests that run and that no element names keep what they have, and the host has that much less to share out.
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
          - What the guest shall have, boot memory and what virtio-mem devices give on top, as in
            O(virtmem.libvirt.domain_memory#module:memory).
          - Not together with O(domains[].min) or O(domains[].max).
        type: str
      min:
        description: What the guest has at least. Boot memory and DIMMs, if this is left out or less.
        type: str
      max:
        description: What the guest has at most. What its devices can give, if this is left out or more.
        type: str
      weight:
        description: Its part, in relation to the other guests' weights, from 1 to 10000.
        type: int
        default: 1
  policy:
    description:
      - What a guest without O(domains[].memory) gets between its O(domains[].min) and O(domains[].max).
      - V(fixed) - what it has now.
      - V(fair) - all get the same for each unit of weight, and who can't take so much leaves it to the others (weighted
        max-min fairness).
      - V(demand) - first what it uses by its own statistics and O(guest_reserve) beyond that, shared out like V(fair) if
        there is not enough; then the rest, by weight.
    type: str
    choices: [fixed, fair, demand]
    default: fixed
  reserve:
    description:
      - What the host keeps for itself. All else of its memory can be shared out, but for huge pages that are set aside, and
        for what guests have that the task is not about.
      - Guests that are bound to NUMA nodes, or use huge pages, share what these have.
    type: str
    default: 1GiB
  on_error:
    description:
      - What a guest's failure means for the others.
      - V(continue) - nothing. The task fails in the end.
      - V(stop) - nothing more is asked of any guest. If it is known before anything is asked, nothing is.
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
  - A guest of the task that is off takes part with its stored definition, and counts with what it gets at its start, so that
    it can be started at any time. Leave it out of O(domains) to give its memory to others.
  - A domain that a pattern fits and that has no definition of O(scope) is left out without a word.
  - With O(on_partial=rollback) one guest's shortfall sends all guests back to what they were asked for before, as far as
    memory comes back for it within O(wait_timeout).
  - Without O(wait) only growth is asked that the host has room for at once.
seealso:
  - module: virtmem.libvirt.host_memory_info
  - module: virtmem.libvirt.domain_memory
"""

EXAMPLES = r"""
- name: Three guests have what they shall have
  virtmem.libvirt.host_memory:
    domains:
      - {domain: web1, memory: 8GiB}
      - {domain: web2, memory: 8GiB}
      - {domain: db1, memory: 32GiB}

- name: Forty guests share this host, databases with three times the weight
  virtmem.libvirt.host_memory:
    domains:
      - {domain: "db*", min: 8GiB, weight: 3}
      - {domain: "*", min: 2GiB, max: 16GiB}
    policy: fair
    reserve: 8GiB
  register: shared

- name: Tell who has not got its share
  ansible.builtin.debug:
    msg: "{{ item.domain.name }}: {{ item.msg | default('others have not given back enough yet') }}"
  loop: "{{ shared.domains | rejectattr('converged') }}"
  loop_control:
    label: "{{ item.domain.name }}"

- name: What guests use and 1 GiB beyond comes first, the rest goes by weight
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

- name: Be content with what guests give back
  virtmem.libvirt.host_memory:
    domains:
      - {domain: web1, memory: 4GiB}
      - {domain: web2, memory: 12GiB}
    on_partial: settle
    wait_timeout: 60

- name: All or nothing
  virtmem.libvirt.host_memory:
    domains:
      - {domain: web1, memory: 4GiB}
      - {domain: web2, memory: 12GiB}
    on_partial: rollback
    on_error: stop

- name: Only for the next start
  virtmem.libvirt.host_memory:
    domains:
      - domain: "batch*"
        memory: 6GiB
    scope: config
"""

RETURN = r"""
host:
  description: What there was to share out, in bytes. Null if that was not found out.
  returned: always
  type: dict
  contains:
    total:
      description: All memory of the host.
      type: int
    reserve:
      description: What it keeps.
      type: int
    others:
      description: What else can't be shared out, huge pages and what guests have that the task is not about.
      type: int
    budget:
      description: What is left for the guests of the task.
      type: int
    limits:
      description: All that was kept to, the host as a whole first; then NUMA nodes and huge pages that guests are bound to.
      type: list
      elements: dict
      contains:
        where:
          description: Which memory, in words.
          type: str
        size:
          description: What the guests that use it may have together.
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
          description: libvirt's word for its state, such as V(running) or V(shutoff); null if it is gone.
          type: str
    changed:
      description: Whether it is asked for something else than before.
      type: bool
    planned:
      description: What the policy gives it, in bytes. Null where it could not be looked at.
      type: int
    before:
      description: Its memory before the task. Null for a definition that is not there, or that O(scope) does not look at.
      type: dict
      contains:
        live:
          description: The running guest's, with the keys of RV(virtmem.libvirt.domain_memory_info#module:domains[].memory)
            but C(balloon).
          type: dict
        config:
          description: The stored definition's, with the same keys; nothing is plugged there.
          type: dict
    after:
      description: The same after the task; in check mode, what a real run ends with if all guests follow.
      type: dict
      contains:
        live:
          description: The running guest's.
          type: dict
        config:
          description: The stored definition's.
          type: dict
    steps:
      description: What was written, or would be in check mode, with the keys of
        RV(virtmem.libvirt.domain_memory#module:steps). Growth that was asked bit by bit is one step.
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
      description: What kind of failure it was.
      returned: failure of this guest
      type: str
    details:
      description: The numbers of the message for programs.
      returned: failure of this guest
      type: dict
    hint:
      description: What to do about it.
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
  description: Sums over RV(domains). Null if nothing was read.
  returned: always
  type: dict
  contains:
    domains:
      description: How many there are.
      type: int
    changed:
      description: How many changed.
      type: int
    failed:
      description: How many failed.
      type: int
    before:
      description: What running guests were asked to have (C(requested)) and had (C(current)) before the task, in bytes.
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
  description: What each domain is asked to have, before and after, as a table.
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
  description: What kind of failure it was. If guests failed, that of the first one.
  returned: failure
  type: str
  sample: host_lacks_memory
details:
  description: The numbers of the message for programs. If guests failed, C(domains) has their error codes by name.
  returned: failure
  type: dict
  sample: {needed: 274877906944, available: 244813135872, missing: 30064771072}
hint:
  description: What to do about it.
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
