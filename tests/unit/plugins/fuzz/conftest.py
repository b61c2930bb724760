# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from hypothesis import settings

from ansible_collections.virtmem.libvirt.tests.unit.plugins.fuzz import tally


def pytest_terminal_summary(terminalreporter, config):
    if not tally.outcomes:
        return
    steady = settings.get_profile(settings.get_current_profile_name()).derandomize
    seed = "the same each time" if steady else f"seed {config.getoption('hypothesis_seed')}"
    total = sum(sum(counts.values()) for counts in tally.outcomes.values())
    terminalreporter.section(f"fuzz: {total} examples, {seed}")
    for line in tally.lines():
        terminalreporter.write_line(line)
