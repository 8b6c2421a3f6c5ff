"""Where an agent works: the tools of a world, its news, and the time that thinking takes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pytest_a2perf.domains.assistant.agents.player import ANSWER
from pytest_a2perf.domains.assistant.apps.tools import Tool
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.domains.assistant.world.notifications import Notification
from pytest_a2perf.domains.assistant.world.world import World

__all__ = ["OpenDesk", "WorldDesk"]


def _ignore(number: int, name: str) -> None:
    """Take what nobody wants to know."""


class WorldDesk:
    """A world as an agent sees it: neither its log nor what the oracle would do.

    Args:
        world: in which it acts.
        tools: other tools than the world's own, by name.
        generation_time: seconds that each decision takes in the world, or ``measured``.
        on_call: is told the number and name of each call.

    Attributes:
        calls: how many calls the agent has made.
        thinking: seconds that each decision has taken, in real time.
    """

    def __init__(
        self,
        world: World,
        *,
        tools: Mapping[str, Tool] | None = None,
        generation_time: Literal["measured"] | float = "measured",
        on_call: Callable[[int, str], None] = _ignore,
    ) -> None:
        self._world = world
        self._tools = tools
        self._generation_time = generation_time
        self._on_call = on_call
        self._answered = False
        self.calls = 0
        self.thinking: list[float] = []

    @functools.cached_property
    def tools(self) -> Mapping[str, Tool]:
        """What the agent can call, by name."""
        return self._world.tools if self._tools is None else self._tools

    @property
    def over(self) -> bool:
        """Whether the world is at its end."""
        return self._world.over

    @property
    def turn_over(self) -> bool:
        """Whether the agent has just answered the user."""
        return self._answered

    @property
    def now(self) -> float:
        """Simulated seconds since 1970."""
        return self._world.now

    @property
    def elapsed(self) -> float:
        """Simulated seconds since the world began."""
        return self._world.now - self._world.start

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool, and return what it returns.

        Raises:
            ToolError: the call is wrong, or its app refuses.
        """
        self.calls += 1
        self._on_call(self.calls, name)
        tool = self.tools.get(name)
        if tool is not None and tool.app.name not in self._world.apps:
            return tool.call(**tool.bind(arguments))  # not of the world, but put before it
        turn = self._world.turn
        result = self._world.call(name, arguments)
        if tool is not None and tool.function == ANSWER and self._world.turn > turn:
            self._answered = True
        return result

    def notifications(self) -> list[Notification]:
        """Return what is new."""
        return self._world.notifications()

    def think(self, seconds: float) -> None:
        """Let the time pass that the agent has needed to decide."""
        self.thinking.append(seconds)
        fixed = self._generation_time
        self._world.advance(seconds if fixed == "measured" else fixed)

    def wait(self) -> None:
        """End the turn: let time pass until something is new, or the end."""
        self._answered = False
        self._world.wait()


class OpenDesk(WorldDesk):
    """A desk that also shows the solution, and all that has happened; only for oracles.

    Args:
        world: in which it acts.
        scenario: what should happen.
        **settings: see `WorldDesk`.
    """

    def __init__(self, world: World, scenario: Trace, **settings: Any) -> None:
        super().__init__(world, **settings)
        self.scenario = scenario

    @property
    def log(self) -> Sequence[Happening]:
        """What has happened."""
        return self._world.log
