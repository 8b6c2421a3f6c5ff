"""``a2perf/shop``: buy what a customer wants; stands for WebShop."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from pytest_a2perf.domains.posttrain.tasks import nano_task_turns
from pytest_a2perf.domains.posttrain.tasks import shop_data as data
from pytest_a2perf.domains.posttrain.tasks import shop_world as world
from pytest_a2perf.domains.posttrain.tasks.base import Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.nano_task import Preset, write_lines
from pytest_a2perf.domains.posttrain.tasks.nano_task_turns import EpisodesTask, shown

__all__ = ["GOOD", "ShopTask"]

GOOD = 0.5
"""The reward that makes an episode a success."""

_DESCRIPTION = """\
# Shop

Train the base model to buy what customers want in a small web shop. Each word is one character:
{words}. An episode, with the actions of the model after `>`:

```
{episode}
```

In words (`shop_world.spell` writes any text out):

```
{spelt}
```

An action ends with a line feed, and has {length} characters at most:

| action | page |
|---|---|
| `?` and words | products with these words, those with most of them first, {hits} at a time |
| `a`, `b`, `c`; `+` | the product's page with its colours and sizes; more results |
| a colour, a size | what is chosen by now, `.` for nothing |
| `-` | the results |
| `!` | the end |

What cannot be done is answered by `#`. After {steps} actions it is over. The reward is (attributes
matched + options matched + 1 if the price is below the limit) / 5, and 0 for another kind of thing
or no purchase. The score is the percentage of hidden instructions with a reward of at least {good},
at temperature 0. They are for other things in another shop, in the same words.

The base model searches for the kind alone, opens the first hit and forgets about the size.

* `data/demonstrations.jsonl`: visits of customers: `{{"turns": [instruction, action, page, action,
  ...]}}`. Most search for the right words, but open the first hit and forget about the size.
* `data/rewards.json`: a catalogue and instructions. `shop_world.read_world` reads it, and
  `shop_world.Visit(shop, goals)` is an environment for `nano.grpo.grpo_episodes` and
  `nano.rollout.rollout`.
* `nano`: model, sampling, supervised fine-tuning (`nano.sft`) and reinforcement learning
  (`nano.grpo`). Submit what `nano.io.save` writes; `python -m nano.check FOLDER BASE` checks it.
"""


class ShopTask(EpisodesTask):
    """Purchases of things with two attributes and two options."""

    name = "a2perf/shop"
    level = 3
    stands_for = "webshop"
    metric = f"episodes with a reward of at least {GOOD}"
    chars = data.CHARS
    context = 112
    length = 8
    turns = world.STEPS
    code = tuple(Path(str(m.__file__)) for m in (data, world, nano_task_turns))
    tools = (Path(world.__file__),)
    sizes: ClassVar[Mapping[str, Preset]] = {
        "full": Preset(400, 60, 32, 400, 150, 300, 90.0),
        "small": Preset(140, 50, 24, 200, 100, 200, 12.5),
    }

    def lessons(self, rng: random.Random, *, habits: bool) -> Iterator[tuple[str, ...]]:
        """Yield visits to shops of many catalogues."""
        manner = data.HABITS if habits else data.EXPERT
        while True:
            seed = rng.randrange(1 << 30)
            products = data.catalogue("visible", seed)
            shop = world.Shop(products)
            for goal in data.goals(products, 300, seed):
                yield data.demonstration(shop, goal, rng, manner)

    def write_visible(self, folder: Path) -> None:
        """Write demonstrations, and a catalogue with what customers want."""
        seed, preset = self.options.seed, self.preset
        products = data.catalogue("visible", seed)
        goals = data.goals(products, preset.demonstrations + preset.rewards, seed)
        first, rest = goals[: preset.demonstrations], goals[preset.demonstrations :]
        shop, rng = world.Shop(products), random.Random(seed)
        write_lines(
            folder / "demonstrations.jsonl",
            ({"turns": data.demonstration(shop, goal, rng, data.CUSTOMERS)} for goal in first),
        )
        world.write_world(folder / "rewards.json", products, rest)

    def write_hidden(self, path: Path, split: Split) -> None:
        """Write another catalogue with what other customers want."""
        products = data.catalogue(split, self.options.seed)
        goals = data.goals(products, self.count(split), self.options.seed)
        world.write_world(path.with_suffix(".json"), products, goals)

    def description(self) -> str:
        """Return the text for agents."""
        products = data.catalogue("visible", self.options.seed)
        goal = data.goals(products, 1, self.options.seed)[0]
        turns = data.demonstration(world.Shop(products), goal, random.Random(0), data.EXPERT)
        return _DESCRIPTION.format(
            words=", ".join(f"`{char}` {word}" for char, word in world.WORDS.items()),
            episode=shown(turns),
            spelt=world.spell(shown(turns)),
            length=self.length - 1,
            hits=world.HITS,
            steps=world.STEPS,
            good=GOOD,
        )

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return 1 for each success, 0 for the others; mean reward and steps besides."""
        del seed  # nothing is random
        shop, goals = world.read_world(hidden / f"{split}.json")
        episodes = self.play(artefact, lambda: world.Visit(shop, goals), len(goals))
        return [float(episode.reward >= GOOD) for episode in episodes], {
            "average_reward": fmean(episode.reward for episode in episodes),
            "average_steps": fmean(episode.steps for episode in episodes),
        }
