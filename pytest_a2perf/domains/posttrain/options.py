"""What ``[scenario.options]`` may say in the domain ``posttrain``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions
from pytest_a2perf.domains.posttrain.tasks.base import Budget
from pytest_a2perf.domains.posttrain.workspace.names import Mode
from pytest_a2perf.scenarios.models import Duration, Strict, in_unit

__all__ = ["BudgetOptions", "PosttrainOptions"]


def _bytes(value: object) -> object:
    return int(in_unit(value, "B")) if isinstance(value, str) else value


Bytes = Annotated[int, Field(ge=1), BeforeValidator(_bytes, json_schema_input_type=str | int)]


class BudgetOptions(Strict):
    """What an agent may use; what is not given is as the task says."""

    cpu: Duration | None = Field(None, description="CPU time of all its processes together")
    wall: Duration | None = Field(
        None, description="time by the clock, which stands still while a submission is evaluated"
    )
    submissions: int | None = Field(None, ge=1, description="that are evaluated")
    calls: int | None = Field(None, ge=0, description="of the task's services, such as a judge")
    memory: Bytes | None = Field(None, description="such as '4 GiB'")
    disk: Bytes | None = Field(None, description="in its workspace")
    processes: int | None = Field(None, ge=1, description="at once")

    def over(self, budget: Budget) -> Budget:
        """Return a task's budget with what is given here in its place."""
        return replace(budget, **self.model_dump(exclude_none=True))


class PosttrainOptions(Strict):
    """Options of the domain ``posttrain``."""

    task_options: dict[str, Any] = Field(
        default_factory=dict, description="of the task, such as size = 'small'"
    )
    mode: Mode = Field(
        "free", description="'sft' withholds rewards from the agent, 'rl' demonstrations"
    )
    budget: BudgetOptions = BudgetOptions()
    sandbox: Literal["auto", "bubblewrap", "landlock", "docker", "podman", "none"] = Field(
        "auto", description="'auto': bubblewrap, or Landlock where that does not work"
    )
    allow_unisolated: bool = Field(
        False, description="whether a run may do without isolation; its results are marked"
    )
    network: bool = Field(False, description="whether the agent reaches the host's network")
    pass_env: tuple[str, ...] = Field((), description="variables of the host that the agent gets")
    devices: tuple[str, ...] = Field(
        (), description="device files for it, or patterns such as '/dev/nvidia*'"
    )
    gpus: tuple[str, ...] = Field(
        (), description="numbers or UUIDs for it; default: those that its worker has leased"
    )
    llm: LlmOptions | None = Field(
        None, description="language models that the agent may ask, through a proxy"
    )
    repeats: int | None = Field(
        None,
        ge=1,
        le=100,
        description="evaluations that decide, of the base model and of the best submission; "
        "default: 5 where the judge is noisy, else 1",
    )
    per_minute: int = Field(30, ge=1, description="submissions, whatever becomes of them")
    cool_down: Duration | None = Field(
        None, description="from the end of an evaluation to the next submission"
    )
    queue: int = Field(8, ge=0, description="submissions that may wait")

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        if self.sandbox == "none" and not self.allow_unisolated:
            raise ValueError(
                "sandbox = 'none' isolates nothing: it needs allow_unisolated = true, and the "
                "results are marked"
            )
        return self
