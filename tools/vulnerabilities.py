# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what is locked is known to be vulnerable, by pip-audit. It can only be known on line, so off line it is skipped."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools import tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    import nox


def found_none(session: nox.Session, names: Iterable[str]) -> bool:
    """Print what is known; whether it is nothing."""
    found = [name for name in names if not _one(session, name)]
    return not found


def _one(session: nox.Session, name: str) -> bool:
    lock = tree.ROOT / "requirements/locked" / f"{name}.txt"
    with tempfile.TemporaryDirectory() as folder:
        report, log = Path(folder, "report.json"), Path(folder, "log")
        with log.open("w") as said:
            session.run(
                *("pip-audit", "--progress-spinner", "off", "--require-hashes", "--disable-pip", "--timeout", "20"),
                *("--requirement", str(lock), "--format", "json", "--output", str(report)),
                success_codes=[0, 1],
                stdout=said,
                stderr=said,
                log=False,
            )
        # Both a finding and a service that can't be reached are exit code 1; only the first leaves a report.
        if not report.exists():
            return _is_off_line(name, log.read_text())
        packages = json.loads(report.read_text())["dependencies"]
    found = [(package, flaw) for package in packages for flaw in package.get("vulns", [])]
    for package, flaw in found:
        fixed = ", ".join(flaw["fix_versions"]) or "no version yet"
        print(f"{name}: {package['name']} {package['version']}: {flaw['id']}, mended in {fixed}")
    print(f"{name}: {len(packages)} packages asked about, {len(found)} flaws known")
    return not found


def _is_off_line(name: str, log: str) -> bool:
    """Whether that is why there is no report. Then it is no one's fault."""
    if re.search(r"ConnectionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|ServiceError", log):
        print(f"skipped: {name}: PyPI can't be asked from here")
        return True
    print(log)
    return False
