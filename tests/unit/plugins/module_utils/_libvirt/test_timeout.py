# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A link that can't be relied on."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.virtmem.libvirt.plugins.module_utils._libvirt import timeout as _timeout


@pytest.fixture(autouse=True)
def alone():
    """No thread of another test's calls."""
    _timeout.end_idle()
    yield
    _timeout.end_idle()


def test_a_result_or_an_error_comes_through():
    assert _timeout.call_with_timeout(lambda: 6 * 7, 5) == 42
    assert _timeout.call_with_timeout(lambda: None, 5) is None
    with pytest.raises(KeyError):
        _timeout.call_with_timeout(lambda: {}["nothing"], 5)


def test_what_hangs_is_left_behind():
    let_go = threading.Event()
    with pytest.raises(TimeoutError):
        _timeout.call_with_timeout(let_go.wait, 0.01)
    let_go.set()


def test_calls_share_a_thread_unless_one_hangs():
    let_go = threading.Event()
    first = _timeout.call_with_timeout(threading.get_ident, 5)
    assert _timeout.call_with_timeout(threading.get_ident, 5) == first
    with pytest.raises(KeyError):
        _timeout.call_with_timeout(lambda: {}["nothing"], 5)
    assert _timeout.call_with_timeout(threading.get_ident, 5) == first
    with pytest.raises(TimeoutError):
        _timeout.call_with_timeout(let_go.wait, 0.01)
    assert _timeout.call_with_timeout(threading.get_ident, 5) != first
    let_go.set()


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "libvirt-calls"]


def test_no_thread_outlives_a_task_but_one_that_hangs():
    let_go = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        together = threading.Barrier(3)
        list(pool.map(lambda _: _timeout.call_with_timeout(together.wait, 5), range(3)))
    with pytest.raises(TimeoutError):
        _timeout.call_with_timeout(let_go.wait, 0.01)
    assert len(threads()) >= 3
    _timeout.end_idle()
    (hangs,) = threads()
    let_go.set()
    hangs.join(5)
    assert threads() == []
    assert _timeout.call_with_timeout(lambda: 42, 5) == 42, "the next task has threads of its own"
    _timeout.end_idle()


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
    reconnector = _timeout.Reconnector(answers(OSError("refused"), OSError("refused"), "link"), (OSError, TimeoutError))
    assert reconnector.opened() == "link"
    assert reconnector.opened() == "link", "it may break again"


def test_a_daemon_that_stays_away(monkeypatch):
    monkeypatch.setattr(_timeout, "_REOPEN_PAUSE", 0.001)
    monkeypatch.setattr(_timeout, "_REOPEN_TIMEOUT", 0.02)
    reconnector = _timeout.Reconnector(answers(OSError("refused")), (OSError, TimeoutError))
    assert reconnector.opened() is None
    reconnector.open_once = answers("link")
    assert reconnector.opened() is None, "nobody waits for it twice"


def test_another_failure_is_none_of_its_business():
    with pytest.raises(KeyError):
        _timeout.Reconnector(answers(KeyError("x")), (OSError, TimeoutError)).opened()
