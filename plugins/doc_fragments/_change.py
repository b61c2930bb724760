# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """Where a change is made, how long to wait for the guest, and which guards hold."""

    DOCUMENTATION = r"""
options:
  scope:
    description:
      - Which of the domain's two definitions to change. They are changed by separate calls, the live one first.
      - V(auto) means the live one if the domain runs, and the stored one if the domain is persistent.
      - V(live) is the running guest only, and fails for a domain that is not running.
      - V(config) is the stored definition only, which counts from the next start.
      - V(both) is like V(auto), but fails unless both exist.
    type: str
    choices: [auto, live, config, both]
    default: auto
  wait:
    description:
      - Wait until the guest has followed.
      - Without it, the task ends once the guest was asked; RV(converged) says whether the guest was that quick.
    type: bool
    default: true
  wait_timeout:
    description:
      - How long to wait for the guest, in seconds, all steps of the task together.
      - A domain that another job holds (a migration, a backup) is asked again for as long. libvirt itself waits for such a
        job for 30 seconds, which is not cut short.
    type: int
    default: 120
  on_partial:
    description:
      - What to do with a guest that gives back or takes only a part, or nothing, within O(wait_timeout).
      - V(fail) fails with RV(error_code) V(partial) (something moved) or V(timeout) (nothing did). The request stands,
        and the guest may follow later.
      - V(warn) ends with a warning and RV(converged=false). The request stands.
      - V(settle) asks for just what was reached, so that nothing changes later by surprise, and ends with a warning
        and RV(converged=false).
      - V(rollback) puts everything back as it was before the task, waits once more for O(wait_timeout) at the most,
        and fails like V(fail).
    type: str
    choices: [fail, warn, settle, rollback]
    default: fail
  check_guest_memory:
    description:
      - Refuse a shrink that would leave the running guest less than O(guest_reserve) usable, by its own statistics.
        Otherwise the guest's out-of-memory killer may end its programs, and nothing reports an error.
      - Refuse also growth to more than five times what the guest has, if its own memory does not hold the page
        structures for so much more (one byte for each 64).
      - Old statistics are made fresh with a stats period of one second, which is put back afterwards. In check mode,
        and for a guest that reports none, there is a warning and no refusal.
      - With V(false) nothing is refused and the guest is not asked for anything. There is a warning if its last statistics
        are fresh and speak against it, or if they are not fresh.
    type: bool
    default: true
  guest_reserve:
    description: What the guest must have usable after a shrink. See O(check_guest_memory).
    type: str
    default: 128MiB
  check_host_memory:
    description:
      - Refuse growth that the host can't back with what it has available (page cache counts as available).
      - The NUMA nodes count that the guest's memory is bound to, and the pool of huge pages that it uses.
    type: bool
    default: true
"""
