# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: may change in any release.

"""Options that modules share, as argument spec; their documentation is in doc_fragments of the same names."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback

Spec = dict[str, t.Any]


def connection_spec() -> Spec:
    return {
        "uri": {"type": "str", "fallback": (env_fallback, ["LIBVIRT_DEFAULT_URI"]), "default": "qemu:///system"},
        "auth_user": {"type": "str"},
        "auth_password": {"type": "str", "no_log": True},
    }


def change_spec() -> Spec:
    """For modules that change memory: where, how long to wait, and which guards hold."""
    return {
        "scope": {"type": "str", "choices": ["auto", "live", "config", "both"], "default": "auto"},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 120},
        "on_partial": {"type": "str", "choices": ["fail", "warn", "settle", "rollback"], "default": "fail"},
        "check_guest_memory": {"type": "bool", "default": True},
        "guest_reserve": {"type": "str", "default": "128MiB"},
        "check_host_memory": {"type": "bool", "default": True},
    }


def device_spec() -> Spec:
    """One virtio-mem device."""
    return {
        "alias": {"type": "str"},
        "node": {"type": "int"},
        "size": {"type": "str"},
        "block": {"type": "str"},
        "requested": {"type": "str"},
        "page_size": {"type": "str"},
        "node_mask": {"type": "str"},
        "access": {"type": "str", "choices": ["shared", "private"]},
        "discard": {"type": "bool"},
        "dynamic_memslots": {"type": "bool"},
        "guest_address": {"type": "str"},
        "pci_address": {"type": "str"},
    }
