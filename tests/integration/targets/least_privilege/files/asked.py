# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prints as JSON what libvirt's daemon asked polkit about a user: the short names of its permissions, without repetition.

asked.py LOG USER_ID LINES: what is in the log after so many lines. `denied` is what was refused, `lines` how many lines
there are now.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

LINE = re.compile(r"[\d-]+ [\d:.+]+: (\d+): \w+ : (.*)")  # by which thread, and what
CHECK = re.compile(r"virAccessDriverPolkitCheck:\d+ : Check action 'org\.libvirt\.api\.(\S+)' .* uid (\d+)")

log, user, known = sys.argv[1:]
lines = Path(log).read_text(errors="replace").splitlines()
checking: dict[str, str] = {}  # what a thread has asked last about the user
asked, denied = [], []
for thread, text in (match.groups() for match in map(LINE.fullmatch, lines[int(known) :]) if match):
    check = CHECK.fullmatch(text)
    if check:
        checking[thread] = check[1] if check[2] == user else ""
        asked += [checking[thread]]
    elif re.match(r"\w+EnsureACL:\d+ : access denied", text):
        denied += [checking.get(thread, "")]
found = {"asked": asked, "denied": denied}
print(json.dumps({**{name: sorted({*some} - {""}) for name, some in found.items()}, "lines": len(lines)}))
