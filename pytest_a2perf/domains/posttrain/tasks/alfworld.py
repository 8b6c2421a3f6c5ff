"""``alfworld``: a text household, by a command; with the user's model, games and evaluator."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.formats import Row, read_rows
from pytest_a2perf.errors import ScenarioError

__all__ = ["AlfworldTask"]

_GAME = "game.tw-pddl"
_TYPES = (
    *("pick_and_place_simple", "look_at_obj_in_light", "pick_clean_then_place_in_recep"),
    *("pick_heat_then_place_in_recep", "pick_cool_then_place_in_recep"),
    "pick_two_obj_and_place",
)

_DESCRIPTION = """\
# Text household (ALFWorld)

Train the base model to solve household tasks by text commands, step by step. `data` has the
training games, in ALFWorld's folders. The score is the percentage of hidden games, in rooms that
the training games do not have, that the model solves within 50 steps.

Submit the folder of a whole model: config, tokenizer and safetensors.
"""


class GameRow(Row):
    """A game: its file, which the evaluator sees at the same path, and its kind of task."""

    game: str
    type: str = ""


class AlfworldTask(ConfiguredTask):
    """A text household. Data are folders of games, or files with a row for each game."""

    Visible = GameRow
    Hidden = GameRow
    name = "alfworld"
    level = 3
    metric = "success rate"

    def description(self) -> str:
        """Return the text for agents."""
        return _DESCRIPTION

    def prompt_of(self, row: Any) -> str:
        """Return the game's folders, which say what it is."""
        return "/".join(Path(row.game).parts[-3:])

    def further_problems(self) -> Iterator[str]:
        """Yield what is missing."""
        if not self.options.evaluator:
            yield "evaluator: give the command that plays the games"
        if self.options.train and not self._path("train").is_dir():
            yield f"train: {self._path('train')} is no folder of games"
        elif self.options.train and next(self._path("train").rglob(_GAME), None) is None:
            yield f"train: {self._path('train')} has no {_GAME}"

    def visible_rows(self) -> list[Any]:
        """Return none: agents see the folder itself."""
        return []

    def test_rows(self) -> list[Any]:
        """Return the games of a folder, or of a file."""
        return self._games("hidden")

    def splits(self) -> dict[Any, list[Any]]:
        """Return the games of both splits."""
        if self.options.public is None:
            return super().splits()
        return {split: self._games(split) for split in ("public", "private")}

    def seen_by_evaluator(self) -> Sequence[Path]:
        """Return the folders of hidden games."""
        keys = [key for key in ("hidden", "public", "private") if getattr(self.options, key)]
        return [self._path(key) for key in keys if self._path(key).is_dir()]

    def _games(self, key: str) -> list[GameRow]:
        path = self._path(key)
        if not path.is_dir():
            rows = read_rows(path, GameRow)
            games = [Path(row.game) for row in rows]
        else:
            games = sorted(path.rglob(_GAME))
            rows = [GameRow(game=str(game), type=_type_of(game)) for game in games]
        if not games:
            raise ScenarioError(f"{path}: has no {_GAME}")
        for game in games:
            _check(game)
        return rows


def _type_of(game: Path) -> str:
    """Return the kind of task, which the name of a folder begins with."""
    parts = [part for part in game.parts if part.startswith(_TYPES)]
    return next((kind for kind in _TYPES for part in parts if part.startswith(kind)), "")


def _check(game: Path) -> None:
    try:
        data = json.loads(game.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ScenarioError(f"{game}:{error.lineno}: is no JSON: {error.msg}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{game}: cannot be read: {error}") from None
    if not isinstance(data, dict) or "pddl_problem" not in data:
        raise ScenarioError(f"{game}:1: expected a game with pddl_problem")
