"""What ``[scenario.options]`` may say of load, of its window, and of the client."""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.replay.level import ClientCheck, Rules
from pytest_a2perf.domains.serving.replay.plan import Output, Plan
from pytest_a2perf.domains.serving.replay.profiles import PROFILES
from pytest_a2perf.domains.serving.slo.options import Share
from pytest_a2perf.scenarios.models import Duration, Strict, in_unit

__all__ = ["ClientOptions", "LoadOptions", "WindowOptions"]

_AGENTS = 500
"""Streams that a process carries with an error of the first token's time of 3 ms at most."""

_CHUNKS = 35_000.0
"""Chunks a second for a process: half of what one core can take in."""

Positive = Annotated[Duration, Field(gt=0)]


def _seconds(value: object) -> object:
    return in_unit(value, "s")


NotNegative = Annotated[
    float, BeforeValidator(_seconds, json_schema_input_type=str | float), Field(ge=0)
]


class LoadOptions(Strict):
    """How recorded sessions become load."""

    output: Output = Field(
        "free",
        description="length of replies: 'free' as the server likes, 'recorded' at most as "
        "recorded, 'exact' just as recorded, 'fixed' all the same; the last two need a server "
        "that honours ignore_eos",
    )
    fixed_tokens: int | None = Field(
        None, ge=1, description="output 'fixed': length of every reply in tokens"
    )
    most_tokens: int = Field(
        16_384, ge=1, description="no reply may be longer; a guard against loops"
    )
    isolate_cache: bool = Field(
        True,
        description="each session begins with a random prefix, so that the server's prefix cache "
        "works within a session, and not between sessions or levels",
    )
    spread: bool = Field(
        True, description="each agent begins within its first session, so that none are in step"
    )
    pause_scale: float = Field(1.0, ge=0, description="factor of the recorded pauses")
    longest_pause: NotNegative = Field(60.0, description="a longer pause is cut to this")
    stall: Positive = Field(60.0, description="a request is given up after a silence of this")
    longest: Positive = Field(600.0, description="a request is given up after this in any case")
    warmup: int = Field(1, ge=0, description="requests before each level, which do not count")
    ramp: NotNegative = Field(0.0, description="the agents of a level begin over this time")
    processes: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = Field(
        "auto", description="processes that make load; auto: by agents and chunks, one a core"
    )
    tokenizer: str | None = Field(
        None, description="a tokenizer.json that counts tokens where the server does not"
    )

    @model_validator(mode="after")
    def _fits(self) -> LoadOptions:
        if (self.output == "fixed") != (self.fixed_tokens is not None):
            raise ValueError("output = 'fixed' and fixed_tokens belong together")
        if (self.fixed_tokens or 0) > self.most_tokens:
            raise ValueError("fixed_tokens is more than most_tokens")
        return self

    def plan(self, endpoint: Endpoint, workload: str, **rest: Any) -> Plan:
        """Return the plan of a level; see `Plan` for ``rest``."""
        return Plan(
            endpoint=endpoint,
            workload=workload,
            rows="",
            ramp=self.ramp,
            output=self.output,
            fixed_tokens=self.fixed_tokens or 0,
            most_tokens=self.most_tokens,
            isolate_cache=self.isolate_cache,
            spread=self.spread,
            pause_scale=self.pause_scale,
            longest_pause=self.longest_pause,
            stall=self.stall,
            longest=self.longest,
            warmup=self.warmup,
            tokenizer=self.tokenizer or "",
            **rest,
        )

    def process_count(self, agents: int, chunk_rate: float = 0.0) -> int:
        """Return how many processes carry so many agents.

        Args:
            agents: at once.
            chunk_rate: expected events a second, of all agents; 0 if unknown.
        """
        if self.processes != "auto":
            return min(self.processes, agents)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        wanted = max(math.ceil(agents / _AGENTS), math.ceil(chunk_rate / _CHUNKS), 1)
        return min(wanted, cores or 1, agents)


class ClientOptions(Strict):
    """How little of what is measured may be the client's own doing; see `selfcheck`."""

    share: Share = Field(0.05, description="of a limit that the client's own error may be")
    finest: NotNegative = Field(0.002, description="an error of less than this never matters")
    busiest: Share = Field(0.85, description="of a core that a load process may use")
    idle: Share = Field(
        0.05, description="of the machine's time that should be idle; less is told in reports"
    )

    def check(self) -> ClientCheck:
        """Return them as levels take them."""
        return ClientCheck(**self.model_dump())


class WindowOptions(Strict):
    """When the steady window of a level begins and ends; what is not said is as in the profile."""

    profile: Literal["publication", "ci", "quick"] = Field(
        "ci", description="rules: the published ones, or shorter ones, which reports name"
    )
    settle: NotNegative | None = Field(
        None, description="it begins when all agents have been active for so long"
    )
    steady: Positive | None = Field(None, description="it lasts at least so long")
    sessions: int | None = Field(None, ge=0, description="that end inside of it, at least")
    per_agent: float | None = Field(
        None, ge=0, description="sessions that end inside of it for each agent, at least"
    )
    requests: int | None = Field(None, ge=1, description="that end inside of it, at least")
    longest: Positive | None = Field(
        None, description="it ends after so long in any case, and says what it lacks"
    )

    def rules(self, fewest: int = 0) -> Rules:
        """Return the rules of levels.

        Args:
            fewest: requests that a verdict needs, see `slo.decide.least_requests`.
        """
        profile = PROFILES[self.profile]
        own = self.model_dump(exclude={"profile"}, exclude_none=True)
        changed = [name for name, value in own.items() if value != getattr(profile, name)]
        name = f"{self.profile} (changed: {', '.join(changed)})" if changed else self.profile
        rules = dataclasses.replace(profile, **own, name=name)
        return dataclasses.replace(rules, requests=max(rules.requests, fewest))
