"""Draw the designs of login, shopping and flight booking sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.difficulty import check_level, level_of
from pytest_a2perf.domains.web.errors import WebError

__all__ = ["THEMES", "draw_design", "draw_designs"]

_T = TypeVar("_T")
_PATIENCE = 20_000
"""Draws in a row that give no new design, until we believe that there is none."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a page may have: it gets some of each, and one transition."""

    fields: tuple[str, ...]
    transitions: tuple[str, ...]
    above: tuple[str, ...]
    below: tuple[str, ...] = ("footer1",)


_LOGIN = _Plan(
    fields=("username", "password", "captcha", "rememberme", "stayloggedin"),
    transitions=("next_login_page", "next_login"),
    above=("navbar", "header_login"),
    below=("forgotusername", "forgotpassword", "footer1"),
)
_ADDRESS = _Plan(
    fields=(
        "firstname", "lastname", "addressline1", "addressline2", "city", "zipcode", "state",
    ),
    transitions=("next_checkout", "submit"),
    above=("navbar", "inpgroup1", "carousel", "deck", "header_select_items", "cart", "header"),
)  # fmt: skip
_PAYMENT = _Plan(
    fields=("cc", "fullname", "ccnumber", "ccexpdate", "cccvv"),
    transitions=("submit", "next_checkout"),
    above=("navbar", "dealmedia", "cart", "header"),
)
_FLIGHT = _Plan(
    fields=(
        "flighttype", "departureairport", "destinationairport", "departuredate",
        "destinationdate", "numberofpeople", "cabin",
    ),
    transitions=("next_checkout", "submit"),
    above=("navbar", "dealmedia", "inpgroup1", "header_select_items"),
)  # fmt: skip


class _Limits(NamedTuple):
    """How much a site of a level has at most; more would hardly ever fit."""

    pages: int
    fields: int
    distractors: int


_LIMITS = {1: _Limits(2, 1, 2), 2: _Limits(3, 2, 4), 3: _Limits(3, 3, 8)}
THEMES: Mapping[str, tuple[_Plan, ...]] = {
    "login": (_LOGIN, _LOGIN),
    "shopping": (_LOGIN, _ADDRESS, _PAYMENT),
    "flight": (_FLIGHT, _LOGIN, _PAYMENT),
}
"""The pages of a site in their order; it may leave some out."""


def draw_design(
    rng: np.random.Generator,
    theme: str | None = None,
    *,
    pages: int | None = None,
    fields: int = 7,
    distractors: int = 16,
) -> Design:
    """Draw a design.

    Args:
        rng: all that is random.
        theme: one of `THEMES`; default: any.
        pages: how many; default: any number.
        fields: of a page, at most.
        distractors: of the site, at most; those are neither filled in nor lead on.

    Raises:
        WebError: there is no such theme, or it has not so many pages.
    """
    if theme is not None and theme not in THEMES:
        raise WebError(f"theme is {theme!r}; known: {', '.join(THEMES)}")
    themes = [plans for name, plans in THEMES.items() if theme in {None, name}]
    most = max(map(len, themes))
    if pages is not None and not 1 <= pages <= most:
        raise WebError(f"pages is {pages}; it must be from 1 to {most}")
    able = [plans for plans in themes if len(plans) >= (pages or 1)]
    plans = able[int(rng.integers(len(able)))]
    count = pages or int(rng.integers(1, len(plans) + 1))
    action: list[str] = []
    action_page: list[int] = []
    for page, plan in enumerate(_some(plans, count, rng)):
        names = _draw_page(plan, fields, distractors // count, rng)
        action += names
        action_page += [page] * len(names)
    return Design(count, tuple(action), tuple(action_page))


def draw_designs(level: int, count: int, seed: int = 0) -> list[Design]:
    """Draw different designs of a level.

    Args:
        level: of difficulty, 1 to 3.
        count: how many; the first ones stay the same when there are more.
        seed: of all that is random.

    Raises:
        WebError: there is no such level, or it has not so many different designs.
    """
    check_level(level)
    limits = _LIMITS[level]
    rng = np.random.default_rng([seed, level])
    designs: dict[Design, None] = {}
    pages = in_vain = 0
    while len(designs) < count:
        before = len(designs)
        # Until one fits; otherwise sites with more pages, which rarely do, would be rare.
        pages = pages or int(rng.integers(1, limits.pages + 1))
        design = draw_design(rng, pages=pages, fields=limits.fields, distractors=limits.distractors)
        if level_of(design) == level:
            designs[design] = None
            pages = 0
        in_vain = in_vain + 1 if len(designs) == before else 0
        if in_vain > _PATIENCE:
            raise WebError(f"found only {before} of {count} different websites of level {level}")
    return list(designs)


def _draw_page(plan: _Plan, fields: int, distractors: int, rng: np.random.Generator) -> list[str]:
    others = plan.above + plan.below
    extra = _some(others, int(rng.integers(min(distractors, len(others)) + 1)), rng)
    asked = list(_some(plan.fields, int(rng.integers(1, min(fields, len(plan.fields)) + 1)), rng))
    rng.shuffle(asked)
    return [
        *(name for name in extra if name in plan.above),
        *asked,
        plan.transitions[int(rng.integers(len(plan.transitions)))],
        *(name for name in extra if name in plan.below),
    ]


def _some(pool: tuple[_T, ...], count: int, rng: np.random.Generator) -> tuple[_T, ...]:
    """Return some of them, in their order."""
    chosen = rng.choice(len(pool), count, replace=False).tolist()
    return tuple(pool[place] for place in sorted(chosen))
