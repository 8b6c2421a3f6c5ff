"""What an agent is, and how one is made from what a scenario says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Agent", "AgentContext", "AgentFactory"]


class Agent(Protocol):
    """What is tested. `reset` and `load` are optional on users' objects.

    An agent whose attribute ``batched`` is true gets the observations of a vectorised environment
    as one batch; others are asked once for each sub-environment.
    """

    def act(self, observation: Any) -> Any:
        """Decide: return an action for an observation."""

    def reset(self, seed: int) -> None:
        """Begin an episode; all randomness must come from ``seed``."""

    def load(self, env: Any) -> None:
        """Get ready for an environment; called once, before the first episode."""


def _ignore(*_: Any, **__: Any) -> None:
    """Take what nobody records."""


@dataclass(frozen=True, slots=True)
class AgentContext:
    """What a factory may need to make an agent.

    Attributes:
        env: the environment (its spaces); None in domains without one.
        seed: the trial's seed.
        root: folder against which relative paths are resolved.
        options: the scenario's ``agent_options``.
        run: folder of the run in progress, or None.
        scenario: id of the trial's scenario, or empty.
        note: takes, by name, what the trial's record should say of the agent.
        report: takes name, value and unit of a number that gates may name, as `Trial.report`.
        case: of the trial, or empty.
        cassette: recorded answers of models, see `pytest_a2perf.llm.Cassette`; or None.
    """

    env: Any
    seed: int
    root: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    run: Path | None = None
    scenario: str = ""
    note: Callable[..., None] = _ignore
    report: Callable[..., None] = _ignore
    case: str = ""
    cassette: Any = None


AgentFactory = Callable[[str, AgentContext], Any]
"""Makes an agent from the text after ``prefix:`` (or from the whole path or name)."""
