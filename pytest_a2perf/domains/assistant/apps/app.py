"""What an app is, and how its methods become tools."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal, Protocol, TypeVar

__all__ = ["App", "Audience", "Clock", "ToolMark", "tool"]

Audience = Literal["agent", "user", "env"]
F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__a2perf_tool__"


class Clock(Protocol):
    """Tells the simulated time."""

    @property
    def now(self) -> float:
        """Seconds since 1970."""


class ToolMark:
    """What `tool` has said of a method."""

    def __init__(self, *, write: bool, audience: frozenset[Audience]) -> None:
        self.write = write
        self.audience = audience


def tool(*audience: Audience, write: bool = False) -> Callable[[F], F]:
    """Make a method of an app a tool.

    Its docstring is what an agent reads: a summary, and ``Args:`` with a line for each parameter;
    its annotations become the schema.

    Args:
        audience: who may call it; the scenario's own events may call any.
        write: whether it is meant to change anything.
    """

    def mark(function: F) -> F:
        setattr(function, _MARK, ToolMark(write=write, audience=frozenset(audience)))
        return function

    return mark


class App:
    """An app of a world: what it holds, and methods marked with `tool`.

    Attributes:
        classes: names under which scenarios ask for it.
        name: of the instance, as agents see it.
        app_class: the name under which the scenario asked for it.
        clock: tells the simulated time.
        rng: for ids and whatever else is drawn; seeded from the world's seed and the app's name.
    """

    classes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        self.name = name
        self.app_class = app_class or type(self).__name__
        self.clock = clock
        # Text seeds go through SHA-512, the same in every process, unlike `hash`.
        self.rng = random.Random(f"{seed}_{name}")

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what a scenario says that the app holds.

        Raises:
            TraceError: it is not what the app can hold; names the key.
        """

    def get_state(self) -> dict[str, Any]:
        """Return what the app holds, in the form that `load_state` takes."""
        return {}

    def new_id(self) -> str:
        """Return a fresh id of 32 hexadecimal digits."""
        return f"{self.rng.getrandbits(128):032x}"

    def marked(self) -> Iterator[tuple[str, Callable[..., Any], ToolMark]]:
        """Yield name, bound method and mark of each tool, in the order of definition."""
        seen: dict[str, ToolMark] = {}
        for cls in reversed(type(self).__mro__):
            for name, value in vars(cls).items():
                if mark := getattr(value, _MARK, None):
                    seen[name] = mark
        for name, mark in seen.items():
            yield name, getattr(self, name), mark
