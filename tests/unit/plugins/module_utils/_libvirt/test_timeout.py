# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A link that can't be relied on."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import timeout as _timeout


def test_a_result_or_an_error_comes_through():
    assert _timeout.bounded(lambda: 6 * 7, 5) == 42
    assert _timeout.bounded(lambda: None, 5) is None
    with pytest.raises(KeyError):
        _timeout.bounded(lambda: {}["nothing"], 5)


def test_what_hangs_is_left_behind():
    let_go = threading.Event()
    with pytest.raises(TimeoutError):
        _timeout.bounded(let_go.wait, 0.01)
    let_go.set()


def test_calls_share_a_thread_unless_one_hangs():
    let_go = threading.Event()
    first = _timeout.bounded(threading.get_ident, 5)
    assert _timeout.bounded(threading.get_ident, 5) == first
    with pytest.raises(KeyError):
        _timeout.bounded(lambda: {}["nothing"], 5)
    assert _timeout.bounded(threading.get_ident, 5) == first
    with pytest.raises(TimeoutError):
        _timeout.bounded(let_go.wait, 0.01)
    assert _timeout.bounded(threading.get_ident, 5) != first
    let_go.set()


def answers(*script):
    left = list(script)

    def open_once():
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return open_once


def test_a_daemon_that_comes_back(monkeypatch):
    monkeypatch.setattr(_timeout, "_REOPEN_PAUSE", 0.001)
    reopening = _timeout.Reopening(answers(OSError("refused"), OSError("refused"), "link"), (OSError, TimeoutError))
    assert reopening.opened() == "link"
    assert reopening.opened() == "link", "it may break again"


def test_a_daemon_that_stays_away(monkeypatch):
    monkeypatch.setattr(_timeout, "_REOPEN_PAUSE", 0.001)
    monkeypatch.setattr(_timeout, "_REOPEN_TIMEOUT", 0.02)
    reopening = _timeout.Reopening(answers(OSError("refused")), (OSError, TimeoutError))
    assert reopening.opened() is None
    reopening.open_once = answers("link")
    assert reopening.opened() is None, "nobody waits for it twice"


def test_another_failure_is_none_of_its_business():
    with pytest.raises(KeyError):
        _timeout.Reopening(answers(KeyError("x")), (OSError, TimeoutError)).opened()
