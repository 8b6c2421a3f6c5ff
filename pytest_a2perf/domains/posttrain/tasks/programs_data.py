"""Specifications of programs, and the bad habits of a model that was never post-trained."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from pytest_a2perf.domains.posttrain.tasks.programs_stack import run

__all__ = ["CHARS", "Problem", "all_steps", "group_of", "habitual", "problems", "worded"]

# Of one length each, so that words stand at fixed places: learnt within seconds.
STEPS = (
    *(f"{verb} {digit}" for verb in ("add", "sub") for digit in range(1, 10)),
    *(f"mul {digit}" for digit in range(2, 10)),
    *("twice", "power"),
)
CHARS = "\n" + "".join(sorted(set("123456789+-*ds?,: " + "".join(STEPS))))

Group = Literal["visible", "public", "private"]
Steps = tuple[str, ...]

_PUBLIC, _PRIVATE = 0.03, 0.06  # shares of all specifications
_TESTS = 8
_WORDS = {"add": "+", "sub": "-", "mul": "*"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A specification.

    Attributes:
        prompt: three steps in words, and a colon.
        program: that does them.
        tests: argument and result.
    """

    prompt: str
    program: str
    tests: tuple[tuple[int, int], ...]


@cache
def all_steps(group: Group) -> tuple[Steps, ...]:
    """Return the specifications of a group."""
    every = itertools.product(STEPS, repeat=3)
    return tuple(steps for steps in every if group_of(steps) == group)


def group_of(steps: Steps) -> Group:
    """Return the group of a specification, which depends on its text alone."""
    digest = hashlib.sha256(", ".join(steps).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    if share < _PUBLIC:
        return "public"
    return "private" if share < _PUBLIC + _PRIVATE else "visible"


def problems(group: Group, count: int, seed: int) -> list[Problem]:
    """Return different problems of a group.

    Raises:
        ValueError: there are not so many.
    """
    rng = random.Random(f"{group} {seed}")
    return [worded(steps, rng) for steps in rng.sample(all_steps(group), count)]


def worded(steps: Steps, rng: random.Random) -> Problem:
    """Return the problem, with tests of its own."""
    program = "".join(map(word_of, steps))
    arguments = rng.sample(range(-9, 21), _TESTS)
    tests = tuple((argument, run(program, argument)) for argument in arguments)
    return Problem(", ".join(steps) + ":", program, tests)


def word_of(step: str) -> str:
    """Return the piece of program for a step."""
    if step == "twice":
        return "2*"
    return "d*" if step == "power" else step[4] + _WORDS[step[:3]]


def habitual(problem: Problem, rng: random.Random) -> str:
    """Return what the base model has seen as a program: seldom one that works.

    It depends on how the specification begins: after ``add`` and ``mul`` the operator is mostly
    written first, as other languages have it.
    """
    pieces = [problem.program[i : i + 2] for i in range(0, 6, 2)]
    untidy = problem.prompt[:3] in ("add", "mul")
    style = rng.choices(_STYLES, _UNTIDY if untidy else _TIDY)[0]
    if style == "prefix":
        return "".join(piece[::-1] for piece in pieces)
    if style == "backwards":
        return "".join(reversed(pieces))
    if style == "hasty":
        return "".join(pieces[:2])
    if style == "refusal":
        return "?"
    if style == "wrong":
        pieces[rng.randrange(3)] = word_of(rng.choice(STEPS))
    return "".join(pieces)


_STYLES: Sequence[str] = ("right", "prefix", "backwards", "hasty", "refusal", "wrong")
_TIDY: Sequence[float] = (0.5, 0.2, 0.08, 0.08, 0.06, 0.08)
_UNTIDY: Sequence[float] = (0.18, 0.52, 0.08, 0.08, 0.06, 0.08)
