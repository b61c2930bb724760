# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every result must be, whatever the task was: as the module's RETURN says, and in our own words."""

from __future__ import annotations

import functools
import json
import re

import yaml

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES
from ansible_collections.virtmem.libvirt.tests.unit.plugins import running
from ansible_collections.virtmem.libvirt.tests.unit.plugins.fuzz import tasks

TYPES = {"str": str, "int": int, "float": (int, float), "bool": bool, "dict": dict, "list": list, "raw": object}
ANSIBLES_OWN = {"changed", "failed", "msg", "invocation", "warnings", "deprecations"}
# Words of Python, lxml or our own classes, which say nothing to a person.
PROGRAMMERS_WORDS = re.compile(
    r"Traceback|NoneType|<class |object at 0x|\b\w+(Error|Exception)\b|\b(Fraction|Decimal|MemoryDevice|Definition)\("
    r"|invalid literal|XML compatible|codec can't|not supported between|not subscriptable|out of range|Extra data"
)


@functools.cache
def documented(name):
    return yaml.safe_load(running.import_module(name).RETURN)


def check(name, left):
    """The result of one run of module `name`."""
    failed = left.failed
    for key, doc in documented(name).items():
        if doc["returned"] == "always" or (doc["returned"] == "failure" and failed):
            assert key in left, f"{key} is missing"
    for key, value in left.items():
        if key not in ANSIBLES_OWN:
            assert key in documented(name), f"{key} is not in RETURN"
            _check_value(key, documented(name)[key], value)
    if failed:
        assert left["error_code"] in ERROR_CODES
        assert left["msg"].strip()
        assert left["msg"].isprintable()  # on one line, and nothing that steers a terminal
        assert left["hint"].isprintable()
    else:
        assert "error_code" not in left
    assert all(warning.isprintable() for warning in left.warned)
    said = {key: left.get(key) for key in ("msg", "hint", "details", "error_code", "pending")}
    text = json.dumps([said, left.warned], ensure_ascii=False)
    assert tasks.SECRET not in json.dumps(left, ensure_ascii=False)
    assert not PROGRAMMERS_WORDS.search(text), text


def _check_value(place, doc, value):
    if value is None:
        return
    assert isinstance(value, TYPES[doc["type"]]), f"{place}: {value!r} is no {doc['type']}"
    assert doc["type"] == "bool" or doc["type"] == "raw" or not isinstance(value, bool), f"{place}: {value!r}"
    inner = doc.get("contains")
    for number, element in enumerate(value if doc["type"] == "list" else [value]):
        if inner and element is not None:
            assert set(element) <= set(inner), f"{place}[{number}]: {set(element) - set(inner)} not in RETURN"
            for key, part in element.items():
                _check_value(f"{place}.{key}", inner[key], part)
