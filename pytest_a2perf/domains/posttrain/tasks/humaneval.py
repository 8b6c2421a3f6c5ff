"""``humaneval``: Python functions, by unit tests; with the user's model and data."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from pytest_a2perf.domains.posttrain.tasks.base import Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.configured_backend import replies
from pytest_a2perf.domains.posttrain.tasks.configured_options import ConfiguredOptions
from pytest_a2perf.domains.posttrain.tasks.formats import Row, read_rows
from pytest_a2perf.domains.posttrain.tasks.humaneval_run import can_confine, passes

__all__ = ["HumanevalTask", "program_of"]

_VISIBLE = 82
_FENCE = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_STOPS = re.compile(r"^(?:class |def |if |print|assert |# |@|```)", re.MULTILINE)

_DESCRIPTION = """\
# Python functions (HumanEval)

Train the base model to complete Python functions. `data/train.jsonl` has problems with solutions
and tests: `{{"task_id", "prompt", "canonical_solution", "test", "entry_point"}}`. The score is the
percentage of hidden problems whose function passes all of its tests with the first reply (pass@1),
within {seconds:g} CPU seconds each. {how}

Submit the folder of a whole model: config, tokenizer and safetensors.
"""
_CHAT = """The model is asked:

```
{prompt}
```

The first block of code in the reply counts, or the reply itself."""
_COMPLETIONS = "The model goes on from the prompt; what it says ends where the function does."


class HumanevalRow(Row):
    """A problem."""

    task_id: str
    prompt: str
    canonical_solution: str = ""
    test: str
    entry_point: str = Field(pattern=r"^[A-Za-z_]\w*$")

    @model_validator(mode="after")
    def _is_python(self) -> Self:
        for name, text in (("prompt", f"{self.prompt}\n    pass\n"), ("test", self.test)):
            try:
                ast.parse(text)
            except (SyntaxError, ValueError, RecursionError) as error:
                raise ValueError(f"{name} is no Python: {error}") from None
        if f"def {self.entry_point}" not in self.prompt:
            raise ValueError(f"prompt does not define {self.entry_point}")
        if "def check(" not in self.test:
            raise ValueError("test does not define check")
        return self


class HumanevalOptions(ConfiguredOptions):
    """What scenarios may set."""

    prompt: str = Field(
        "Complete this Python function. Answer with the whole function in a block of code.\n\n"
        "```python\n{prompt}```",
        description="what the model is asked, where the backend's interface is chat",
    )
    seconds: float = Field(10.0, gt=0, description="CPU seconds of a problem's program")


class HumanevalTask(ConfiguredTask):
    """Python functions. Of the option ``hidden`` the first 82 problems are shown, as upstream."""

    Options = HumanevalOptions
    Visible: ClassVar[type[Row]] = HumanevalRow
    Hidden: ClassVar[type[Row]] = HumanevalRow
    options: HumanevalOptions
    name = "humaneval"
    level = 1
    metric = "pass@1"

    def test_rows(self) -> list[Any]:
        """Return what is not shown."""
        rows = super().test_rows()
        return rows if self.options.train else rows[_shown(rows) :]

    def visible_rows(self) -> list[Any]:
        """Return the training data, or else the first problems."""
        if self.options.train or self.options.hidden is None:
            return super().visible_rows()
        rows = super().test_rows()
        return rows[: _shown(rows)]

    def description(self) -> str:
        """Return the text for agents."""
        backend = self.options.backend
        chat = backend is None or backend.interface == "chat"
        how = _CHAT.format(prompt=self.options.prompt) if chat else _COMPLETIONS
        return _DESCRIPTION.format(seconds=self.options.seconds, how=how)

    def prompt_of(self, row: Any) -> str:
        """Return the prompt."""
        return str(row.prompt)

    def without_answers(self, row: Any) -> Row:
        """Leave the solution out."""
        return HumanevalRow(
            task_id=row.task_id, prompt=row.prompt, test=row.test, entry_point=row.entry_point
        )

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return 1 for each function that passes."""
        backend = self.options.backend
        assert backend is not None
        rows = read_rows(hidden / f"{split}.jsonl", HumanevalRow)
        chat = backend.interface == "chat"
        prompts = [
            self.options.prompt.replace("{prompt}", row.prompt) if chat else row.prompt
            for row in rows
        ]
        right, unread = [], 0
        for row, text in zip(rows, replies(backend, artefact, prompts, seed), strict=True):
            program = program_of(row.prompt, row.entry_point, text)
            unread += not _is_python(program)
            right.append(
                float(passes(row.prompt, program, row.entry_point, row.test, self.options.seconds))
            )
        return right, {"no_python": unread / len(rows), "confined": can_confine()}


def program_of(prompt: str, entry_point: str, text: str) -> str:
    """Return the program that a reply makes: with the prompt's imports and helpers before it.

    Args:
        prompt: of the problem; it ends within the function.
        entry_point: name of the function.
        text: of the reply: the whole function, in a block of code or not, or what follows.
    """
    found = _FENCE.search(text)
    code = found[1] if found else text
    head = prompt[: prompt.index(f"def {entry_point}")]
    if re.search(rf"^(?:async )?def {entry_point}\b", code, re.MULTILINE):
        return f"{head}\n{code}\n"
    if found:
        # A body may have lost its indentation on the way.
        lines = code.splitlines()
        first = next((line for line in lines if line.strip()), "")
        if not first.startswith((" ", "\t")):
            code = "\n".join(f"    {line}" for line in lines)
        return f"{prompt}\n{code}\n"
    end = _STOPS.search(code)
    return prompt + (code[: end.start()] if end else code) + "\n"


def _shown(rows: list[Any]) -> int:
    """Return how many problems are shown: 82, and of smaller files half."""
    return min(_VISIBLE, len(rows) // 2)


def _is_python(program: str) -> bool:
    try:
        ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
