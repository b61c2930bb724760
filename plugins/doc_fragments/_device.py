# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """The virtio-mem device's own options. Sizes are written alike everywhere."""

    DOCUMENTATION = r"""
options:
  alias:
    description:
      - The device's alias, its name in both definitions.
      - If it is left out, the domain's only virtio-mem device is meant (on O(node), if that is given), whatever its
        alias; several are an error that lists them. A new device is then called C(ua-virtiomem<node>).
      - The alias of a new device must be C(ua-) and then letters, digits, C(_) or C(-); libvirt drops others.
    type: str
  node:
    description:
      - The guest NUMA node that the memory belongs to.
      - A new device on a guest with one node gets that one.
    type: int
  size:
    description:
      - The most that the device can give the guest. It counts against the domain's C(maxMemory), however little is
        requested. A multiple of O(block) and of 2 MiB.
      - Needed to add a device.
    type: str
  block:
    description:
      - The unit in which the guest takes and gives back memory; a power of two.
      - A new device gets 2 MiB on x86, or the size of the host's transparent huge pages where that can be known, but
        not less than O(page_size).
    type: str
  requested:
    description:
      - What the guest shall have of O(size) now; a multiple of O(block). A new device gets V(0).
      - The only option that can change on a running guest.
    type: str
  page_size:
    description: The size of the host's pages that back the device, such as V(2MiB) for huge pages.
    type: str
  node_mask:
    description:
      - The host NUMA nodes that the memory is taken from, such as V(0-1,3).
      - From libvirt 12.0 the host takes it from these nodes strictly, whatever C(numatune) says.
    type: str
  access:
    description: Whether the memory is shared with other processes of the host (vhost-user, virtiofs).
    type: str
    choices: [shared, private]
  discard:
    description: Whether the contents are discarded when the guest is powered off, rather than written back to a file.
    type: bool
  dynamic_memslots:
    description:
      - Let QEMU use several smaller memory slots, as the guest needs them, and not one for the whole device.
      - Needs libvirt 10.1 and QEMU 8.2.
    type: bool
  guest_address:
    description:
      - The guest physical address of the device's memory, such as V(0x140000000); a multiple of O(block).
      - Needs libvirt 9.4. libvirt chooses one if this is left out.
    type: str
  pci_address:
    description:
      - The device's PCI address, such as V(0000:04:00.0). libvirt chooses a free one if this is left out.
    type: str
notes:
  - >-
    Sizes are a number and a unit: V(2GiB), V(512 MiB), V(1.5GiB), V(10GB) (1000-based), V(2G) (1024-based, as in
    virsh). V(0) needs no unit; every other number does, because a bare number is KiB to libvirt and bytes to others.
  - Sizes in results are integers, in bytes.
"""
