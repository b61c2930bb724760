# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exceptions that people see; anything else is a mistake of the lab's own."""

from __future__ import annotations


class LabError(Exception):
    """Something outside of the lab's power, told in a sentence."""


class UnavailableError(LabError):
    """Something that this machine, or this user on it, can't have: a test that needs it is skipped, and says so."""
