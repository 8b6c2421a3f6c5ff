"""An agent in ARE's default format: a thought and one action in JSON, as plain text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.assistant.agents.conversation import (
    Message,
    TalkingAgent,
    say,
    situation,
)
from pytest_a2perf.domains.assistant.agents.player import Desk, answer_tool
from pytest_a2perf.domains.assistant.apps.results import render
from pytest_a2perf.domains.assistant.apps.tools import Tool
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.errors import AgentFailure
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Action", "ActionError", "ReactAgent", "parse_action"]

FORMAT = """\
You work in steps. In each step write what you think and then one action, in exactly this form:

Thought: why this action comes next

Action:
{{"action": "NAME_OF_THE_TOOL", "action_input": {{"ARGUMENT": "value"}}}}<end_action>

The action is one JSON object that calls one tool; a tool without arguments gets {{}}. Then stop: \
the result is given to you as an observation, which you never write yourself.

The tools:

{tools}"""

STOP = ("<end_action>", "\nObservation:")
"""Before which a reply ends. The second only at the beginning of a line, unlike in ARE: the word
may well stand in a mail."""

_REASKS = 10
_ACTION = re.compile(r"^\W*Action:", re.MULTILINE)
_BARE = re.compile(r'"(?:\\.|[^"\\])*"|\b(True|False|None)\b', re.DOTALL)
_JSON_FOR = {"True": "true", "False": "false", "None": "null"}


class ActionError(Exception):
    """A reply holds no action, or not one; the message tells the model why."""


@dataclass(frozen=True)
class Action:
    """What a model wants to do.

    Attributes:
        tool: name of what it calls.
        arguments: of the call.
    """

    tool: str
    arguments: dict[str, Any]


def parse_action(reply: str) -> Action:
    r"""Return the action of a reply.

    As in ARE, there is one after ``Action:``, fences around it and text after it are ignored, line
    breaks within texts are allowed, as are ``True`` and ``False``. Unlike in ARE, what is written
    arrives as it is written: ``\\"`` does not become ``'``, ``True`` in a text does not become
    ``true``, and ``Action:`` or a brace may stand in a text.

    Args:
        reply: the model's.

    Raises:
        ActionError: there is none, more than one, or it cannot be read.
    """
    marker = _ACTION.search(reply) or re.search("Action:", reply)
    if marker is None:
        raise ActionError("there is no action in your answer: write one after 'Action:'")
    text = _BARE.sub(lambda match: _JSON_FOR.get(match[1], match[0]), reply[marker.end() :])
    start = text.find("{")
    if start < 0:
        raise ActionError("after 'Action:' there is no JSON object")
    try:
        found, end = json.JSONDecoder(strict=False).raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise ActionError(f"the action is not valid JSON: {error}") from None
    if '"action"' in text[end:] or _ACTION.search(text, end):
        raise ActionError("there is more than one action in your answer: write only one")
    tool, arguments = found.get("action"), found.get("action_input") or {}
    if not isinstance(tool, str) or not tool:
        raise ActionError("the action needs the key 'action' with the name of a tool")
    if not isinstance(arguments, dict):
        raise ActionError("'action_input' should be a JSON object with the tool's arguments")
    return Action(tool, arguments)


class ReactAgent(TalkingAgent):
    """Plays like ARE's agent ``default``, one tool a step, without native function calling.

    A reply with neither ``Thought:`` nor ``Action:`` is asked for again, up to 10 times in a step.
    An agent without steps left tells the user so, in this and in every further turn, and the judge
    decides, as in ARE.

    Args:
        model: that is asked.
        limits: of a trial.
    """

    _number = 0

    def _introduce(self, desk: Desk) -> str:
        self._number = 0
        described = "\n".join(_described(name, tool) for name, tool in desk.tools.items())
        return situation(desk) + "\n\n" + FORMAT.format(tools=described)

    def _exhausted(self, desk: Desk, steps: int) -> None:
        content = f"Max iterations ({steps}) reached. Stopping."  # ARE's words: its judge sees them
        try:
            desk.call(answer_tool(desk), {"content": content})
        except ToolError as error:
            raise AgentFailure(
                f"the agent has used up its {steps} steps (max_steps), and cannot say so: {error}"
            ) from None

    def _step(self, desk: Desk, messages: list[Message]) -> None:
        reply, bad = self._reply(desk, messages)
        self._number += 1
        for text in bad:
            say(messages, self._error(f"this answer has not the right form: {text}"))
        said = {"role": "assistant", "content": reply or "(nothing)", "timestamp": desk.now}
        messages.append(said)
        if desk.over:
            return
        try:
            action = parse_action(reply)
            told = self._observation(_call(desk, action))
        except (ActionError, ToolError) as error:
            told = self._error(str(error))
        say(messages, told)

    def _reply(self, desk: Desk, messages: list[Message]) -> tuple[str, list[str]]:
        """Return a reply, of the right form if there was any, and those before it."""
        bad: list[str] = []
        while True:
            reply = self._ask(desk, messages, stop=STOP).text
            if "Action:" in reply or "Thought:" in reply or len(bad) == _REASKS or desk.over:
                return reply, bad
            bad.append(reply)

    def _observation(self, text: str) -> str:
        return f"Observation of step {self._number}:\n{text}"

    def _error(self, text: str) -> str:
        return f"Error in step {self._number}: {text}\nDo not repeat it; try it in another way."


def _call(desk: Desk, action: Action) -> str:
    tool = desk.tools.get(action.tool)
    if tool is None:
        near = did_you_mean(action.tool, desk.tools)
        raise ToolError(f"there is no tool {action.tool!r}{near}")
    try:
        return render(desk.call(action.tool, action.arguments))
    except ToolError as error:
        raise ToolError(f"{error}\nThe tool is:\n{_described(action.tool, tool)}") from None


def _described(name: str, tool: Tool) -> str:
    arguments = tool.schema()["function"]["parameters"]["properties"]
    required = [parameter.name for parameter in tool.parameters if parameter.required]
    lines = [f"- {name}: {tool.description}"]
    for argument, schema in arguments.items():
        needed = "" if argument in required else " (optional)"
        lines.append(f"    {argument}{needed}: {json.dumps(schema, ensure_ascii=False)}")
    return "\n".join([*lines, f"    Returns: {tool.returns or 'nothing'}"])
