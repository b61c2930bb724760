#!/bin/sh
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# A strategy is for a whole play, so this target is one of its own; the targets that it has for roles run as they are.
set -eu

ANSIBLE_STRATEGY_PLUGINS=$(python -c 'import ansible_mitogen as a; print(a.__path__[0] + "/plugins/strategy")')
export ANSIBLE_STRATEGY_PLUGINS ANSIBLE_STRATEGY=mitogen_linear ANSIBLE_ROLES_PATH=..
exec ansible-playbook -i "$INVENTORY_PATH" -e @../../integration_config.yml play.yml "$@"
