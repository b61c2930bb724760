# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError, on_one_line
from ansible_collections.virtmem.libvirt.plugins.module_utils._task import LARGEST_NUMBER, check_numbers

SPEC = {
    "wait_timeout": {"type": "int"},
    "node": {"type": "int"},
    "name": {"type": "str"},
    "ids": {"type": "list", "elements": "str"},
    "inner": {"type": "dict", "options": {"threads": {"type": "int"}}},
    "cells": {"type": "list", "elements": "dict", "options": {"id": {"type": "int"}}},
}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"wait_timeout": None, "inner": None, "cells": None, "name": "9" * 99, "ids": ["9" * 99]},
        {"wait_timeout": 0, "node": -1},
        {
            "wait_timeout": LARGEST_NUMBER,
            "node": LARGEST_NUMBER,
            "inner": {"threads": None},
            "cells": [{"id": 0}, {"id": LARGEST_NUMBER}],
        },
    ],
)
def test_numbers_that_fit(params):
    check_numbers(SPEC, params)


@pytest.mark.parametrize(
    ("params", "option", "nearest"),
    [
        ({"wait_timeout": -1}, "wait_timeout", 0),
        ({"wait_timeout": LARGEST_NUMBER + 1}, "wait_timeout", LARGEST_NUMBER),
        ({"node": -LARGEST_NUMBER - 1}, "node", 0),
        ({"inner": {"threads": 10**400}}, "inner.threads", LARGEST_NUMBER),
        ({"cells": [{"id": 0}, {"id": 2**32}]}, "cells[1].id", LARGEST_NUMBER),
    ],
)
def test_numbers_that_do_not(params, option, nearest):
    with pytest.raises(VirtmemError) as caught:
        check_numbers(SPEC, params)
    assert caught.value.code == "unsupported"
    assert caught.value.message.startswith(f"{option}: ")
    assert len(caught.value.message) < 100
    assert str(nearest) in caught.value.hint
    assert (caught.value.details["option"], caught.value.details["nearest"]) == (option, nearest)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("münchen ✓", "münchen ✓"),
        ("a\nb\0", "a\\nb\\x00"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\ud800\u202e", "\\ud800\\u202e"),
    ],
)
def test_messages_stay_on_one_line(text, line):
    assert on_one_line(text) == line
    error = VirtmemError("unsupported", f"{text}.", hint=text, details={"name": text})
    assert (error.message, str(error), error.hint, error.details) == (f"{line}.", f"{line}.", line, {"name": text})
