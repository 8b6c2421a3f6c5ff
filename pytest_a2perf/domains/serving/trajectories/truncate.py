"""Cutting sessions to the context of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from pytest_a2perf.domains.serving.trajectories.models import Session
from pytest_a2perf.domains.serving.trajectories.tokens import MESSAGE_TOKENS, text_of, tools_text

__all__ = ["first_turns", "truncate"]


def truncate(session: Session, most_tokens: int, count: Callable[[str], int]) -> Session | None:
    """Return a session up to the first turn that does not fit into a context.

    As AA-AgentPerf does, that turn and all after it are left out, even if later ones are shorter.

    Args:
        session: whose recorded replies have to fit as well, where their lengths are known.
        most_tokens: of input and reply together.
        count: length of a text in tokens, e.g. `estimate_tokens`, or by a model's tokenizer.

    Returns:
        None if not even the first turn fits.
    """
    declared = count(tools_text(session.tools))

    @cache
    def length(index: int) -> int:
        return count(text_of(session.messages[index])) + MESSAGE_TOKENS

    for number, turn in enumerate(session.turns):
        needed = declared + sum(map(length, turn.messages)) + (turn.output_tokens or 0)
        if needed > most_tokens:
            return first_turns(session, number) if number else None
    return session


def first_turns(session: Session, turns: int) -> Session:
    """Return a session of the first turns only, with the messages that they send."""
    kept = session.turns[:turns]
    used = sorted({index for turn in kept for index in turn.messages})
    places = {index: place for place, index in enumerate(used)}
    return replace(
        session,
        messages=tuple(session.messages[index] for index in used),
        turns=tuple(
            replace(turn, messages=tuple(places[index] for index in turn.messages)) for turn in kept
        ),
    )
