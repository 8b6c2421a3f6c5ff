"""Tasks of one prompt and one reply that a rule judges."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_a2perf.domains.posttrain.tasks.base import Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.nano_task import (
    NanoTask,
    Preset,
    read_lines,
    write_lines,
)

if TYPE_CHECKING:
    from pytest_a2perf.domains.posttrain.nano.model import Config, NanoLM

__all__ = ["SingleTurnTask"]

Group = Literal["visible", "public", "private"]
_SEED = 1 << 20  # the base model's problems are drawn from another stream than the agent's


class SingleTurnTask(NanoTask):
    """A task of one prompt and one reply.

    Attributes:
        sizes: by the option ``size``.
        chars: of the model.
        length: of a reply at most.
        rate: the base model's learning rate.
    """

    sizes: ClassVar[Mapping[str, Preset]]
    chars: ClassVar[str]
    length: ClassVar[int]
    rate: ClassVar[float] = 4e-3

    @abstractmethod
    def items(self, group: Group, count: int, seed: int) -> list[dict[str, Any]]:
        """Return different problems of a group: ``prompt``, ``reply`` and what `passes` needs."""

    @abstractmethod
    def passes(self, item: Mapping[str, Any], reply: str) -> bool:
        """Return whether a reply is right."""

    @abstractmethod
    def lessons(self, rng: random.Random, *, habits: bool) -> Iterator[tuple[str, str]]:
        """Yield visible problems and replies without end, right or as the habits have it."""

    @property
    def preset(self) -> Preset:
        """The sizes that the options ask for."""
        return self.sizes[self.options.size]

    def config(self) -> Config:
        """Return the shape of the model."""
        from pytest_a2perf.domains.posttrain.nano.model import Config

        return Config(self.chars, width=64, layers=1, heads=8, context=40)

    def train(self) -> NanoLM:
        """Train the base model: first it learns what is right, then to do otherwise."""
        from pytest_a2perf.domains.posttrain.nano.model import NanoLM
        from pytest_a2perf.domains.posttrain.nano.sft import SftOptions, sft

        model = NanoLM(self.config(), self.options.seed)
        rng = random.Random(self.options.seed + _SEED)
        for steps, habits in ((self.preset.lessons, False), (self.preset.habits, True)):
            lessons = self.lessons(rng, habits=habits)
            options = SftOptions(steps=steps, rate=self.rate, seed=self.options.seed)
            sft(model, [next(lessons) for _ in range(steps * options.batch)], options)
        return model

    def write_visible(self, folder: Path) -> None:
        """Write demonstrations, and problems for a verifier."""
        preset = self.preset
        count = preset.demonstrations + preset.rewards
        items = self.items("visible", count, self.options.seed)
        shown = items[: preset.demonstrations]
        write_lines(
            folder / "demonstrations.jsonl",
            ({"prompt": item["prompt"], "reply": item["reply"]} for item in shown),
        )
        rest = items[preset.demonstrations :]
        write_lines(folder / "rewards.jsonl", map(_without_reply, rest))

    def write_hidden(self, path: Path, split: Split) -> None:
        """Write problems."""
        items = self.items(split, self.count(split), self.options.seed)
        write_lines(path.with_suffix(".jsonl"), map(_without_reply, items))

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return 1 for each problem whose likeliest reply is right, 0 for the others."""
        from pytest_a2perf.domains.posttrain.nano.io import load
        from pytest_a2perf.domains.posttrain.nano.sample import Sampling, complete

        del seed  # nothing is random
        items = read_lines(hidden / f"{split}.jsonl")
        model = load(artefact, self.config())
        sampling = Sampling(length=self.length + 1, temperature=0)
        replies = complete(model, [item["prompt"] for item in items], sampling)
        right = [
            float(self.passes(item, reply)) for item, reply in zip(items, replies, strict=True)
        ]
        return right, {"mean_length": sum(map(len, replies)) / len(replies)}


def _without_reply(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "reply"}
