# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the modules promise about check mode, diff and repetition."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: A second run with the same options changes nothing, as long as nobody else changed the domain.
  platform:
    description: Target OS or family that the module runs on.
    support: full
    platforms: linux
  action_group:
    description: Use C(group/virtmem.libvirt.memory) in C(module_defaults) to set options for all modules at once.
    support: full
    membership:
      - virtmem.libvirt.memory
"""

    INFO_MODULE = r"""
attributes:
  check_mode:
    support: full
    details:
      - The module only reads, over a read-only connection.
  diff_mode:
    support: N/A
    details:
      - The module only reads.
  idempotent:
    support: full
    details:
      - The module only reads.
"""
