# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt 9.0, 11.3 and 12.8 and QEMU 7.2 to 11.1 say (fact sheets), and what we make of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import ERROR_CODES
from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import errors

LIVE = "change the running guest"
CONFIG = "change the stored definition"


def told():
    """The rows of the table: call, number, domain, text and the code that is expected."""
    table = yaml.safe_load(Path(__file__).with_name("libvirt_texts.yml").read_text(encoding="utf-8"))
    for call, codes in table.items():
        for code, texts in codes.items():
            for number, text in texts:
                error, _slash, domain = str(number).partition("/")
                yield pytest.param(call, int(error), int(domain or 10), text, code, id=f"{error}-{text[-60:]}")


@pytest.mark.parametrize(("call", "number", "domain", "text", "code"), list(told()))
def test_known_texts(call, number, domain, text, code):
    error = errors.translate(call, number, domain, text)
    assert error.code == code
    assert error.code in ERROR_CODES
    assert error.message.endswith(".")
    assert error.message.isprintable()
    # Our sentence, and libvirt's words only after it or in details.
    assert not error.message.startswith(text[:20])
    assert error.details["libvirt_code"] == number
    assert error.details["libvirt_domain"] == domain
    assert error.details["libvirt_message"].startswith(text)
    assert error.details["call"] == call
    assert error.hint


def test_the_table_has_each_text_once_and_every_meaning():
    rows = [parameters.values for parameters in told()]
    assert len({row[:4] for row in rows}) == len(rows) > 140
    unused = [
        meaning.pattern
        for meaning in errors._MEANINGS
        if not any(re.search(meaning.pattern, text) and meaning.code == code for *_call, text, code in rows)
    ]
    assert unused == []


@pytest.mark.parametrize(
    ("number", "domain", "lost"),
    [(38, 7, True), (1, 7, True), (98, 50, True), (85, 50, True), (38, 10, False), (1, 10, False), (42, 7, False)],
)
def test_broken_links(number, domain, lost):
    assert errors.is_lost(number, domain) is lost
    error = errors.translate(LIVE, number, domain, "Cannot recv data: Connection reset by peer")
    assert (error.code == "connection_lost") is lost
    if lost:
        assert LIVE in error.message
        assert error.hint


@pytest.mark.parametrize("number", [38, 1, 5])
def test_a_link_that_never_was(number):
    text = "Failed to connect socket to '/var/run/libvirt/virtqemud-sock':\n No such file or directory"
    error = errors.translate("open", number, 7, text)
    assert error.code == "connection_failed"
    assert error.message.endswith("No such file or directory.")
    assert "\n" not in error.message
    assert "uri" in error.hint


@pytest.mark.parametrize("call", sorted(errors._PERMISSIONS))
def test_denied_names_the_call_and_its_permissions(call):
    error = errors.translate(call, 88, 10, "access denied")
    assert error.code == "permission_denied"
    assert ("connect" if call == "open" else call) in error.message
    assert errors._PERMISSIONS[call] in error.hint
    assert error.details["permissions"] == errors._PERMISSIONS[call]


def test_what_nobody_knows_keeps_libvirts_words_on_one_line():
    error = errors.translate(CONFIG, 9, 10, "operation failed:\n  two\tlines.")
    assert error.message == f"libvirt could not {CONFIG}: operation failed: two lines."


# What the client says of a SASL daemon (9.0), the last where the target lacks the mechanism or was given no credentials.
@pytest.mark.parametrize(
    "text",
    [
        "authentication failed: authentication failed",
        "authentication failed: Failed to collect auth credentials",
        "authentication failed: Failed to start SASL negotiation: -4 (SASL(-4): no mechanism available: No worthy mechs found)",
    ],
)
def test_a_password_that_is_wrong_or_missing(text):
    error = errors.translate("open", 45, 7, text)
    assert error.code == "permission_denied"
    assert "password" in error.message
    assert "auth_user" in error.hint
    assert "permissions" not in error.details


def test_a_certificate_that_is_not_trusted():
    error = errors.translate("open", 45, 7, "authentication failed: Failed to verify peer's certificate")
    assert error.code == "connection_failed"
    assert "certificate" in error.message
