# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a bare venv its pip, from the wheel that Python itself carries and the index that pip is configured for.

ansible-test fetches such a script from a site of its own, which is one more place that must be reachable. Where it finds
one in its cache it takes that; noxfile.py puts this one there.
"""

from __future__ import annotations

import ensurepip
import runpy
import sys
from pathlib import Path

# get-pip.py's own options, which pip does not know.
arguments = [word for word in sys.argv[1:] if word not in {"--no-setuptools", "--no-wheel"}]
if not any(word.startswith("pip") for word in arguments):
    arguments.append("pip")

wheel = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
sys.path.insert(0, str(wheel))
sys.argv = ["pip", "install", *arguments]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
