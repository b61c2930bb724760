# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""domain_memory_info from options to result: which domains, one read of each definition, and what they say together."""

from __future__ import annotations

import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

from .._device.match import ADDRESSES, changed_options, pair_all
from .._errors import VirtmemError
from .._model import Definition, DomainState, Facts, GuestStatistics, MemoryDevice, Observed
from .._patterns import is_pattern, matching
from .._xml.observe import observe
from .facts import definition_facts, domain_facts, memory_facts

if t.TYPE_CHECKING:
    from .._protocol import Clock, Domain, Hypervisor

# Reading is mostly waiting, for the daemon or the network; libvirtd works on up to five requests of one client at once
# (max_client_requests in libvirtd.conf).
_AT_ONCE: t.Final = 4

EMPTY: t.Final[t.Mapping[str, t.Any]] = {"changed": False, "domains": []}


class DomainMemoryInfo:
    """One run of the module; see _protocol.Work."""

    def __init__(self, params: t.Mapping[str, t.Any], hypervisor: Hypervisor, _check_mode: bool, _clock: Clock) -> None:
        self.result: dict[str, t.Any] = dict(EMPTY, _warnings=[])
        self._wanted: list[str] = params["domains"] or []
        self._hypervisor = hypervisor

    def run(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            self.result["domains"] = list(filter(None, pool.map(_facts_of, self._selected())))

    def _selected(self) -> list[tuple[Domain, DomainState | None]]:
        """The domains, each once, with its state as it was listed; one that the task names has not been listed."""
        if not self._wanted:
            return self._listed()
        every = self._listed() if any(map(is_pattern, self._wanted)) else []
        chosen: dict[str, tuple[Domain, DomainState | None]] = {}
        for wanted in self._wanted:
            if is_pattern(wanted):
                names = matching(wanted, (domain.name for domain, _state in every))
                found = [(domain, state) for domain, state in every if domain.name in names]
                if not found:
                    self.result["_warnings"].append(f"No domain matches the pattern {wanted}.")
                for domain, state in found:
                    chosen.setdefault(domain.name, (domain, state))
            else:
                named = self._hypervisor.domain(wanted)
                chosen[named.name] = (named, None)
        return list(chosen.values())

    def _listed(self) -> list[tuple[Domain, DomainState | None]]:
        """All, in a few calls however many they are; one that was undefined while they were listed is gone."""
        return [
            (entry.domain, entry.state)
            for entry in self._hypervisor.list_all()
            if entry.state.active or entry.state.persistent
        ]


def _facts_of(selected: tuple[Domain, DomainState | None]) -> Facts | None:
    domain, listed = selected
    try:
        return _read(domain, listed or domain.state())
    except VirtmemError as error:
        if error.code != "domain_not_found":
            raise
    try:
        return _read(domain, domain.state())  # it stopped meanwhile
    except VirtmemError as error:
        if listed is None or error.code != "domain_not_found":
            raise
        return None  # it vanished while all were listed: nobody asked for it by name, and it is not missed


def _read(domain: Domain, state: DomainState) -> Facts:
    _texts, observed = observe(domain, state)
    statistics = domain.statistics() if state.active else None
    return facts(state, observed.live, observed.config, statistics, time.time())


def facts(
    state: DomainState,
    live: Definition | None,
    config: Definition | None,
    statistics: GuestStatistics | None,
    now: float,
) -> Facts:
    """One element of the result's `domains`. `now` is Unix time in seconds, for the age of the statistics."""
    definition = t.cast(Definition, live or config)
    return {
        "domain": domain_facts(state),
        "memory": memory_facts(definition, statistics),
        "live": definition_facts(live),
        "config": definition_facts(config),
        "drift": None if live is None or config is None else drift(state, live, config),
        "statistics": None if live is None or statistics is None else statistics_facts(statistics, live, now),
    }


def statistics_facts(statistics: GuestStatistics, live: Definition, now: float) -> Facts:
    """The guest's own words, with their age in seconds; null where it never said anything."""
    result: Facts = {
        field.name: getattr(statistics, field.name) for field in fields(statistics) if field.name != "fresh"
    }
    spoke = statistics.last_update > 0
    result["last_update"] = statistics.last_update if spoke else None
    result["age"] = max(round(now - statistics.last_update), 0) if spoke else None
    # Old statistics say nothing about memory that was plugged since.
    result["offline_in_guest"] = live.offline(statistics) if live.stats_period else None
    return result


# What the running guest's balloon is told changes at any time, and is in its definition only roughly.
_BALLOON: t.Final = "balloon.target"


def drift(state: DomainState, live: Definition, config: Definition) -> list[Facts]:
    """In what the running guest differs from what its next start would bring."""
    now, then = live.flat_options, config.flat_options
    found = [
        {"device": None, "option": name, "live": now.get(name), "config": then.get(name)}
        for name in dict.fromkeys((*now, *then))
        if name != _BALLOON and now.get(name) != then.get(name)
    ]
    for left, right in pair_all(Observed(state, {"live": live, "config": config})):
        found.extend(_device_drift(left, right))
    return found


def _device_drift(live: MemoryDevice | None, config: MemoryDevice | None) -> list[Facts]:
    name = (live and live.label) or (config and config.label)
    if live is None or config is None:
        return [{"device": name, "option": "state", "live": _presence(live), "config": _presence(config)}]
    return [
        {"device": name, "option": option, "live": getattr(live, option), "config": getattr(config, option)}
        for option in changed_options(live, config)
        if option not in ADDRESSES
    ]


def _presence(device: MemoryDevice | None) -> str:
    return "present" if device else "absent"
