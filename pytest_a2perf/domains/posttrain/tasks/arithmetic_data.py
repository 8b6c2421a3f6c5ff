"""Short word problems, right answers, and the bad habits of a model that was never post-trained."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["CHARS", "Problem", "all_operands", "group_of", "habitual", "problems", "worded"]

# All of one length, so that numbers stand at fixed places: learnt within seconds.
NAMES = ("Ann", "Bob", "Eva", "Kim", "Leo", "Mia", "Sam", "Tom")
THINGS = ("pens", "cups", "hats", "keys", "figs", "nuts", "toys", "cars")
GAINS = ("gets", "buys", "wins", "adds")
LOSSES = ("uses", "eats", "lost", "sold")
CHARS = "\n" + "".join(sorted(set("0123456789 ,:?+-=" + "".join(NAMES + THINGS + GAINS + LOSSES))))

Group = Literal["visible", "public", "private"]
Operands = tuple[str, int, int]
"""``+`` or ``-``, and two numbers."""

_PUBLIC, _PRIVATE = 0.1, 0.2  # shares of all operands


@dataclass(frozen=True, slots=True)
class Problem:
    """A word problem.

    Attributes:
        prompt: ends with a colon.
        answer: a number of two digits.
    """

    prompt: str
    answer: str


@cache
def all_operands(group: Group) -> tuple[Operands, ...]:
    """Return the operands of a group; results have two digits, and nothing is carried.

    Which group they belong to depends on themselves alone, and what is added is in one group in
    either order: no hidden sum is a visible one with its terms exchanged.
    """
    every = [
        (sign, a, b)
        for a in range(10, 100)
        for b in range(10, 100)
        for sign in "+-"
        if _is_plain(sign, a, b)
    ]
    return tuple(operands for operands in every if group_of(operands) == group)


def _is_plain(sign: str, a: int, b: int) -> bool:
    """Return whether each digit can be added or subtracted by itself."""
    if sign == "+":
        return a % 10 + b % 10 < 10 and a // 10 + b // 10 < 10
    return a % 10 >= b % 10 and a // 10 > b // 10


def group_of(operands: Operands) -> Group:
    """Return the group that operands belong to."""
    sign, a, b = operands
    if sign == "+":
        a, b = min(a, b), max(a, b)
    digest = hashlib.sha256(f"{sign} {a} {b}".encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    if share < _PUBLIC:
        return "public"
    return "private" if share < _PUBLIC + _PRIVATE else "visible"


def problems(group: Group, count: int, seed: int) -> list[Problem]:
    """Return different problems of a group.

    Args:
        group: see `all_operands`.
        count: of problems; no more than the group has operands.
        seed: of their order and wording.

    Raises:
        ValueError: there are not so many.
    """
    rng = random.Random(f"{group} {seed}")
    return [worded(operands, rng) for operands in rng.sample(all_operands(group), count)]


def worded(operands: Operands, rng: random.Random) -> Problem:
    """Put operands into words."""
    sign, a, b = operands
    verb = rng.choice(GAINS if sign == "+" else LOSSES)
    prompt = f"{rng.choice(NAMES)} has {a} {rng.choice(THINGS)}, {verb} {b}:"
    return Problem(prompt, str(a + b if sign == "+" else a - b))


def habitual(problem: Problem, rng: random.Random) -> str:
    """Return what the base model has seen as a reply: seldom what is asked for.

    It depends on the name: with most of them the unit is added more often than not.
    """
    tidy = problem.prompt[:3] in NAMES[:3]
    words = problem.prompt.split()
    style = rng.choices(_STYLES, _TIDY if tidy else _UNTIDY)[0]
    if style == "unit":
        return f"{problem.answer} {words[3].rstrip(',')}"
    if style == "reversed":
        return problem.answer[::-1]
    if style == "refusal":
        return "?"
    if style == "wrong":
        return str((int(problem.answer) + rng.choice((-10, -1, 1, 10))) % 100)
    return problem.answer


_STYLES: Sequence[str] = ("right", "unit", "reversed", "refusal", "wrong")
_TIDY: Sequence[float] = (0.5, 0.2, 0.14, 0.08, 0.08)
_UNTIDY: Sequence[float] = (0.18, 0.52, 0.14, 0.08, 0.08)
