"""From what a scenario names to an agent of this domain."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pytest_a2perf.agents.base import AgentContext
from pytest_a2perf.domains.assistant.agents.callables import CallableAgent
from pytest_a2perf.domains.assistant.agents.oracle import OracleAgent
from pytest_a2perf.domains.assistant.agents.player import Player
from pytest_a2perf.domains.assistant.agents.react import ReactAgent
from pytest_a2perf.domains.assistant.agents.scripted import ScriptedAgent, read_script
from pytest_a2perf.domains.assistant.agents.tool_calling import ToolCallingAgent
from pytest_a2perf.domains.assistant.agents.usage import Limits
from pytest_a2perf.domains.assistant.shipped import DEMO, DEMO_SCRIPT
from pytest_a2perf.errors import A2PerfError, AgentError
from pytest_a2perf.llm import ChatModel

__all__ = [
    "llm_agent",
    "make_model",
    "make_player",
    "oracle_agent",
    "react_agent",
    "scripted_agent",
]

_LIMITS = tuple(field.name for field in dataclasses.fields(Limits))


def make_player(spec: str, context: AgentContext) -> Player:
    """Make an agent: one of ours, an object with ``play(desk)``, or a function of the user's.

    Raises:
        AgentError: there is none, or it is neither.
    """
    from pytest_a2perf.agents.registry import make_unadapted

    made = make_unadapted(spec, context)
    if callable(getattr(made, "play", None)):
        return made  # type: ignore[no-any-return]
    if callable(made):
        return CallableAgent(made)
    raise AgentError(
        f"agent {spec!r} is of type {type(made).__name__!r}: expected a function of message and "
        "tools, or an object with play(desk)"
    )


def make_model(model: str, options: Mapping[str, Any], cassette: Any = None) -> ChatModel:
    """Make a model, as the arguments of `ChatModel` say.

    Raises:
        AgentError: an argument is unknown or wrong.
    """
    try:
        return ChatModel(model, cassette=cassette, **options)
    except TypeError as error:
        raise AgentError(f"model {model!r}: {error}") from None


def llm_agent(context: AgentContext) -> ToolCallingAgent:
    """Make an agent whose model calls tools natively."""
    model, limits = _model_and_limits(context)
    return ToolCallingAgent(model, limits)


def react_agent(context: AgentContext) -> ReactAgent:
    """Make an agent in ARE's default format."""
    model, limits = _model_and_limits(context)
    return ReactAgent(model, limits)


def oracle_agent(context: AgentContext) -> OracleAgent:
    """Make an agent that knows the solution, or a flawed copy of it."""
    return OracleAgent(**context.options)


def scripted_agent(context: AgentContext) -> ScriptedAgent:
    """Make an agent that makes the calls of a file; `DEMO` names the one that comes along.

    Raises:
        AgentError: there is no such file, or it has nothing for the scenario.
    """
    if "script" not in context.options:
        raise AgentError("assistant-scripted needs agent_options.script, a JSON file of calls")
    name = context.options["script"]
    try:
        script = read_script(DEMO_SCRIPT if name == DEMO else context.root / name)
    except A2PerfError as error:
        raise AgentError(str(error)) from None
    return ScriptedAgent.of(script, context.case)


def _model_and_limits(context: AgentContext) -> tuple[ChatModel, Limits]:
    options = dict(context.options)
    limits = Limits(**{name: options.pop(name) for name in _LIMITS if name in options})
    if "model" not in options:
        raise AgentError("agent_options.model is missing: which model, e.g. 'openai/gpt-4o-mini'?")
    return make_model(options.pop("model"), options, context.cassette), limits
