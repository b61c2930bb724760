# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which run on real hypervisors shows that a rule of the fake is libvirt's, QEMU's or Linux's own.

tests/unit/plugins/test_fake_rules.py finds every named case in its integration target.
"""

from __future__ import annotations

import typing as t

Rule = t.TypeVar("Rule", bound=t.Callable[..., t.Any])


def proven_by(target: str, *cases: str) -> t.Callable[[Rule], Rule]:
    """`cases` of an integration target: a key of its table, a row's `what` or `option`, or the name of a task."""

    def note(rule: Rule) -> Rule:
        vars(rule).setdefault("proofs", []).extend((target, case) for case in cases)
        return rule

    return note


def not_proven(why: str) -> t.Callable[[Rule], Rule]:
    """No lab can show it. `why` says so, and where else the rule is from."""

    def note(rule: Rule) -> Rule:
        vars(rule)["not_proven"] = why
        return rule

    return note
