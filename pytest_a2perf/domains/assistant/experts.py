"""Agent-to-agent: apps that can only be reached through an agent of their own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from pytest_a2perf.domains.assistant.agents.make import make_model
from pytest_a2perf.domains.assistant.agents.tool_calling import parse_arguments
from pytest_a2perf.domains.assistant.apps.app import App, tool
from pytest_a2perf.domains.assistant.apps.results import render
from pytest_a2perf.domains.assistant.apps.times import text_of
from pytest_a2perf.domains.assistant.apps.tools import Tool, tools_of
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.domains.assistant.options import AgentToAgentOptions
from pytest_a2perf.domains.assistant.world.world import World
from pytest_a2perf.llm import ChatModel, ConversationError, Totals

__all__ = ["Expert", "Experts"]

_SPARED = ("AgentUserInterface", "SystemApp", "InternalContacts")
_FINAL = "final_answer"
_ROLE = """\
You are in charge of the app {app} on a user's device. Another agent, which cannot use the app, \
gives you a task. Do it with the app's functions, all of it and nothing else, and then call \
final_answer with what the other agent needs to know: results with their ids, or why it cannot be \
done. You cannot ask back. It is {now} (UTC)."""
_FINAL_SCHEMA = {
    "type": "function",
    "function": {
        "name": _FINAL,
        "description": "Report to the agent that gave you the task; this ends your work.",
        "parameters": {
            "type": "object",
            "properties": {"answer": {"type": "string", "description": "what it needs to know"}},
            "required": ["answer"],
            "additionalProperties": False,
        },
    },
}


class Expert(App):
    """Stands before an app: takes tasks in words, and does them with the app's tools.

    What it does there happens in the world, and is judged like the agent's own calls.

    Args:
        world: in which the app is.
        app: its name.
        tools: the app's, by name.
        model: of the agent.
        max_steps: calls of the model for one task.
    """

    def __init__(
        self, world: World, app: str, tools: Mapping[str, Tool], model: ChatModel, max_steps: int
    ) -> None:
        super().__init__(f"{app}Expert", world.apps[app].clock)
        self._world, self._app, self._tools = world, app, tools
        self._model, self._max_steps = model, max_steps

    @tool("agent", write=True)
    def expert_agent(self, task: str) -> str:
        """Give the agent that operates this app a task, and get its report.

        Args:
            task: what it should do or find out, complete in itself: it knows nothing else.

        Returns:
            What the agent reports.
        """
        now = text_of(self._world.now, "%A, %Y-%m-%d %H:%M")
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": _ROLE.format(app=self._app, now=now)},
            {"role": "user", "content": task},
        ]
        schemas = [*(each.schema() for each in self._tools.values()), _FINAL_SCHEMA]
        for _ in range(self._max_steps):
            try:
                answer = self._model.complete(messages, tools=schemas)
            except ConversationError as error:
                raise ToolError(f"the agent of {self._app} could not go on: {error}") from None
            self._world.advance(answer.seconds)
            messages.append(answer.message)
            if not answer.tool_calls:
                return answer.text
            for call in answer.tool_calls:
                arguments = parse_arguments(call.arguments_text)
                if call.name == _FINAL and isinstance(arguments, dict):
                    return str(arguments.get("answer", ""))
                content = self._call(call.name, arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        raise ToolError(
            f"the agent of {self._app} has used up its {self._max_steps} steps; what it has done "
            "so far is done"
        )

    def _call(self, name: str, arguments: dict[str, Any] | ValueError) -> str:
        if name not in self._tools:
            return f"Error: there is no function {name}"
        if isinstance(arguments, ValueError):
            return f"Error: the arguments of {name} are no JSON object"
        try:
            return render(self._world.call(name, arguments))
        except ToolError as error:
            return f"Error: {error}"


class Experts:
    """The apps of a world that are behind agents.

    Attributes:
        tools: what the agent under test can call instead of the world's tools.
    """

    def __init__(
        self, world: World, options: AgentToAgentOptions, seed: int, cassette: Any
    ) -> None:
        assert options.model is not None  # checked at collection
        self._model = make_model(options.model, options.model_options, cassette)
        names = [name for name, app in world.apps.items() if app.app_class not in _SPARED]
        count = round(options.share * len(names))
        chosen = set(random.Random(f"experts_{seed}").sample(sorted(names), count))
        own: dict[str, dict[str, Tool]] = {}
        self.tools: dict[str, Tool] = {}
        for name, each in world.tools.items():
            if each.app.name in chosen:
                own.setdefault(each.app.name, {})[name] = each
            else:
                self.tools[name] = each
        for app, tools in own.items():
            expert = Expert(world, app, tools, self._model, options.max_steps)
            self.tools |= {each.name: each for each in tools_of(expert, "agent")}

    @classmethod
    def of(
        cls, world: World, options: AgentToAgentOptions | None, seed: int, cassette: Any
    ) -> Experts | None:
        """Put agents before apps where the options ask for it."""
        return None if options is None else cls(world, options, seed, cassette)

    @property
    def totals(self) -> Totals:
        """What their model has used."""
        return self._model.totals
