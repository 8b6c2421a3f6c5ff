"""A household of texts: things lie in places, and a goal wants one of them moved, or made hot.

An episode begins with its goal, e.g. ``heat egg bed >``. Then the player writes an action, and
reads what is in its hand and what lies where it stands: ``hot egg : bag key >``. Goals are

* ``move egg bed >``: it must lie there; ``pair``: both of them;
* ``wash``, ``cool``, ``heat egg bed >``: it must lie there clean, cold or hot;
* ``look egg lamp >``: it must be looked at by the lamp.

An action is one word: a place or a device, to go there; a thing that lies there, to take it;
``put`` where there is no device; ``wash``, ``cool``, ``heat`` or ``look`` at the device for it. The
last five need a thing in hand. What is no action, or none that is possible now, changes nothing and
is answered by ``no >``, but takes a step.

Models read and write a letter for each word, see `LETTERS`: `encode` and `decode` translate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "DEVICES",
    "KINDS",
    "LETTERS",
    "PLACES",
    "STATES",
    "STEPS",
    "THINGS",
    "Game",
    "Household",
    "World",
    "decode",
    "encode",
]

THINGS = ("egg", "bag", "pan", "nut", "key", "toy")
PLACES = ("bed", "mat", "rug", "jar")
"""Where things lie at the start, and may be put."""

DEVICES: Mapping[str, str] = {"wash": "sink", "cool": "fridge", "heat": "hob", "look": "lamp"}
"""Where an action is possible."""

STATES: Mapping[str, str] = {"wash": "clean", "cool": "cold", "heat": "hot"}
"""What becomes of a thing; the last one counts."""

LETTERS: Mapping[str, str] = {
    **{thing: thing[0] for thing in THINGS},
    **{place: place[0].upper() for place in (*PLACES, *DEVICES.values())},
    **{verb: verb[0] for verb in ("move", *DEVICES)},
    "pair": "2",
    "put": "u",
    "clean": "~",
    "cold": "-",
    "hot": "+",
    "no": "?",
    ":": ":",
    ">": ">",
}
"""A letter for each word: ``heat egg bed >`` is ``heB>``."""

_WORDS = {letter: word for word, letter in LETTERS.items()}

KINDS = ("move", "wash", "cool", "heat", "look", "pair")
STEPS = 14
"""Actions in an episode at most."""


@dataclass(frozen=True, slots=True)
class Game:
    """A goal, and how things lie at the start.

    Attributes:
        kind: of `KINDS`.
        thing: of `THINGS`; there are two of it if the kind is ``pair``, else one.
        target: place; ``lamp`` if the kind is ``look``.
        rooms: what lies in each of `PLACES`.
    """

    kind: str
    thing: str
    target: str
    rooms: Mapping[str, Sequence[str]]

    @property
    def goal(self) -> str:
        """As the player reads it."""
        return f"{self.kind} {self.thing} {self.target} >"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        rooms = {place: list(things) for place, things in self.rooms.items()}
        return {"kind": self.kind, "thing": self.thing, "target": self.target, "rooms": rooms}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Game:
        """Inverse of `to_json`."""
        return cls(data["kind"], data["thing"], data["target"], data["rooms"])


@dataclass(frozen=True, slots=True)
class Item:
    """A thing as it is now.

    Attributes:
        thing: of `THINGS`.
        state: of `STATES`, or empty.
    """

    thing: str
    state: str = ""

    def __str__(self) -> str:
        return f"{self.state} {self.thing}".strip()


@dataclass(slots=True)
class World:
    """A game that is being played.

    Attributes:
        game: the game.
        rooms: what lies where.
        place: where the player stands; empty at the start.
        held: what it has in its hand.
        looked: whether it has looked at the thing by the lamp.
        steps: actions so far.
    """

    game: Game
    rooms: dict[str, list[Item]] = field(init=False)
    place: str = ""
    held: Item | None = None
    looked: bool = False
    steps: int = 0

    def __post_init__(self) -> None:
        self.rooms = {
            place: [Item(thing) for thing in things] for place, things in self.game.rooms.items()
        }

    @property
    def here(self) -> list[Item]:
        """What lies where the player stands."""
        return self.rooms.get(self.place, [])

    @property
    def solved(self) -> bool:
        """Whether the goal is reached."""
        kind = self.game.kind
        if kind == "look":
            return self.looked
        there = [item for item in self.rooms[self.game.target] if item.thing == self.game.thing]
        if kind in STATES:
            return any(item.state == STATES[kind] for item in there)
        return len(there) >= (2 if kind == "pair" else 1)

    @property
    def over(self) -> bool:
        """Whether the goal is reached, or no step is left."""
        return self.solved or self.steps >= STEPS

    def admissible(self) -> list[str]:
        """Return what can be done now."""
        found = [place for place in (*PLACES, *DEVICES.values()) if place != self.place]
        if self.held is None:
            return found + list(dict.fromkeys(item.thing for item in self.here))
        if self.place in PLACES:
            found.append("put")
        return found + [verb for verb, place in DEVICES.items() if place == self.place]

    def act(self, action: str) -> str:
        """Do something, and return what the player reads then."""
        self.steps += 1
        if action not in self.admissible():
            return "no >"
        if action in THINGS:
            self.held = next(item for item in self.here if item.thing == action)
            self.here.remove(self.held)
        elif self.held is None or action in (*PLACES, *DEVICES.values()):
            self.place = action
        elif action == "put":
            self.here.append(self.held)
            self.held = None
        elif action in STATES:
            self.held = Item(self.held.thing, STATES[action])
        else:
            self.looked |= self.held.thing == self.game.thing
        return " ".join([*filter(None, [str(self.held or "")]), ":", *map(str, self.here), ">"])


def encode(text: str) -> str:
    """Return a letter for each word.

    Raises:
        KeyError: there is no such word.
    """
    return "".join(LETTERS[word] for word in text.split())


def decode(letters: str) -> str:
    """Inverse of `encode`; a letter that stands for nothing remains."""
    return " ".join(_WORDS.get(letter, letter) for letter in letters)


class Household:
    """An environment for `nano.rollout` and `nano.grpo`: task i is the i-th game.

    It speaks in letters. The reward is 1 when the goal is reached, and 0 until then.

    Args:
        games: to play.
    """

    def __init__(self, games: Sequence[Game]) -> None:
        self._games = games

    def reset(self, task: int) -> str:
        """Begin a game, and return its goal."""
        self.world = World(self._games[task])
        return encode(self.world.game.goal)

    def step(self, text: str) -> tuple[str, float, bool]:
        """Do something; return what is read then, the reward, and whether the game is over."""
        seen = self.world.act(decode(text))
        return encode(seen), float(self.world.solved), self.world.over
