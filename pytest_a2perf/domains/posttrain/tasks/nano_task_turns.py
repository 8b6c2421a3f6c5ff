"""Tasks of episodes: a model acts in an environment of texts, and is judged by what comes of it."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pytest_a2perf.domains.posttrain.tasks.nano_task import NanoTask, Preset

if TYPE_CHECKING:
    from pytest_a2perf.domains.posttrain.nano.model import Config, NanoLM
    from pytest_a2perf.domains.posttrain.nano.rollout import Environment, Episode

__all__ = ["EpisodesTask", "shown"]

_SEED = 1 << 20  # the base model's lessons are drawn from another stream than demonstrations
_SPREAD = 4.0  # of the first embeddings, in those of other tasks


class EpisodesTask(NanoTask):
    """A task of episodes.

    Attributes:
        sizes: by the option ``size``.
        chars: of the model.
        context: of the model; what an episode needs, and room for some mistakes.
        length: of an action at most.
        turns: actions in an episode at most.
        rate: the base model's learning rate.
    """

    sizes: ClassVar[Mapping[str, Preset]]
    chars: ClassVar[str]
    context: ClassVar[int]
    length: ClassVar[int]
    turns: ClassVar[int]
    rate: ClassVar[float] = 4e-3

    @abstractmethod
    def lessons(self, rng: random.Random, *, habits: bool) -> Iterator[tuple[str, ...]]:
        """Yield visible episodes without end, the expert's or as the habits have them."""

    @property
    def preset(self) -> Preset:
        """The sizes that the options ask for."""
        return self.sizes[self.options.size]

    def config(self) -> Config:
        """Return the shape of the model."""
        from pytest_a2perf.domains.posttrain.nano.model import Config

        return Config(self.chars, width=64, layers=2, heads=4, context=self.context)

    def train(self) -> NanoLM:
        """Train the base model: first it learns what is right, then to do otherwise."""
        import torch

        from pytest_a2perf.domains.posttrain.nano.model import NanoLM
        from pytest_a2perf.domains.posttrain.nano.sft import SftOptions, sft

        model = NanoLM(self.config(), self.options.seed)
        with torch.no_grad():  # larger than usual: it learns to look words up much sooner
            for name, weight in model.named_parameters():
                if name.startswith(("embed", "place")):
                    weight.mul_(_SPREAD)
        rng = random.Random(self.options.seed + _SEED)
        for steps, habits in ((self.preset.lessons, False), (self.preset.habits, True)):
            lessons = self.lessons(rng, habits=habits)
            options = SftOptions(steps=steps, batch=32, rate=self.rate, seed=self.options.seed)
            sft(model, [next(lessons) for _ in range(steps * options.batch)], options)
        return model

    def play(self, artefact: Path, make: Callable[[], Environment], count: int) -> list[Episode]:
        """Return an episode of each task, at temperature 0.

        Args:
            artefact: folder of the submission.
            make: returns an environment.
            count: of tasks.

        Raises:
            ModelError: the submission is not such a model.
        """
        from pytest_a2perf.domains.posttrain.nano.io import load
        from pytest_a2perf.domains.posttrain.nano.rollout import rollout
        from pytest_a2perf.domains.posttrain.nano.sample import Sampling

        model = load(artefact, self.config())
        sampling = Sampling(length=self.length, temperature=0)
        return rollout(model, make, range(count), sampling, turns=self.turns)


def shown(turns: Sequence[str]) -> str:
    """Return an episode for people, with ``>`` before what the model writes."""
    lines = (f">{turn}" if number % 2 else turn for number, turn in enumerate(turns))
    return "\n".join(line.rstrip("\n") for line in lines)
