# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""./run demo: a private hypervisor, a real guest, and an example playbook on it, with a line for each step.

Needs ansible-playbook on PATH, and the collection where Ansible finds it. Cleans up, whatever happens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = [os.environ.get("VIRTMEM_TARGET_PYTHON", "/usr/bin/python3"), str(HERE / "lab.py")]
NAME = f"demo{os.getpid()}"
GUEST = "web1"


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    start = time.monotonic()
    say(f"\n=== {text}")
    yield
    say(f"    ({time.monotonic() - start:.1f} s)")


def lab(*arguments: str) -> dict[str, object]:
    answer = subprocess.run(
        [*LAB, *arguments, "--name", NAME, "--json"], check=True, stdout=subprocess.PIPE, text=True, timeout=300
    ).stdout
    return json.loads(answer) if answer.strip() else {}


def play(uri: str) -> int:
    facts = {"demo_uri": uri, "demo_guest": GUEST, "demo_lab": LAB[1], "demo_name": NAME}
    facts["ansible_python_interpreter"] = LAB[0]
    environment = dict(
        os.environ,
        ANSIBLE_LOCALHOST_WARNING="False",
        ANSIBLE_INVENTORY_UNPARSED_WARNING="False",
        ANSIBLE_CALLBACK_RESULT_FORMAT="yaml",
        ANSIBLE_DIFF_ALWAYS="True",
        ANSIBLE_FORCE_COLOR=str(sys.stdout.isatty()),
    )
    command = ["ansible-playbook", str(HERE / "demo.yml"), "-e", json.dumps(facts)]
    return subprocess.run(command, check=False, env=environment, timeout=300).returncode


def main() -> int:
    try:
        with step("A private hypervisor (nothing of this machine's own libvirt is touched)"):
            up = lab("up")
            say(f"    libvirt {up['libvirt']}, QEMU {up['qemu']}, {up['accelerator']}")
        with step("A small Linux guest with the virtio_mem driver"):
            lab("guest", "start", GUEST, "--profile", "normal")
        with step("The playbook tests/lab/demo.yml"):
            code = play(str(up["uri"]))
    finally:
        with step("Clean up"):
            subprocess.run([*LAB, "down", "--name", NAME], check=False, timeout=120)
    say("\nThe guest grew and shrank while it ran." if code == 0 else "\nThe demo failed; see above.")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
