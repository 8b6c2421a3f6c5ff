"""The settings of one session: options and ini values, resolved once into a frozen `Config`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.scheduling.shards import Shard, parse_shard
from pytest_a2perf.units import parse_duration, parse_quantity

__all__ = ["Config", "resolve_options"]

Undecided = Literal["fail", "warn", "pass"]


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings for one session.

    Attributes:
        scenarios: folders that hold scenario files.
        suites: names of shipped suites to run as well.
        folder: where runs are kept.
        html: file for the report, or None.
        json: file for the whole run, or None.
        benchmark_json, csv, parquet: files for exports, or None.
        mlflow: URI of an MLflow store, or empty.
        mlflow_experiment: where runs go there.
        github: whether GitHub Actions, where there, gets a summary and annotations.
        resume: a run to go on with (``last`` or its id or path), or None.
        save: name of a baseline to write, or empty.
        compare: name or path of the baseline, ``auto``, or empty.
        update_baseline: whether to replace that baseline by this run.
        require_baseline: whether regression gates fail without one.
        any_machine: whether time and energy are compared across machines.
        alpha: chance of any false alarm among the regression gates of a run.
        baselines: folder of baselines.
        against: version to run side by side with the working tree, or empty.
        against_python: interpreter for that version, or empty for this one.
        drift: of the machine, as a share, beyond which trials are tainted; 0 for none.
        tainted: what is done with tainted trials.
        shard: the part of the trials to run, or None for all.
        undecided: what an undecided gate does to the exit code.
        workers_per_gpu: how many xdist workers share one GPU.
        launcher: command that starts an xdist worker's Python, or empty.
        cluster: ``ray`` or ``ray://host:port``, or empty.
        worker_cpus, worker_gpus: what a worker asks of the cluster.
        launch_timeout: seconds until a launched worker must be there.
        require_target: whether trials fail where their target is missing.
        watts_per_core: for the CPU-time energy model, W.
        country: ISO 3166 alpha-3 code.
        carbon: whether energy is converted to CO2e.
    """

    scenarios: tuple[Path, ...]
    suites: tuple[str, ...]
    folder: Path
    html: Path | None
    json: Path | None
    benchmark_json: Path | None
    csv: Path | None
    parquet: Path | None
    mlflow: str
    mlflow_experiment: str
    github: bool
    resume: str | None
    save: str
    compare: str
    update_baseline: bool
    require_baseline: bool
    any_machine: bool
    alpha: float
    baselines: Path
    against: str
    against_python: str
    drift: float
    tainted: Literal["keep", "drop", "repeat"]
    shard: Shard | None
    undecided: Undecided
    workers_per_gpu: int
    concurrency: int
    launcher: str
    cluster: str
    worker_cpus: float
    worker_gpus: float
    launch_timeout: float
    require_target: bool
    watts_per_core: float
    country: str
    carbon: bool


