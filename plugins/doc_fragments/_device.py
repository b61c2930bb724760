# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The virtio-mem device's own options. Sizes are written alike everywhere."""

    DOCUMENTATION = r"""
options:
  alias:
    description:
      - The device's alias, its name in both definitions.
      - If this is omitted, the task manages the domain's only virtio-mem device (on O(node), if that is given), whatever its
        alias. If the domain has several, the task fails and lists them. A new device gets the alias
        C(ua-virtiomem<node>).
      - The alias of a new device must be C(ua-) followed by letters, digits, C(_) or C(-); libvirt drops others.
    type: str
  node:
    description:
      - The guest NUMA node that the memory belongs to.
      - If this is omitted, a new device of a guest with one node belongs to that one.
    type: int
  size:
    description:
      - The most that the device can give the guest. A multiple of O(block) and of 2 MiB.
      - It counts in full against the domain's C(maxMemory), however little is requested.
      - Required to add a device.
    type: str
  block:
    description:
      - The unit in which the guest takes and gives back memory; a power of two.
      - A new device gets 2 MiB on x86, or the size of the host's transparent huge pages if it is known, but not less than
        O(page_size).
    type: str
  requested:
    description:
      - How much of O(size) the guest should have now; a multiple of O(block). A new device gets V(0).
      - The only option that can change in a running guest. For all others, see O(scope).
    type: str
  page_size:
    description: The size of the host's pages that back the device, such as V(2MiB) for huge pages.
    type: str
  node_mask:
    description:
      - The host NUMA nodes that the memory comes from, such as V(0-1,3).
      - From libvirt 12.0 on, this is strict, whatever C(numatune) says.
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
      - Whether QEMU uses several smaller memory slots, as the guest needs them, instead of one for the whole device.
      - Needs libvirt 10.1 and QEMU 8.2.
    type: bool
  guest_address:
    description:
      - The guest physical address of the device's memory, such as V(0x140000000); a multiple of O(block).
      - Needs libvirt 9.4. If this is omitted, libvirt chooses one.
    type: str
  pci_address:
    description:
      - The device's PCI address, such as V(0000:04:00.0). If this is omitted, libvirt chooses a free one.
    type: str
notes:
  - >-
    Sizes are a number and a unit: V(2GiB), V(512 MiB), V(1.5GiB), V(10GB) (1000-based), V(2G) (1024-based, as in
    virsh). V(0) needs no unit; every other number does, because a bare number is KiB to libvirt and bytes to others.
  - Sizes in results are integers, in bytes.
"""
