# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches the hypervisor."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The libvirt connection, as seen from the target of the task.
      - If this is omitted, the target's environment variable E(LIBVIRT_DEFAULT_URI) is used.
      - A broken connection is detected within about 20 seconds (keepalive). Opening a connection fails after 30 seconds.
      - For other URIs and for users that are not root, see
        R(Playbooks that need not be root, ansible_collections.virtmem.libvirt.docsite.least_privilege).
    type: str
    default: qemu:///system
  auth_user:
    description:
      - User name for connections that require one (SASL), with its realm if the daemon expects one.
      - If this is omitted, libvirt reads the file that E(LIBVIRT_AUTH_FILE) names, or its C(auth.conf).
    type: str
  auth_password:
    description:
      - Password for connections that require one (SASL). If this is omitted, see O(auth_user).
    type: str
requirements:
  - libvirt 7.9 and QEMU 5.1 or later on the hypervisor
  - Python bindings of libvirt for the target's Python interpreter (package C(python3-libvirt); SUSE
    C(python3-libvirt-python))
  - lxml for the target's Python interpreter (package C(python3-lxml))
"""
