"""Catalogues, customers, an expert who serves them well, and the habits of one who does not."""

from __future__ import annotations

import hashlib
import itertools
import random
from dataclasses import dataclass
from typing import Literal

from pytest_a2perf.domains.posttrain.tasks.shop_world import (
    ATTRIBUTES,
    COLOURS,
    KINDS,
    SIZES,
    WORDS,
    Goal,
    Product,
    Shop,
    Visit,
)

__all__ = [
    "CHARS",
    "CUSTOMERS",
    "EXPERT",
    "HABITS",
    "Group",
    "Manner",
    "catalogue",
    "combinations",
    "demonstration",
    "goals",
    "group_of",
]

CHARS = "\n0123456789abc," + "".join(WORDS)

Group = Literal["visible", "public", "private"]
Combination = tuple[str, tuple[str, str]]
"""A kind, and two attributes."""

_PUBLIC, _PRIVATE = 0.2, 0.3  # shares of all combinations
_OFFERS = 3  # products of each combination
_DEAREST = 8


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody shops: the chance of each fault.

    Attributes:
        vague: to search for the kind alone.
        hasty: to open the first hit, whatever it is.
        careless: to forget about the size.
    """

    vague: float
    hasty: float
    careless: float


EXPERT = Manner(0, 0, 0)
CUSTOMERS = Manner(0.4, 0.8, 0.7)  # those whose visits are shown
HABITS = Manner(0.75, 0.8, 0.7)  # of the base model


def combinations(group: Group) -> list[Combination]:
    """Return the combinations of kind and attributes that a group's products have.

    No two groups share one, so neither products nor instructions are the same.
    """
    pairs = list(itertools.combinations(ATTRIBUTES, 2))
    every = [(kind, pair) for kind in KINDS for pair in pairs]
    return [combination for combination in every if group_of(combination) == group]


def group_of(combination: Combination) -> Group:
    """Return the group that a combination belongs to."""
    kind, attributes = combination
    digest = hashlib.sha256(" ".join((kind, *sorted(attributes))).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    if share < _PUBLIC:
        return "public"
    return "private" if share < _PUBLIC + _PRIVATE else "visible"


def catalogue(group: Group, seed: int) -> list[Product]:
    """Return a group's products, in the order of sale."""
    rng = random.Random(f"{group} products {seed}")
    products = [
        Product(
            kind,
            tuple(rng.sample(pair, 2)),
            tuple(rng.sample(list(COLOURS), 2)),
            tuple(rng.sample(list(SIZES), 2)),
            rng.randint(1, _DEAREST),
        )
        for kind, pair in combinations(group)
        for _ in range(_OFFERS)
    ]
    rng.shuffle(products)
    return products


def goals(products: list[Product], count: int, seed: int) -> list[Goal]:
    """Return different customers, each of whom a product suits in everything.

    Raises:
        ValueError: there are not so many.
    """
    rng = random.Random(f"goals {seed}")
    every = [
        Goal(product.kind, product.attributes, colour, size, product.price + 1)
        for product in products
        for colour in product.colours
        for size in product.sizes
    ]
    return rng.sample(list(dict.fromkeys(every)), count)


def demonstration(shop: Shop, goal: Goal, rng: random.Random, manner: Manner) -> tuple[str, ...]:
    """Return a visit, as turns.

    Who makes no fault searches for all that the instruction says of the thing, opens what suits
    best, chooses the options and buys.

    Args:
        shop: see `Shop`.
        goal: the customer's.
        rng: of the faults.
        manner: see `Manner`.
    """
    vague, hasty, careless = (
        rng.random() < chance for chance in (manner.vague, manner.hasty, manner.careless)
    )
    visit = Visit(shop, [goal])
    turns = [visit.reset(0)]

    def do(action: str) -> None:
        page, _, over = visit.step(action)
        turns.extend([action] if over else [action, page])

    do(f"?{goal.kind}" if vague else f"?{''.join(goal.attributes)}{goal.kind}")
    shown = visit.shown
    best = 0 if hasty else max(range(len(shown)), key=lambda i: _suits(goal, shown[i]))
    do("abc"[best])
    product = visit.opened
    assert product is not None
    if goal.colour in product.colours:
        do(goal.colour)
    if goal.size in product.sizes and not careless:
        do(goal.size)
    do("!")
    return tuple(turns)


def _suits(goal: Goal, product: Product) -> int:
    """Return how much of what results show suits a goal."""
    if product.kind != goal.kind:
        return -1
    return len(set(goal.attributes) & set(product.attributes)) + (product.price < goal.limit)
