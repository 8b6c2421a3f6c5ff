"""Keeping the traces of a trial in its folder, in ARE's formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_a2perf.domains.assistant.agents.player import Player
from pytest_a2perf.domains.assistant.stage import Setting
from pytest_a2perf.domains.assistant.trace.lite import ModelCall, lite_of
from pytest_a2perf.domains.assistant.trace.write import to_json, trace_of
from pytest_a2perf.domains.assistant.world.happening import Happening
from pytest_a2perf.llm import Answer, ChatModel

__all__ = ["HF", "LITE", "Ending", "keep_traces"]

HF = "trace.json"
"""Name of the trace in the format of scenarios, with all that has happened."""
LITE = "trace.lite.json"
"""Name of the trace that holds conversations and what they took."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended.

    Attributes:
        decision: of the judge; None: there is none.
        rationale: of the judge.
        error: what ended the trial before its time.
        seconds: how long it took, in real time.
    """

    decision: bool | None
    rationale: str
    error: BaseException | None
    seconds: float


def keep_traces(setting: Setting, log: Sequence[Happening], player: Player, ending: Ending) -> None:
    """Write what the options ask for into the trial's folder.

    Args:
        setting: of the trial.
        log: of the world.
        player: the agent.
        ending: of the trial.
    """
    trial, wanted = setting.trial, setting.options.traces
    if wanted == "none":
        return
    model: ChatModel | None = getattr(player, "model", None)
    trace = trace_of(
        setting.trace,
        log,
        decision=ending.decision,
        rationale=ending.rationale,
        agent=trial.scenario.agent,
        model="" if model is None else model.model,
        error=ending.error,
        run_number=trial.seed + 1,
    )
    if wanted in ("hf", "both"):
        (trial.folder / HF).write_text(to_json(trace), encoding="utf-8")
    if wanted in ("lite", "both"):
        name = trial.scenario.agent
        lite = lite_of(
            trace,
            seconds=ending.seconds,
            histories={name: getattr(player, "messages", [])},
            calls={name: map(_call, [] if model is None else model.answers)},
        )
        (trial.folder / LITE).write_text(to_json(lite), encoding="utf-8")


def _call(answer: Answer) -> ModelCall:
    return ModelCall(
        answer.prompt_tokens, answer.completion_tokens, answer.reasoning_tokens, answer.seconds
    )
