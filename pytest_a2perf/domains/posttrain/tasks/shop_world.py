"""A small web shop of text pages: search, results, a product's page, options, buy.

Each word is a single character, so that a tiny model learns to copy it within seconds; `spell`
writes them out. Agents import this file as ``shop_world``; it needs nothing but the standard
library.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = [
    "ATTRIBUTES",
    "COLOURS",
    "HITS",
    "KINDS",
    "SIGNS",
    "SIZES",
    "STEPS",
    "WORDS",
    "Goal",
    "Product",
    "Shop",
    "Visit",
    "read_world",
    "reward",
    "spell",
    "write_world",
]

KINDS = {
    "S": "sock",
    "L": "lamp",
    "B": "bowl",
    "C": "coat",
    "T": "tent",
    "D": "desk",
    "H": "hoop",
    "R": "ring",
}
ATTRIBUTES = {
    "w": "warm",
    "s": "soft",
    "t": "thin",
    "f": "firm",
    "p": "pure",
    "h": "hard",
    "l": "light",
    "d": "dark",
}
COLOURS = {"r": "red", "g": "green", "y": "yellow", "k": "black", "o": "orange", "v": "violet"}
SIZES = {"M": "medium", "N": "narrow", "W": "wide", "X": "extra"}
SIGNS = {
    "?": "search",
    "+": "next",
    "-": "back",
    "!": "buy",
    "<": "below",
    ".": "none",
    "#": "no",
    "$": "sold",
}

WORDS = {**KINDS, **ATTRIBUTES, **COLOURS, **SIZES, **SIGNS}
"""By character; digits and the letters of results stand for themselves."""

HITS = 3
"""Products on a page of results."""

STEPS = 8
"""Actions in a visit at most."""

_LETTERS = "abc"


def spell(text: str) -> str:
    """Return a text in words, for people."""
    lines = text.split("\n")
    return "\n".join(" ".join(WORDS.get(char, char) for char in line) for line in lines)


@dataclass(frozen=True, slots=True)
class Product:
    """What is on sale.

    Attributes:
        kind: one of `KINDS`.
        attributes: two of `ATTRIBUTES`.
        colours: those of `COLOURS` on offer.
        sizes: those of `SIZES` on offer.
        price: 1 to 9.
    """

    kind: str
    attributes: tuple[str, ...]
    colours: tuple[str, ...]
    sizes: tuple[str, ...]
    price: int

    @property
    def title(self) -> str:
        """As results show it."""
        return "".join((*self.attributes, self.kind))


@dataclass(frozen=True, slots=True)
class Goal:
    """What a customer wants.

    Attributes:
        kind: of thing.
        attributes: that it is to have.
        colour: option to choose.
        size: option to choose.
        limit: the price must be below.
    """

    kind: str
    attributes: tuple[str, ...]
    colour: str
    size: str
    limit: int

    @property
    def text(self) -> str:
        """The instruction."""
        return f"{''.join(self.attributes)}{self.kind},{self.colour}{self.size}<{self.limit}\n"


def reward(goal: Goal, product: Product, chosen: Iterable[str]) -> float:
    """Return what a purchase is worth, 0 to 1, as WebShop has it.

    ``type * (attributes matched + options matched + [price below the limit]) / (attributes wanted +
    options wanted + 1)``. WebShop's factor for the type goes by words that the names share; here
    names are a single word, so it is 1 for the kind that is wanted and 0 for others.

    Args:
        goal: what was wanted.
        product: what was bought.
        chosen: options.
    """
    if product.kind != goal.kind:
        return 0.0
    matched = len(set(goal.attributes) & set(product.attributes))
    matched += len({goal.colour, goal.size} & set(chosen))
    matched += product.price < goal.limit
    return matched / (len(goal.attributes) + 3)


class Shop:
    """A catalogue, and its search.

    Args:
        products: in the order of sale; of results that fit equally well, earlier ones come first.
    """

    def __init__(self, products: Sequence[Product]) -> None:
        self.products = tuple(products)
        self._with: dict[str, list[int]] = {}
        for number, product in enumerate(self.products):
            for word in {*product.attributes, product.kind}:
                self._with.setdefault(word, []).append(number)

    def search(self, query: str) -> list[Product]:
        """Return the products that have any word of a query, those with most of them first."""
        matches: dict[int, int] = {}
        for word in set(query):
            for number in self._with.get(word, ()):
                matches[number] = matches.get(number, 0) + 1
        ranked = sorted(matches, key=lambda number: (-matches[number], number))
        return [self.products[number] for number in ranked]


class Visit:
    """An environment: a customer's visit to the shop.

    Actions are ``?`` with words to search for; ``a``, ``b``, ``c`` or ``+`` (next) among results;
    an option, ``-`` (back) or ``!`` (buy) on a product's page. What cannot be done is answered by
    ``#``, and counts as an action.

    Args:
        shop: see `Shop`.
        goals: by number, for `reset`.
    """

    def __init__(self, shop: Shop, goals: Sequence[Goal]) -> None:
        self._shop = shop
        self._goals = goals
        self.reset(0)

    def reset(self, task: int) -> str:
        """Begin a visit; return the instruction."""
        self._goal = self._goals[task]
        self._results: list[Product] = []
        self._first = 0
        self._open: Product | None = None
        self._colour = self._size = "."
        self._steps = 0
        return self._goal.text

    @property
    def shown(self) -> list[Product]:
        """Products on the page of results; none on a product's page."""
        if self._open is not None:
            return []
        return self._results[self._first : self._first + HITS]

    @property
    def opened(self) -> Product | None:
        """The product whose page is open."""
        return self._open

    def step(self, text: str) -> tuple[str, float, bool]:
        """Do an action; return the next page, the reward of a purchase, and whether it is over."""
        self._steps += 1
        over = self._steps >= STEPS
        if text == "!" and self._open is not None:
            return "$\n", reward(self._goal, self._open, (self._colour, self._size)), True
        if text.startswith("?"):
            self._open = None
            self._results, self._first = self._shop.search(text[1:]), 0
            return self._page(), 0.0, over
        return self._clicked(text), 0.0, over

    def _clicked(self, target: str) -> str:
        product = self._open
        if product is None:
            shown = dict(zip(_LETTERS, self.shown, strict=False))
            if target == "+" and self._first + HITS < len(self._results):
                self._first += HITS
            elif target in shown:
                self._open = shown[target]
                self._colour = self._size = "."
            else:
                return "#\n"
            return self._page()
        if target == "-":
            self._open = None
            return self._page()
        if target in product.colours:
            self._colour = target
        elif target in product.sizes:
            self._size = target
        else:
            return "#\n"
        return f"{self._colour}{self._size}\n"

    def _page(self) -> str:
        if self._open is not None:
            return f"{''.join(self._open.colours)},{''.join(self._open.sizes)}\n"
        hits = zip(_LETTERS, self.shown, strict=False)
        shown = [f"{letter}{product.title}{product.price}" for letter, product in hits]
        return f"{','.join(shown) or '#'}\n"


def write_world(path: Path, products: Sequence[Product], goals: Sequence[Goal]) -> None:
    """Write a catalogue, and what customers want."""
    world = {"products": list(map(asdict, products)), "goals": list(map(asdict, goals))}
    path.write_text(json.dumps(world) + "\n", encoding="utf-8")


def read_world(path: Path) -> tuple[Shop, list[Goal]]:
    """Inverse of `write_world`."""
    world = json.loads(path.read_bytes())
    products = [
        Product(
            each["kind"],
            tuple(each["attributes"]),
            tuple(each["colours"]),
            tuple(each["sizes"]),
            each["price"],
        )
        for each in world["products"]
    ]
    goals = [Goal(**{**each, "attributes": tuple(each["attributes"])}) for each in world["goals"]]
    return Shop(products), goals
