"""``deepsearchqa``: questions that need a search, by a command; with the user's model and data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.formats import Row

__all__ = ["DeepsearchqaTask"]

_SEED, _VISIBLE, _HIDDEN = 42, 100, 200

_DESCRIPTION = """\
# Questions that need a search (DeepSearchQA)

Train the base model to answer questions by searching, in several steps. `data/train.jsonl` has
questions with answers: `{"problem", "problem_category", "answer", "answer_type"}`; the answer is
one (`Single Answer`) or a set (`Set Answer`). The score is the percentage of hidden questions whose
answer a judge finds right.

Submit the folder of a whole model: config, tokenizer and safetensors.
"""


class QuestionRow(Row):
    """A question."""

    problem: str = Field(min_length=1)
    problem_category: str = ""
    answer: str = Field(min_length=1)
    answer_type: Literal["Single Answer", "Set Answer"]


class DeepsearchqaTask(ConfiguredTask):
    """Questions; of the published file 100 are shown and 200 are hidden, as upstream."""

    Visible = QuestionRow
    Hidden = QuestionRow
    name = "deepsearchqa"
    level = 3
    metric = "judged right"
    noise = 3.0

    def description(self) -> str:
        """Return the text for agents."""
        return _DESCRIPTION

    def prompt_of(self, row: Any) -> str:
        """Return the question."""
        return str(row.problem)

    def further_problems(self) -> Iterator[str]:
        """Yield what is missing."""
        if not self.options.evaluator:
            yield "evaluator: give the command that searches and judges"

    def test_rows(self) -> list[Any]:
        """Return those after the shown ones, shuffled as upstream does."""
        rows = super().test_rows()
        if self.options.train:
            return rows
        shown = _shown(len(rows))
        return [rows[number] for number in _order(len(rows))[shown : shown + _HIDDEN]]

    def visible_rows(self) -> list[Any]:
        """Return the training data, or else the first of the shuffled questions."""
        if self.options.train or self.options.hidden is None:
            return super().visible_rows()
        rows = super().test_rows()
        return [rows[number] for number in _order(len(rows))[: _shown(len(rows))]]


def _order(count: int) -> list[int]:
    """Return the order of the library ``datasets`` for a shuffle with seed 42."""
    import numpy as np

    return [int(number) for number in np.random.default_rng(_SEED).permutation(count)]


def _shown(count: int) -> int:
    """Return how many are shown: 100, and of smaller files a third."""
    return min(_VISIBLE, count // 3)
