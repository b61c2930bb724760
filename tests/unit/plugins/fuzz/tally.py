# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What came of all the tasks, so that a person sees whether they reach everything: printed at the end by conftest."""

from __future__ import annotations

import collections

outcomes = collections.defaultdict(collections.Counter)


def note(name, left):
    if left is None:
        outcome = "refused by Ansible"
    elif left.failed:
        outcome = left["error_code"]
    else:
        outcome = "changed" if left["changed"] else "unchanged"
    count(name, outcome)


def count(name, outcome):
    outcomes[name][outcome] += 1


def lines():
    for name, counts in outcomes.items():
        yield f"{name}: {sum(counts.values())}: " + ", ".join(
            f"{number} {what}" for what, number in counts.most_common()
        )
