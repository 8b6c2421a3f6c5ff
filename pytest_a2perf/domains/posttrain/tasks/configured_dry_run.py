"""Try a configured task before a run of hours: check it, and evaluate its base model.

``python -m pytest_a2perf.domains.posttrain.tasks.configured_dry_run TASK FILE.toml``, where the
file is a scenario file, or has its table ``task_options``, or what that holds. Of several
scenarios, ``FILE.toml::NAME`` is one.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pytest_a2perf.domains.posttrain.grading.config import Plan
from pytest_a2perf.domains.posttrain.grading.evaluation import EvaluationError, Evaluator
from pytest_a2perf.domains.posttrain.grading.submission import Score
from pytest_a2perf.domains.posttrain.proxy import LlmProxy
from pytest_a2perf.domains.posttrain.tasks.base import SPLITS, Split
from pytest_a2perf.domains.posttrain.tasks.configured import ConfiguredTask
from pytest_a2perf.domains.posttrain.tasks.registry import get_task, task_options
from pytest_a2perf.errors import A2PerfError, InfraError, ScenarioError
from pytest_a2perf.scenarios.lines import KeyPath, key_lines, nearest_line
from pytest_a2perf.scenarios.load import describe_errors

__all__ = ["dry_run", "main"]

_OPTIONS = ("options", "task_options")  # of a scenario
_USAGE = "usage: python -m pytest_a2perf.domains.posttrain.tasks.configured_dry_run TASK FILE.toml"


def dry_run(
    task: ConfiguredTask,
    cache: Path,
    *,
    sandbox: str = "auto",
    allow_unisolated: bool = False,
    artefact: Path | None = None,
    seed: int = 0,
) -> dict[Split, Score]:
    """Evaluate a model on both splits, as a run would.

    Args:
        task: see `ConfiguredTask`.
        cache: folder for its materials.
        sandbox: see `Place`.
        allow_unisolated: see there.
        artefact: folder of the model; None: the base model.
        seed: of the evaluation.

    Raises:
        ScenarioError: the options are not right.
        InfraError: the evaluation fails; the message has what the evaluator said.
    """
    materials = task.materials(cache)
    with contextlib.ExitStack() as stack:
        judge = None
        if task.options.judge is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="a2perf-")))
            log = cache / "judge-calls.jsonl"
            log.unlink(missing_ok=True)
            options = task.options.judge.llm()
            proxy = LlmProxy(options, log, folder / "judge", kind="judge")
            judge = stack.enter_context(proxy).socket
        plan = Plan(
            hidden=materials.hidden,
            requests={split: task.evaluator(split, seed) for split in SPLITS},
            command=task.command,
            place=task.place(sandbox=sandbox, allow_unisolated=allow_unisolated, judge=judge),
        )
        try:
            return {
                split: Evaluator(plan).evaluate(artefact or materials.base, split, seed)
                for split in SPLITS
            }
        except EvaluationError as error:
            raise InfraError(f"{task.name}: {error}\n{error.detail}".rstrip()) from error


def main(*arguments: str) -> int:
    """Print the scores of the base model, or what is wrong."""
    if len(arguments) != 2:
        print(_USAGE, file=sys.stderr)  # noqa: T201
        return 2
    try:
        task = _task(*arguments)
        with tempfile.TemporaryDirectory(prefix="a2perf-") as cache:
            scores = dry_run(task, Path(cache))
    except (A2PerfError, OSError) as error:
        print(error)  # noqa: T201
        return 1
    for split, score in scores.items():
        print(  # noqa: T201
            f"{split}: {score.value:.2f} +- {score.error:.2f} of {len(score.items)} items in "
            f"{score.seconds:.1f} s {score.extra}"
        )
    return 0


def _task(name: str, file: str) -> ConfiguredTask:
    """Return a task with the options that a file gives it.

    Raises:
        ScenarioError: the file or the options are not right; each problem with its line.
        OSError: the file cannot be read.
    """
    with contextlib.suppress(ValidationError):  # a configured one cannot do without options
        if not isinstance(get_task(name), ConfiguredTask):
            raise ScenarioError(f"{name} has its own model and data: there is nothing to configure")
    shown, _, scenario = file.partition("::")
    try:
        text = Path(shown).read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{shown}: not valid TOML: {error}") from error
    where = _place(name, shown, data, scenario)
    options: Any = data
    for key in where:
        options = options[key]
    try:
        task = get_task(name, options)
    except ValidationError as error:
        lines = key_lines(text)
        located = sorted(
            (nearest_line(lines, (*where, *path)), ".".join(map(str, path)), message)
            for path, message in describe_errors(error, task_options(name), options)
        )
        raise ScenarioError(
            "\n".join(
                f"{shown}:{line}: " + (f"key {key!r}: " if key else "") + message
                for line, key, message in located
            )
        ) from error
    assert isinstance(task, ConfiguredTask)
    return task


def _place(task: str, shown: str, data: dict[str, Any], scenario: str) -> KeyPath:
    """Return where a file has a task's options; they may be all that it has.

    Raises:
        ScenarioError: no scenario of the file is meant, or several are.
    """
    match data:
        case {"scenario": [*entries]}:
            found = [
                (number, entry.get("name"))
                for number, entry in enumerate(entries)
                if _has_options(entry) and entry.get("task") == task
            ]
            meant = [number for number, name in found if scenario in ("", name)]
            if len(meant) == 1:
                return ("scenario", meant[0], *_OPTIONS)
            named = f" {scenario!r}" if scenario else ""
            told = f"several scenarios{named} have" if meant else f"no scenario{named} has"
            known = f"; name one of {', '.join(f'{shown}::{name}' for _, name in found)}"
            raise ScenarioError(
                f"{shown}: {told} task {task!r} and options.task_options{known if found else ''}"
            )
        case {"scenario": table} if _has_options(table):
            return ("scenario", *_OPTIONS)
        case {"task_options": {}}:
            return ("task_options",)
    return ()


def _has_options(scenario: Any) -> bool:
    match scenario:
        case {"options": {"task_options": {}}}:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
