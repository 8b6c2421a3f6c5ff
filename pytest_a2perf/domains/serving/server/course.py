"""What becomes of a request, decided when it comes in: length, parts, and what goes wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from pytest_a2perf.domains.serving.server.options import ServerOptions
from pytest_a2perf.domains.serving.server.replies import Part
from pytest_a2perf.domains.serving.server.request import Ask, BadRequestError

__all__ = ["Course", "Fault", "course_of"]

Fault = Literal["", "refuse_streaming", "fail", "hang", "cut", "malformed", "error_in_stream"]
_FAULTS: tuple[Fault, ...] = ("hang", "cut", "malformed", "error_in_stream")


@dataclass(frozen=True, slots=True)
class Course:
    """The course that a reply takes.

    Attributes:
        length: tokens that it has in the end.
        reasoning: as many of them, its first, are reasoning.
        rest: what the others are.
        finish: why it ends.
        fault: what goes wrong; empty: nothing.
        fault_after: tokens before that.
        tells_usage: whether it tells its usage.
    """

    length: int
    reasoning: int
    rest: Part
    finish: str
    fault: Fault
    fault_after: int
    tells_usage: bool


def course_of(ask: Ask, options: ServerOptions, number: int) -> Course:
    """Decide; the same for the same seed and number, whatever other requests do.

    Raises:
        BadRequestError: the request cannot be served.
    """
    length, limited = _length(ask, options)
    chance = random.Random(f"{options.seed}:{number}")
    fault = _fault(chance.random(), options)
    tells_usage = chance.random() >= options.no_usage
    calls = chance.random() < options.tool_calls and bool(ask.tool)
    if chance.random() < options.refuse_streaming and ask.stream:
        fault = "refuse_streaming"
    return Course(
        length=length,
        reasoning=0 if ask.kind == "completions" else round(options.reasoning * length),
        rest="call" if calls else "text",
        finish="length" if limited else "tool_calls" if calls else "stop",
        fault=fault,
        fault_after=min(options.fault_after, length),
        tells_usage=tells_usage,
    )


def _length(ask: Ask, options: ServerOptions) -> tuple[int, bool]:
    """Return how many tokens a reply has, and whether a limit ends it."""
    room = options.max_model_len - ask.prompt_tokens
    if room < 1:
        raise BadRequestError(
            f"This model's maximum context length is {options.max_model_len} tokens, but the "
            f"request has {ask.prompt_tokens} input tokens."
        )
    forced, least = ask.ignore_eos, ask.least
    if forced or least:
        if options.ignore_eos == "refused":
            raise BadRequestError("ignore_eos and min_tokens are not known here")
        if options.ignore_eos == "unheeded":
            forced, least = False, 0
    most = min(ask.most or room, room)
    length = most if forced and ask.most else max(options.tokens, least)
    return min(length, most), length >= most


def _fault(chance: float, options: ServerOptions) -> Fault:
    edge = options.fail_rate
    if chance < edge:
        return "fail"
    for name in _FAULTS:
        edge += getattr(options, name)
        if chance < edge:
            return name
    return ""
