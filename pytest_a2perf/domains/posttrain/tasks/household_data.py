"""Games by seed, and a player that knows no more than it has seen."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from typing import Literal

from pytest_a2perf.domains.posttrain.tasks.household_world import (
    DEVICES,
    LETTERS,
    PLACES,
    STATES,
    THINGS,
    Game,
    World,
)

__all__ = ["CHARS", "draw", "expert", "games", "group_of", "play"]

CHARS = "\n" + "".join(LETTERS.values())
"""The model's vocabulary."""

Group = Literal["visible", "public", "private"]
_PUBLIC, _PRIVATE = 0.1, 0.2  # shares of all games
_OTHERS = 2  # things that no goal speaks of


def draw(kind: str, rng: random.Random) -> Game:
    """Draw a game of a kind; its thing lies anywhere but at the target."""
    thing = rng.choice(THINGS)
    target = DEVICES["look"] if kind == "look" else rng.choice(PLACES)
    rooms: dict[str, list[str]] = {place: [] for place in PLACES}
    for _ in range(2 if kind == "pair" else 1):
        rooms[rng.choice([place for place in PLACES if place != target])].append(thing)
    for other in rng.sample([one for one in THINGS if one != thing], _OTHERS):
        rooms[rng.choice(PLACES)].append(other)
    for things in rooms.values():
        rng.shuffle(things)
    return Game(kind, thing, target, rooms)


def group_of(game: Game) -> Group:
    """Return the group that a game belongs to; it depends on the game alone."""
    digest = hashlib.sha256(json.dumps(game.to_json(), sort_keys=True).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    if share < _PUBLIC:
        return "public"
    return "private" if share < _PUBLIC + _PRIVATE else "visible"


def games(group: Group, kinds: Sequence[str], count: int, seed: int) -> list[Game]:
    """Return different games of a group, so many of each kind; the kinds take turns."""
    rng = random.Random(f"{group} {seed}")
    found: dict[str, list[Game]] = {kind: [] for kind in kinds}
    for kind, chosen in found.items():
        while len(chosen) < count:
            game = draw(kind, rng)
            if group_of(game) == group and game not in chosen:
                chosen.append(game)
    return [chosen[number] for number in range(count) for chosen in found.values()]


def expert(world: World) -> str:
    """Return what to do next, from nothing but the goal, the hand, and what is in sight.

    It looks for the thing in one place after the other, always in the same order, so that those who
    imitate it need no knowledge that they cannot have.
    """
    game, held = world.game, world.held
    if held is None:
        at_target = world.place == game.target
        for item in world.here:
            ready = game.kind not in STATES or item.state == STATES[game.kind]
            if item.thing == game.thing and not (at_target and ready):
                return item.thing
        return _next(world.place)
    if held.thing != game.thing:  # taken by mistake
        return "put" if world.place in PLACES else _next(world.place)
    device = DEVICES.get(game.kind)
    if device is not None and (game.kind == "look" or held.state != STATES[game.kind]):
        return game.kind if world.place == device else device
    return "put" if world.place == game.target else game.target


def play(game: Game, rng: random.Random, noise: float = 0.0) -> tuple[list[str], bool]:
    """Play as the expert does, with a share of arbitrary actions.

    Returns:
        What was read and done in turns, in words, up to the last action, and whether that reached
        the goal.
    """
    world, turns = World(game), [game.goal]
    while True:
        action = rng.choice(world.admissible()) if rng.random() < noise else expert(world)
        turns.append(action)
        seen = world.act(action)
        if world.over:
            return turns, world.solved
        turns.append(seen)


def _next(place: str) -> str:
    """Return the place after another; the first one after none, or a device."""
    return PLACES[(PLACES.index(place) + 1) % len(PLACES)] if place in PLACES else PLACES[0]
