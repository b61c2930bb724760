# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which Pythons this machine has: on the path, under pyenv, or as uv installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

OLDEST = "3.9"  # as in tests/config.yml
TARGETS = tuple(f"3.{minor}" for minor in range(9, 15))


def find(version: str) -> Path | None:
    """One that runs and can make a venv; a distribution's may lack ensurepip, and pyenv's stand-ins do nothing."""
    name = f"python{version}"
    pyenv = shutil.which("pyenv")
    root = os.environ.get("PYENV_ROOT") or (Path(pyenv).parent.parent if pyenv else Path.home() / ".pyenv")
    uv = Path.home() / ".local/share/uv/python"
    found = [
        *sorted(Path(root).glob(f"versions/{version}.*/bin/{name}")),
        *sorted(uv.glob(f"cpython-{version}.*/bin/{name}")),
        shutil.which(name),
    ]
    return next((Path(path) for path in found if path and _runs(path)), None)


def _runs(python: Path | str) -> bool:
    return subprocess.run([python, "-c", "import ensurepip, venv"], check=False, capture_output=True).returncode == 0
