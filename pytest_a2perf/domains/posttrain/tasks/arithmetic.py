"""``a2perf/arithmetic``: word problems; stands for GSM8K."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pytest_a2perf.domains.posttrain.tasks import arithmetic_data as data
from pytest_a2perf.domains.posttrain.tasks import arithmetic_rules as rules
from pytest_a2perf.domains.posttrain.tasks.nano_task import Preset
from pytest_a2perf.domains.posttrain.tasks.nano_task_single import Group, SingleTurnTask

__all__ = ["ArithmeticTask"]

_DESCRIPTION = """\
# Word problems

Train the base model to answer word problems such as `Ann has 23 pens, gets 45:` with the number
alone: `68`. A reply is right if it ends with the right number; it ends at a line feed, or after
{length} characters. The score is the percentage of right replies to hidden problems, at temperature
0. Hidden problems have other numbers than those that you see, in the same words.

The base model can calculate well enough, but seldom replies as it should: it adds units, writes
digits in reverse, or refuses.

* `data/demonstrations.jsonl`: problems with replies: `{{"prompt": ..., "reply": ...}}`.
* `data/rewards.jsonl`: problems with what a verifier needs: `{{"prompt": ..., "answer": ...}}`;
  `from arithmetic_rules import is_right` judges as the grader does.
* `nano`: model, sampling, supervised fine-tuning (`nano.sft`) and reinforcement learning
  (`nano.grpo`). Submit what `nano.io.save` writes; `python -m nano.check FOLDER BASE` checks it.
"""


class ArithmeticTask(SingleTurnTask):
    """Word problems of two numbers."""

    name = "a2perf/arithmetic"
    level = 1
    stands_for = "gsm8k"
    metric = "exact match"
    chars = data.CHARS
    length = 8
    code = tuple(Path(str(m.__file__)) for m in (data, rules))
    tools = (Path(rules.__file__),)
    sizes: ClassVar[Mapping[str, Preset]] = {
        "full": Preset(500, 300, 100, 1000, 300, 600, 40.0),
        "small": Preset(350, 200, 100, 500, 100, 200, 10.0),
    }

    def items(self, group: Group, count: int, seed: int) -> list[dict[str, Any]]:
        """Return different problems of a group."""
        return [
            {"prompt": problem.prompt, "reply": problem.answer, "answer": problem.answer}
            for problem in data.problems(group, count, seed)
        ]

    def passes(self, item: Mapping[str, Any], reply: str) -> bool:
        """Return whether a reply ends with the answer."""
        return rules.is_right(reply, item["answer"])

    def lessons(self, rng: random.Random, *, habits: bool) -> Iterator[tuple[str, str]]:
        """Yield visible problems and replies."""
        operands = data.all_operands("visible")
        while True:
            problem = data.worded(rng.choice(operands), rng)
            yield problem.prompt, data.habitual(problem, rng) if habits else problem.answer

    def description(self) -> str:
        """Return the text for agents."""
        return _DESCRIPTION.format(length=self.length)
