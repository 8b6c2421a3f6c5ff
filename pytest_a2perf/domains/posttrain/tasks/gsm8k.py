"""``gsm8k``: grade-school word problems, by exact match; with the user's model and data."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from pytest_a2perf.domains.posttrain.tasks.base import Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.configured_backend import replies
from pytest_a2perf.domains.posttrain.tasks.configured_options import ConfiguredOptions
from pytest_a2perf.domains.posttrain.tasks.formats import Row, read_rows

__all__ = ["Gsm8kTask", "answer_of", "is_right"]

_NUMBER = re.compile(r"-?(?:\d[\d,]*)?\.?\d+")
_MARK = "####"

_DESCRIPTION = """\
# Grade-school word problems (GSM8K)

Train the base model to solve word problems. `data/train.jsonl` has problems with solutions:
`{{"question": ..., "answer": ...}}`; a solution ends with `#### ` and the number. The score is the
percentage of hidden problems whose number is right: the one after the first `####` in the reply, or
the last number in it. Replies have at most {length} tokens. The model is asked:

```
{prompt}
```

Submit the folder of a whole model: config, tokenizer and safetensors.
"""


class Gsm8kRow(Row):
    """A problem."""

    question: str = Field(min_length=1)
    answer: str

    @field_validator("answer")
    @classmethod
    def _ends_with_a_number(cls, answer: str) -> str:
        if _MARK not in answer or answer_of(answer) is None:
            raise ValueError("expected a solution that ends with '#### ' and a number")
        return answer


class Gsm8kOptions(ConfiguredOptions):
    """What scenarios may set."""

    prompt: str = Field(
        "{question}\nThink step by step, and end with '#### ' and the number.",
        description="what the model is asked; {question} is filled in",
    )

    @field_validator("prompt")
    @classmethod
    def _has_the_question(cls, prompt: str) -> str:
        if "{question}" not in prompt:
            raise ValueError("expected {question} in it")
        return prompt


class Gsm8kTask(ConfiguredTask):
    """Grade-school word problems."""

    Options = Gsm8kOptions
    Visible: ClassVar[type[Row]] = Gsm8kRow
    Hidden: ClassVar[type[Row]] = Gsm8kRow
    options: Gsm8kOptions
    name = "gsm8k"
    level = 1
    metric = "exact match"

    def description(self) -> str:
        """Return the text for agents."""
        length = self.options.backend.max_tokens if self.options.backend else "some"
        return _DESCRIPTION.format(length=length, prompt=self.options.prompt)

    def prompt_of(self, row: Any) -> str:
        """Return the question."""
        return str(row.question)

    def without_answers(self, row: Any) -> Row:
        """Leave the way to the number out."""
        return Gsm8kRow(question=row.question, answer=f"{_MARK} {answer_of(row.answer)}")

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return 1 for each right number."""
        assert self.options.backend is not None
        rows = read_rows(hidden / f"{split}.jsonl", Gsm8kRow)
        prompts = [self.options.prompt.replace("{question}", row.question) for row in rows]
        texts = replies(self.options.backend, artefact, prompts, seed)
        right = [float(is_right(text, row.answer)) for text, row in zip(texts, rows, strict=True)]
        unread = sum(answer_of(text) is None for text in texts) / len(texts)
        length = sum(map(len, texts)) / len(texts)
        return right, {"without_number": unread, "mean_length": length}


def answer_of(text: str) -> Decimal | None:
    """Return the number after the first ``####``, or else the last one; None if there is none.

    A model that goes on with a question of its own is not read beyond its own answer.
    """
    text = text.partition("\nQuestion:")[0]
    before, mark, after = text.partition(_MARK)
    found = _NUMBER.findall(after)[:1] if mark else _NUMBER.findall(before)[-1:]
    try:
        return Decimal(found[0].replace(",", "")) if found else None
    except InvalidOperation:
        return None


def is_right(text: str, solution: str) -> bool:
    """Return whether a reply has the number of a solution."""
    given, wanted = answer_of(text), answer_of(solution)
    return given is not None and wanted is not None and abs(given - wanted) < Decimal("1e-6")
