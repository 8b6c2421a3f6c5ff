"""An agent whose model calls tools natively."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from pytest_a2perf.domains.assistant.agents.conversation import (
    Message,
    TalkingAgent,
    say,
    situation,
)
from pytest_a2perf.domains.assistant.agents.player import Desk, answer_tool
from pytest_a2perf.domains.assistant.apps.results import render
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.llm import ToolCall

__all__ = ["ToolCallingAgent", "parse_arguments"]

_NOT_DONE = "Not done: you have sent the user a message, which has ended your turn."
_LONGEST_NAME = 64
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


class ToolCallingAgent(TalkingAgent):
    """Offers the model all tools as functions, and calls those that it wants, in its order.

    A text without a call is sent to the user, so it ends the turn. What follows a message to the
    user in the same answer is not done.

    Args:
        model: that is asked.
        limits: of a trial.
    """

    def _introduce(self, desk: Desk) -> str:
        return situation(desk)

    def _step(self, desk: Desk, messages: list[Message]) -> None:
        names = _wire_names(desk.tools)
        tools = [_renamed(desk.tools[name].schema(), wire) for wire, name in names.items()]
        answer = self._ask(desk, messages, tools=tools)
        messages.append(_readable(answer.message))
        if desk.over:
            return
        for call in answer.tool_calls:
            content = _NOT_DONE if desk.turn_over or desk.over else self._call(desk, call, names)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        if not answer.tool_calls:
            self._answer(desk, messages, answer.text, answer.finish)

    def _call(self, desk: Desk, call: ToolCall, names: dict[str, str]) -> str:
        arguments = parse_arguments(call.arguments_text)
        if isinstance(arguments, ValueError):
            return f"Error: the arguments of {call.name} are no JSON object: {arguments}"
        try:
            return render(desk.call(names.get(call.name, call.name), arguments))
        except ToolError as error:
            return f"Error: {error}"

    def _answer(self, desk: Desk, messages: list[Message], text: str, finish: str) -> None:
        if not text.strip():
            messages.pop()  # an empty message is refused by some
            cut = ": it has reached the greatest length" if finish == "length" else ""
            say(messages, f"Your answer was empty{cut}. Call a tool, or write to the user.")
            return
        try:
            desk.call(answer_tool(desk), {"content": text})
        except ToolError as error:
            say(messages, f"Your message has not reached the user: {error}")


def _readable(message: Message) -> Message:
    """Return a message whose arguments are JSON objects: some providers refuse it otherwise."""
    if not message.get("tool_calls"):
        return message
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        arguments = parse_arguments(function["arguments"])
        if isinstance(arguments, ValueError):
            arguments = {"not_json": function["arguments"]}
        calls.append(call | {"function": function | {"arguments": json.dumps(arguments)}})
    return message | {"tool_calls": calls}


def parse_arguments(text: str) -> dict[str, Any] | ValueError:
    """Read the arguments of a call as a model writes them; return what is wrong with them, else."""
    try:
        arguments = json.loads(text or "{}", strict=False)
    except ValueError as error:
        return error
    if not isinstance(arguments, dict):
        return ValueError(f"an object is needed, not {text[:40]}")
    return arguments


def _wire_names(names: Iterable[str]) -> dict[str, str]:
    """Return the tools' names by names that providers take, which nearly all of them are."""
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        wire = _NOT_IN_NAMES.sub("_", name)[-_LONGEST_NAME:]
        if wire in found:
            wire = f"{number}_{wire}"[:_LONGEST_NAME]
        found[wire] = name
    return found


def _renamed(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return schema | {"function": schema["function"] | {"name": name}}
