# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of device options, one row each, in the order of the documentation. Pure.

Argument specs, the XML reader and writer, facts and checks follow from it: a new option is a row here, a field of
_model.MemoryDevice of the same name, and an entry in the documentation.
"""

from __future__ import annotations

import typing as t

from ._model import VIRTIO_MEM, MemoryDevice

MODELS: t.Final = ("dimm", "nvdimm", "virtio-pmem", VIRTIO_MEM, "sgx-epc")

# How a task, the model and the XML each write a value: _device/spec, _xml/reader and _xml/device have a line for each.
Kind = t.Literal[
    "size",  # an element with a unit
    "int",
    "set",
    "path",
    "uuid",
    "choice",
    "yes_no",
    "on_off",
    "presence",  # an element that is there or not: None is no
    "hex",
    "pci",  # the device's own <address>, of type pci or dimm
    "slot",
]


Value = t.Union[int, str, None]  # and bool, which is an int


class Option(t.NamedTuple):
    """One row. `xml` is the way from `<memory>` to the element or @attribute that holds the value; libvirt drops it
    without a word, or refuses it, in other `models`. `feature` is the key of _capabilities.FEATURES that it needs.

    `is_live` says that a running guest's device can change it, `is_address` that libvirt chooses one by itself, for each
    definition its own. `group` is the dictionary that it stands in in tasks and facts (driver.iommu).
    """

    name: str
    kind: Kind
    xml: str
    models: tuple[str, ...]
    choices: tuple[str, ...] = ()
    feature: str = ""
    is_live: bool = False
    is_address: bool = False
    group: str = ""

    def of(self, device: MemoryDevice) -> Value:
        """The device's value; None where there is none. The sizes that its model lacks are 0 in MemoryDevice."""
        value: Value = getattr(device, self.name)
        return None if value == 0 and self.kind == "size" and device.model not in self.models else value


_VIRTIO: t.Final = ("virtio-pmem", VIRTIO_MEM)

TABLE: t.Final = (
    Option("node", "int", "target/node", ("dimm", "nvdimm", VIRTIO_MEM, "sgx-epc")),
    Option("size", "size", "target/size", MODELS),
    Option("block", "size", "target/block", (VIRTIO_MEM,)),
    # qemuDomainChangeMemoryLiveValidateChange (8.0 to 12.8) takes nothing else
    Option("requested", "size", "target/requested", (VIRTIO_MEM,), is_live=True),
    Option("page_size", "size", "source/pagesize", ("dimm", VIRTIO_MEM)),
    Option("node_mask", "set", "source/nodemask", ("dimm", VIRTIO_MEM, "sgx-epc")),
    Option("access", "choice", "@access", ("dimm", "nvdimm", *_VIRTIO), choices=("shared", "private")),
    Option("discard", "yes_no", "@discard", ("dimm", VIRTIO_MEM)),
    Option("dynamic_memslots", "yes_no", "target/@dynamicMemslots", (VIRTIO_MEM,), feature="dynamic_memslots"),
    Option("guest_address", "hex", "target/address/@base", _VIRTIO, feature="guest_address", is_address=True),
    Option("pci_address", "pci", "address", _VIRTIO, is_address=True),
    Option("path", "path", "source/path", ("nvdimm", "virtio-pmem")),
    Option("align_size", "size", "source/alignsize", ("nvdimm",)),
    Option("pmem", "presence", "source/pmem", ("nvdimm",)),
    Option("label_size", "size", "target/label/size", ("nvdimm",)),
    Option("readonly", "presence", "target/readonly", ("nvdimm",)),
    Option("uuid", "uuid", "uuid", ("nvdimm",)),
    Option("slot", "slot", "address", ("dimm", "nvdimm"), is_address=True),
    Option("iommu", "on_off", "driver/@iommu", _VIRTIO, feature="driver", group="driver"),
    Option("ats", "on_off", "driver/@ats", _VIRTIO, feature="driver", group="driver"),
    Option("packed", "on_off", "driver/@packed", _VIRTIO, feature="driver", group="driver"),
)

SIZES: t.Final = frozenset(option.name for option in TABLE if option.kind == "size")
