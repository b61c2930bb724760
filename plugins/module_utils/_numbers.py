# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Whole numbers that libvirt and a clock can hold, whatever option they are given to. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError

# libvirt's numbers of seconds, threads, slots and nodes are ints of C; its Python binding raises OverflowError for more.
LARGEST: t.Final = 2**31 - 1

Spec = t.Mapping[str, t.Any]


def check_numbers(spec: Spec, params: t.Mapping[str, t.Any], place: str = "") -> None:
    """Every number that the options give, at any depth of an argument spec. Raises VirtmemError(unsupported)."""
    for name, option in spec.items():
        value = params.get(name)
        if value is None:
            continue
        if option.get("type") == "int":
            _check(value, place + name)
        elif option.get("type") == "dict":
            check_numbers(option["options"], value, f"{place}{name}.")
        elif option.get("elements") == "dict":
            for position, element in enumerate(value):
                check_numbers(option["options"], element, f"{place}{name}[{position}].")


def _check(value: int, option: str) -> None:
    lowest = 0 if option.endswith("_timeout") else -LARGEST  # what a negative number else means is its option's to say
    if lowest <= value <= LARGEST:
        return
    short = str(value) if abs(value) < 10**20 else f"a number of {len(str(abs(value)))} digits"
    nearest = 0 if value < 0 else LARGEST
    raise VirtmemError(
        "unsupported",
        f"{option}: {short} is {'less' if value < 0 else 'more'} than libvirt or a clock can take.",
        hint=f"The nearest number that they can is {nearest}.",
        details={"option": option, "value": value, "nearest": nearest},
    )
