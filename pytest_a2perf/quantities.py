"""A number that says what it is: value, unit, source, quality, window and resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["QUALITIES", "Quality", "Quantity", "worst_quality"]

Quality = Literal["measured", "estimated", "modelled"]
QUALITIES: tuple[Quality, ...] = ("measured", "estimated", "modelled")
_NUMBERS = ("value", "window", "resolution")
"""From best to worst: read from an instrument; derived from one; computed by a model."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One reading of a meter.

    Attributes:
        value: the number, in ``unit``.
        unit: SI symbol (``J``, ``s``, ``B``, ``W``, ``Hz``, ``degC``, ``gCO2e``), or ``""``.
        source: the instrument, e.g. ``nvml-energy-counter``, ``rapl``, ``cpu-time-model``.
        quality: ``measured``, ``estimated`` or ``modelled``.
        window: seconds over which it was read, or None for an instantaneous reading.
        resolution: the smallest step that the source can show, in ``unit``, if known.
        note: anything that qualifies the number, e.g. ``shared device``.
    """

    value: float
    unit: str
    source: str
    quality: Quality = "measured"
    window: float | None = None
    resolution: float | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set, as JSON scalars (numpy scalars would kill xdist)."""
        data: dict[str, Any] = {}
        for name in Quantity.__slots__:
            value = getattr(self, name)
            if value is not None and value != "":
                data[name] = float(value) if name in _NUMBERS else value
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Quantity:
        """Inverse of `to_json`; unknown keys of newer records are ignored."""
        known = {key: data[key] for key in cls.__slots__ if key in data}
        return cls(**{"unit": "", "source": "unknown", **known})


def worst_quality(qualities: list[Quality]) -> Quality:
    """Return the worst of some qualities: a sum is no better than its worst term."""
    return max(qualities, key=QUALITIES.index, default="measured")
