"""How difficult a site is, by A2Perf's formula."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.errors import WebError
from pytest_a2perf.domains.web.primitives import PRIMITIVES

__all__ = ["LEVELS", "check_level", "difficulty", "level_of", "page_difficulty"]

LEVELS: Mapping[int, tuple[float, float]] = {1: (0.5, 1.0), 2: (0.25, 0.5), 3: (0.1, 0.25)}
"""Range of exp(-difficulty) of each level, without its end.

A2Perf cuts at 0.25, 0.5 and 0.75, and documents that a random agent solves at least 50 %, 25 % and
10 %. The cuts that agree with this are kept, and level 3 ends where its promise does.
"""
_FLOOR = 1e-8


def page_difficulty(primitives: Sequence[str]) -> float:
    """Return -ln(1/k! (1 - D_passive / D_total) + 1e-8) of a page.

    k is the number of primitives that are filled in, D are numbers of DOM elements.

    Args:
        primitives: names, without duplicates.
    """
    found = [PRIMITIVES[name] for name in primitives]
    active = [primitive.size for primitive in found if primitive.fillable]
    # A page without a transition gets a button of its own, see `Site`.
    own_button = not any(primitive.transition for primitive in found)
    total = sum(primitive.size for primitive in found) + own_button
    return -math.log(sum(active) / total / math.factorial(len(active)) + _FLOOR)


def difficulty(design: Design) -> float:
    """Return the sum of the difficulties of a design's pages."""
    return sum(map(page_difficulty, design.pages()))


def level_of(design: Design) -> int | None:
    """Return the level of a design; None if it is more difficult than any."""
    likelihood = math.exp(-difficulty(design))
    for level, (low, high) in LEVELS.items():
        if low <= likelihood < high:
            return level
    return None


def check_level(level: int) -> None:
    """Say so if there is no such level.

    Raises:
        WebError: there is none.
    """
    if level not in LEVELS:
        raise WebError(f"difficulty is {level!r}; known: {', '.join(map(str, LEVELS))}")
