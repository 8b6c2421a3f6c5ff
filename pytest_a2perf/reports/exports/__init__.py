"""A run in the formats of other tools. A file that cannot be written never costs the run."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.keys import CONFIG
from pytest_a2perf.reports.export import Verdicts
from pytest_a2perf.runs.record import Record
from pytest_a2perf.settings import Config

__all__ = ["export_run", "prepare_exports"]


def prepare_exports(config: pytest.Config, options: Config) -> None:
    """Refuse what would fail at the end of the run, and register what publishes it.

    Raises:
        pytest.UsageError: an extra is not installed.
    """
    if options.parquet is not None:
        _need("pyarrow", "parquet")
    if options.mlflow:
        _need("mlflow", "mlflow")
        from pytest_a2perf.reports.exports.mlflow_runs import MlflowPublisher

        publisher = MlflowPublisher(options.mlflow, options.mlflow_experiment)
        config.pluginmanager.register(publisher, "a2perf-mlflow")


def _need(module: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise pytest.UsageError(
            f"--a2perf-{extra} needs {module}: pip install 'pytest-a2perf[{extra}]'"
        )


def export_run(
    config: pytest.Config,
    folder: Path,
    run: Mapping[str, Any],
    *,
    records: Mapping[str, Sequence[Record]],
    verdicts: Verdicts,
    waiting: Sequence[str],
    problems: Sequence[str],
    notes: list[str],
) -> list[str]:
    """Write what the settings ask for, and have the run published.

    Args:
        config: has the settings and the hook.
        folder: of the run.
        run: as ``run.json`` has it.
        records: by scenario.
        verdicts: by node id of the gate.
        waiting: node ids of gates that were not judged.
        problems: what makes the run incomplete.
        notes: receives what else should be known.

    Returns:
        What could not be written or published, a line each.
    """
    options = config.stash[CONFIG]
    failures: list[str] = []

    def attempt(what: str, path: Path, write: Callable[[Path], None]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
        except OSError as error:
            failures.append(f"{what}: {path}: {error.strerror or error}")
        except A2PerfError as error:
            failures.append(f"{what}: {error}")

    if options.json is not None:
        attempt("--a2perf-json", options.json, lambda path: _write_json(path, run, records))
    if options.html is not None:
        from pytest_a2perf.reports.html.data import Report
        from pytest_a2perf.reports.html.page import page
        from pytest_a2perf.runs.history import read_runs

        runs = read_runs(options.folder / "runs", notes, newest=50)
        report = Report(run, records, verdicts, waiting, [*problems, *failures], runs)
        text = page(report)
        attempt("--a2perf-html", options.html, lambda path: _write_text(path, text))
    if options.benchmark_json is not None:
        from pytest_a2perf.reports.exports.benchmark import write_benchmark_json

        attempt(
            "--a2perf-benchmark-json",
            options.benchmark_json,
            lambda path: write_benchmark_json(path, run, records),
        )
    if options.csv is not None:
        from pytest_a2perf.reports.exports.table import write_csv

        attempt("--a2perf-csv", options.csv, lambda path: write_csv(path, records))
    if options.parquet is not None:
        from pytest_a2perf.reports.exports.table import write_parquet

        attempt("--a2perf-parquet", options.parquet, lambda path: write_parquet(path, records))
    if options.github:
        from pytest_a2perf.reports.exports.github import append_summary, summary_file

        if (file := summary_file()) is not None:
            attempt(
                "GITHUB_STEP_SUMMARY",
                file,
                lambda path: append_summary(path, run, verdicts, records, problems),
            )
    try:
        config.hook.pytest_a2perf_publish(config=config, run=folder)
    except Exception as error:  # noqa: BLE001 - whatever a publisher does must not cost the run
        known = isinstance(error, A2PerfError)
        failures.append(str(error) if known else f"publishing the run failed: {error!r}")
    return failures


def _write_json(
    path: Path, run: Mapping[str, Any], records: Mapping[str, Sequence[Record]]
) -> None:
    trials = [record.to_json() for trials in records.values() for record in trials]
    _write_text(path, json.dumps({"schema": 1, **run, "trials": trials}, indent=1))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", errors="replace")
