# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rows of the table: what was compared, and whether the goal is met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class Row:
    """One comparison, one number for each round; the ratio is the median of the rounds' own ratios."""

    what: str
    than: str
    ours: list
    others: list
    goal: float | None = None  # ours / others is at most this

    @property
    def ratio(self):
        return statistics.median(our / other for our, other in zip(self.ours, self.others))

    @property
    def verdict(self):
        if self.goal is None:
            return ""
        return "met" if self.ratio <= self.goal else "missed"

    def cells(self):
        return [
            self.what,
            duration(self.ours),
            self.than,
            duration(self.others),
            number(self.ratio),
            "" if self.goal is None else number(self.goal),
            self.verdict,
        ]


HEADER = ["What", "Ours", "Compared with", "That", "Ratio", "Goal (at most)", ""]


@dataclass(frozen=True)
class Cost:
    """What one run of a module took."""

    what: str
    peak: int  # bytes
    calls: int

    def cells(self):
        return [self.what, f"{self.peak / 2**20:.0f} MiB", str(self.calls)]


COST_HEADER = ["What", "Peak memory of the process", "Requests to libvirt"]


def duration(laps):
    seconds = statistics.median(laps)
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def number(ratio):
    return f"{ratio:.3f}" if ratio < 0.1 else f"{ratio:.2f}"


def on_screen(header, rows):
    """The table for a terminal."""
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


PAGE = """\
..
  GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
  SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
  SPDX-License-Identifier: GPL-3.0-or-later

.. Made by ./run bench; what is changed by hand is lost.

.. _ansible_collections.virtmem.libvirt.docsite.benchmarks:

How fast it is
==============

.. contents::
   :local:
   :depth: 1

Measured on {date} by ``./run bench``: {machine}.

Times
-----

Both sides of a row took turns in one ``ansible-playbook``; times are medians of {rounds} rounds or more, and a ratio is the
median of the rounds' own ratios. They are whole tasks as the controller sees them, with Ansible's own part, on a local
connection with Ansible's default settings. Guests are small and emulated where there is no KVM. What depends on the machine
is mostly in the times, little in the ratios.

{times}
{remarks}

Costs
-----

One run of each module: the most memory that its process had, and how often it asked libvirt's daemon.

{costs}"""


def in_docs(rows, costs, machine, remarks):
    """The page of the documentation."""
    return PAGE.format(
        date=datetime.now(timezone.utc).date().isoformat(),
        machine=machine,
        rounds=min(len(row.ours) for row in rows),
        times=list_table(HEADER, [row.cells() for row in rows]),
        remarks="\n".join(f"* {remark}" for remark in remarks),
        costs=list_table(COST_HEADER, [cost.cells() for cost in costs]),
    )


def list_table(header, rows):
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [header, *rows]:
        lines += [f"   {'-' if index else '* -'} {cell}".replace("   - ", "     - ") for index, cell in enumerate(row)]
    return "\n".join(line.rstrip() for line in lines) + "\n"
