# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Whether the host can back what a host_memory plan asks for: once for the whole."""

from __future__ import annotations

import typing as t

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._host_limits import HostLimit
from ansible_collections.virtmem.libvirt.plugins.module_utils._host_plan import HostGuest, HostPlan, current_of
from ansible_collections.virtmem.libvirt.plugins.module_utils._protocol import Hypervisor
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import about, format_size


def check_host(plan: HostPlan, guests: t.Sequence[HostGuest], hypervisor: Hypervisor) -> None:
    """Raise VirtmemError(host_lacks_memory) where guests take more than the host has available and others give back."""
    growth = {
        guest.name: plan.goals[guest.name] - current_of(guest.definition)
        for guest in guests
        if guest.runs and guest.name in plan.plans
    }
    for limit in plan.limits:
        more = sum(growth[name] for name in limit.guests & growth.keys())
        if more > 0:
            _check_limit(limit, more, hypervisor)


def _check_limit(limit: HostLimit, more: int, hypervisor: Hypervisor) -> None:
    host = hypervisor.host_memory(limit.page_size, sorted(limit.nodes) if limit.nodes else None)
    if more > host.available:
        raise VirtmemError(
            "host_lacks_memory",
            f"The guests would take {format_size(more)} more than they give back, and the host has"
            f" {about(host.available)} of {host.kind}.",
            hint="Ask for less, raise reserve, or set check_host_memory=false.",
            details={"growth": more, "available": host.available},
        )
