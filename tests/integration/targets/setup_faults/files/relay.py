# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bad network: passes on what a client and libvirt's daemon say to each other, or does not.

relay.py DAEMON PLACE [WORD...]: listens at PLACE (a port of this machine, or the path of a socket) and speaks with the
daemon at DAEMON (a socket). Stop it, and the network is silent; kill it, and it is cut. WORD says what gets lost by itself:
"events" all events, "answer=N" the answer to the N-th change, and with it the connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading

LONGEST = 300  # seconds that it lives, if nobody ends it
HEADER = struct.Struct(">6I")  # length, program, version, procedure, type, serial: each message begins so
REMOTE = 0x20008086
CALL, REPLY, EVENT = 0, 1, 2
# defineXML, attachDeviceFlags, detachDeviceFlags, updateDeviceFlags, setMemoryFlags, detachDeviceAlias: numbers that never change
CHANGES = (11, 160, 161, 174, 204, 392)


class Network:
    """What is to be lost, and how many changes have passed."""

    def __init__(self, words: list[str]) -> None:
        self.drops_events = "events" in words
        self.cut_at = next((int(word.partition("=")[2]) for word in words if word.startswith("answer=")), 0)
        self.changes = 0
        self.doomed: int | None = None

    def forward(self, source: socket.socket, target: socket.socket) -> None:
        """Pass one direction on, message by message, until either end is gone or the network cuts it."""
        with contextlib.suppress(OSError):  # the other direction has closed it
            while message := read_message(source):
                if self.loses(*HEADER.unpack_from(message)):
                    continue
                if self.doomed == -1:
                    break
                target.sendall(message)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def loses(self, _length: int, program: int, _version: int, procedure: int, kind: int, serial: int) -> bool:
        if program != REMOTE:
            return False
        if kind == CALL and procedure in CHANGES:
            self.changes += 1
            if self.changes == self.cut_at:
                self.doomed = serial
        if kind == REPLY and serial == self.doomed:  # so the daemon has carried it out
            self.doomed = -1
        return kind == EVENT and self.drops_events


def read_exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            return b""
        data += part
    return data


def read_message(source: socket.socket) -> bytes:
    start = read_exactly(source, 4)
    return start and start + read_exactly(source, struct.unpack(">I", start)[0] - 4)


def listen(place: str) -> socket.socket:
    if place.isdigit():
        return socket.create_server(("127.0.0.1", int(place)))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    return listener


def main(daemon: str, place: str, *words: str) -> None:
    timer = threading.Timer(LONGEST, lambda: os._exit(0))
    timer.daemon = True
    timer.start()
    network, listener = Network(list(words)), listen(place)
    while True:
        client = listener.accept()[0]
        network.doomed = None
        server = socket.socket(socket.AF_UNIX)
        server.connect(daemon)
        for ends in ((client, server), (server, client)):
            threading.Thread(target=network.forward, args=ends, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
