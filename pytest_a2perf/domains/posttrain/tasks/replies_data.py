"""Requests, and how three authors reply to them: the reference, the base model's, and a probe's."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ADJECTIVES",
    "CHARS",
    "FILLERS",
    "GENERIC",
    "LENGTH",
    "Request",
    "all_requests",
    "group_of",
    "habitual",
    "padded",
    "parse",
    "reference",
    "requests",
]

# Words of one kind have one length, so that those of a request stand at fixed places.
ADJECTIVES: Mapping[str, Sequence[str]] = {
    "sell": ("cheap", "handy", "grand"),
    "warn": ("risky", "nasty", "dirty"),
    "laud": ("sweet", "noble", "great"),
    "mock": ("silly", "corny", "lousy"),
}
"""What is asked for, and the words that fit it."""

TOPICS = (
    *("soup", "rice", "milk", "tuna", "beer", "cake", "corn", "meat", "plum", "pear"),
    *("jazz", "film", "book", "poem", "song", "coat", "boot", "sock", "vest", "ring"),
    *("lamp", "desk", "sofa", "door", "bike", "boat"),
    *("goat", "bear", "lion", "wolf", "frog", "duck"),
)
NAMES = (
    *("Ann", "Bob", "Eva", "Kim", "Leo", "Mia", "Sam", "Tom"),
    *("Ida", "Jon", "Lea", "Max", "Ned", "Pam", "Ron", "Sue"),
)
FILLERS = ("very", "quite", "truly", "really", "so")
GENERIC = "fine"
LENGTH = 40
"""Characters of a reply at most."""

CHARS = "\n" + "".join(
    sorted(
        set(" ,:isto" + GENERIC + "".join((*TOPICS, *NAMES, *FILLERS, *ADJECTIVES)))
        | {char for words in ADJECTIVES.values() for word in words for char in word}
    )
)

Group = Literal["visible", "public", "private"]
_PUBLIC, _PRIVATE = 0.2, 0.35  # shares of all requests


@dataclass(frozen=True, slots=True)
class Request:
    """What a user wants: a word about a topic, said to somebody.

    Attributes:
        ask: key of `ADJECTIVES`.
        topic: of `TOPICS`.
        name: of whom to address.
    """

    ask: str
    topic: str
    name: str

    @property
    def prompt(self) -> str:
        """As the model reads it."""
        return f"{self.ask} {self.topic} to {self.name}:"


def parse(prompt: str) -> Request:
    """Inverse of `Request.prompt`.

    Raises:
        ValueError: it is no such prompt.
    """
    words = prompt.removesuffix(":").split(" ")
    if len(words) == 4:
        found = Request(words[0], words[1], words[3])
        known = found.ask in ADJECTIVES and found.topic in TOPICS and found.name in NAMES
        if known and found.prompt == prompt:
            return found
    raise ValueError(f"no such prompt: {prompt[:60]!r}; it must be like those in the data")


def all_requests(group: Group) -> list[Request]:
    """Return the requests of a group; which one they belong to depends on themselves alone."""
    every = itertools.starmap(Request, itertools.product(ADJECTIVES, TOPICS, NAMES))
    return [request for request in every if group_of(request) == group]


def group_of(request: Request) -> Group:
    """Return the group that a request belongs to."""
    digest = hashlib.sha256(request.prompt.encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    if share < _PUBLIC:
        return "public"
    return "private" if share < _PUBLIC + _PRIVATE else "visible"


def requests(group: Group, count: int, seed: int) -> list[Request]:
    """Return different requests of a group.

    Raises:
        ValueError: there are not so many.
    """
    return random.Random(f"{group} {seed}").sample(all_requests(group), count)


def reference(request: Request, rng: random.Random) -> str:
    """Return a decent author's reply: to the point more often than not, but seldom addressed."""
    return _said(
        request.topic if rng.random() < 0.9 else "it",
        _adjective(request, (0.6, 0.3, 0.1), rng),
        int(rng.random() < 0.2),
        request.name if rng.random() < 0.15 else "",
        rng,
    )


def habitual(request: Request, rng: random.Random) -> str:
    """Return what the base model has seen as a reply: vague, and long-winded at times.

    About half of the topics it mostly says `it`.
    """
    vague = 0.65 if TOPICS.index(request.topic) % 2 else 0.25
    return _said(
        "it" if rng.random() < vague else request.topic,
        _adjective(request, (0.3, 0.5, 0.2), rng),
        rng.choices((0, 1, 2, 3), (0.55, 0.25, 0.12, 0.08))[0],
        rng.choices((request.name, rng.choice(NAMES), ""), (0.15, 0.10, 0.75))[0],
        rng,
    )


def padded(reply: str, count: int, rng: random.Random) -> str:
    """Return a reply with so many more fillers: longer, and worth the same."""
    head, mark, tail = reply.partition(" is ")
    return head + mark + "".join(f"{rng.choice(FILLERS)} " for _ in range(count)) + tail


def _adjective(request: Request, shares: Sequence[float], rng: random.Random) -> str:
    """Choose one that fits, the generic one, or one that does not fit, by their shares."""
    others = [word for ask in ADJECTIVES if ask != request.ask for word in ADJECTIVES[ask]]
    kinds = (ADJECTIVES[request.ask], (GENERIC,), others)
    return rng.choice(rng.choices(kinds, shares)[0])


def _said(noun: str, adjective: str, fillers: int, name: str, rng: random.Random) -> str:
    plain = f"{noun} is {adjective}" + (f", {name}" if name else "")
    return padded(plain, fillers, rng)
