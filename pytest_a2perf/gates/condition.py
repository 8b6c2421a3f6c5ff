"""Conditions as users write them: ``">= 40"``, ``"<= 33 ms"`` or a table with more to say."""

from __future__ import annotations

import re
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.units import format_number, format_value, is_share, parse_quantity

__all__ = ["Condition", "GateSpec", "Tolerance", "parse_condition", "parse_tolerance"]

Operator = Literal[">=", "<=", ">", "<", "=="]
_CONDITION = re.compile(r"\s*(>=|<=|==|>|<)\s*(.+?)\s*\Z")


class Condition(BaseModel):
    """One side of a limit: ``value operator limit``, the limit in base units.

    ``unit`` is the base unit that was written (empty for a share in %), or None for a bare number,
    which is taken to be in the metric's own unit.
    """

    model_config = ConfigDict(frozen=True)

    operator: Operator
    limit: float
    unit: str | None = None

    def holds(self, value: float) -> bool:
        """Whether a value meets the condition; NaN never does."""
        match self.operator:
            case ">=":
                return value >= self.limit
            case "<=":
                return value <= self.limit
            case ">":
                return value > self.limit
            case "<":
                return value < self.limit
            case "==":
                return value == self.limit

    def text(self, unit: str = "") -> str:
        """Print it with the metric's unit."""
        return f"{self.operator} {format_value(self.limit, unit)}"


def parse_condition(text: str) -> Condition:
    """Parse ``"<= 33 ms"``.

    Raises:
        A2PerfError: no operator, not a number, or an unknown unit.
    """
    match = _CONDITION.match(text)
    if match is None:
        raise A2PerfError(f"expected a condition like '>= 40' or '<= 33 ms', got {text!r}")
    return _bound(match[2], cast("Operator", match[1]))


def _bound(value: str | float, operator: Operator) -> Condition:
    limit, unit = parse_quantity(value)
    return Condition(operator=operator, limit=limit, unit=unit if unit or is_share(value) else None)


class Tolerance(BaseModel):
    """A change for the worse that is allowed: a share of the baseline, or an amount."""

    model_config = ConfigDict(frozen=True)

    amount: float
    relative: bool
    unit: str | None = None

    def text(self, unit: str = "") -> str:
        """Print it, an amount with the metric's unit."""
        if self.relative:
            return f"at most {format_number(100 * self.amount)} % worse"
        return f"at most {format_value(self.amount, unit)} worse"


def parse_tolerance(text: str | float) -> Tolerance:
    """Parse ``"5 %"``, ``"10 ms"`` or a bare number in the metric's unit.

    Raises:
        A2PerfError: neither, or negative.
    """
    relative = is_share(text)
    amount, unit = parse_quantity(text)
    if amount < 0:
        raise A2PerfError(f"expected how much worse is allowed, such as '5 %', got {text!r}")
    return Tolerance(amount=amount, relative=relative, unit=unit or None)


class GateSpec(BaseModel):
    """A condition on one metric, and what the data must support for it to be decided."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    conditions: tuple[Condition, ...] = Field(default=(), exclude=True)
    min: str | float | None = Field(None, description="the value must be at least this")
    max: str | float | None = Field(None, description="the value must be at most this")
    tolerance: Tolerance | None = Field(None, exclude=True)
    regression: str | float | None = Field(
        None,
        description="how much worse than the baseline is allowed: '5 %', or an amount with a unit",
    )
    better: Literal["higher", "lower"] | None = Field(
        None, description="for regression: which way is better, where the metric does not say"
    )
    confidence: float | None = Field(
        None, gt=0.5, lt=1, description="decide by the interval at this one-sided confidence"
    )
    quality: Literal["measured", "estimated", "modelled"] = Field(
        "modelled", description="skip the gate where the number is of a lower quality"
    )
    definition: Literal["default", "a2perf"] | None = Field(
        None, description="definition of the metric; default: the scenario's"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_shorthand(cls, data: Any) -> Any:
        if isinstance(data, str):
            try:
                return {"conditions": (parse_condition(data),)}
            except A2PerfError as error:
                raise ValueError(str(error)) from None
        if isinstance(data, bool | int | float):
            raise ValueError(  # noqa: TRY004 - pydantic turns only ValueError into its error
                f"expected a condition like '>= {data}' or a table with min or max, got {data!r}"
            )
        if isinstance(data, dict) and "conditions" not in data:
            try:
                bounds = [_bound(data["min"], ">=")] if data.get("min") is not None else []
                bounds += [_bound(data["max"], "<=")] if data.get("max") is not None else []
                allowed = data.get("regression")
                tolerance = None if allowed is None else parse_tolerance(allowed)
            except A2PerfError as error:
                raise ValueError(str(error)) from None
            if not bounds and tolerance is None:
                raise ValueError("expected min, max, regression or several of them")
            return {**data, "conditions": tuple(bounds), "tolerance": tolerance}
        return data

    def text(self, unit: str = "") -> str:
        """Print the condition with the metric's unit."""
        parts = [condition.text(unit) for condition in self.conditions]
        return " and ".join(parts + ([] if self.tolerance is None else [self.tolerance.text(unit)]))
