"""The base model's scores, measured by the harness and by nobody else."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest_a2perf
from pytest_a2perf.caches import cache_folder
from pytest_a2perf.domains.posttrain import nano, tasks
from pytest_a2perf.domains.posttrain.errors import SandboxError
from pytest_a2perf.domains.posttrain.grading.evaluation import EvaluationError
from pytest_a2perf.domains.posttrain.grading.repeats import measure
from pytest_a2perf.domains.posttrain.grading.submission import Score
from pytest_a2perf.domains.posttrain.setting import CACHE, Setting
from pytest_a2perf.domains.posttrain.tasks.base import SPLITS, Split
from pytest_a2perf.domains.posttrain.tasks.cache import cached, key_of

__all__ = ["base_scores"]

_FILE = "scores.json"


def base_scores(setting: Setting) -> dict[Split, Score]:
    """Evaluate the base model on both splits, or find its scores in the cache.

    They are kept for the very same model, data, code and number of repeats. An evaluation that
    fails is not kept.

    Raises:
        InfraError: the base model cannot be evaluated, so nothing could be compared with it.
    """
    about = {
        "materials": setting.materials.digest,
        "requests": setting.plan.requests,
        "command": setting.plan.command,
        "repeats": setting.repeats,
        "programs": setting.sandbox.details.get("image", "the host's"),
        "version": pytest_a2perf.__version__,
    }
    folders = (Path(str(package.__file__)).parent for package in (tasks, nano))
    sources = [path for folder in folders for path in folder.glob("*.py")]

    def make(folder: Path) -> None:
        setting.trial.progress(f"{setting.task.name}: scores of the base model")
        scores = {split: asdict(_measured(setting, split)) for split in SPLITS}
        (folder / _FILE).write_text(json.dumps(scores), encoding="utf-8")

    folder, _ = cached(cache_folder() / CACHE, "scores", key_of(about, sources), make)
    data = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    return {split: Score.from_json(data[split]) for split in SPLITS}


def _measured(setting: Setting, split: Split) -> Score:
    try:
        return measure(setting.plan, setting.materials.base, split, setting.repeats)
    except EvaluationError as error:
        raise SandboxError(
            f"{setting.task.name}: the base model cannot be evaluated: {error}: {error.detail}"
        ) from error
