# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""virtio_mem_device from options to result: a domain's task with one device."""

from __future__ import annotations

import typing as t

from .facts import offline_warning
from .module import DomainMemory
from .report import EMPTY_DEVICE, DeviceView, DomainView
from .spec import DomainSpec, read_device_task
from .steps import DomainPlan

if t.TYPE_CHECKING:
    from .._protocol import Domain


class VirtioMemDevice(DomainMemory):
    """One run of the module. `result` is true at every moment; see _protocol.Work."""

    empty = EMPTY_DEVICE
    reads_statistics = False  # a call less: they say nothing of one device

    def spec(self) -> DomainSpec:
        return read_device_task(self._params)

    def view(self, spec: DomainSpec) -> DomainView:
        return DeviceView(spec)

    def ends(self, plan: DomainPlan, domain: Domain) -> None:
        """Only where statistics come by themselves, and are not older than the last change."""
        live = plan.before.get("live")
        if plan.writes or live is None or not live.stats_period:
            return
        if plan.match is None or plan.match.live is None:
            return
        offline = live.offline(domain.statistics())
        for facts in filter(None, (self.result["device"], self.result["after"]["live"])):
            facts["offline_in_guest"] = offline
        if offline:
            self._report.warn(offline_warning(offline))
