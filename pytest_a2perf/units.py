"""Numbers with units: parsing what users write, printing what people read.

Everything is kept in base units (s, J, W, B, Hz, degC, gCO2e, USD, tok/s, points); prefixes exist
only at the edges. ``GB`` is 10^9 bytes and ``GiB`` 2^30.
"""

from __future__ import annotations

import math
import re

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["UNITS", "format_value", "is_share", "parse_duration", "parse_quantity"]

UNITS: dict[str, tuple[str, float]] = {
    "": ("", 1.0),
    "%": ("", 0.01),
    "ns": ("s", 1e-9), "us": ("s", 1e-6), "µs": ("s", 1e-6), "ms": ("s", 1e-3), "s": ("s", 1.0),
    "sec": ("s", 1.0), "min": ("s", 60.0), "h": ("s", 3600.0),
    "uJ": ("J", 1e-6), "µJ": ("J", 1e-6), "mJ": ("J", 1e-3), "J": ("J", 1.0),
    "kJ": ("J", 1e3), "MJ": ("J", 1e6),
    "Wh": ("J", 3600.0), "kWh": ("J", 3.6e6), "MWh": ("J", 3.6e9),
    "mW": ("W", 1e-3), "W": ("W", 1.0), "kW": ("W", 1e3), "MW": ("W", 1e6),
    "B": ("B", 1.0), "kB": ("B", 1e3), "MB": ("B", 1e6), "GB": ("B", 1e9), "TB": ("B", 1e12),
    "KiB": ("B", 2.0**10), "MiB": ("B", 2.0**20), "GiB": ("B", 2.0**30), "TiB": ("B", 2.0**40),
    "Hz": ("Hz", 1.0), "kHz": ("Hz", 1e3), "MHz": ("Hz", 1e6), "GHz": ("Hz", 1e9),
    "degC": ("degC", 1.0), "°C": ("degC", 1.0),
    "gCO2e": ("gCO2e", 1.0), "µgCO2e": ("gCO2e", 1e-6),
    "mgCO2e": ("gCO2e", 1e-3), "kgCO2e": ("gCO2e", 1e3),
    "USD": ("USD", 1.0), "$": ("USD", 1.0),
    "1/s": ("1/s", 1.0),
    "tok/s": ("tok/s", 1.0), "tok/J": ("tok/J", 1.0),
    "points": ("points", 1.0),
}  # fmt: skip
"""Written unit -> (base unit, factor)."""

_QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf)\s*(\S*)\s*\Z")

# base unit -> printed units, largest first, that keep the mantissa between 1 and 1000
_PRINTED: dict[str, tuple[tuple[str, float], ...]] = {
    "s": (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)),
    "J": (("kWh", 3.6e6), ("kJ", 1e3), ("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6)),
    "W": (("MW", 1e6), ("kW", 1e3), ("W", 1.0), ("mW", 1e-3)),
    "B": (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)),
    "Hz": (("GHz", 1e9), ("MHz", 1e6), ("kHz", 1e3), ("Hz", 1.0)),
    "gCO2e": (("kgCO2e", 1e3), ("gCO2e", 1.0), ("mgCO2e", 1e-3), ("µgCO2e", 1e-6)),
}


def parse_quantity(text: str | float, *, unit: str | None = None) -> tuple[float, str]:
    """Parse ``"33 ms"`` to ``(0.033, "s")``; a bare number has no unit.

    Args:
        text: a number, or a number followed by one of `UNITS`.
        unit: the base unit that is expected; a bare number is taken to be in it. None accepts any.

    Raises:
        A2PerfError: not a number, an unknown unit, or one of another dimension.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise A2PerfError(f"expected a number with a unit, got {text!r}")
    if not isinstance(text, str):
        return float(text), unit or ""
    match = _QUANTITY.match(text)
    if match is None:
        raise A2PerfError(f"expected a number with a unit like '33 ms', got {text!r}")
    number, written = match.groups()
    if written not in UNITS:
        raise A2PerfError(f"unknown unit {written!r} in {text!r}{did_you_mean(written, UNITS)}")
    base, factor = UNITS[written]
    if unit is not None and base != unit and not (written == "" and unit):
        wanted = ", ".join(name for name, (b, _) in UNITS.items() if b == unit and name)
        raise A2PerfError(
            f"{text!r} is not in {unit!r}; use one of: {wanted}"
            if unit
            else f"{text!r} has a unit, but a plain number is expected"
        )
    return float(number) * factor, base if written else (unit or "")


def is_share(text: str | float) -> bool:
    """Return whether a number is written in %."""
    return isinstance(text, str) and text.rstrip().endswith("%")


def parse_duration(text: str | float) -> float:
    """Parse ``"2 min"`` to seconds; a bare number is in seconds.

    Raises:
        A2PerfError: not a duration, or not positive.
    """
    seconds, _ = parse_quantity(text, unit="s")
    if not (seconds > 0 and math.isfinite(seconds)):
        raise A2PerfError(f"expected a positive duration like '2 min', got {text!r}")
    return seconds


def printed_unit(value: float, unit: str) -> tuple[str, float]:
    """Return the unit in which ``value`` reads best, and its factor to the base unit."""
    if unit not in _PRINTED or not math.isfinite(value) or value == 0:
        return unit, 1.0
    for name, factor in _PRINTED[unit]:
        if abs(value) >= factor * 0.9995:
            return name, factor
    return _PRINTED[unit][-1]


def format_number(value: float) -> str:
    """Format with three to four significant digits, without an exponent where that reads well."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    magnitude = abs(value)
    if magnitude == 0:
        return "0"
    if magnitude >= 1e6 or magnitude < 1e-4:
        return f"{value:.2e}"
    if magnitude >= 100:
        return f"{value:.1f}".removesuffix(".0")
    text = f"{value:.3g}" if magnitude < 1 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_value(value: float, unit: str = "") -> str:
    """Format a value in base units for people, e.g. ``0.0331 s`` as ``33.1 ms``."""
    name, factor = printed_unit(value, unit)
    number = format_number(value / factor)
    return f"{number} {name}" if name else number
