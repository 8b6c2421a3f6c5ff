"""The backend ``are``: Meta ARE's own apps and its own judge, behind the surface of our `World`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App
from pytest_a2perf.domains.assistant.apps.tools import REQUIRED, Parameter, Tool
from pytest_a2perf.domains.assistant.backends.are_process import are_python, borrow, give_back
from pytest_a2perf.domains.assistant.judge.soft import Ask
from pytest_a2perf.domains.assistant.judge.verdict import TurnVerdict
from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.domains.assistant.world.notifications import Notification

__all__ = ["AreTool", "AreWorld"]

_TYPES: dict[str, Any] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict,
}  # fmt: skip
_WRITTEN = re.compile(r"Received at: .*\nSender: User\nMessage: (.*)\nAlready read: ", re.DOTALL)
"""What the package makes of a message of the user."""


@dataclass(frozen=True)
class AreTool(Tool):
    """A tool of the package's; what it takes is said in its own words."""

    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its parameters, in order."""
        return tuple(
            Parameter(
                one["name"], _annotation(one["schema"]), one["description"],
                one.get("default", REQUIRED),
            )
            for one in self.spec["parameters"]
        )  # fmt: skip

    @property
    def returns(self) -> str:
        """What it returns, in words."""
        return str(self.spec["returns"])

    def schema(self) -> dict[str, Any]:
        """Return it as a function in OpenAI's format."""
        properties = {
            one["name"]: one["schema"] | {"description": one["description"]}
            for one in self.spec["parameters"]
        }
        parameters = {
            "type": "object",
            "properties": properties,
            "required": [p.name for p in self.parameters if p.required],
            "additionalProperties": False,
        }
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": parameters,
        }
        return {"type": "function", "function": function}

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as they are: the package checks them itself."""
        return dict(arguments)


def _annotation(schema: Mapping[str, Any]) -> Any:
    """Return roughly the type that a schema stands for."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return _annotation(one) | None
    return _TYPES.get(str(schema.get("type")), Any)


class _ShownDict(dict[str, Any]):
    """A result; as text it is what the package shows to its agents."""

    def __init__(self, value: Mapping[str, Any], text: str) -> None:
        super().__init__(value)
        self._text = text

    def __str__(self) -> str:
        return self._text


class _ShownList(list[Any]):
    """A result; as text it is what the package shows to its agents."""

    def __init__(self, value: list[Any], text: str) -> None:
        super().__init__(value)
        self._text = text

    def __str__(self) -> str:
        return self._text


class AreWorld:
    """A scenario in the real package, with a clock that only `advance` moves; `close` it.

    Args:
        text: the scenario's JSON.
        seed: of what the package draws.
        verbosity: ``low``, ``medium`` or ``high``.
        duration: simulated seconds until the end; None: the scenario's own.
        ask: puts a conversation to the model of the judge.

    Attributes:
        start: when it begins, in seconds since 1970.
        now: what time it is.
        turn: how many messages the agent has sent to the user.
        turns: how many the scenario has.
        why: how it ended (``finished``, ``rejected``, ``duration``, ``stopped``); None: it has not.
        apps: by name, without what they hold.
        tools: the agent's, by name.
        verdicts: of the turns judged so far.

    Raises:
        A2PerfError: the package is not there.
        TraceError: it does not take the scenario.
    """

    def __init__(
        self,
        text: str,
        *,
        seed: int = 0,
        verbosity: str = "medium",
        duration: float | None = None,
        ask: Ask | None = None,
    ) -> None:
        self._ask = ask
        self._process = borrow(are_python())
        self.now = 0.0
        self.turn = 0
        self.why: str | None = None
        self.verdicts: list[TurnVerdict] = []
        self._log: list[Happening] = []
        try:
            opened = self._do("open", text=text, seed=seed, verbosity=verbosity, duration=duration)
        except BaseException:
            self.close()
            raise
        self.start = float(opened["start"])
        self.turns = int(opened["turns"])
        self.apps: dict[str, App] = {}
        self.tools: dict[str, Tool] = {}
        for spec in opened["tools"]:
            app = self.apps.setdefault(
                spec["app"], App(spec["app"], _Clock(self), app_class=spec["app_class"])
            )
            self.tools[spec["name"]] = AreTool(
                app=app,
                function=spec["function"],
                call=functools.partial(self._call, spec["name"]),
                write=spec["write"],
                audience=frozenset({"agent"}),
                name=spec["name"],
                description=spec["description"],
                spec=spec,
            )

    @property
    def over(self) -> bool:
        """Whether nothing can happen any more."""
        return self.why is not None

    @property
    def success(self) -> bool:
        """Whether the judge has accepted every turn."""
        return len(self.verdicts) == self.turns and all(one.success for one in self.verdicts)

    @property
    def log(self) -> list[Happening]:
        """What has happened, in order; of a process that has died, what was last seen of it."""
        if not self._process.broken:
            self._log = [Happening(**entry) for entry in self._do("log")]
        return self._log

    def call(self, name: str, arguments: Mapping[str, Any] | str) -> Any:
        """Call a tool as the agent, and return its result.

        Args:
            name: of the tool.
            arguments: by name; text is read by the package's own parser.

        Raises:
            ToolError: there is no such tool, or it refuses.
        """
        given = arguments if isinstance(arguments, str) else dict(arguments)
        shown = self._do("call", name=name, arguments=given)
        value = shown["value"]
        if isinstance(value, dict):
            return _ShownDict(value, shown["text"])
        return _ShownList(value, shown["text"]) if isinstance(value, list) else value

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due happens."""
        self._do("advance", seconds=seconds)

    def wait(self, timeout: float | None = None) -> None:
        """Let time pass until there is news for the agent, or the world is over.

        Args:
            timeout: seconds after which it is enough in any case.
        """
        self._do("wait", timeout=timeout)

    def notifications(self) -> list[Notification]:
        """Return what is new for the agent; it is new only once."""
        return [_notification(**one) for one in self._do("notifications")]

    def stop(self) -> None:
        """End the world before its time; a last turn is judged as it is."""
        self._do("stop")

    def close(self) -> None:
        """Give the process back."""
        give_back(self._process)

    def _call(self, name: str, /, **arguments: Any) -> Any:
        return self.call(name, arguments)

    def _do(self, what: str, **values: Any) -> Any:
        try:
            return self._process.request(what, ask=self._ask, **values)["ok"]
        finally:  # a refused call may have been seen by the judge as well
            if state := self._process.state:
                self.now, self.turn, self.why = state["now"], state["turn"], state["why"]
                self.verdicts = [TurnVerdict(**one) for one in state["verdicts"]]


def _notification(kind: str, text: str, time: float) -> Notification:
    if kind != "USER_MESSAGE":
        return Notification("environment", text, time)
    written = _WRITTEN.match(text)
    return Notification("user", written[1] if written else text, time)


class _Clock:
    """Tells a world's time."""

    def __init__(self, world: AreWorld) -> None:
        self._world = world

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self._world.now
