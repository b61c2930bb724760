# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which domains a task means by a shell pattern. Pure."""

from __future__ import annotations

import fnmatch
import typing as t


def is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def matching(pattern: str, names: t.Iterable[str]) -> list[str]:
    """The names that fit, in their order. A domain may really be called web[1]: then only that one is meant."""
    every = list(names)
    return [name for name in every if name == pattern] or [name for name in every if fnmatch.fnmatchcase(name, pattern)]
