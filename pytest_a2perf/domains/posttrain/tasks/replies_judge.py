"""The judge of short replies, and the win rate that is left when its love of length is removed.

The judge compares two replies a and b and says with what probability p it prefers a::

    logit p = u(a) - u(b) + B tanh((|a| - |b|) / S) + noise

where u is what a reply is worth, |a| its length in characters, and the noise normal, drawn anew
each time.

The length-controlled win rate follows AlpacaEval 2: a logistic model of the judge has a term for
the difference in length, and preferences are predicted with that term set to zero. There its
coefficient is fitted on the model's own replies, which can hardly tell length from worth. Here the
same judge is shown *probes* as well, pairs of one worth and different length; the coefficient f is
the least-squares slope of their log-odds on tanh(difference / S), and an item's score is ::

    logistic(logit p - f tanh((|a| - |b|) / S))

The win rate is their mean.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_a2perf.domains.posttrain.tasks.replies_data import (
    ADJECTIVES,
    FILLERS,
    GENERIC,
    NAMES,
    TOPICS,
    parse,
)

__all__ = ["Judge", "chance", "controlled", "length_effect", "long", "worth"]

BIAS, SCALE, NOISE = 2.5, 10.0, 1.5
"""B in log-odds, S in characters, and the standard deviation of a judgement in log-odds."""

_PAIRS = 1000  # in a request
_CHARS = 400  # of a reply
_WORST = -4.0
_FITS = {word: ask for ask, words in ADJECTIVES.items() for word in words}
_KNOWN = {"it", "is", GENERIC, *FILLERS, *TOPICS, *NAMES, *_FITS}


def worth(prompt: str, reply: str) -> float:
    """Return what a reply is worth, in log-odds; fillers change nothing.

    It gains by naming the topic (1.6), by a word that fits what is asked for (1.6) and by
    addressing whom it should (1.2). It loses by each word that fits something else and each wrong
    name (0.8), and by each word that is unknown or said again (0.5).

    Raises:
        ValueError: there is no such prompt.
    """
    request = parse(prompt)
    words = [word for word in reply.replace(",", " ").split(" ") if word not in ("", *FILLERS)]
    said = set(words)
    value = 1.6 * (request.topic in said)
    value += 1.6 * bool(said & set(ADJECTIVES[request.ask]))
    value += 1.2 * (request.name in said)
    value -= 0.8 * sum(_FITS.get(word, request.ask) != request.ask for word in said)
    value -= 0.8 * len(said & set(NAMES) - {request.name})
    value -= 0.5 * (len(said - _KNOWN) + len(words) - len(said))
    return max(_WORST, value) if words else _WORST


def long(ours: str, theirs: str) -> float:
    """Return by how much a reply is longer than another, from -1 to 1."""
    return math.tanh((len(ours) - len(theirs)) / SCALE)


def chance(log_odds: float) -> float:
    """Return the probability that has such log-odds."""
    return 0.5 * (1 + math.tanh(log_odds / 2))


class Judge:
    """Compares replies, as a service and in evaluations.

    Args:
        seed: of its noise.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def log_odds(self, prompt: str, ours: str, theirs: str) -> float:
        """Return the log-odds that it prefers the first of two replies.

        Raises:
            ValueError: there is no such prompt.
        """
        gap = worth(prompt, ours) - worth(prompt, theirs)
        return gap + BIAS * long(ours, theirs) + self._rng.gauss(0, NOISE)

    def answer(self, request: Mapping[str, Any], left: int | None) -> dict[str, Any]:
        """Answer ``{"pairs": [[prompt, reply, other reply], ...]}``: each pair is a call.

        Raises:
            ValueError: the request is not like that, or there are more pairs than calls left.
        """
        pairs = request.get("pairs")
        if not isinstance(pairs, list) or not 1 <= len(pairs) <= _PAIRS:
            raise ValueError(f'"pairs" must be a list of 1 to {_PAIRS} pairs')
        if left is not None and len(pairs) > left:
            raise ValueError(f"these are {len(pairs)} calls, but {left} are left")
        for pair in pairs:
            if not isinstance(pair, list) or len(pair) != 3 or not all(map(_is_text, pair)):
                raise ValueError(
                    f"a pair must be [prompt, reply, other reply], of {_CHARS} characters at most"
                )
            parse(pair[0])
        preferences = [chance(self.log_odds(*pair)) for pair in pairs]
        return {"preferences": preferences, "calls": len(pairs)}


def length_effect(log_odds: Sequence[float], longer: Sequence[float]) -> float:
    """Return the slope of the judge's log-odds on the difference in length, through the origin."""
    square = sum(x * x for x in longer)
    return sum(x * y for x, y in zip(longer, log_odds, strict=True)) / square if square else 0.0


def controlled(log_odds: float, longer: float, effect: float) -> float:
    """Return the preference that would be if both replies were of one length."""
    return chance(log_odds - effect * longer)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _CHARS
