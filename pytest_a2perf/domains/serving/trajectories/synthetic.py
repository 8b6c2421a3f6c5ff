"""Synthetic coding sessions with the lengths and delays that AA-AgentPerf publishes.

The distributions: up to 200 turns, about 38 on average; inputs of 5k to 131k tokens, about 27k on
average over requests; outputs with a median of about 150 tokens and a 95th percentile of about 2k;
tool delays of 0.1 to 5 s with a median of about 1 s. The texts are our own, see `texts`; lengths
are by the rule of `tokens`, so that a tokenizer will count some percent more or less.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, sqrt
from typing import Any

from pytest_a2perf.domains.serving.trajectories.harness import TOOLS, declarations, system_prompt
from pytest_a2perf.domains.serving.trajectories.models import Message, Session, Turn
from pytest_a2perf.domains.serving.trajectories.texts import PROSE, path, text
from pytest_a2perf.domains.serving.trajectories.tokens import (
    BYTES_A_TOKEN,
    message_tokens,
    tools_tokens,
)

__all__ = ["CONTEXT", "coding_sessions"]

CONTEXT = 131_072
"""Tokens that no input exceeds."""
_MOST_TURNS = 200
_FEWEST_TURNS = 3
_TURNS = (26.5, 0.85)  # median, sigma of the logarithm; so are the others
_TASK_BYTES = (2_400.0, 0.5)
_OUTPUT = (150.0, 1.57)
_LONGEST_OUTPUT = 8_000
_SHORTEST_OUTPUT = 24
_GROWTH_SIGMA = 0.35  # some sessions read much more than others
_LONGEST_RESULT = 32_000  # bytes
_KEPT_REASONING = 900  # bytes; harnesses send the rest of a long one no more
_DELAY_SIGMA = 0.8
_DELAYS = (0.1, 5.0)
_TWO_CALLS = 0.1
_COUNTING = 0.25  # share of sessions whose last message counts the turns
_NOTE_TOKENS = 16  # of that message, at most


def coding_sessions(
    count: int, seed: int, *, scale: float = 1.0, first: int = 0, context: int = CONTEXT
) -> Iterator[Session]:
    """Make sessions one after another; the same arguments give the same sessions anywhere.

    Args:
        count: of sessions.
        seed: decides them; session number N is the same whatever `count` and `first` are.
        scale: factor of lengths and delays, and its square root of the number of turns, for
            trials that have little time: at 1/16 a session has about 10 turns of about 1.5k tokens.
        first: number of the first session.
        context: tokens that no input may exceed, before scaling: a session ends earlier instead,
            after its first turn at the earliest.

    Raises:
        ValueError: scale is not above 0 and at most 1.
    """
    if not 0 < scale <= 1:
        raise ValueError(f"scale: above 0 and at most 1 is needed, not {scale}")
    for number in range(first, first + count):
        rng = random.Random(f"a2perf/coding/1/{seed}/{number}")
        yield _Writer(rng, scale, int(context * scale)).session(f"coding-{seed}-{number:05d}")


@dataclass(frozen=True, slots=True)
class _Step:
    """What a turn adds to the history: the reply, and what its tools return."""

    messages: list[Message]
    calls: tuple[str, ...]
    delay: float


@dataclass(slots=True)
class _Writer:
    """Writes one session."""

    rng: random.Random
    scale: float
    context: int
    called: int = 0

    def session(self, name: str) -> Session:
        rng, scale = self.rng, self.scale
        tools = declarations(scale)
        task = text(rng, PROSE, int(self._draw(_TASK_BYTES) * scale))
        messages: list[Message] = [
            {"role": "system", "content": system_prompt(scale)},
            {"role": "user", "content": f"Resolve this issue in {path(rng)}:\n\n{task}"},
        ]
        history = [0, 1]
        length = tools_tokens(tools) + sum(map(message_tokens, messages)) + _NOTE_TOKENS
        most = min(_MOST_TURNS, max(_FEWEST_TURNS, round(self._draw(_TURNS))))
        most = max(_FEWEST_TURNS, round(most * sqrt(scale)))
        growth = exp(rng.gauss(0.0, _GROWTH_SIGMA)) * scale
        counting = rng.random() < _COUNTING
        turns: list[Turn] = []
        while True:
            sent = tuple(history)
            if counting:
                # Replaced at each turn, so that an input is no extension of the one before.
                sent = (*sent, len(messages))
                note = f"[turn {len(turns) + 1} of at most {most}]"
                messages.append({"role": "user", "content": note})
            output = round(min(self._draw(_OUTPUT), _LONGEST_OUTPUT) * scale)
            output = max(output, round(_SHORTEST_OUTPUT * scale), 1)
            step = self._step(output, growth)
            length += sum(map(message_tokens, step.messages))
            if len(turns) + 1 == most or length > self.context:
                turns.append(Turn(sent, output))
                return Session(name, tuple(messages), tuple(turns), tools, source="synthetic")
            turns.append(Turn(sent, output, tool_delay=step.delay, calls=step.calls))
            history.extend(range(len(messages), len(messages) + len(step.messages)))
            messages.extend(step.messages)

    def _step(self, output: int, growth: float) -> _Step:
        rng = self.rng
        reply: Message = {"role": "assistant", "content": ""}
        names = rng.choices(
            list(TOOLS),
            [tool.weight for tool in TOOLS.values()],
            k=2 if rng.random() < _TWO_CALLS else 1,
        )
        calls: list[dict[str, Any]] = []
        results: list[Message] = []
        room = output * BYTES_A_TOKEN
        delay = 0.0
        for name in names:
            tool = TOOLS[name]
            self.called += 1
            written = max(1, min(int(room * tool.written), _LONGEST_RESULT))
            call = json.dumps(tool.arguments(rng, written), separators=(",", ":"))
            room -= len(call)
            key = f"call_{self.called:04d}"
            calls.append(
                {"id": key, "type": "function", "function": {"name": name, "arguments": call}}
            )
            size = min(tool.size * exp(rng.gauss(0.0, tool.spread)), _LONGEST_RESULT) * growth
            results.append(
                {
                    "role": "tool",
                    "tool_call_id": key,
                    "content": text(rng, tool.result, max(1, int(size))),
                }
            )
            # Calls of one reply run side by side.
            delay = max(delay, tool.delay * exp(rng.gauss(0.0, _DELAY_SIGMA)))
        if room > 100:
            reply["reasoning_content"] = text(rng, PROSE, min(room, _KEPT_REASONING))
        reply["tool_calls"] = calls
        shortest, longest = _DELAYS
        delay = min(max(delay, shortest), longest) * self.scale
        return _Step([reply, *results], tuple(names), round(delay, 4))

    def _draw(self, distribution: tuple[float, float]) -> float:
        median, sigma = distribution
        return median * exp(self.rng.gauss(0.0, sigma))
