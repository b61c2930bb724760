# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A link that can't be relied on: no call takes for ever, and what broke is opened anew. Knows nothing of libvirt."""

from __future__ import annotations

import queue
import threading
import time
import typing as t
from dataclasses import dataclass

Result = t.TypeVar("Result")

# libvirt waits 30 s for a job of its own before it says that the domain is busy (QEMU_JOB_WAIT_TIME): its word comes
# first. A QEMU that does not answer its monitor blocks a call for ever, with a link that is alive.
CALL_TIMEOUT: t.Final = 35.0
# A daemon that is restarted is back within seconds.
_REOPEN_TIMEOUT: t.Final = 20.0
_REOPEN_PAUSE: t.Final = 0.5


class _Caller:
    """A thread that makes one call after the other, so that a call that hangs holds up no one but it."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[t.Callable[[], t.Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[t.Any, BaseException | None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="libvirt-calls", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (work := self._asked.get()) is not None:
            try:
                self._answers.put((work(), None))
            except BaseException as exc:  # noqa: BLE001 - raised again in the caller's thread
                self._answers.put((None, exc))

    def call(self, work: t.Callable[[], Result], timeout: float) -> Result:
        """Raises queue.Empty if it takes longer; the thread is of no use any more then."""
        self._asked.put(work)
        result, error = self._answers.get(timeout=timeout)
        if error:
            raise error
        return t.cast(Result, result)

    def dismiss(self) -> None:
        """No call comes after the one that it makes now, if any: the thread ends then."""
        self._asked.put(None)

    def end(self) -> None:
        self.dismiss()
        self._thread.join()


# A new thread for each call would cost a task that reads a thousand domains more than the calls themselves.
_idle: t.Final[list[_Caller]] = []


def call_with_timeout(work: t.Callable[[], Result], timeout: float) -> Result:
    """The result of `work`. Raises TimeoutError after `timeout` seconds, and leaves the call behind."""
    try:
        caller = _idle.pop()
    except IndexError:
        caller = _Caller()
    hangs = False
    try:
        return caller.call(work, timeout)
    except queue.Empty:
        hangs = True
        caller.dismiss()
        raise TimeoutError from None
    finally:
        if not hangs:
            _idle.append(caller)


def end_idle() -> None:
    """End the threads that wait for another call: the process may outlive the task that made them."""
    while _idle:
        _idle.pop().end()


@dataclass(eq=False, repr=False)
class Reconnector:
    """Opens the link anew, until that fails for as long as a restart takes: then it is given up for good.

    `failures` are what opening raises, TimeoutError among them.
    """

    open_once: t.Callable[[], t.Any]
    failures: tuple[type[BaseException], ...]
    given_up: bool = False

    def opened(self) -> t.Any:  # noqa: ANN401 - libvirt's bindings have no types
        """A new connection, or None."""
        deadline = time.monotonic() + _REOPEN_TIMEOUT
        while not self.given_up:
            try:
                return call_with_timeout(self.open_once, max(deadline - time.monotonic(), _REOPEN_PAUSE))
            except Exception as exc:
                if not isinstance(exc, self.failures):
                    raise
                self.given_up = time.monotonic() + _REOPEN_PAUSE >= deadline
                time.sleep(0 if self.given_up else _REOPEN_PAUSE)
        return None
