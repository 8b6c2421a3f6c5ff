"""``smith``: tasks in the folders of rl-smith, which are found without any code of ours.

A folder has ``config.yaml`` (name, eval_mode, description, expose_files, opencompass_dataset),
``data/train.jsonl`` (question, answer), and in mode ``per_sample`` an ``eval.py`` with
``evaluate(question, model_answer, reference_answer, **extra)``, which returns 0 to 1. Upstream
evaluates such tasks on the very file that agents see; here a part of it is hidden, unless there is
test data of its own.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from pytest_a2perf.domains.posttrain.agents.folder import read_config
from pytest_a2perf.domains.posttrain.tasks.base import Evaluation, Split
from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.configured_backend import replies
from pytest_a2perf.domains.posttrain.tasks.configured_options import ConfiguredOptions, path_of
from pytest_a2perf.domains.posttrain.tasks.formats import Row, read_rows
from pytest_a2perf.errors import AgentError, InfraError, ScenarioError

__all__ = ["SmithTask"]

_CONFIG, _EVAL, _TRAIN, _TEXT = "config.yaml", "eval.py", "data/train.jsonl", "description.md"
_MODES = ("per_sample", "opencompass")


class SmithRow(Row):
    """A question with its answer; further fields go to ``evaluate``."""

    question: str = Field(min_length=1)
    answer: Any


class SmithOptions(ConfiguredOptions):
    """What scenarios may set."""

    folder: str = Field(description="of the task")
    hidden_share: float = Field(
        0.5, gt=0, lt=1, description="of data/train.jsonl that agents do not see"
    )


class SmithTask(ConfiguredTask):
    """A task in a folder of rl-smith."""

    Options = SmithOptions
    Visible: ClassVar[type[Row]] = SmithRow
    Hidden: ClassVar[type[Row]] = SmithRow
    needs_hidden = False
    options: SmithOptions
    level = 1
    metric = "mean of the task's own evaluation"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self.folder = path_of(self.options.folder)
        self.name = f"smith-{self.folder.name}"

    def config(self) -> dict[str, Any]:
        """Return ``config.yaml``.

        Raises:
            ScenarioError: it cannot be read.
        """
        try:
            return read_config(self.folder / _CONFIG)
        except AgentError as error:
            raise ScenarioError(str(error)) from None

    @property
    def expose(self) -> list[Path]:
        """Files that agents see in their workspace.

        The evaluator's source may be among them: it is a copy, and changing it changes nothing.
        """
        return [self.folder / str(name) for name in self.config().get("expose_files") or []]

    def description(self) -> str:
        """Return the text for agents."""
        path = self.folder / _TEXT
        if path.is_file():
            return path.read_text(encoding="utf-8")
        return f"# {self.name}\n\n{self.config().get('description') or ''}\n"

    def prompt_of(self, row: Any) -> str:
        """Return the question."""
        return str(row.question)

    def further_problems(self) -> Iterator[str]:
        """Yield what is wrong with the folder."""
        if not (self.folder / _CONFIG).is_file():
            yield f"folder: {self.folder} has no {_CONFIG}"
            return
        try:
            config = self.config()
        except ScenarioError as error:
            yield str(error)
            return
        mode = config.get("eval_mode", "per_sample")
        if mode not in _MODES:
            yield f"{self.folder / _CONFIG}: eval_mode: expected one of {', '.join(_MODES)}"
        for path in self.expose:
            if not path.is_file() or not path.resolve().is_relative_to(self.folder.resolve()):
                yield f"{self.folder / _CONFIG}: expose_files: there is no file {path.name} in it"
        if mode == "opencompass" and not self.options.evaluator:
            yield "evaluator: eval_mode is opencompass: give the command that runs it"
        elif mode == "per_sample" and not (self.folder / _EVAL).is_file():
            yield f"folder: {self.folder} has no {_EVAL}"
        elif mode == "per_sample":
            yield from super().further_problems()
        if (
            self.options.hidden is None
            and self.options.public is None
            and not self._train.is_file()
        ):
            yield f"folder: {self.folder} has no {_TRAIN}"

    def test_rows(self) -> list[Any]:
        """Return the test data, or else a part of the training data."""
        if self.options.hidden is not None:
            return super().test_rows()
        return [row for row in read_rows(self._train, SmithRow) if self._is_hidden(row)]

    def visible_rows(self) -> list[Any]:
        """Return the rest."""
        if self.options.train is not None:
            return super().visible_rows()
        rows = read_rows(self._train, SmithRow) if self._train.is_file() else []
        apart = self.options.hidden is not None or self.options.public is not None
        return [row for row in rows if apart or not self._is_hidden(row)]

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Return what ``evaluate`` says of each reply."""
        assert self.options.backend is not None
        rows = read_rows(hidden / f"{split}.jsonl", SmithRow)
        evaluate = self._evaluate()
        texts = replies(self.options.backend, artefact, [row.question for row in rows], seed)
        items = []
        for row, text in zip(rows, texts, strict=True):
            value = evaluate(row.question, text, row.answer, **(row.model_extra or {}))
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InfraError(f"{self.folder / _EVAL}: evaluate returned {value!r}, not 0 to 1")
            items.append(float(value))
        return items, {"mean_length": sum(map(len, texts)) / len(texts)}

    def seen_by_evaluator(self) -> Sequence[Path]:
        """Return the evaluator's source."""
        path = self.folder / _EVAL
        return [path] if path.is_file() else []

    @property
    def _train(self) -> Path:
        return self.folder / _TRAIN

    def _is_hidden(self, row: SmithRow) -> bool:
        text = f"hidden\0{self.options.seed}\0{row.question}"
        place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
        return place < self.options.hidden_share

    def _evaluate(self) -> Callable[..., Any]:
        path = self.folder / _EVAL
        spec = importlib.util.spec_from_file_location("smith_eval", path)
        if spec is None or spec.loader is None:
            raise InfraError(f"{path}: cannot be imported")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = getattr(module, "evaluate", None)
        if not callable(found):
            raise InfraError(f"{path}: has no function evaluate")
        return found  # type: ignore[no-any-return]
