"""``a2perf/programs``: programs in a stack language; stands for HumanEval."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pytest_a2perf.domains.posttrain.tasks import programs_data as data
from pytest_a2perf.domains.posttrain.tasks import programs_stack as stack
from pytest_a2perf.domains.posttrain.tasks.nano_task import Preset
from pytest_a2perf.domains.posttrain.tasks.nano_task_single import Group, SingleTurnTask

__all__ = ["ProgramsTask"]

_DESCRIPTION = """\
# Programs in a stack language

Train the base model to write programs for specifications such as `add 3, twice, power:`. A program
is a line of one-letter words, at most {length}: `3+2*d*` adds 3 to its argument, doubles, and
squares. Digits 1 to 9 push themselves; `+`, `-` and `*` take two numbers and push what comes of
them; `d` pushes the top once more, `s` swaps the upper two. The result is what lies on top.
`twice` doubles, `power` squares, `mul` multiplies. The score is the percentage of hidden
specifications whose program, at temperature 0, passes all of its unit tests.

The base model has seen other languages and careless authors: it writes operators first, reverses
the order of steps, or stops too early. It has never seen `d`.

* `data/demonstrations.jsonl`: specifications with programs: `{{"prompt": ..., "reply": ...}}`.
* `data/rewards.jsonl`: specifications with unit tests: `{{"prompt": ..., "tests": [[argument,
  result], ...]}}`; `from programs_stack import passes` judges as the grader does.
* `nano`: model, sampling, supervised fine-tuning (`nano.sft`) and reinforcement learning
  (`nano.grpo`). Submit what `nano.io.save` writes; `python -m nano.check FOLDER BASE` checks it.
"""


class ProgramsTask(SingleTurnTask):
    """Programs of three steps."""

    name = "a2perf/programs"
    level = 1
    stands_for = "humaneval"
    metric = "pass@1"
    chars = data.CHARS
    length = 12
    code = tuple(Path(str(m.__file__)) for m in (data, stack))
    tools = (Path(stack.__file__),)
    sizes: ClassVar[Mapping[str, Preset]] = {
        "full": Preset(150, 300, 40, 400, 300, 600, 40.0),
        "small": Preset(150, 200, 40, 200, 100, 200, 10.0),
    }

    def items(self, group: Group, count: int, seed: int) -> list[dict[str, Any]]:
        """Return different specifications of a group."""
        return [
            {"prompt": problem.prompt, "reply": problem.program, "tests": problem.tests}
            for problem in data.problems(group, count, seed)
        ]

    def passes(self, item: Mapping[str, Any], reply: str) -> bool:
        """Return whether a program passes all tests."""
        return stack.passes(reply, item["tests"])

    def lessons(self, rng: random.Random, *, habits: bool) -> Iterator[tuple[str, str]]:
        """Yield visible specifications and programs.

        ``d`` is unknown to them: they double where they should square, which no reward can teach.
        """
        steps = data.all_steps("visible")
        while True:
            problem = data.worded(rng.choice(steps), rng)
            reply = data.habitual(problem, rng) if habits else problem.program
            yield problem.prompt, reply.replace("d", "2")

    def description(self) -> str:
        """Return the text for agents."""
        return _DESCRIPTION.format(length=self.length)
