# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a bare venv its pip: first the one that Python itself carries, then the wanted one from the configured index.

ansible-test fetches such a script from a site of its own, which is one more place that must be reachable. Where it finds
one in its cache it takes that; tools/sandbox.py puts this one there.
"""

from __future__ import annotations

import runpy
import subprocess
import sys

# get-pip.py's own options, which pip does not know.
arguments = [word for word in sys.argv[1:] if word not in {"--no-setuptools", "--no-wheel"}]

# In a process of its own: it tells pip through the environment to read no configuration.
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
sys.argv = ["pip", "install", *arguments]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
