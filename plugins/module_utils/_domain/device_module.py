# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""virtio_mem_device from options to result: a domain's task with one device."""

from __future__ import annotations

import typing as t

from .._device.spec import DeviceSpec
from .._device.values import normal_guest_address, normal_node_mask, normal_pci_address
from .._errors import Facts
from .._model import VIRTIO_MEM, Observed
from .._protocol import Domain
from .._size import about, parse_size
from .facts import offline_memory
from .module import DomainMemory
from .plan import DomainPlan
from .report import EMPTY_DEVICE, DeviceView, View
from .spec import DomainSpec

_SIZES: t.Final = frozenset({"size", "block", "requested", "page_size"})


def read_one_device(params: t.Mapping[str, t.Any]) -> DomainSpec:
    """The task as data. Raises VirtmemError (invalid_size, unsupported) for an option that can't be read."""
    stated: dict[str, t.Any] = {}
    for name in ("node", "access", "discard", "dynamic_memslots"):
        stated[name] = params[name]
    for name in _SIZES:
        stated[name] = None if params[name] is None else parse_size(params[name], name)
    for name, normal in (
        ("node_mask", normal_node_mask),
        ("guest_address", normal_guest_address),
        ("pci_address", normal_pci_address),
    ):
        stated[name] = None if params[name] is None else normal(params[name])
    stated = {name: value for name, value in stated.items() if value is not None}
    device = DeviceSpec("", VIRTIO_MEM, params["alias"], stated, absent=params["state"] == "absent")
    return DomainSpec(devices=(device,), one_device=True)


class VirtioMemDevice(DomainMemory):
    """One run of the module. `result` is true at every moment; see _task.Work."""

    @staticmethod
    def empty() -> Facts:
        return dict(EMPTY_DEVICE)

    def spec(self) -> DomainSpec:
        return read_one_device(self._params)

    def view(self, spec: DomainSpec) -> View:
        return DeviceView(spec)

    @property
    def reads_statistics(self) -> bool:
        return False  # a call less: they say nothing of one device

    def ends(self, plan: DomainPlan, domain: Domain, observed: Observed) -> None:
        """Plugged is not usable: a guest without a policy leaves it offline (Debian 12), and nothing reports an error.

        Only where statistics come by themselves, and are not older than the last change.
        """
        live = observed.live
        if plan.writes or live is None or "live" not in plan.scopes or not live.stats_period:
            return
        if plan.match is None or plan.match.live is None:
            return
        offline = offline_memory(domain.statistics(), live)
        for facts in (self.result["device"], self.result["after"]["live"]):
            facts["offline_in_guest"] = offline
        if offline:
            self._report.warn(
                f"The guest has plugged its memory, but left about {about(offline)} of it offline, and can't use it."
                " A policy in the guest helps: kernel option memhp_default_state=online_movable."
            )
