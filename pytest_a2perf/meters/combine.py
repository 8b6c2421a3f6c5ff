"""Arithmetic on quantities: windows that add up, repetitions that divide, totals of parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_a2perf.quantities import Quantity, worst_quality

__all__ = [
    "JOULES_PER_KWH",
    "accumulate",
    "carbon_of",
    "combined",
    "divided",
    "is_additive",
    "total_energy",
]

JOULES_PER_KWH = 3.6e6

_ADDITIVE = frozenset({"time", "energy", "carbon"})
_MAXIMA = ("peak", ".process", ".temperature")
_PARTS = ("energy.cpu", "energy.gpu", "energy.ram")


def is_additive(name: str) -> bool:
    """Whether a quantity adds up over time: ``time``, ``energy``, ``carbon`` and their parts."""
    return name.partition(".")[0] in _ADDITIVE


def combined(name: str, first: Quantity, second: Quantity) -> Quantity:
    """Combine the readings of one quantity in two windows that do not overlap.

    What is additive is summed; of peaks, process memory and temperatures the larger is kept; all
    else is a mean, weighted by the lengths of the windows.
    """
    windows = (first.window or 0.0, second.window or 0.0)
    if is_additive(name):
        value = first.value + second.value
    elif name.endswith(_MAXIMA):
        value = max(first.value, second.value)
    else:
        weights = windows if sum(windows) > 0 else (1.0, 1.0)
        value = (first.value * weights[0] + second.value * weights[1]) / sum(weights)
    return Quantity(
        value,
        first.unit,
        _joined("+", (first.source, second.source)),
        worst_quality([first.quality, second.quality]),
        None if first.window is None and second.window is None else sum(windows),
        max(filter(None, (first.resolution, second.resolution)), default=None),
        _joined(", ", (first.note, second.note)),
    )


def accumulate(into: dict[str, Quantity], readings: Mapping[str, Quantity]) -> None:
    """Combine the readings of a further window into those of the windows before."""
    for name, quantity in readings.items():
        into[name] = combined(name, into[name], quantity) if name in into else quantity


def divided(readings: Mapping[str, Quantity], repetitions: int) -> dict[str, Quantity]:
    """Divide what is additive, and its resolution, by the repetitions inside one window."""
    return {
        name: replace(
            quantity,
            value=quantity.value / repetitions,
            resolution=quantity.resolution and quantity.resolution / repetitions,
        )
        if is_additive(name)
        else quantity
        for name, quantity in readings.items()
    }


def total_energy(readings: Mapping[str, Quantity]) -> Quantity | None:
    """Return the sum of processor, GPU and memory, in J; None where no energy was read.

    CodeCarbon's model covers the whole already and is taken as the total where it was asked for.
    The total is no better than the worst of its parts.
    """
    if "energy.codecarbon" in readings:
        return readings["energy.codecarbon"]
    parts = [readings[name] for name in _PARTS if name in readings]
    if len(parts) <= 1:
        return parts[0] if parts else None
    return Quantity(
        sum(part.value for part in parts),
        "J",
        _joined("+", (part.source for part in parts)),
        worst_quality([part.quality for part in parts]),
        max(filter(None, (part.window for part in parts)), default=None),
        max(filter(None, (part.resolution for part in parts)), default=None),
        _joined(", ", (part.note for part in parts)),
    )


def carbon_of(energy: Quantity, intensity: float) -> Quantity:
    """Return the emissions of an energy, in gCO2e.

    Args:
        energy: in J.
        intensity: of the electricity, in gCO2e per kWh.
    """
    return Quantity(
        energy.value / JOULES_PER_KWH * intensity,
        "gCO2e",
        energy.source,
        "modelled",
        energy.window,
        note=f"{intensity:g} gCO2e/kWh",
    )


def _joined(separator: str, texts: Iterable[str]) -> str:
    """Join the distinct pieces of texts that may have been joined before."""
    pieces = dict.fromkeys(
        piece for text in texts if text for piece in text.split(separator) if piece
    )
    return separator.join(pieces)
