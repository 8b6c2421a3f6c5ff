"""What ``[scenario.options]`` may hold in the domain ``gym``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pytest_a2perf.datasets.levels import Level, Rule
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.scenarios.models import Strict

__all__ = ["CollectOptions", "GymOptions"]


def _energy(value: str | float) -> str | float:
    from pytest_a2perf.datasets.cost import parse_energy

    try:
        parse_energy(value)
    except A2PerfError as error:
        raise ValueError(str(error)) from None
    return value


class CollectOptions(Strict):
    """``[scenario.options.collect]``: the data set that phase ``collect`` writes."""

    expertise: Literal["novice", "intermediate", "medium", "expert"] | None = Field(
        None, description="how good the data are, for the metadata; default: the level"
    )
    level: Level | None = Field(
        None, description="roll out the checkpoints of 'run:NAME' that are at this skill level"
    )
    level_rule: Rule = Field(
        "sigma",
        description="levels by mean and standard deviation as in A2Perf's code, or the "
        "median as in its paper",
    )
    scaling: Literal["paper", "a2perf"] = Field(
        "paper",
        description="cost of trained agents: the energy of the whole training, or "
        "A2Perf's share of it up to the checkpoint",
    )
    cost_kwh: float | None = Field(
        None, ge=0, description="declared cost in kWh of logged, human or scripted data"
    )
    cost_source: str = Field("", description="where the declared cost comes from")
    author: str | None = Field(None, description="for the metadata")
    email: str | None = Field(None, description="of the author, for the metadata")
    code_permalink: str | None = Field(None, description="where the code is, for the metadata")
    description: str | None = Field(None, description="for the metadata")


class GymOptions(Strict):
    """``[scenario.options]`` of the domain ``gym``."""

    env: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments for gymnasium.make"
    )
    modules: tuple[str, ...] = Field(
        (), description="modules to import first, so that they register their environments"
    )
    num_envs: int = Field(1, ge=1, description="sub-environments of a vectorised environment")
    vectorization: Literal["sync", "async", "vector_entry_point"] = Field(
        "sync", description="how sub-environments run, see gymnasium.make_vec"
    )
    max_steps: int | None = Field(None, ge=1, description="truncate episodes here")
    warmup_steps: int = Field(
        0, ge=0, description="steps before the measurement, which nobody records"
    )
    success: str | None = Field(
        None,
        description="condition on an episode's return, e.g. '>= 475'; default: the environment's "
        "own word, is_success or success in its last info",
    )
    tasks: tuple[str, ...] = Field(
        (), description="further environments of a generalization scenario, beside its task"
    )
    references: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="returns of a task that count as 0 and as 1 in normalised scores",
    )
    curves: dict[str, str] = Field(
        default_factory=dict,
        description="phase 'train': TensorBoard tag or CSV column by the curve's name, e.g. "
        "{return = 'eval/mean_reward'}",
    )
    data_cost: Annotated[str | float, AfterValidator(_energy)] | None = Field(
        None,
        description="phase 'train': energy that logged or human data took to make, e.g. '3 kWh'",
    )
    collect: CollectOptions | None = Field(
        None, description="phase 'collect': level, cost and authors of the data set"
    )
