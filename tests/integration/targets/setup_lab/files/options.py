# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints as JSON the names of a module's options, with dots (maximum.size), from what ansible-doc --json says on stdin."""

from __future__ import annotations

import json
import sys


def names(options, prefix=""):
    """The options that have none below them."""
    for name, option in options.items():
        below = option.get("suboptions")
        yield from names(below, f"{prefix}{name}.") if below else [prefix + name]


(module,) = json.load(sys.stdin).values()
print(json.dumps(sorted(names(module["doc"]["options"]))))
