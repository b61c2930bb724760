# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab as a host that is reached over SSH: a server on loopback, on a port and with keys of the lab's own.

Who logs in is who we are; LIBVIRT_DEFAULT_URI is the lab's in there, so each lab is a hypervisor of its own to Ansible.
The server is the machine's, or that of the distribution's package, unpacked and not installed.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .errors import LabError
from .image import cache_folder
from .locking import locked
from .packages import Debian, distribution, run
from .place import Place

_CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
Subsystem sftp internal-sftp
SetEnv LIBVIRT_DEFAULT_URI={uri}
"""

# As root, it wants a user and a folder that its installation would have made. In a mount namespace they are for it alone.
_ENTER = """
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs -o mode=755 lab /run
mkdir /run/sshd
shift
exec "$@"
"""


@dataclass(frozen=True)
class Server:
    """The program, and the folder that it was unpacked into."""

    program: str
    root: Path | None = None

    @classmethod
    def here(cls) -> Server:
        installed = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        if installed:
            return cls(installed)
        root = _unpacked()
        return cls(str(next(root.rglob("sbin/sshd"))), root)  # it insists on its full path

    def helpers(self) -> str:
        """Return where its other programs are; since OpenSSH 9.8 it has some."""
        options = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
        return "".join(f"{option} {path}\n" for option, name in options.items() for path in self._find(name))

    def libraries(self) -> str:
        return ":".join(sorted({str(path.parent) for path in self._find("*.so.*")}))

    def _find(self, pattern: str) -> list[Path]:
        return sorted(self.root.rglob(pattern)) if self.root else []


def serve(place: Place, timeout: float = 15.0) -> dict[str, object]:
    """Start the lab's server where there is none, and return how it is reached."""
    facts = place.ssh / "ssh.json"
    if facts.exists() and processes.ssh_servers_of(place.directory):
        found: dict[str, object] = json.loads(facts.read_text())
        return found
    if place.ssh.exists():
        shutil.rmtree(place.ssh)
    place.ssh.mkdir(mode=0o700)
    port = _free_port()
    access: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "key": str(place.ssh / "key"),
        "known_hosts": str(place.ssh / "known_hosts"),
    }
    server = Server.here()
    _write(place, port, server)
    _start(place, server)
    _await(place, port, timeout)
    facts.write_text(json.dumps(access) + "\n")
    return access


def _write(place: Place, port: int, server: Server) -> None:
    folder = place.ssh
    for name in ("host_key", "key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {place.name}", "-f", str(folder / name))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}")
    users = Path("/etc/passwd").read_text()
    if "\nsshd:" not in users:
        users += "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    (folder / "passwd").write_text(users)
    (folder / "passwd").chmod(0o644)
    configuration = _CONFIGURATION.format(port=port, folder=folder, uri=place.uri)
    (folder / "sshd_config").write_text(configuration + server.helpers())


def _start(place: Place, server: Server) -> None:
    """Start it; it goes on when we end, and its title names its configuration, by which it is found again."""
    command = [server.program, "-D", "-e", "-f", str(place.ssh / "sshd_config")]
    if os.geteuid() == 0:
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _ENTER, "sh", str(place.ssh)]
        command = [*enter, *command]
    with (place.ssh / "log").open("wb") as log:
        subprocess.Popen(
            command,
            env={"PATH": os.defpath, "LD_LIBRARY_PATH": server.libraries()},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _await(place: Place, port: int, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
                if connection.recv(8).startswith(b"SSH-") and processes.ssh_servers_of(place.directory):
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise LabError(f"sshd did not start: {(place.ssh / 'log').read_text().strip() or 'it said nothing'}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unpacked() -> Path:
    """Return the folder of the unpacked package."""
    source = distribution()
    names = ["openssh-server"]
    if isinstance(source, Debian) and run("apt-cache", "search", "--names-only", "^libwrap0$"):
        names.append("libwrap0")  # the one library that nothing else here needs
    key = hashlib.sha256(source.versions(names).encode()).hexdigest()[:16]
    folder = cache_folder() / f"sshd-{key}"
    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / "sshd.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as scratch:
                source.unpack(names, Path(scratch)).rename(folder)
    return folder
