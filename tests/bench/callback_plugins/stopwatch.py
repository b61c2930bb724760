# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible's screen output while it is timed: a line for each play, and what failed.

Writes how long each task took to the file VIRTMEM_STOPWATCH, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: stopwatch
type: stdout
short_description: Time tasks
version_added: 1.0.0
author:
  - The virtmem.libvirt authors (@virtmem)
description:
  - Writes how long each task took to the file that the environment variable C(VIRTMEM_STOPWATCH) names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "stopwatch"

    def __init__(self):
        super().__init__()
        self._plays = 0
        self._task = None
        self._start = 0.0

    def v2_playbook_on_play_start(self, play):
        self._plays += 1
        self._display.display(f"    {self._plays}. {play.get_name()}")

    def v2_runner_on_start(self, host, task):
        self._task, self._start = task, time.monotonic()

    def v2_runner_on_ok(self, result):
        lap = {
            "task": self._task.get_name(),
            "tags": list(self._task.tags),
            "seconds": time.monotonic() - self._start,
            "own": own_time(result._result.get("delta")),
        }
        with open(os.environ["VIRTMEM_STOPWATCH"], "a", encoding="utf-8") as file:
            file.write(json.dumps(lap) + "\n")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._display.display(f"FAILED: {self._task.get_name()}: {self._dump_results(result._result)}")

    v2_runner_on_unreachable = v2_runner_on_failed


def own_time(delta):
    """How long a program took by itself, as ansible.builtin.command says it: H:MM:SS.ffffff."""
    if not delta:
        return None
    hours, minutes, seconds = delta.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
