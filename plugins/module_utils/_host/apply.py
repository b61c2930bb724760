# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying a host_memory plan out: all guests at once, by one watch and one deadline."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._domain.apply import deal_with
from .._errors import VirtmemError
from .._wait import WaitOptions, pauses
from .admission import GuestProgress, admissible
from .allocation import Amounts, Limit
from .guest import GuestResize

if t.TYPE_CHECKING:
    from .._protocol import Clock, HostWatch, Hypervisor


@dataclass(frozen=True)
class HostWaitOptions(WaitOptions):
    """`on_error`: whether one guest's failure keeps all others from growing any more."""

    on_error: t.Literal["continue", "stop"] = "continue"


class HostApplier:
    """Asks, watches and asks again. The guests know at every moment what was done to them."""

    def __init__(
        self,
        guests: t.Sequence[GuestResize],
        bystanders: t.Sequence[GuestProgress],
        limits: t.Sequence[Limit],
        hypervisor: Hypervisor,
        options: HostWaitOptions,
        clock: Clock,
    ) -> None:
        self.warnings: list[str] = []
        self._guests = {guest.name: guest for guest in guests}
        self._bystanders = bystanders  # they claim memory, and nothing is asked of them
        self._limits = limits
        self._hypervisor = hypervisor
        self._options = options
        self._clock = clock

    def run(self) -> None:
        """Raises VirtmemError only where nothing can go on (connection_lost); a guest's own failure is the guest's."""
        with self._hypervisor.watch() as watch:  # before the first write: no event may be missed
            self._go(watch)
            self._deal_with_short(watch)

    # --------------------------------------------------------------------------------------------------- asking, waiting

    def _go(self, watch: HostWatch) -> None:
        """Until all guests have their share, or as much as the host has; or until the time is over."""
        deadline = self._clock.monotonic() + self._options.timeout
        pause = pauses(watch)
        while True:
            self._ask(self._due())
            waiting = [guest for guest in self._guests.values() if guest.is_waited_for]
            left = deadline - self._clock.monotonic()
            if not waiting or not self._options.wait or left <= 0:
                return
            watch.wait(min(next(pause), left))
            # Without an event, look all the same; with one, also at a guest that had followed: it may be gone.
            heard = watch.names() or {guest.name for guest in waiting}
            for name, guest in self._guests.items():
                if name in heard or guest.is_busy:
                    guest.look()

    def _due(self) -> Amounts:
        """What to ask for now. After a failure with on_error=stop, nothing more."""
        if self._options.on_error == "stop" and any(guest.error for guest in self._guests.values()):
            return {}
        guests = [guest.progress for guest in self._guests.values() if not guest.is_gone]
        return admissible([*guests, *self._bystanders], self._limits)

    def _ask(self, amounts: Amounts) -> None:
        """Shrinks come first; and until nothing is due any more: a guest that followed at once has made room."""
        while amounts:
            for name in sorted(amounts, key=lambda name: amounts[name] > self._guests[name].progress.asked):
                self._guests[name].ask(amounts[name])
            amounts = self._due()

    # --------------------------------------------------------------------------------------------------- partial outcomes

    def _deal_with_short(self, watch: HostWatch) -> None:
        policy = self._options.on_partial
        for guest in self._guests.values():
            guest.give_up()
        short = [guest for guest in self._guests.values() if guest.is_waited_for and self._options.wait]
        errors = [guest.shortfall(self._options.timeout) for guest in short]
        if short and policy == "rollback":
            for guest in self._guests.values():
                guest.roll_back()
            self._go(watch)
        for guest in self._guests.values():
            guest.store()
        for guest, error in zip(short, errors):
            try:
                warning = deal_with(error, policy, guest.settle, ", for all guests")
            except VirtmemError as failure:
                guest.fail(failure)
            else:
                self.warnings.append(f"{guest.name}: {warning}")
