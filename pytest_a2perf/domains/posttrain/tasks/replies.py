"""``a2perf/replies``: short replies before a noisy judge; stands for AlpacaEval 2."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_a2perf.domains.posttrain.tasks import replies_data as data
from pytest_a2perf.domains.posttrain.tasks import replies_judge as judging
from pytest_a2perf.domains.posttrain.tasks.base import Budget, Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.nano_task import NanoTask, read_lines, write_lines

if TYPE_CHECKING:
    from pytest_a2perf.domains.posttrain.nano.model import Config, NanoLM
    from pytest_a2perf.domains.posttrain.service import Answer

__all__ = ["Preset", "RepliesTask", "length_controlled"]

_SEED = 1 << 20  # the base model's requests are drawn from another stream than the agent's
_PROBES = 1000

_DESCRIPTION = """\
# Short replies

Train the base model to reply to requests such as `sell soup to Ann:` with a short line, at most
{length} characters. A judge compares the reply, written at temperature 0, with that of a decent
author. The score is the length-controlled win rate, in percent: how likely the judge is to prefer
your model's reply if both were of one length. What the judge likes you have to find out.

The judge is noisy, and prefers longer replies to shorter ones: its log-odds rise by
`B * tanh((length - other length) / 10)`, lengths in characters. The score is cleared of that, by a
regression as in AlpacaEval 2. Longer replies look better to the judge, and are not.

* `POST $GRADING_SERVER_URL/judge`: `{{"pairs": [[prompt, reply, other reply], ...]}}`, up to 1000
  pairs with prompts as in the data. The answer has `preferences`: for each pair the probability
  with which the judge prefers the first reply. Each pair is a call, and you have {calls:,}.
  In Python: `grader.ask("/judge", {{"pairs": pairs}})["preferences"]`.
