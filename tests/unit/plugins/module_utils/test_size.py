# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The virtmem.libvirt authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, strategies as st

from ansible_collections.virtmem.libvirt.plugins.module_utils import _size
from ansible_collections.virtmem.libvirt.plugins.module_utils._errors import VirtmemError
from ansible_collections.virtmem.libvirt.plugins.module_utils._model import format_size
from ansible_collections.virtmem.libvirt.plugins.module_utils._size import parse_size

SIZES = {
    "0": 0,
    "0.0": 0,
    "00": 0,
    "0KiB": 0,
    "1B": 1,
    "7b": 7,
    "1 byte": 1,
    "2bytes": 2,
    "1KiB": 1024,
    "1kib": 1024,
    "1K": 1024,
    "1k": 1024,
    "1KB": 1000,
    "1kb": 1000,
    "1MiB": 1024**2,
    "1M": 1024**2,
    "1MB": 10**6,
    "2GiB": 2 * 1024**3,
    "2G": 2 * 1024**3,
    "10GB": 10**10,
    "1TiB": 1024**4,
    "1T": 1024**4,
    "1TB": 10**12,
    "1PiB": 1024**5,
    "1PB": 10**15,
    "1EiB": 1024**6,
    "1EB": 10**18,
    "512 MiB": 512 * 1024**2,
    "  512   MiB\n": 512 * 1024**2,
    "1.5GiB": 3 * 1024**3 // 2,
    "0.5KiB": 512,
    "0.001KB": 1,
    "1.000000GiB": 1024**3,
    "007MiB": 7 * 1024**2,
    "9223372036854775807B": 2**63 - 1,
    "7.5EiB": 15 * 2**59,
}
NO_SIZES = {
    "": "is not a size",
    " ": "is not a size",
    "GiB": "is not a size",
    "-1GiB": "is not a size",
    "+1GiB": "is not a size",
    "1,5GiB": "is not a size",
    "1e9B": "is not a size",
    "0x10KiB": "is not a size",
    ".5GiB": "is not a size",
    "1.GiB": "is not a size",
    "1GiB 2": "is not a size",
    "1 2 GiB": "is not a size",
    "\u0661GiB": "is not a size",
    "1\u212aiB": "is not a size",
    "1024": "has no unit",
    "1.5": "has no unit",
    "1GiBs": "has an unknown unit (GiBs)",
    "1Gi": "has an unknown unit (Gi)",
    "1ib": "has an unknown unit (ib)",
    "1ZiB": "has an unknown unit (ZiB)",
    "1x": "has an unknown unit (x)",
    "1.5B": "is not a whole number of bytes",
    "0.3KiB": "is not a whole number of bytes",
    "0.0001KB": "is not a whole number of bytes",
    "8EiB": "is more than the largest size",
    "9223372036854775808B": "is more than the largest size",
    "10000000000000EiB": "is more than the largest size",
}


@pytest.mark.parametrize("text", SIZES)
def test_parse_size(text):
    assert parse_size(text, "size") == SIZES[text]


@pytest.mark.parametrize("text", NO_SIZES)
def test_refused(text):
    with pytest.raises(VirtmemError) as caught:
        parse_size(text, "requested")
    error = caught.value
    assert error.code == "invalid_size"
    assert error.message.startswith(f"requested: {text!r} ")
    assert NO_SIZES[text] in error.message
    assert error.hint
    assert error.details == {"option": "requested", "value": text}


def test_bits_are_not_known_but_case_does_not_count():
    assert parse_size("1Gb", "size") == 10**9  # libvirt does not tell case either


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("1024", "1024MiB or 1024GiB"),
        ("1.50", "1.5MiB or 1.5GiB"),
        ("8", "8MiB or 8GiB"),
        ("10.0", "10MiB or 10GiB"),
        ("007", "7MiB or 7GiB"),
        ("00.50", "0.5MiB or 0.5GiB"),
        ("0.00001", "0.00001MiB or 0.00001GiB"),
    ],
)
def test_a_bare_number_gets_examples(text, near):
    with pytest.raises(VirtmemError) as caught:
        parse_size(text, "size")
    assert near in caught.value.hint


def test_part_of_a_byte_gets_the_nearest():
    with pytest.raises(VirtmemError) as caught:
        parse_size("1.0001KiB", "size")
    assert "1 KiB" in caught.value.hint


@pytest.mark.parametrize("text", ["9" * 5000 + "B", "9" * 5000, "9" * 400 + ".5"])
def test_absurdly_long_numbers(text):
    with pytest.raises(VirtmemError):
        parse_size(text, "size")


@given(st.integers(0, _size.LARGEST))
def test_what_is_written_for_people_reads_back(size):
    assert parse_size(format_size(size), "size") == size


@given(st.integers(0, 2**40), st.sampled_from(["B", "KiB", "KB", "K", "MiB", "MB", "GiB", "GB"]), st.integers(0, 3))
def test_units_are_factors(number, unit, blanks):
    factor = _size.unit_factor(unit)
    assert factor is not None
    if number * factor <= _size.LARGEST:
        assert parse_size(f"{number}{' ' * blanks}{unit.lower()}", "size") == number * factor


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_refused(text):
    with contextlib.suppress(VirtmemError):
        assert 0 <= parse_size(text, "size") <= _size.LARGEST


@pytest.mark.parametrize("unit", ["", "i", "kbb", "kibi", "bit", "kk", "1"])
def test_unknown_units(unit):
    assert _size.unit_factor(unit) is None
