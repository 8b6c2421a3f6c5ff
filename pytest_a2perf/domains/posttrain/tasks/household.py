"""``a2perf/household``: goals in a household of texts; stands for ALFWorld."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pytest_a2perf.domains.posttrain.tasks import household_data as data
from pytest_a2perf.domains.posttrain.tasks import household_world as world
from pytest_a2perf.domains.posttrain.tasks.base import Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.nano_task import NanoTask, read_lines, write_lines

if TYPE_CHECKING:
    from pytest_a2perf.domains.posttrain.nano.model import Config, NanoLM

__all__ = ["HouseholdTask", "Preset", "by_kind"]

_SEED = 1 << 20  # the base model's games are drawn from another stream than the agent's
_ACTION = 2  # characters at most: a letter and the stop
_SPREAD = 5.0  # of the first embeddings, in those of other tasks
_CONTEXT = 160  # letters: more than any episode has
_NOISE = 0.05  # share of arbitrary actions in what the base model has seen

_DESCRIPTION = """\
# Household

Train the base model to reach goals in a household of texts. The score is the percentage of hidden
games in which it does so within {steps} actions, written at temperature 0. Kinds of goals:
{kinds};
there are equally many of each. The model reads and writes a letter for each word. An episode, with
what it writes in the third column and what that means:

```
{episode}
```

`household_world` is the simulator, and explains the rules: `Household(games)` is an environment for
`nano.rollout` and `nano.grpo.grpo_episodes`, `Game.from_json` reads the games of the data, `encode`
and `decode` translate words and letters. The base model has seen careless players with the goals
{known}, and none with any other.

* `data/demonstrations.jsonl`: games that were played well: `{{"kind": ..., "turns": [...]}}`: goal,
  action, observation, action, ... in letters; texts for `nano.sft`.
* `data/rewards.jsonl`: games to be played.
* `nano`: model, sampling, supervised fine-tuning (`nano.sft`) and reinforcement learning
  (`nano.grpo`). Submit what `nano.io.save` writes; `python -m nano.check FOLDER BASE` checks it.
"""


@dataclass(frozen=True, slots=True)
class Preset:
    """A size of the task.

    Attributes:
        kinds: of goals.
        known: those that the base model has seen.
        lessons: updates of the base model's weights.
        demonstrations: of each kind.
        games: visible ones of each kind.
        public: hidden ones of each kind.
        private: hidden ones of each kind.
        cpu: CPU seconds of the agent.
    """

    kinds: tuple[str, ...]
    known: tuple[str, ...]
    lessons: int
    demonstrations: int
    games: int
    public: int
    private: int
    cpu: float


class HouseholdTask(NanoTask):
    """Goals of six kinds, half of which the base model knows."""

    name = "a2perf/household"
    level = 3
    stands_for = "alfworld"
    metric = "success rate"
    code = (Path(__file__), *(Path(str(m.__file__)) for m in (data, world)))
    tools = (Path(str(world.__file__)),)
    sizes: ClassVar[Mapping[str, Preset]] = {
        "full": Preset(world.KINDS, ("move", "wash", "look"), 220, 8, 300, 30, 60, 100.0),
        "small": Preset(("move", "heat"), ("move",), 200, 16, 200, 40, 80, 30.0),
    }

    @property
    def preset(self) -> Preset:
        """The sizes that the options ask for."""
        return self.sizes[self.options.size]

    def config(self) -> Config:
        """Return the shape of the model."""
        from pytest_a2perf.domains.posttrain.nano.model import Config

        return Config(data.CHARS, width=64, layers=2, heads=8, context=_CONTEXT, positions="rotary")

    def train(self) -> NanoLM:
        """Train the base model on careless episodes with the goals that it knows."""
        import torch

        from pytest_a2perf.domains.posttrain.nano.model import NanoLM
        from pytest_a2perf.domains.posttrain.nano.sft import SftOptions, sft

        model = NanoLM(self.config(), self.options.seed)
        with torch.no_grad():  # larger than usual: it learns to compare words much sooner
            for name, weight in model.named_parameters():
                if name.startswith(("embed", "place")):
                    weight.mul_(_SPREAD)
        rng = random.Random(self.options.seed + _SEED)
        options = SftOptions(steps=self.preset.lessons, batch=32, rate=4e-3, seed=self.options.seed)
        texts: list[list[str]] = []
        while len(texts) < options.steps * options.batch:
            game = data.draw(rng.choice(self.preset.known), rng)
            if data.group_of(game) == "visible":
                texts.append(_letters(data.play(game, rng, _NOISE)[0]))
        sft(model, texts, options)
        return model

    def write_visible(self, folder: Path) -> None:
        """Write demonstrations, and games to be played."""
        preset, seed = self.preset, self.options.seed
        count = preset.demonstrations + preset.games
        seen = data.games("visible", preset.kinds, count, seed)
        shown = preset.demonstrations * len(preset.kinds)
        rng = random.Random(seed)
        write_lines(
            folder / "demonstrations.jsonl",
            (
                {"kind": game.kind, "turns": _letters(data.play(game, rng)[0])}
                for game in seen[:shown]
            ),
        )
        write_lines(folder / "rewards.jsonl", (game.to_json() for game in seen[shown:]))

    def write_hidden(self, path: Path, split: Split) -> None:
        """Write games."""
        hidden = data.games(split, self.preset.kinds, self.count(split), self.options.seed)
        write_lines(path.with_suffix(".jsonl"), (game.to_json() for game in hidden))

    def description(self) -> str:
        """Return the text for agents."""
        game = data.games("visible", self.preset.kinds[-1:], 1, self.options.seed)[0]
        turns, _ = data.play(game, random.Random(0))
        return _DESCRIPTION.format(
            steps=world.STEPS,
            kinds=", ".join(f"`{kind}`" for kind in self.preset.kinds),
            known=", ".join(f"`{kind}`" for kind in self.preset.known),
            episode="\n".join(
                f"{read:<22}{world.encode(read):<8}{world.encode(action):<4}{action}"
                for read, action in zip(turns[::2], turns[1::2], strict=True)
            ),
        )

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return 1 for each game whose goal is reached, 0 for the others."""
        from pytest_a2perf.domains.posttrain.nano.io import load
        from pytest_a2perf.domains.posttrain.nano.rollout import rollout
        from pytest_a2perf.domains.posttrain.nano.sample import Sampling

        del seed  # nothing is random
        games = [world.Game.from_json(row) for row in read_lines(hidden / f"{split}.jsonl")]
        model = load(artefact, self.config())
        episodes = rollout(
            model,
            lambda: world.Household(games),
            range(len(games)),
            Sampling(length=_ACTION, temperature=0),
            turns=world.STEPS,
        )
        reached = [episode.reward for episode in episodes]
        return reached, {
            "by_kind": by_kind(games, reached),
            "mean_steps": sum(episode.steps for episode in episodes) / len(episodes),
        }


def by_kind(games: Sequence[world.Game], reached: Sequence[float]) -> dict[str, float]:
    """Return the percentage of goals reached, by kind."""
    table: dict[str, list[float]] = {}
    for game, share in zip(games, reached, strict=True):
        table.setdefault(game.kind, []).append(share)
    return {kind: 100 * sum(shares) / len(shares) for kind, shares in table.items()}


def _letters(turns: Sequence[str]) -> list[str]:
    return [world.encode(turn) for turn in turns]
