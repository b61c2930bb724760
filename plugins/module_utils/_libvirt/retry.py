# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls that are made again: while another job holds the domain, and where nobody knows what became of the first one."""

from __future__ import annotations

import functools
import typing as t

from .._errors import VirtmemError

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain

# libvirt has waited for the other job itself, 30 s long, unless too many wait already (max_queued of qemu.conf).
_PAUSE: t.Final = 1.0


class _Retrying:
    """A domain whose calls are made until they are not refused for another job's sake, or `deadline` is over."""

    def __init__(self, domain: Domain, deadline: float, clock: Clock) -> None:
        self._domain = domain
        self._deadline = deadline
        self._clock = clock

    def __getattr__(self, name: str) -> t.Any:  # noqa: ANN401 - whatever the domain has of that name
        found = getattr(self._domain, name)
        return functools.partial(self._insist, found) if callable(found) else found

    def _insist(self, call: t.Callable[..., t.Any], *arguments: object, **options: object) -> t.Any:  # noqa: ANN401
        start = self._clock.monotonic()
        while True:
            try:
                return call(*arguments, **options)
            except VirtmemError as error:
                now = self._clock.monotonic()
                if not error.passing:
                    raise
                if now >= self._deadline:
                    raise still_busy(error, now - start) from None
                self._clock.sleep(min(_PAUSE, self._deadline - now))


def retry_while_busy(domain: Domain, timeout: float, clock: Clock) -> Domain:
    """The domain, with patience for other jobs: so many seconds from now, for all its calls together."""
    return t.cast("Domain", _Retrying(domain, clock.monotonic() + timeout, clock))


def still_busy(error: VirtmemError, waited: float) -> VirtmemError:
    """The same, and how long it was waited for."""
    error.message = f"Another job still holds the domain after {waited:.0f} s."
    error.details["waited"] = round(waited, 1)
    return error


def apply_once(change: t.Callable[[], None], is_made: t.Callable[[], bool | None]) -> None:
    """Make a change. If the link breaks meanwhile, nobody knows what came of it: look, and make it again if it was not.

    `is_made` reads, over a new link. It may always say no, for a change that can be made twice, or None if it can't tell.
    """
    try:
        change()
    except VirtmemError as error:
        if error.code != "connection_lost":
            raise
        made = is_made()
        if made is None:
            raise
        if not made:
            change()
