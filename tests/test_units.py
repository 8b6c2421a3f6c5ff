"""Numbers with units."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.units import UNITS, format_number, format_value, parse_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("33 ms", (0.033, "s")),
        ("33ms", (0.033, "s")),
        ("2 min", (120.0, "s")),
        ("5 %", (0.05, "")),
        ("1.5 GiB", (1.5 * 2**30, "B")),
        ("20 J", (20.0, "J")),
        ("1e-3 kWh", (3600.0, "J")),
        ("-200", (-200.0, "")),
        (7, (7.0, "")),
        (".5", (0.5, "")),
        ("1_000", (1000.0, "")),
    ],
)
def test_parses(text, expected):
    value, unit = parse_quantity(text)
    assert unit == expected[1]
    assert value == pytest.approx(expected[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "expected a number with a unit"),
        ("3 mss", "did you mean 'ms'"),
        ("", "expected a number"),
        (True, "expected a number"),
        (None, "expected a number"),
    ],
)
def test_says_what_is_wrong(text, message):
    with pytest.raises(A2PerfError, match=message):
        parse_quantity(text)


def test_wants_the_right_dimension():
    assert parse_quantity(3, unit="s") == (3.0, "s")
    with pytest.raises(A2PerfError, match="not in 's'"):
        parse_quantity("3 J", unit="s")
    with pytest.raises(A2PerfError, match="plain number"):
        parse_quantity("3 J", unit="")


@pytest.mark.parametrize("text", ["0 s", "-1 s", "inf s", "soon"])
def test_a_duration_is_positive_and_finite(text):
    with pytest.raises(A2PerfError):
        parse_duration(text)


@given(st.floats(1e-6, 1e9, allow_nan=False), st.sampled_from(sorted(set(UNITS) - {"", "%"})))
def test_what_is_printed_parses_back(number, unit):
    base, factor = UNITS[unit]
    printed = format_value(number * factor, base)
    value, parsed = parse_quantity(printed)
    assert parsed == base
    assert value == pytest.approx(number * factor, rel=0.006)


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_their_value(value):
    assert float(format_number(value)) == pytest.approx(value, rel=0.006, abs=1e-300)


def test_not_a_number_is_said():
    assert format_number(math.nan) == "nan"
    assert format_number(-math.inf) == "-inf"
