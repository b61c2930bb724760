# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches the hypervisor."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt connection, as seen from the target of the task.
      - If it is left out, the target's environment variable E(LIBVIRT_DEFAULT_URI) counts.
      - A connection that breaks is noticed within about 20 seconds (keepalive), and one that can't be opened after 30.
      - R(Which URI lets whom in, and what a user needs who is not root,
        ansible_collections.virtmem.libvirt.docsite.least_privilege).
    type: str
    default: qemu:///system
  auth_user:
    description:
      - User name for connections that ask for one (SASL), with its realm where the daemon wants it.
      - If it is left out, libvirt looks into the file that E(LIBVIRT_AUTH_FILE) names, or its C(auth.conf).
    type: str
  auth_password:
    description:
      - Password for connections that ask for one (SASL). Without it, see O(auth_user).
    type: str
requirements:
  - libvirt 7.9 and QEMU 5.1 or later on the hypervisor
  - Python bindings of libvirt for the target's Python interpreter (package C(python3-libvirt); SUSE
    C(python3-libvirt-python))
  - lxml for the target's Python interpreter (package C(python3-lxml))
"""
