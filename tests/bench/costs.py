# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module's process takes: its memory, and how often it asks libvirt's daemon."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path

from .ansible import HERE, PYTHON, play
from .table import Cost


def costs(name, what, **facts):
    """Play once with programs/weigh.py for an interpreter; `what` has words for each module that is of interest."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights")
        interpreter = Path(folder, "python")  # Ansible takes it for one word
        command = shlex.join([PYTHON, str(HERE / "programs" / "weigh.py"), str(weights)])
        interpreter.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        interpreter.chmod(0o755)
        play(name, 1, interpreter=str(interpreter), **facts)
        rows = [json.loads(line) for line in weights.read_text().splitlines()]
    return [Cost(what[row["module"]], row["peak"], row["calls"]) for row in rows if row["module"] in what]
