"""``a2perf/search``: answer questions by looking things up; stands for DeepSearchQA."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from pytest_a2perf.domains.posttrain.tasks import nano_task_turns
from pytest_a2perf.domains.posttrain.tasks import search_data as data
from pytest_a2perf.domains.posttrain.tasks import search_world as world
from pytest_a2perf.domains.posttrain.tasks.base import Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.nano_task import Preset, write_lines
from pytest_a2perf.domains.posttrain.tasks.nano_task_turns import EpisodesTask, shown

__all__ = ["ERRORS", "SearchTask", "judge"]

ERRORS = 0.1
"""How often the judge says the opposite of what is the case."""

_DESCRIPTION = """\
# Search

Train the base model to answer questions about people by looking them up in a library. Each word is
one character: {words}; letters are people, digits are towns. An episode, with the actions of the
model after `>`:

```
{episode}
```

In words (`search_world.spell` writes any text out):

```
{spelt}
```

An action ends with a line feed, and has {length} characters at most. `?` with words is answered by
the page that fits best by BM25. `!` with names ends the episode; two are asked for where it is
about kids, in any order. Anything else is answered by `#`. After {steps} actions it is over.

The score is the percentage of answers to hidden questions, at temperature 0, that a judge takes for
right. The judge errs in {errors:.0%} of all cases, either way and each time anew, so scores vary:
with a standard deviation of {noise:.1f} points in the final evaluation, and more in those before.
In the library of hidden questions people have the same names, but other bosses, kids and so on.

The base model makes answers up where it is about bosses, and stops after the first page where it is
about pals.

* `data/demonstrations.jsonl`: inquiries of readers, `{{"turns": [question, action, page, ...]}}`.
  They always look things up, but half of them stop after the first page and answer wrong.
* `data/rewards.json`: a library, questions and right answers. `search_world.read_world` reads it,
  and `search_world.Inquiry(index, questions)` is an environment for `nano.grpo.grpo_episodes` and
  `nano.rollout.rollout`; its rewards are free of the judge's errors.
* `nano`: model, sampling, supervised fine-tuning (`nano.sft`) and reinforcement learning
  (`nano.grpo`). Submit what `nano.io.save` writes; `python -m nano.check FOLDER BASE` checks it.
"""


class SearchTask(EpisodesTask):
    """Questions that take two pages, with one name or two as answer."""

    name = "a2perf/search"
    level = 3
    stands_for = "deepsearchqa"
    metric = "answers judged correct"
    chars = data.CHARS
    context = 64
    length = 6
    turns = world.STEPS
    code = tuple(Path(str(m.__file__)) for m in (data, world, nano_task_turns))
    tools = (Path(world.__file__),)
    sizes: ClassVar[Mapping[str, Preset]] = {
        "full": Preset(300, 50, 32, 200, 100, 200, 60.0),
        "small": Preset(160, 40, 24, 150, 100, 200, 20.0),
    }

    @property
    def noise(self) -> float:  # type: ignore[override]  # it goes by the size
        """Standard deviation that the judge's errors give the final score, in points."""
        return float(100 * (ERRORS * (1 - ERRORS) / self.preset.private) ** 0.5)

    def lessons(self, rng: random.Random, *, habits: bool) -> Iterator[tuple[str, ...]]:
        """Yield inquiries in many libraries."""
        manner = data.HABITS if habits else data.EXPERT
        while True:
            seed = rng.randrange(1 << 30)
            people = data.people("visible", seed)
            index = world.Index(data.documents(people))
            by_name = {person.name: person for person in people}
            for question in data.questions(people, 100, seed):
                yield data.demonstration(by_name, index, question, rng, manner)

    def write_visible(self, folder: Path) -> None:
        """Write demonstrations, and a library with questions and answers."""
        seed, preset = self.options.seed, self.preset
        people = data.people("visible", seed)
        questions = data.questions(people, preset.demonstrations + preset.rewards, seed)
        first, rest = questions[: preset.demonstrations], questions[preset.demonstrations :]
        index, rng = world.Index(data.documents(people)), random.Random(seed)
        by_name = {person.name: person for person in people}
        write_lines(
            folder / "demonstrations.jsonl",
            (
                {"turns": data.demonstration(by_name, index, each, rng, data.READERS)}
                for each in first
            ),
        )
        _write(folder / "rewards.json", people, rest)

    def write_hidden(self, path: Path, split: Split) -> None:
        """Write another library with questions and answers."""
        people = data.people(split, self.options.seed)
        questions = data.questions(people, self.count(split), self.options.seed)
        _write(path.with_suffix(".json"), people, questions)

    def description(self) -> str:
        """Return the text for agents."""
        people = data.people("visible", self.options.seed)
        question = data.questions(people, 1, self.options.seed)[0]
        turns = data.demonstration(
            {person.name: person for person in people},
            world.Index(data.documents(people)),
            question,
            random.Random(0),
            data.EXPERT,
        )
        return _DESCRIPTION.format(
            words=", ".join(f"`{char}` {word}" for char, word in world.SIGNS.items()),
            episode=shown(turns),
            spelt=world.spell(shown(turns)),
            length=self.length - 1,
            steps=world.STEPS,
            errors=ERRORS,
            noise=self.noise,
        )

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return what the judge says of each answer; searches and steps besides."""
        index, questions = world.read_world(hidden / f"{split}.json")
        inquiries: list[world.Inquiry] = []

        def make() -> world.Inquiry:
            inquiries.append(world.Inquiry(index, questions))
            return inquiries[-1]

        episodes = self.play(artefact, make, len(questions))
        right = [bool(episode.reward) for episode in episodes]
        return judge(right, seed), {
            "judge_errors": ERRORS,
            "average_searches": fmean(inquiry.searches for inquiry in inquiries),
            "average_steps": fmean(episode.steps for episode in episodes),
            "unanswered": fmean(float(inquiry.answer is None) for inquiry in inquiries),
        }


def judge(right: list[bool], seed: int) -> list[float]:
    """Return 1 for what is taken for right, and 0 for the rest.

    Args:
        right: whether each answer is.
        seed: of the errors.
    """
    rng = random.Random(f"judge {seed}")
    return [float(each != (rng.random() < ERRORS)) for each in right]


def _write(path: Path, people: list[data.Person], questions: list[data.Question]) -> None:
    asked = [(question.text, question.expected) for question in questions]
    world.write_world(path, data.documents(people), asked)
