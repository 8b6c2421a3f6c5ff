"""An agent that is a function of the user's, or an async one."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from pytest_a2perf.domains.assistant.agents.player import Desk, answer_tool, news_text
from pytest_a2perf.domains.assistant.apps.tools import Tool
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.errors import A2PerfError, AgentError

__all__ = ["CallableAgent", "TurnOverError", "WorldOver"]


class WorldOver(BaseException):
    """A tool was called when the world had ended: leave the agent's code."""


class TurnOverError(ToolError):
    """A tool was called after the message to the user."""


class CallableAgent:
    """Calls ``function(message, tools)`` once a turn.

    ``message`` is what is new, as text. ``tools`` has a function for each tool, by name, which
    takes keyword arguments, returns what the app returns and raises `ToolError`; it has name,
    docstring and signature, and as ``schema`` its description in OpenAI's format. An async function
    gets async ones. What the function returns is sent to the user, unless it is None or the user
    has had a message in this turn; after it, tools refuse until the next turn.

    Args:
        function: of the user's; a class is instantiated, so that a trial has one of its own.
        timed: whether the time that its code takes between calls passes in the world, too, as the
            time that a model needs does. Then no two trials are alike.
    """

    def __init__(self, function: Callable[..., Any], *, timed: bool = False) -> None:
        self._function = function
        self._timed = timed
        self._since = 0.0

    def play(self, desk: Desk) -> None:
        """Act in a world until it is over.

        Raises:
            AgentError: the user's code raised, or returned something else than a text.
        """
        function = self._function
        if isinstance(function, type):
            function = _guarded(function)
        use_async = _is_async(function)
        tools = {
            name: _described(self._caller(desk, name, use_async), name, tool)
            for name, tool in desk.tools.items()
        }
        # It makes its loop when something is run, and leaves alone the thread's own, if it has one.
        runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        try:
            while not desk.over:
                if news := desk.notifications():
                    self._since = time.perf_counter()
                    result = _guarded(function, news_text(news), tools, runner=runner)
                    if result is not None:
                        self._send(desk, result)
                if not desk.over:
                    desk.wait()
        finally:
            runner.close()

    def _caller(self, desk: Desk, name: str, use_async: bool) -> Callable[..., Any]:
        def called(**arguments: Any) -> Any:
            self._check(desk)
            try:
                return desk.call(name, arguments)
            finally:
                self._since = time.perf_counter()

        async def called_async(**arguments: Any) -> Any:
            return called(**arguments)

        return called_async if use_async else called

    def _send(self, desk: Desk, text: Any) -> None:
        if not isinstance(text, str):
            raise AgentError(
                f"the agent returned a {type(text).__name__}: return the text for the user, or None"
            )
        try:
            self._check(desk)
            desk.call(answer_tool(desk), {"content": text})
        except (TurnOverError, WorldOver):
            return
        except ToolError as error:
            raise AgentError(f"what the agent returned has not reached the user: {error}") from None

    def _check(self, desk: Desk) -> None:
        if self._timed and not desk.over:
            desk.think(time.perf_counter() - self._since)
        if desk.over:
            raise WorldOver
        if desk.turn_over:
            raise TurnOverError("your message to the user has ended your turn: return")


def _is_async(function: Any) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - whether the method is async
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _guarded(function: Any, *arguments: Any, runner: asyncio.Runner | None = None) -> Any:
    """Call the user's code.

    Raises:
        AgentError: it raised.
    """
    try:
        result = function(*arguments)
        if runner is not None and inspect.iscoroutine(result):
            result = runner.run(result)
    except WorldOver:
        return None
    except A2PerfError:
        raise
    except Exception as error:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise AgentError(f"the agent {name} raised {type(error).__name__}: {error}") from error
    return result


def _described(function: Any, name: str, tool: Tool) -> Callable[..., Any]:
    """Give a function what it takes to offer it to a model."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = _docstring(tool)
    function.__signature__ = _signature(tool)
    function.__annotations__ = {each.name: each.annotation for each in tool.parameters}
    function.schema = tool.schema()
    return function  # type: ignore[no-any-return]


def _docstring(tool: Tool) -> str:
    lines = [tool.description]
    if tool.parameters:
        lines += ["", "Args:"]
        lines += [f"    {each.name}: {each.description}" for each in tool.parameters]
    if tool.returns:
        lines += ["", "Returns:", f"    {tool.returns}"]
    return "\n".join(lines)


def _signature(tool: Tool) -> inspect.Signature:
    parameters = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=each.annotation,
        )
        for each in tool.parameters
    ]
    return inspect.Signature(parameters)
