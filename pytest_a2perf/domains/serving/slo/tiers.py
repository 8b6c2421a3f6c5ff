"""Tiers: limits on percentiles of requests, as versioned data or as scenarios declare them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from pytest_a2perf.errors import UnknownNameError
from pytest_a2perf.suggest import did_you_mean
from pytest_a2perf.units import format_number, format_value, parse_quantity

__all__ = [
    "UNITS", "Limit", "Measure", "Tier", "find_tier", "find_tiers", "published_tiers", "source_of",
]  # fmt: skip

Measure = Literal["output_speed", "ttft", "e2e_speed", "turn"]
"""Columns of `Rows` that tiers limit; higher is better for the speeds."""

UNITS: dict[Measure, str] = {
    "output_speed": "tok/s", "e2e_speed": "tok/s", "ttft": "s", "turn": "s",
}  # fmt: skip
"""Of values and limits."""

_FILE = Path(__file__).with_name("tiers.toml")


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on a percentile over requests.

    Attributes:
        measure: see `Measure`.
        percentile: such as 95; for speeds 25, so that three quarters of the requests are faster.
        limit: in tok/s, or seconds.
    """

    measure: Measure
    percentile: float
    limit: float

    @property
    def higher(self) -> bool:
        """Whether the value must be at least the limit."""
        return self.measure in ("output_speed", "e2e_speed")

    @property
    def name(self) -> str:
        """What is limited, e.g. ``P95 ttft``."""
        return f"P{format_number(self.percentile)} {self.measure}"

    def text(self) -> str:
        """Print it, e.g. ``P95 ttft <= 10 s``."""
        sign = ">=" if self.higher else "<="
        return f"{self.name} {sign} {format_value(self.limit, UNITS[self.measure])}"

    def holds(self, value: float) -> bool:
        """Whether a value of the percentile keeps the limit; NaN never does."""
        return value >= self.limit if self.higher else value <= self.limit


@dataclass(frozen=True, slots=True)
class Tier:
    """What a service promises.

    Attributes:
        name: stands in metrics, e.g. ``agents.at_slo.tier1``.
        limits: all must hold.
        error_rate: share of requests that may fail; no published method states one.
        revision: where it was published and when, e.g. ``aa-2026-06``; empty for own ones.
        model: that it was published for.
    """

    name: str
    limits: tuple[Limit, ...]
    error_rate: float = 0.01
    revision: str = ""
    model: str = ""

    def text(self) -> str:
        """Print its limits."""
        parts = [limit.text() for limit in self.limits]
        return ", ".join([*parts, f"failed <= {format_number(100 * self.error_rate)} %"])


@cache
def _revisions() -> dict[str, dict[str, Any]]:
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {revision["id"]: revision for revision in data["revision"]}


@cache
def published_tiers() -> dict[str, Tier]:
    """Return all published tiers by id, e.g. ``aa-2026-06/gpt-oss-120b/1``."""
    return dict(_published())


def _published() -> Iterator[tuple[str, Tier]]:
    for revision, data in _revisions().items():
        for model, part in data["models"].items():
            for number, limits in enumerate(part["tiers"], 1):
                found = tuple(
                    Limit(
                        cast("Measure", measure),
                        float(part["percentiles"][measure]),
                        parse_quantity(text, unit=UNITS[cast("Measure", measure)])[0],
                    )
                    for measure, text in limits.items()
                )
                tier = Tier(f"tier{number}", found, revision=revision, model=model)
                yield f"{revision}/{model}/{number}", tier


def source_of(tier: Tier) -> str:
    """Return who published a tier, and when; nothing for own ones."""
    found = _revisions().get(tier.revision)
    return f"{found['source']} ({found['date']})" if found else ""


def find_tier(name: str) -> Tier:
    """Return the published tier of an id.

    Raises:
        UnknownNameError: there is none; the message has the nearest.
    """
    tiers = published_tiers()
    if name not in tiers:
        raise UnknownNameError(f"unknown tier {name!r}{did_you_mean(name, tiers)}")
    return tiers[name]


def find_tiers(name: str) -> tuple[Tier, ...]:
    """Return the published tiers that an id stands for, or all below the beginning of one.

    ``aa-2026-06/gpt-oss-120b`` stands for all tiers of that model.

    Raises:
        UnknownNameError: there are none; the message has the nearest.
    """
    tiers = published_tiers()
    below = tuple(tier for key, tier in tiers.items() if key.startswith(f"{name.rstrip('/')}/"))
    if below:
        return below
    if name not in tiers:
        beginnings = {key.rpartition("/")[0] for key in tiers}
        raise UnknownNameError(
            f"unknown tier {name!r}{did_you_mean(name, [*tiers, *beginnings])}"
            if name
            else "the id of a tier is empty"
        )
    return (tiers[name],)