def resolve_options(config: pytest.Config) -> Config:
    """Read the settings: the command line wins over the ini file.

    Raises:
        pytest.UsageError: a value is not one of those allowed.
    """

    def value(name: str) -> Any:
        given = config.getoption(name, None)
        return config.getini(name) if given is None else given

    def wrong(name: str, expected: str) -> pytest.UsageError:
        option = name.replace("_", "-")
        return pytest.UsageError(
            f"--{option} ({name}): expected {expected}, got {str(value(name))!r}"
        )

    def number(name: str, expected: str, least: float = 0.0) -> float:
        try:
            result = float(value(name))
        except ValueError:
            raise wrong(name, expected) from None
        if not least <= result < float("inf"):
            raise wrong(name, expected)
        return result

    def file(name: str) -> Path | None:
        given = str(value(name))
        return (config.invocation_params.dir / given).resolve() if given else None

    undecided = str(value("a2perf_undecided"))
    if undecided not in ("fail", "warn", "pass"):
        raise wrong("a2perf_undecided", "fail, warn or pass")
    tainted = str(value("a2perf_tainted"))
    if tainted not in ("keep", "drop", "repeat"):
        raise wrong("a2perf_tainted", "keep, drop or repeat")
    alpha = number("a2perf_alpha", "a probability below 0.5")
    if not 0 < alpha < 0.5:
        raise wrong("a2perf_alpha", "a probability below 0.5")
    sharing = number("a2perf_workers_per_gpu", "a number of workers", 1)
    if not sharing.is_integer():
        raise wrong("a2perf_workers_per_gpu", "a number of workers")
    concurrency = number("a2perf_concurrency", "a number of trials", 1)
    if not concurrency.is_integer():
        raise wrong("a2perf_concurrency", "a number of trials")
    workers = getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput")
    if concurrency > 1 and workers:
        raise pytest.UsageError(
            "--a2perf-concurrency runs trials at once in one process; with -n, give more workers"
        )
    try:
        shard = parse_shard(part, os.environ) if (part := str(value("a2perf_shard"))) else None
        launch_timeout = parse_duration(str(value("a2perf_launch_timeout")))
        drift, _ = parse_quantity(str(value("a2perf_drift")), unit="")
    except A2PerfError as error:
        raise pytest.UsageError(str(error)) from None
    launcher, cluster = str(value("a2perf_launcher")), str(value("a2perf_cluster"))
    if cluster and not (cluster == "ray" or cluster.startswith("ray://")):
        raise wrong("a2perf_cluster", "ray or ray://HOST:PORT")
    if launcher and cluster:
        raise pytest.UsageError("--a2perf-launcher and --a2perf-cluster exclude each other")
    root = config.rootpath
    return Config(
        scenarios=tuple(
            (root / folder).resolve() for folder in cast("Sequence[str]", value("a2perf_scenarios"))
        ),
        suites=tuple(value("a2perf_suite")),
        folder=(root / str(value("a2perf_dir"))).resolve(),
        html=file("a2perf_html"),
        json=file("a2perf_json"),
        benchmark_json=file("a2perf_benchmark_json"),
        csv=file("a2perf_csv"),
        parquet=file("a2perf_parquet"),
        mlflow=str(value("a2perf_mlflow")),
        mlflow_experiment=str(value("a2perf_mlflow_experiment")),
        github=not value("a2perf_no_github"),
        resume=str(value("a2perf_resume")) or None,
        save=_name("a2perf_save", str(value("a2perf_save"))),
        compare=str(value("a2perf_compare")),
        update_baseline=bool(value("a2perf_update_baseline")),
        require_baseline=bool(value("a2perf_require_baseline")),
        any_machine=bool(value("a2perf_any_machine")),
        alpha=alpha,
        baselines=(root / str(value("a2perf_baselines"))).resolve(),
        against=str(value("a2perf_against")),
        against_python=str(value("a2perf_against_python")),
        drift=drift,
        tainted=cast("Literal['keep', 'drop', 'repeat']", tainted),
        shard=shard,
        undecided=cast("Undecided", undecided),
        workers_per_gpu=int(sharing),
        concurrency=int(concurrency),
        launcher=launcher,
        cluster=cluster,
        worker_cpus=number("a2perf_worker_cpus", "a number of CPUs"),
        worker_gpus=number("a2perf_worker_gpus", "a number of GPUs"),
        launch_timeout=launch_timeout,
        require_target=bool(value("a2perf_require_target")),
        watts_per_core=number("a2perf_watts_per_core", "watts", 1e-9),
        country=str(value("a2perf_country")),
        carbon=bool(value("a2perf_carbon")),
    )


def _name(option: str, text: str) -> str:
    if text and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", text):
        raise pytest.UsageError(
            f"--{option.replace('_', '-')}: expected a name of letters, digits, '_', '.', '+' and "
            f"'-', got {text!r}"
        )
    return text
