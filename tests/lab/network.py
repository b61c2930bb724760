# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's daemon that can be reached over the network of this machine, too: with a password, or with a certificate.

Over TCP it lets a SASL user in (DIGEST-MD5: the only one with a password that libvirt takes without TLS), over TLS whoever
has a certificate of the lab's own authority. Another authority's, which it does not trust, is beside it.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from .errors import UnavailableError
from .packages import run
from .place import Place, User, make_folder

_USER = "me@lab"
_MECHANISMS = ("/usr/lib/*-linux-gnu/sasl2/libdigestmd5.so", "/usr/lib64/sasl2/libdigestmd5.so")

_LIBVIRTD_CONF = """listen_addr = "127.0.0.1"
listen_tcp = 1
tcp_port = "{tcp}"
auth_tcp = "sasl"
listen_tls = 1
tls_port = "{tls}"
auth_tls = "none"
ca_file = "{pki}/cacert.pem"
cert_file = "{pki}/servercert.pem"
key_file = "{pki}/serverkey.pem"
"""
_SASL_CONF = """mech_list: digest-md5
sasldb_path: {folder}/passwords
"""
# What saslpasswd2 does, without the package that has it: SASL_SET_CREATE of a password in the file that sasldb_path names.
_SASLPASSWD = """
import ctypes, sys
for name in ("libsasl2.so.2", "libsasl2.so.3"):
    try:
        sasl = ctypes.CDLL(name)
        break
    except OSError:
        pass
user, realm, password = (word.encode() for word in sys.argv[1:])
context = ctypes.c_void_p()
assert sasl.sasl_server_init(None, b"libvirt") == 0
assert sasl.sasl_server_new(b"libvirt", None, realm, None, None, None, 0, ctypes.byref(context)) == 0
assert sasl.sasl_setpass(context, user, password, len(password), None, 0, 1) == 0
"""


def folder(place: Place) -> Path:
    """What a lab with a network has, and no other."""
    return place.directory / "network"


def require() -> None:
    """Say what is in the way before anything is made."""
    if not any(list(Path("/").glob(pattern[1:])) for pattern in _MECHANISMS):
        raise UnavailableError("SASL has no DIGEST-MD5 here (libsasl2-modules, cyrus-sasl-md5)")


def make(place: Place, user: User) -> tuple[str, dict[str, str]]:
    """Make what the daemon needs; return the settings to add to its own, and what `up` says about it."""
    own, pki, other_pki = folder(place), folder(place) / "pki", folder(place) / "other-pki"
    for path in (own, pki, other_pki):
        make_folder(path, None)
    password = secrets.token_hex(12)
    _write_password(own, password, user)
    _make_certificates(pki, "server", "client")
    _make_certificates(other_pki, "client")
    os.chown(pki / "serverkey.pem", user.uid, user.gid)
    tcp, tls = _free_ports(2)
    facts = {
        "tcp_uri": f"qemu+tcp://127.0.0.1:{tcp}/session",
        "tls_uri": f"qemu+tls://127.0.0.1:{tls}/session?pkipath={pki}",
        "other_tls_uri": f"qemu+tls://127.0.0.1:{tls}/session?pkipath={other_pki}",
        "user": _USER,
        "password": password,
    }
    return _LIBVIRTD_CONF.format(tcp=tcp, tls=tls, pki=pki), facts


def listening(place: Place) -> list[str]:
    """Return the words of the daemon's command line that make it listen."""
    return ["--listen"] if folder(place).exists() else []


def environment(place: Place) -> dict[str, str]:
    return {"SASL_CONF_PATH": str(folder(place))} if folder(place).exists() else {}


def _write_password(own: Path, password: str, user: User) -> None:
    (own / "libvirt.conf").write_text(_SASL_CONF.format(folder=own))
    name, _at, realm = _USER.partition("@")
    command = [sys.executable, "-c", _SASLPASSWD, name, realm, password]
    subprocess.run(command, env={**os.environ, "SASL_CONF_PATH": str(own)}, check=True)
    os.chown(own / "passwords", user.uid, user.gid)


def _make_certificates(pki: Path, *owners: str) -> None:
    """Make an authority, and a certificate by it for each owner, under the names by which libvirt looks for them."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    authority = pki / "cakey.pem"
    run(*new, "-subj", "/CN=virtmem lab", "-keyout", str(authority), "-out", str(pki / "cacert.pem"))
    for owner in owners:
        purpose = ["-addext", f"extendedKeyUsage={owner}Auth", "-addext", "basicConstraints=critical,CA:FALSE"]
        if owner == "server":
            purpose += ["-addext", "subjectAltName=IP:127.0.0.1"]
        signed = ["-CA", str(pki / "cacert.pem"), "-CAkey", str(authority)]
        files = ["-keyout", str(pki / f"{owner}key.pem"), "-out", str(pki / f"{owner}cert.pem")]
        run(*new, *signed, *purpose, "-subj", f"/CN=virtmem lab {owner}", *files)


def _free_ports(number: int) -> list[int]:
    """Return ports that nobody has; somebody could take one before the daemon does, and then it does not start."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _number in range(number)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
