# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Where a change is made, how long to wait for the guest, and which guards hold."""

    DOCUMENTATION = r"""
options:
  scope:
    description:
      - Which of the domain's two definitions to change. They are changed by separate calls, the live one first.
      - V(auto) means the live one if the domain runs, and the stored one if the domain is persistent.
      - V(live) means the running guest only, and fails for a domain that is not running.
      - V(config) means the stored definition only, which takes effect at the next start.
      - V(both) is like V(auto), but fails unless both exist.
      - With V(auto) and V(both), a change that the running guest can't make (a device's size, block or page size, for
        example) is written to the stored definition and named in C(pending), and C(restart_required) is V(true). With V(live),
        such a task is refused with RV(error_code) V(immutable).
    type: str
    choices: [auto, live, config, both]
    default: auto
  wait:
    description:
      - Wait until the guest has followed.
      - With V(false), the task ends as soon as the request is made; RV(converged) shows whether the guest has followed by
        then.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for the guest, in seconds, for all steps of the task together.
      - If another job (a migration, a backup) holds the domain, the task retries for the same time. libvirt itself waits
        30 seconds for such a job, and the task can't shorten that.
    type: int
    default: 120
  on_partial:
    description:
      - What to do if the guest gives back or takes only a part, or nothing, within O(wait_timeout).
      - V(fail) fails with RV(error_code) V(partial) (something moved) or V(timeout) (nothing moved). The request stays,
        and the guest may follow later.
      - V(warn) ends with a warning and RV(converged=false). The request stays.
      - V(settle) requests exactly what was reached, so that nothing changes later by surprise. It ends with a warning
        and RV(converged=false).
      - V(rollback) restores the state before the task, waits once more for at most O(wait_timeout), and fails like V(fail).
    type: str
    choices: [fail, warn, settle, rollback]
    default: fail
  check_guest_memory:
    description:
      - Refuse a shrink that would leave the running guest less than O(guest_reserve) usable, by its own statistics.
        Otherwise the guest's out-of-memory killer may end its programs, and nothing reports an error.
      - Also refuse growth to more than five times what the guest has, if its own memory can't hold the page structures for
        the new memory (1/64 of it).
      - If the statistics are old, the task sets a stats period of one second to get fresh ones, and restores the period
        afterwards. In check mode, and for a guest that reports no statistics, it warns and does not refuse.
      - With V(false), nothing is refused and the task does not ask the guest for statistics. It warns if the last statistics
        are fresh and advise against the change, or if they are not fresh.
    type: bool
    default: true
  guest_reserve:
    description: The memory that the guest must have usable after a shrink. See O(check_guest_memory).
    type: str
    default: 128MiB
  check_host_memory:
    description:
      - Refuse growth that the host can't back with its available memory (page cache counts as available).
      - If the guest's memory is bound to NUMA nodes or uses huge pages, only these nodes or this pool count.
    type: bool
    default: true
"""
