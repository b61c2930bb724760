# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the guests' kernel and busybox come from: the distribution's own packages, unpacked, never installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from .errors import LabError


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a program, return what it printed; a failure becomes a sentence."""
    try:
        done = subprocess.run(command, cwd=cwd, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is not installed") from None
    except subprocess.CalledProcessError as error:
        # debootstrap says what is wrong on stdout, after all that was right.
        told = error.stderr.strip() or error.stdout.strip().rpartition("\n")[2] or error.returncode
        raise LabError(f"{' '.join(command)}: {told}") from None
    return done.stdout


class Debian:
    """Debian and Ubuntu: the kernel is behind a metapackage, in one versioned package or several."""

    kernels = ("linux-image-cloud-amd64", "linux-image-virtual")
    _parts = re.compile(r"Depends: (linux-(?:image|modules|binary)-\d\S*)")

    def names(self) -> list[str]:
        """Return the versioned packages that hold the kernel and its modules, and busybox's."""
        kernel = next(filter(self.known, self.kernels), self.kernels[0])
        # All at once: each question has APT go through all that it knows, which takes the better part of a second.
        told = run("apt-cache", "depends", "--recurse", "--important", kernel)
        found = list(dict.fromkeys(self._parts.findall(told)))
        if not found:
            raise LabError(f"apt knows no kernel behind {' or '.join(self.kernels)}; try apt-get update")
        return [*found, "busybox-static"]

    def versions(self, names: list[str]) -> str:
        return run("apt-cache", "show", "--no-all-versions", *names)

    def missing(self, names: list[str]) -> list[str]:
        """Return those packages with all that they need and this machine has not got."""
        planned = run("apt-get", "-q", "-s", "--no-install-recommends", "install", *names)
        return re.findall(r"^Inst (\S+)", planned, re.MULTILINE)

    def unpack(self, names: list[str], folder: Path) -> Path:
        # APT's own sandbox user could not write to a private folder; it would only warn about it at length.
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *names, cwd=folder)
        for package in folder.glob("*.deb"):
            run("dpkg-deb", "-x", str(package), str(folder / "root"))
        return folder / "root"

    @staticmethod
    def known(name: str) -> bool:
        return bool(run("apt-cache", "search", "--names-only", f"^{name}$"))


class Fedora:
    """Fedora and its relatives: kernel-core has the image, kernel-modules-core (where it exists) the modules."""

    def names(self) -> list[str]:
        listed = run("dnf", "-q", "repoquery", "--latest-limit=1", "--arch=x86_64", "--queryformat=%{name}\n",
                     "kernel-core", "kernel-modules-core", "busybox")  # fmt: skip
        return sorted(set(listed.split()))

    def versions(self, names: list[str]) -> str:
        return run("dnf", "-q", "repoquery", "--latest-limit=1", "--arch=x86_64", *names)

    def unpack(self, names: list[str], folder: Path) -> Path:
        run("dnf", "-q", "download", "--arch=x86_64", f"--destdir={folder}", *names)
        root = folder / "root"
        root.mkdir()
        for package in folder.glob("*.rpm"):
            run("sh", "-c", 'rpm2cpio "$0" | cpio --quiet -idm', str(package), cwd=root)
        return root


def distribution() -> Debian | Fedora:
    """Return the family of the machine we are on."""
    if shutil.which("apt-get"):
        return Debian()
    if shutil.which("dnf"):
        return Fedora()
    raise LabError("neither apt-get nor dnf here: the lab knows no other way to a guest kernel")
