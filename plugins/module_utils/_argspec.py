# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that modules share, as argument spec; their documentation is in doc_fragments of the same names.

First of all it says which Python is needed, before anything that an older one can't read: ansible-core 2.16 to 2.19 serve
older ones.
"""

import json
import sys
import typing as t

from ansible.module_utils.basic import env_fallback

_OLDEST = (3, 9)


def require_python() -> None:
    """Leave with a result that Ansible understands, instead of a traceback, where this Python is too old."""
    if sys.version_info >= _OLDEST:
        return
    present = ".".join(str(part) for part in sys.version_info[:3])
    result = {
        "failed": True,
        "changed": False,
        "error_code": "unsupported",
        "msg": f"virtmem.libvirt needs Python 3.9 or later on the target, and {sys.executable} is {present}.",
        "hint": "Point ansible_python_interpreter at a newer Python that has the packages python3-libvirt and python3-lxml.",
        "details": {"interpreter": sys.executable, "python": present},
    }
    sys.stdout.write(json.dumps(result) + "\n")
    raise SystemExit(1)


require_python()  # here, because this is the first file that a module imports

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


_MODELS: t.Final = ("dimm", "nvdimm", "virtio-pmem", "virtio-mem", "sgx-epc")

_BALLOONS: t.Final = ("none", "virtio", "virtio-transitional", "virtio-non-transitional", "xen")


def _options(**options: t.Any) -> Spec:
    return {"type": "dict", "options": options}


def _elements(**options: t.Any) -> Spec:
    return {"type": "list", "elements": "dict", "options": options}


def domain_spec() -> Spec:
    """All memory of a domain."""
    return {
        "memory": {"type": "str"},
        "maximum": _options(size={"type": "str"}, slots={"type": "int"}),
        "boot": {"type": "str"},
        "numa": _elements(
            id={"type": "int", "required": True},
            cpus={"type": "str"},
            memory={"type": "str"},
            access={"type": "str", "choices": ["shared", "private"]},
            discard={"type": "bool"},
        ),
        "backing": _backing_spec(),
        "tuning": _options(hard_limit={"type": "str"}, soft_limit={"type": "str"}, swap_hard_limit={"type": "str"}),
        "placement": _options(
            mode={"type": "str", "choices": ["strict", "preferred", "interleave", "restrictive"]},
            nodeset={"type": "str"},
        ),
        "balloon": _options(
            target={"type": "str"},
            model={"type": "str", "choices": list(_BALLOONS)},
            autodeflate={"type": "bool"},
            free_page_reporting={"type": "bool"},
            stats_period={"type": "int"},
        ),
        "devices": _elements(**_any_device_spec()),
        "purge_devices": {"type": "bool", "default": False},
        "restart": {"type": "str", "choices": ["never", "if_required"], "default": "never"},
        "shutdown_timeout": {"type": "int", "default": 300},
    }


def host_spec() -> Spec:
    """The memory of many domains of one host."""
    return {
        "domains": {
            **_elements(
                domain={"type": "str", "required": True},
                memory={"type": "str"},
                min={"type": "str"},
                max={"type": "str"},
                weight={"type": "int", "default": 1},
            ),
            "required": True,
            "mutually_exclusive": [("memory", "min"), ("memory", "max")],
        },
        "policy": {"type": "str", "choices": ["fixed", "fair", "demand"], "default": "fixed"},
        "reserve": {"type": "str", "default": "1GiB"},
        "on_error": {"type": "str", "choices": ["continue", "stop"], "default": "continue"},
    }


def _backing_spec() -> Spec:
    return _options(
        hugepages=_elements(size={"type": "str"}, nodeset={"type": "str"}),
        source={"type": "str", "choices": ["anonymous", "file", "memfd"]},
        access={"type": "str", "choices": ["shared", "private"]},
        allocation=_options(mode={"type": "str", "choices": ["immediate", "ondemand"]}, threads={"type": "int"}),
        locked={"type": "bool"},
        nosharepages={"type": "bool"},
        discard={"type": "bool"},
    )


def _any_device_spec() -> Spec:
    """A memory device of any model; _device_rules says which option which model has."""
    return {
        "model": {"type": "str", "required": True, "choices": list(_MODELS)},
        **device_spec(),
        "path": {"type": "path"},
        "align_size": {"type": "str"},
        "pmem": {"type": "bool"},
        "label_size": {"type": "str"},
        "readonly": {"type": "bool"},
        "uuid": {"type": "str"},
        "slot": {"type": "int"},
        "driver": _options(iommu={"type": "bool"}, ats={"type": "bool"}, packed={"type": "bool"}),
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
