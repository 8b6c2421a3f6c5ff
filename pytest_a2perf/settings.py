"""The settings of one session: options and ini values, resolved once into a frozen `Config`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import pytest

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.scheduling.shards import Shard, parse_shard

__all__ = ["Config", "resolve_options"]

Undecided = Literal["fail", "warn", "pass"]


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings for one session.

    Attributes:
        scenarios: folders that hold scenario files.
        suites: names of shipped suites to run as well.
        folder: where runs are kept.
        json: file for the whole run, or None.
        resume: a run to go on with (``last`` or its id or path), or None.
        shard: the part of the trials to run, or None for all.
        undecided: what an undecided gate does to the exit code.
        workers_per_gpu: how many xdist workers share one GPU.
        require_target: whether trials fail where their target is missing.
        watts_per_core: for the CPU-time energy model, W.
        country: ISO 3166 alpha-3 code.
        carbon: whether energy is converted to CO2e.
    """

    scenarios: tuple[Path, ...]
    suites: tuple[str, ...]
    folder: Path
    json: Path | None
    resume: str | None
    shard: Shard | None
    undecided: Undecided
    workers_per_gpu: int
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

    undecided = str(value("a2perf_undecided"))
    if undecided not in ("fail", "warn", "pass"):
        raise pytest.UsageError(
            f"--a2perf-undecided (a2perf_undecided): expected fail, warn or pass, got {undecided!r}"
        )
    watts = str(value("a2perf_watts_per_core"))
    try:
        watts_per_core = float(watts)
    except ValueError:
        watts_per_core = -1.0
    if not watts_per_core > 0:
        raise pytest.UsageError(
            f"--a2perf-watts-per-core (a2perf_watts_per_core): expected watts, got {watts!r}"
        )
    sharing = str(value("a2perf_workers_per_gpu"))
    if not (sharing.isdecimal() and int(sharing) > 0):
        raise pytest.UsageError(
            "--a2perf-workers-per-gpu (a2perf_workers_per_gpu): expected a number of workers, got "
            f"{sharing!r}"
        )
    try:
        shard = parse_shard(part, os.environ) if (part := str(value("a2perf_shard"))) else None
    except A2PerfError as error:
        raise pytest.UsageError(str(error)) from None
    root = config.rootpath
    json = str(value("a2perf_json"))
    invocation = config.invocation_params.dir
    return Config(
        scenarios=tuple(
            (root / folder).resolve() for folder in cast("Sequence[str]", value("a2perf_scenarios"))
        ),
        suites=tuple(value("a2perf_suite")),
        folder=(root / str(value("a2perf_dir"))).resolve(),
        json=(invocation / json).resolve() if json else None,
        resume=str(value("a2perf_resume")) or None,
        shard=shard,
        undecided=cast("Undecided", undecided),
        workers_per_gpu=int(sharing),
        require_target=bool(value("a2perf_require_target")),
        watts_per_core=watts_per_core,
        country=str(value("a2perf_country")),
        carbon=bool(value("a2perf_carbon")),
    )
