"""Agents per accelerator, kW, MW, dollar and hour, and rack; energy and money per token.

All of them are quotients of what was measured and what is said of the system, so that each carries
where its divisor is from. Without the system's full configuration there is none at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_a2perf.domains.serving.slo.search import Capacity
from pytest_a2perf.domains.serving.system.options import SystemOptions, missing_disclosure
from pytest_a2perf.domains.serving.system.power import PowerReading

__all__ = [
    "COSTS", "FIGURES", "Costs", "Divisors", "Normalised", "costs_of", "divisors_of",
    "normalised_table",
]  # fmt: skip

FIGURES = {
    "accelerator": "agents per accelerator",
    "system": "agents per system",
    "kw": "agents per kW",
    "mw": "agents per MW",
    "dollar_hour": "agents per $/h",
    "rack": "agents per rack",
}
"""Name of a divisor -> what comes of dividing by it."""

COSTS = {
    "energy_per_output_token": "J",
    "energy_per_turn": "J",
    "output_tokens_per_joule": "tok/J",
    "cost_per_million_output_tokens": "USD",
}
"""Name of a cost -> its unit."""

_MILLION = 1e6
_HOUR = 3600.0
_NOTHING_SAID = "nothing is said of the system: add a [system] table"
_NO_POWER = "power is not read: add power to [system]"


Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Divisors:
    """What agents are divided by.

    Attributes:
        per: by name of `FIGURES`: ``divisor``, ``source``, ``quality`` and ``note``, as plain JSON.
        missing: by name of `FIGURES`: why there is none, in words.
    """

    per: dict[str, Entry] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Costs:
    """Energy and money for the tokens of a window.

    Attributes:
        costs: by name of `COSTS`: ``value``, ``unit``, ``source``, ``quality`` and ``note``, as
            plain JSON.
        missing: by name of `COSTS`: why there is none, in words.
    """

    costs: dict[str, Entry] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def divisors_of(options: SystemOptions | None, reading: PowerReading | None) -> Divisors:
    """Return what the agents that a system holds are divided by.

    Args:
        options: what is said of the system.
        reading: its power at the load in question.
    """
    if options is None or (why_not := _undisclosed(options)):
        return Divisors(missing=dict.fromkeys(FIGURES, why_not if options else _NOTHING_SAID))
    count = options.accelerators or 0
    per = {
        "accelerator": _declared(count, options.accelerator),
        "system": _declared(options.systems, options.name),
    }
    missing: dict[str, str] = {}
    if reading is None or reading.why_not:
        missing |= dict.fromkeys(("kw", "mw"), reading.why_not if reading else _NO_POWER)
    else:
        per["kw"] = {"divisor": reading.watts / 1e3, **_provenance(reading)}
        per["mw"] = {"divisor": reading.watts / 1e6, **_provenance(reading)}
    if why_not := _no_price(options):
        missing["dollar_hour"] = why_not
    else:
        per["dollar_hour"] = _declared(_price(options), _price_note(options))
    if per_rack := _accelerators_per_rack(options):
        per["rack"] = _declared(count / per_rack)
        if count < per_rack:
            note = f"scaled up from {count} to {per_rack:g} accelerators"
            per["rack"] |= {"quality": "modelled", "note": note}
    else:
        missing["rack"] = "[system] says neither accelerators_per_rack nor systems_per_rack"
    return Divisors(per, missing)


def costs_of(
    options: SystemOptions | None,
    reading: PowerReading | None,
    *,
    output_tokens: float,
    turns: float,
    seconds: float,
) -> Costs:
    """Return what the tokens of a window cost in energy and money.

    Args:
        options: what is said of the system.
        reading: its power over the window.
        output_tokens: that were made in the window, reasoning included.
        turns: requests that were answered in the window.
        seconds: that the window lasted.
    """
    if options is None or (why_not := _undisclosed(options)):
        return Costs(missing=dict.fromkeys(COSTS, why_not if options else _NOTHING_SAID))
    costs: dict[str, Entry] = {}
    missing: dict[str, str] = {}
    no_power = _NO_POWER if reading is None else reading.why_not
    no_tokens = "" if output_tokens > 0 else "there are no output tokens in the window"
    no_turns = "" if turns > 0 else "there are no turns in the window"
    where = _provenance(reading) if reading else {}
    joules = reading.watts * seconds if reading else math.nan
    if why_not := no_power or no_tokens:
        missing["energy_per_output_token"] = missing["output_tokens_per_joule"] = why_not
    else:
        costs["energy_per_output_token"] = {"value": joules / output_tokens, **where}
        costs["output_tokens_per_joule"] = {"value": output_tokens / joules, **where}
    if why_not := no_power or no_turns:
        missing["energy_per_turn"] = why_not
    else:
        costs["energy_per_turn"] = {"value": joules / turns, **where}
    if why_not := _no_price(options) or no_tokens:
        missing["cost_per_million_output_tokens"] = why_not
    else:
        millions_an_hour = output_tokens / seconds * _HOUR / _MILLION
        costs["cost_per_million_output_tokens"] = {
            "value": _price(options) / millions_an_hour,
            **_declared_by(_price_note(options)),
        }
    for name, entry in costs.items():
        entry["unit"] = COSTS[name]
    return Costs(costs, missing)


def _undisclosed(options: SystemOptions) -> str:
    """Return why nothing may be divided, or nothing."""
    missing = missing_disclosure(options)
    return f"[system] does not say {', '.join(missing)}" if missing else ""


def _declared_by(note: str) -> Entry:
    return {"source": "declared", "quality": "measured", "note": note}


def _declared(divisor: float, note: str = "") -> Entry:
    return {"divisor": divisor, **_declared_by(note)}


def _provenance(reading: PowerReading) -> Entry:
    note = "; ".join(filter(None, (f"boundary: {reading.boundary}", reading.note)))
    return {"source": reading.source, "quality": reading.quality, "note": note}


def _no_price(options: SystemOptions) -> str:
    """Return why nothing may be divided by the price, or nothing."""
    if options.price is None:
        return "[system] does not say price"
    if options.currency != "USD":
        return f"the price is in {options.currency}: give it in USD, with its date"
    return ""


def _price(options: SystemOptions) -> float:
    """Return the price of an hour of the whole system."""
    bought = options.accelerators if options.price_per == "accelerator" else options.systems
    return (options.price or 0.0) * (bought or 0)


def _price_note(options: SystemOptions) -> str:
    price = f"{options.price:g} {options.currency} per {options.price_per} and hour"
    return ", ".join(filter(None, (price, options.price_source, options.price_date)))


def _accelerators_per_rack(options: SystemOptions) -> float:
    """Return how many accelerators a full rack has; 0 where nothing is said of it."""
    if options.accelerators_per_rack is not None:
        return options.accelerators_per_rack
    per_system = (options.accelerators or 0) / options.systems
    return (options.systems_per_rack or 0) * per_system


@dataclass(frozen=True, slots=True)
class Normalised:
    """A cell of the normalised table.

    Attributes:
        tier: name of the tier.
        figure: name in `FIGURES`.
        value: agents for each; of the best estimate.
        low, high: of the search's bracket; infinite where the search ended below the edge.
        source, quality, note: of the divisor.
    """

    tier: str
    figure: str
    value: float
    low: float
    high: float
    source: str
    quality: str
    note: str


def normalised_table(
    capacities: Mapping[str, Capacity], per: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> list[Normalised]:
    """Divide capacities, with their brackets.

    Args:
        capacities: by name of tier.
        per: by name of tier: see `Divisors.per`; each tier has a load, and so a power, of its own.
    """
    return [
        Normalised(
            tier,
            figure,
            capacity.agents / divisor["divisor"],
            capacity.low / divisor["divisor"],
            capacity.high / divisor["divisor"],
            divisor["source"],
            divisor["quality"],
            divisor["note"],
        )
        for tier, capacity in capacities.items()
        for figure, divisor in per.get(tier, {}).items()
    ]
