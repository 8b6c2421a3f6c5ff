"""What ``[scenario.options]`` may say in the domain ``serving``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from pytest_a2perf.domains.serving.replay.options import ClientOptions, LoadOptions, WindowOptions
from pytest_a2perf.domains.serving.slo.options import SearchOptions, TierOptions
from pytest_a2perf.domains.serving.workload import WorkloadOptions
from pytest_a2perf.scenarios.models import Strict, in_unit

__all__ = ["ServingOptions"]

_MOST_OPEN = 1000


def _rate(value: object) -> object:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return value
    return in_unit(value, "1/s")


class ServingOptions(Strict):
    """Options of the domain ``serving``."""

    tiers: tuple[str | TierOptions, ...] = Field(
        (), description="ids of published tiers, or tables: what a load must keep to"
    )
    agents: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None, description="agents at once: this many, or a list; default: search for the most"
    )
    rate: Annotated[float, Field(gt=0), BeforeValidator(_rate)] | None = Field(
        None,
        description="sessions that begin a second (open loop), e.g. '2 1/s'; agents is then how "
        "many may be open at once, 1000 by default",
    )
    search: SearchOptions = SearchOptions()
    window: WindowOptions = WindowOptions()
    load: LoadOptions = LoadOptions()
    client: ClientOptions = ClientOptions()
    workload: WorkloadOptions = WorkloadOptions()

    @property
    def fixed(self) -> tuple[int, ...]:
        """The loads that are measured whatever comes of them; empty where one is searched for."""
        if self.agents is None or self.rate is not None:
            return ()
        return (self.agents,) if isinstance(self.agents, int) else self.agents

    @property
    def most_open(self) -> int:
        """Sessions of an open loop that may be open at once."""
        return self.agents if isinstance(self.agents, int) else _MOST_OPEN
