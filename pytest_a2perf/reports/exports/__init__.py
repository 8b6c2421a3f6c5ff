"""A run in the formats of other tools. A file that cannot be written never costs the run."""

from __future__ import annotations

import importlib.util
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
    problems: Sequence[str],
) -> list[str]:
    """Write what the settings ask for, and have the run published.

    Args:
        config: has the settings and the hook.
        folder: of the run.
        run: as ``run.json`` has it.
        records: by scenario.
        verdicts: by node id of the gate.
        problems: what makes the run incomplete.

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
