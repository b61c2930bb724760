# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other generations of libvirt and QEMU, each in a root of its own; only root can make and enter one."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from .errors import LabError, UnavailableError
from .image import cache_folder
from .locking import locked
from .packages import run

_PACKAGES = ("libvirt-daemon", "libvirt-daemon-driver-qemu", "qemu-system-x86")

# In a mount namespace of its own: the mounts end with the last process that is in it, however that ends.
_ENTER = """
root=$1 shared=$2
shift 2
mount --bind "$root" "$root" # a mount point, as / is: unshare wants one in there
for folder in proc sys dev; do
    mount --rbind "/$folder" "$root/$folder"
done
if [ "$shared" ]; then
    mkdir -p "$root$shared"
    mount --bind "$shared" "$root$shared"
fi
exec chroot "$root" "$@"
"""


def inside(suite: str, shared: Path | None, command: list[str]) -> list[str]:
    """Return the command that runs a command in a suite's root, with a folder of ours at the same path in there."""
    return _enter(_root(suite), shared, command)


def provide(suite: str) -> None:
    """Make the root of a suite where there is none; remove its folder to have a newer one."""
    if os.geteuid() != 0:
        raise UnavailableError(f"only root can have a hypervisor of its own from {suite}")
    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / f"root-{suite}.lock"):
        if not _root(suite).is_dir():
            try:
                _build(suite)
            except LabError as error:  # no debootstrap, no mirror, or the mirror is out of reach
                raise UnavailableError(f"the hypervisor of {suite} could not be set up: {error}") from error


def _root(suite: str) -> Path:
    return cache_folder() / f"root-{suite}"


def _enter(root: Path, shared: Path | None, command: list[str]) -> list[str]:
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _ENTER, "sh"]
    return [*unshare, str(root), str(shared or ""), *command]


def _build(suite: str) -> None:
    started = time.monotonic()
    print(f"lab: setting up the hypervisor of {suite}, this takes a minute", file=sys.stderr)
    scratch = cache_folder() / f"building-{suite}"
    if scratch.exists():  # an earlier attempt was killed; its mounts went with it
        shutil.rmtree(scratch)
    run("debootstrap", "--variant=minbase", suite, str(scratch), mirror())
    # Nothing is to be started by its installation.
    policy = scratch / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # Not by debootstrap's --include: libvirt's packages don't configure before the base is complete.
    apt_get = ["apt-get", "-q", "-y", "-o", "Acquire::Retries=3"]
    install = [*apt_get, "--no-install-recommends", "install", *_PACKAGES]
    run(*_enter(scratch, None, ["env", "DEBIAN_FRONTEND=noninteractive", *install]))
    run(*_enter(scratch, None, ["apt-get", "clean"]))
    scratch.rename(_root(suite))
    print(f"lab: hypervisor of {suite} set up in {time.monotonic() - started:.0f} s", file=sys.stderr)


def mirror() -> str:
    """Return where this machine's apt gets Debian from."""
    listed = run("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages")
    for line in listed.splitlines():
        origin, label, uri = line.split("|")
        if origin == label == "Debian":
            return uri
    raise LabError("apt is not configured with a Debian mirror (or has not been updated)")
