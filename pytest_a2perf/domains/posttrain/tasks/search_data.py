"""People, where they live and whom they know; questions about them; good and bad inquiries."""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_a2perf.domains.posttrain.tasks.search_world import SIGNS, Index, Inquiry

__all__ = [
    "CHARS",
    "EXPERT",
    "HABITS",
    "NAMES",
    "READERS",
    "TOWNS",
    "Group",
    "Manner",
    "Person",
    "Question",
    "demonstration",
    "documents",
    "group_of",
    "people",
    "questions",
]

NAMES, TOWNS = string.ascii_letters, string.digits
CHARS = "\n" + "".join(SIGNS) + NAMES + TOWNS

Group = Literal["visible", "public", "private"]
Hop = Literal["^", "=", "~"]
Asked = Literal["@", "&"]

_HOPS: tuple[Hop, ...] = ("^", "=", "~")
_PUBLIC, _PRIVATE = 0.2, 0.3  # shares of all pages
_SINGLE = 0.35  # of the questions, as in DeepSearchQA, have one name as answer


Manner = Mapping[Hop, tuple[float, float, float]]
"""How likely somebody reads no page, one, or both, by what the question is about."""

EXPERT: Manner = dict.fromkeys(_HOPS, (0, 0, 1))
READERS: Manner = dict.fromkeys(_HOPS, (0, 0.5, 0.5))  # those whose inquiries are shown
HABITS: Manner = {"^": (0.7, 0.15, 0.15), "=": (0.2, 0.6, 0.2), "~": (0.2, 0.2, 0.6)}


@dataclass(frozen=True, slots=True)
class Person:
    """A page of the library.

    Attributes:
        name: a letter, as all names of people.
        boss: name of another.
        pal: name of another.
        aunt: name of another.
        town: a digit.
        kids: names of two others.
    """

    name: str
    boss: str
    pal: str
    aunt: str
    town: str
    kids: tuple[str, str]

    @property
    def page(self) -> str:
        """Its text."""
        kids = "".join(self.kids)
        return f"{self.name}^{self.boss}={self.pal}~{self.aunt}@{self.town}&{kids}"

    def known(self, hop: Hop) -> str:
        """Return the name of whom this person knows as boss, pal or aunt."""
        return {"^": self.boss, "=": self.pal, "~": self.aunt}[hop]

    def answer(self, asked: Asked) -> tuple[str, ...]:
        """Return the town or the kids."""
        return (self.town,) if asked == "@" else self.kids


@dataclass(frozen=True, slots=True)
class Question:
    """A question that takes two pages.

    Attributes:
        asked: what of the second person.
        hop: who that is to the first one.
        name: of the first one.
        expected: one or two names.
    """

    asked: Asked
    hop: Hop
    name: str
    expected: tuple[str, ...]

    @property
    def text(self) -> str:
        """As the model reads it."""
        return f"{self.asked}{self.hop}{self.name}\n"


def group_of(page: str) -> Group:
    """Return the group that a page belongs to."""
    share = int.from_bytes(hashlib.sha256(page.encode()).digest()[:4], "big") / 2**32
    if share < _PUBLIC:
        return "public"
    return "private" if share < _PUBLIC + _PRIVATE else "visible"


def people(group: Group, seed: int) -> list[Person]:
    """Return the people of a group's library, who have the same names in all of them.

    No two groups share a page, so what is known of one library is of no use in others.
    """
    rng = random.Random(f"{group} people {seed}")
    found = []
    for name in NAMES:
        others = NAMES.replace(name, "")
        while True:
            boss, pal, aunt, *kids = rng.sample(others, 5)
            person = Person(name, boss, pal, aunt, rng.choice(TOWNS), (kids[0], kids[1]))
            if group_of(person.page) == group:
                break
        found.append(person)
    return found


def documents(library: list[Person]) -> list[tuple[str, str]]:
    """Return title and text of the pages."""
    return [(person.name, person.page) for person in library]


def questions(library: list[Person], count: int, seed: int) -> list[Question]:
    """Return different questions about the people of a library.

    Raises:
        ValueError: there are not so many.
    """
    rng = random.Random(f"questions {seed}")
    by_name = {person.name: person for person in library}
    every: dict[Asked, list[Question]] = {"@": [], "&": []}
    for person in library:
        for hop in _HOPS:
            other = by_name[person.known(hop)]
            for asked, found in every.items():
                found.append(Question(asked, hop, person.name, other.answer(asked)))
    single = round(_SINGLE * count)
    chosen = rng.sample(every["@"], single) + rng.sample(every["&"], count - single)
    rng.shuffle(chosen)
    return chosen


def demonstration(
    library: dict[str, Person],
    index: Index,
    question: Question,
    rng: random.Random,
    manner: Manner,
) -> tuple[str, ...]:
    """Return an inquiry, as turns.

    Who is thorough looks up both people, and answers by the second page. Others answer by the
    first one, or by one that they have not read.

    Args:
        library: its people by name.
        index: of the library.
        question: to answer.
        rng: of what is done.
        manner: see `Manner`.
    """
    inquiry = Inquiry(index, [(question.text, question.expected)])
    turns = [inquiry.reset(0)]
    first = library[question.name]
    second = library[first.known(question.hop)]
    (read,) = rng.choices(range(3), manner[question.hop])
    for action in (f"?{first.name}", f"?{question.hop}{second.name}")[:read]:
        turns += [action, inquiry.step(action)[0]]
    source = (rng.choice(list(library.values())), first, second)[read]
    turns.append(f"!{question.asked}{''.join(source.answer(question.asked))}")
    return tuple(turns)
