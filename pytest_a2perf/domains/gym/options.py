"""What ``[scenario.options]`` may hold in the domain ``gym``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pytest_a2perf.scenarios.models import Strict

__all__ = ["GymOptions"]


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
