# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one way to say no."""

from __future__ import annotations

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES, VirtmemError, failure_facts


@pytest.mark.parametrize("code", ERROR_CODES)
def test_failure(code):
    error = VirtmemError(code, "What.", hint="Do.", details={"size": 1})
    assert failure_facts(error) == {"error_code": code, "details": {"size": 1}, "hint": "Do."}
    assert str(error) == error.message == "What."
    assert ERROR_CODES[code].endswith(".")


def test_an_unknown_code_is_a_mistake():
    with pytest.raises(KeyError):
        raise VirtmemError("nonsense", "What.")


def test_details_are_the_errors_own():
    details = {"a": 1}
    error = VirtmemError("timeout", "What.", details=details)
    details["a"] = 2
    assert error.details == {"a": 1}


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ({}, "What.", "Do."),
        ({"prefix": "web1: "}, "web1: What.", "Do."),
        ({"suffix": " So\nit is."}, "What. So\\nit is.", "Do."),
        ({"hint": "Else\n."}, "What.", "Else\\n."),
        ({"hint": ""}, "What.", ""),
    ],
)
def test_an_error_of_which_more_is_said(more, message, hint):
    error = VirtmemError("timeout", "What.", hint="Do.", details={"a": 1})
    assert error.amended(**more) is error
    assert (error.message, str(error), error.hint, error.details) == (message, message, hint, {"a": 1})
