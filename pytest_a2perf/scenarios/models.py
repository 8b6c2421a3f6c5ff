"""The models of scenario files: what may be written, with types, defaults and meanings."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)  # fmt: skip

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.gates.condition import GateSpec
from pytest_a2perf.units import parse_duration, parse_quantity

__all__ = [
    "PHASES", "EnergyOptions", "Phase", "Scenario", "ScenarioFile", "SeedRange", "Strict",
    "in_unit",
]  # fmt: skip

Phase = Literal["inference", "train", "generalization", "collect", "judge", "gaia2"]
PHASES: tuple[Phase, ...] = (
    "inference", "train", "generalization", "collect", "judge", "gaia2",
)  # fmt: skip

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\Z")


class Strict(BaseModel):
    """Base of everything users write: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _duration(value: object) -> object:
    if value is None:
        return None
    try:
        return parse_duration(value)  # type: ignore[arg-type]  # it checks the type
    except A2PerfError as error:
        raise ValueError(str(error)) from None


def in_unit(value: object, unit: str) -> float:
    """Return a quantity that an option says, for validators.

    Args:
        value: a number, or a text such as ``4 GiB``.
        unit: the base unit that is expected, see `pytest_a2perf.units.parse_quantity`.

    Raises:
        ValueError: it is something else; the message says what is wrong with it.
    """
    try:
        return parse_quantity(value, unit=unit)[0]  # type: ignore[arg-type]  # it checks the type
    except A2PerfError as error:
        raise ValueError(str(error)) from None


def _target(value: str) -> str:
    from pytest_a2perf.scheduling.targets import parse_target

    try:
        parse_target(value)
    except A2PerfError as error:
        raise ValueError(str(error)) from None
    return value


def _name(value: str) -> str:
    # Square brackets and :: delimit node ids, and "=" or blanks break -k expressions.
    if not _NAME.match(value) or len(value) > 100:
        raise ValueError(
            "expected up to 100 letters, digits, '_', '.', '+' or '-', so that it can stand in a "
            "node id and in -k expressions"
        )
    return value


Duration = Annotated[
    float,
    BeforeValidator(_duration, json_schema_input_type=str | float),
    Field(description="a duration such as '2 min', or seconds"),
]
Name = Annotated[str, AfterValidator(_name)]


class EnergyOptions(Strict):
    """How the energy of a trial is read."""

    source: Literal["auto", "nvml", "rapl", "cpu-time", "codecarbon", "none"] = Field(
        "auto",
        description="'auto' takes counters first (NVML, RAPL) and models the rest from CPU time",
    )
    repeat_until: Duration | None = Field(
        None, description="repeat a short trial inside one window until it is this long"
    )


class SeedRange(Strict):
    """As many seeds as it takes: the scenario ends when every gate is decided."""

    min: int = Field(3, ge=1, description="seeds before which nothing is decided")
    max: int = Field(ge=1, description="seeds at which it ends in any case")

    @model_validator(mode="after")
    def _check_order(self) -> SeedRange:
        if self.min > self.max:
            raise ValueError(f"expected min <= max, got {self.min} and {self.max}")
        return self


def _kind_of_seeds(value: object) -> str:
    if isinstance(value, dict | SeedRange):
        return "range"
    return "list" if isinstance(value, list | tuple) else "count"


Seeds = Annotated[
    Annotated[int, Tag("count")]
    | Annotated[tuple[int, ...], Tag("list")]
    | Annotated[SeedRange, Tag("range")],
    Discriminator(_kind_of_seeds),
]


class Scenario(Strict):
    """One named benchmark: domain, task, agent, phase, seeds and gates."""

    name: Name = Field(description="unique in its file; stands in node ids")
    domain: str = Field("gym", description="the family of tasks")
    task: str = Field(description="what the domain runs, e.g. a Gymnasium id")
    agent: str = Field(
        "random",
        description="a registered name, 'module:attribute', a path to a model file or to a "
        "submission's folder, or 'run:NAME': what the scenario NAME has trained",
    )
    agent_options: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments for the agent's constructor"
    )
    algorithm: str | None = Field(
        None,
        description="column in A2Perf's table; default: what the agent's name tells, or for "
        "'run:NAME' the algorithm of NAME",
    )
    phase: Phase = "inference"
    dataset: str | None = Field(
        None,
        description="phase 'collect': the Minari data set that is written; phase 'train': the one "
        "that the agent learns from",
    )
    seeds: Seeds = Field(
        1,
        description="how many seeds (0, 1, ...), the seeds themselves, or {min, max}: stop when "
        "every gate is decided",
    )
    episodes: int = Field(1, ge=1, description="episodes of one trial")
    timeout: Duration | None = Field(None, description="a trial that takes longer is ended")
    isolate: bool | None = Field(
        None,
        description="run each trial in a process of its own; default: where a timeout is set",
    )
    exclusive: bool = Field(False, description="the trial must run alone on its machine")
    group: Name | None = Field(
        None,
        description="trials of all scenarios with the same group share one worker, in turn",
    )
    target: Annotated[str, AfterValidator(_target)] = Field(
        "cpu",
        description="'cpu', 'cuda', or a part of a device's name; perhaps with a minimum of "
        "device memory, as in 'cuda, 40 GB'",
    )
    tags: tuple[Name, ...] = Field((), description="markers for -m")
    deadline: Duration | None = Field(
        None, description="decisions later than this count as missed (latency.miss_rate)"
    )
    energy: EnergyOptions = EnergyOptions()
    definition: Literal["default", "a2perf"] = Field(
        "default", description="the corrected definition of metrics, or A2Perf's own"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="options of the domain, see its documentation"
    )
    system: dict[str, Any] = Field(
        default_factory=dict,
        description="the system under test, for domains that measure one, see their documentation; "
        "adds to the file's [system]",
    )
    gates: dict[str, GateSpec] = Field(
        default_factory=dict, description="metric -> condition, e.g. '>= 40' or a table"
    )

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, in order."""
        match self.seeds:
            case int(count) | SeedRange(max=count):
                return tuple(range(count))
            case seeds:
                return seeds

    @property
    def isolated(self) -> bool:
        """Whether each trial runs in a process of its own."""
        return self.timeout is not None if self.isolate is None else self.isolate

    @model_validator(mode="after")
    def _check_seeds(self) -> Scenario:
        seeds = self.seed_list
        if not seeds:
            raise ValueError("seeds: expected at least one seed")
        if isinstance(self.seeds, int | SeedRange):
            return self
        if min(seeds) < 0 or max(seeds) >= 2**32:
            raise ValueError("seeds: expected numbers from 0 to 4294967295")
        if len(set(seeds)) != len(seeds):
            double = next(seed for seed in seeds if seeds.count(seed) > 1)
            raise ValueError(f"seeds: {double} stands twice; each seed is one trial")
        return self


class ScenarioFile(Strict):
    """A scenario file: a schema version and any number of scenarios."""

    version: Literal[1] = Field(alias="schema", description="version of this format")
    system: dict[str, Any] = Field(
        default_factory=dict,
        description="the system under test, for those of its scenarios that measure one",
    )
    scenario: tuple[Scenario, ...] = Field(min_length=1)
