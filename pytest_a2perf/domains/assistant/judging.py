"""From a scenario's options to the judge of a trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.assistant.agents.make import make_model
from pytest_a2perf.domains.assistant.judge.base import Judge
from pytest_a2perf.domains.assistant.judge.graph import GraphJudge
from pytest_a2perf.domains.assistant.judge.in_context import InContextJudge
from pytest_a2perf.domains.assistant.judge.soft import Ask, SoftJudge
from pytest_a2perf.domains.assistant.options import JudgeOptions
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.llm import ChatModel, ConversationError

__all__ = ["judge_model", "make_ask", "make_judge", "script_of"]


def judge_model(options: JudgeOptions, cassette: Any = None) -> ChatModel | None:
    """Return the judge's model, or None where the options name none."""
    if options.model is None:
        return None
    settings: dict[str, Any] = {"temperature": 0.0, **options.model_options}
    return make_model(options.model, settings, cassette)


def make_ask(model: ChatModel) -> Ask:
    """Return a function that puts a conversation to a model.

    A judge that does not work is nobody's failure: whatever goes wrong is an `InfraError`.
    """

    def ask(messages: list[dict[str, str]]) -> str:
        try:
            return model.complete(messages).text
        except (AgentError, ConversationError) as error:
            raise InfraError(f"the judge cannot be asked: {error}") from None

    return ask


def make_judge(
    options: JudgeOptions,
    trace: Trace,
    oracle_log: Sequence[Happening],
    *,
    model: ChatModel | None,
    root: Path,
) -> Judge | None:
    """Make the judge of a trial, or None where nothing is to be judged.

    Raises:
        InfraError: the script cannot be read.
        TraceError: the scenario cannot be judged; says why.
    """
    ask = None if model is None else make_ask(model)
    if options.kind == "none":
        return None
    if options.kind == "in-context":
        assert ask is not None  # checked at collection
        return InContextJudge(trace, oracle_log, ask=ask)
    return GraphJudge(
        trace,
        oracle_log,
        soft=None if ask is None else SoftJudge(ask, votes=options.votes),
        scripted=script_of(options, trace.metadata.definition.scenario_id, root),
        hard_only=options.hard_only,
    )


def script_of(options: JudgeOptions, scenario_id: str, root: Path) -> Mapping[str, Any] | None:
    """Return the scripted checks of a scenario, or None where there is no script.

    Raises:
        InfraError: the file cannot be read, or holds something else.
    """
    if options.script is None:
        return None
    path = root / options.script
    try:
        script = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InfraError(f"judge.script: {path} cannot be read: {error}") from None
    if not isinstance(script, dict):
        raise InfraError(f"judge.script: {path} holds no object of scenarios")
    checks = script.get(scenario_id)
    return checks if checks is None or isinstance(checks, dict) else {}