* `data/prompts.jsonl`: requests: `{{"prompt": ...}}`.
* `data/demonstrations.jsonl`: requests with that author's replies: `{{"prompt": ..., "reply":
  ...}}`.
* `nano`: model, sampling, supervised fine-tuning (`nano.sft`) and reinforcement learning
  (`nano.grpo`). Submit what `nano.io.save` writes; `python -m nano.check FOLDER BASE` checks it.
"""


@dataclass(frozen=True, slots=True)
class Preset:
    """A size of the task.

    Attributes:
        lessons: updates of the base model's weights.
        demonstrations: visible requests with replies.
        prompts: visible requests.
        public: hidden requests.
        private: hidden requests.
        cpu: CPU seconds of the agent.
        calls: of the judge.
        noise: measured, see `RepliesTask`.
    """

    lessons: int
    demonstrations: int
    prompts: int
    public: int
    private: int
    cpu: float
    calls: int
    noise: float


class RepliesTask(NanoTask):
    """Replies that a judge compares with references.

    ``noise`` is the standard deviation of the private score when the same replies are judged again,
    measured over 60 seeds: 0.8 points for short ones, 1.0 for long-winded ones, from which more is
    taken off. That of the public score is larger by the root of the ratio of the sizes.
    """

    name = "a2perf/replies"
    level = 2
    stands_for = "alpacaeval"
    metric = "length-controlled win rate"
    services = ("judge",)
    code = (Path(__file__), *(Path(str(m.__file__)) for m in (data, judging)))
    sizes: ClassVar[Mapping[str, Preset]] = {
        "full": Preset(700, 300, 500, 300, 600, 60.0, 6000, 1.0),
        "small": Preset(300, 200, 400, 150, 300, 30.0, 3000, 1.4),
    }

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.noise = self.preset.noise

    @property
    def preset(self) -> Preset:
        """The sizes that the options ask for."""
        return self.sizes[self.options.size]

    @property
    def budget(self) -> Budget:
        """CPU seconds and calls of the judge by size."""
        return replace(super().budget, calls=self.preset.calls)

    def config(self) -> Config:
        """Return the shape of the model."""
        from pytest_a2perf.domains.posttrain.nano.model import Config

        return Config(data.CHARS, width=64, layers=1, heads=8, context=60)

    def train(self) -> NanoLM:
        """Train the base model on replies of mixed quality."""
        from pytest_a2perf.domains.posttrain.nano.model import NanoLM
        from pytest_a2perf.domains.posttrain.nano.sft import SftOptions, sft

        model = NanoLM(self.config(), self.options.seed)
        rng = random.Random(self.options.seed + _SEED)
        seen = data.all_requests("visible")
        options = SftOptions(steps=self.preset.lessons, rate=4e-3, seed=self.options.seed)
        drawn = rng.choices(seen, k=options.steps * options.batch)
        sft(model, [(request.prompt, data.habitual(request, rng)) for request in drawn], options)
        return model

    def write_visible(self, folder: Path) -> None:
        """Write requests, and some with replies."""
        shown = self.preset.demonstrations
        seen = data.requests("visible", shown + self.preset.prompts, self.options.seed)
        rng = random.Random(self.options.seed)
        write_lines(
            folder / "demonstrations.jsonl",
            (
                {"prompt": request.prompt, "reply": data.reference(request, rng)}
                for request in seen[:shown]
            ),
        )
        write_lines(
            folder / "prompts.jsonl", ({"prompt": request.prompt} for request in seen[shown:])
        )

    def write_hidden(self, path: Path, split: Split) -> None:
        """Write requests with the replies that a model's are compared with."""
        rng = random.Random(f"{split} {self.options.seed}")
        write_lines(
            path.with_suffix(".jsonl"),
            (
                {"prompt": request.prompt, "reference": data.reference(request, rng)}
                for request in data.requests(split, self.count(split), self.options.seed)
            ),
        )

    def description(self) -> str:
        """Return the text for agents."""
        return _DESCRIPTION.format(length=data.LENGTH, calls=self.preset.calls)

    def service(self, name: str, seed: int) -> Answer:
        """Return the judge, the only service."""
        del name
        return judging.Judge(seed).answer

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return the length-controlled preference for each reply; see `length_controlled`."""
        from pytest_a2perf.domains.posttrain.nano.io import load
        from pytest_a2perf.domains.posttrain.nano.sample import Sampling, complete

        items = read_lines(hidden / f"{split}.jsonl")
        model = load(artefact, self.config())
        sampling = Sampling(length=data.LENGTH + 1, temperature=0)
        replies = complete(model, [item["prompt"] for item in items], sampling)
        return length_controlled(items, replies, seed)


def length_controlled(items: list[dict[str, Any]], replies: list[str], seed: int) -> Evaluation:
    """Have replies judged, and remove the effect of their length.

    Args:
        items: with ``prompt`` and ``reference``.
        replies: to the prompts.
        seed: of judge and probes.

    Returns:
        The preference for each reply at equal length, 0 to 1. Further figures: ``win_rate`` and its
        length-controlled counterpart ``length_controlled`` in percent, ``length_effect`` in
        log-odds, ``mean_length`` and ``reference_length`` in characters.
    """
    judge, rng = judging.Judge(seed), random.Random(f"probes {seed}")
    odds, longer = [], []
    for _ in range(_PROBES):
        item = rng.choice(items)
        pair = [item["reference"], data.padded(item["reference"], rng.randint(1, 4), rng)]
        rng.shuffle(pair)
        odds.append(judge.log_odds(item["prompt"], *pair))
        longer.append(judging.long(*pair))
    effect = judging.length_effect(odds, longer)
    scores, raw = [], []
    for item, reply in zip(items, replies, strict=True):
        said = judge.log_odds(item["prompt"], reply, item["reference"])
        raw.append(judging.chance(said))
        scores.append(judging.controlled(said, judging.long(reply, item["reference"]), effect))
    return scores, {
        "length_controlled": 100 * math.fsum(scores) / len(scores),
        "win_rate": 100 * math.fsum(raw) / len(raw),
        "length_effect": effect,
        "mean_length": fmean(map(len, replies)),
        "reference_length": fmean(len(item["reference"]) for item in items),
    }
