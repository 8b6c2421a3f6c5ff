"""What a scenario may say of tiers and of the search."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pytest_a2perf.domains.serving.slo.tiers import Limit, Measure, Tier, find_tiers
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.gates.condition import parse_tolerance
from pytest_a2perf.scenarios.models import Duration, Name, Strict, in_unit

__all__ = ["SearchOptions", "SpeedLimit", "TierOptions", "TimeLimit", "tiers_of"]


def _speed(value: object) -> object:
    return _parsed(value, "tok/s")


def _share(value: object) -> object:
    return _parsed(value, "")


def _parsed(value: object, unit: str) -> object:
    return in_unit(value, unit) if isinstance(value, str) else value


def _alone(value: object) -> object:
    """Let a limit alone stand for a table with the usual percentile."""
    return {"limit": value} if isinstance(value, str | int | float) else value


Percentile = Annotated[float, Field(gt=0, lt=100)]
Speed = Annotated[float, BeforeValidator(_speed, json_schema_input_type=str | float), Field(gt=0)]
Share = Annotated[
    float, BeforeValidator(_share, json_schema_input_type=str | float), Field(ge=0, le=1)
]


class SpeedLimit(Strict):
    """The least that a percentile of speeds may be."""

    percentile: Percentile = Field(25, description="over requests: 25 binds all but the slowest")
    limit: Speed = Field(description="such as '20 tok/s'")


class TimeLimit(Strict):
    """The most that a percentile of times may be."""

    percentile: Percentile = Field(95, description="over requests")
    limit: Duration = Field(description="such as '10 s'")


_AtLeast = Annotated[
    SpeedLimit | None,
    BeforeValidator(_alone, json_schema_input_type=str | float | SpeedLimit | None),
]
_AtMost = Annotated[
    TimeLimit | None,
    BeforeValidator(_alone, json_schema_input_type=str | float | TimeLimit | None),
]
_MEASURES: tuple[Measure, ...] = ("output_speed", "ttft", "e2e_speed", "turn")


class TierOptions(Strict):
    """A tier of one's own."""

    name: Name = Field(description="stands in metrics, e.g. agents.at_slo.NAME")
    output_speed: _AtLeast = Field(
        None, description="tokens a second after the first; P25 unless a table says otherwise"
    )
    ttft: _AtMost = Field(
        None, description="time to the first token; P95 unless a table says otherwise"
    )
    e2e_speed: _AtLeast = Field(None, description="tokens a second, the wait included; P25")
    turn: _AtMost = Field(None, description="time of a whole request; P95")
    error_rate: Share = Field(0.01, description="share of requests that may fail")

    @model_validator(mode="after")
    def _limits_something(self) -> TierOptions:
        if not self.tier().limits:
            raise ValueError(f"tier {self.name!r} limits nothing: give {', '.join(_MEASURES)}")
        return self

    def tier(self) -> Tier:
        """Return it as a tier."""
        given = [(measure, getattr(self, measure)) for measure in _MEASURES]
        limits = tuple(Limit(m, part.percentile, part.limit) for m, part in given if part)
        return Tier(self.name, limits, self.error_rate)


def tiers_of(items: Iterable[str | TierOptions]) -> tuple[Tier, ...]:
    """Return the tiers of a scenario; an id's beginning stands for all below it.

    Raises:
        UnknownNameError: an id is not known.
    """
    return tuple(
        tier
        for item in items
        for tier in (find_tiers(item) if isinstance(item, str) else (item.tier(),))
    )


class SearchOptions(Strict):
    """How the largest load is searched for."""

    start: int = Field(2, ge=1, description="agents of the first level, then twice as many")
    most: int = Field(1024, ge=1, description="agents beyond which nobody looks")
    tolerance: int | str = Field(
        1, description="how near the edge is looked for: agents, or a share such as '5 %'"
    )
    repeats: int = Field(
        1, ge=0, description="how often a level is measured again that leaves a tier open"
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="one-sided, at which a level meets a tier or misses it"
    )
    longest: Duration | None = Field(
        None, description="time after which no level begins; default: none"
    )

    @field_validator("tolerance")
    @classmethod
    def _is_tolerance(cls, value: Any) -> Any:
        try:
            allowed = parse_tolerance(value)
        except A2PerfError as error:
            raise ValueError(str(error)) from None
        if allowed.unit or (allowed.relative and allowed.amount >= 1):
            raise ValueError(f"expected agents, or a share such as '5 %', got {value!r}")
        if not allowed.relative and (allowed.amount < 1 or allowed.amount % 1):
            raise ValueError(f"expected whole agents, at least 1, got {value!r}")
        return value

    @model_validator(mode="after")
    def _begins_within(self) -> SearchOptions:
        if self.start > self.most:
            raise ValueError(f"start ({self.start}) is beyond most ({self.most})")
        return self

    def gap(self, agents: int) -> int:
        """Return how far apart, in agents, a load that holds and one that fails may stay."""
        allowed = parse_tolerance(self.tolerance)
        return max(1, int(allowed.amount * agents if allowed.relative else allowed.amount))
