# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What domain_memory_info says of a domain's stored definition, as the domain_memory task that states all of it."""

from __future__ import annotations

OPTIONS = ("boot", "maximum", "numa", "backing", "tuning", "placement", "balloon", "devices")
LIMITS = ("hard_limit", "soft_limit", "swap_hard_limit")
SIZES = ("boot", "size", "memory", "block", "requested", "page_size", "align_size", "label_size", "target", *LIMITS)
NO_OPTIONS = ("current",)


def as_task(domain):
    """The options of a task about one element of domain_memory_info's result."""
    config = domain["config"]
    task = {name: as_option(name, config[name]) for name in OPTIONS if config[name] is not None}
    if len(config["numa"]) > 1:
        del task["boot"]  # the nodes say it
    if not config["numa"]:
        del task["numa"]
    return {"domain": domain["domain"]["name"], "purge_devices": True, **task}


def as_option(name, value):
    """A result's value as a person writes it in a task: sizes with their unit, and nothing for what is left open."""
    if isinstance(value, dict):
        return {
            key: as_option(key, found)
            for key, found in value.items()
            if key in LIMITS or (found is not None and key not in NO_OPTIONS)
        }
    if isinstance(value, list):
        return [as_option(name, found) for found in value]
    if name in LIMITS and value is None:
        return "unlimited"
    return f"{value // 1024}KiB" if name in SIZES else value


class FilterModule:
    def filters(self):
        return {"as_task": as_task}
