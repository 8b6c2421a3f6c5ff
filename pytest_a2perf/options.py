"""The command-line options, each with its ini twin; `pytest_a2perf.settings` reads them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    import pytest

__all__ = ["accept_gpu_workers", "add_options"]

# option, ini type, default, metavar, help; every option has an ini twin: --a2perf-x is a2perf_x
_OPTIONS: tuple[tuple[str, Literal["string", "bool", "args"], Any, str | None, str], ...] = (
    ("a2perf", "bool", False, None, "run benchmarks: scenario files and tests marked a2perf"),
    ("a2perf-suite", "args", [], "NAME", "also run a suite that ships with the plugin"),
    ("a2perf-dir", "string", ".a2perf", "DIR", "folder for runs (default: .a2perf)"),
    ("a2perf-html", "string", "", "FILE", "write a report as one self-contained HTML file"),
    ("a2perf-json", "string", "", "FILE", "write the whole run as one JSON file"),
    ("a2perf-benchmark-json", "string", "", "FILE", "write times as pytest-benchmark's JSON"),
    ("a2perf-csv", "string", "", "FILE", "write a row for each trial as CSV"),
    ("a2perf-parquet", "string", "", "FILE", "write a row for each trial as Parquet"),
    ("a2perf-mlflow", "string", "", "URI", "log each scenario as a run to this MLflow store"),
    ("a2perf-mlflow-experiment", "string", "a2perf", "NAME", "experiment in MLflow"),
    ("a2perf-no-github", "bool", False, None, "no summary and no annotations in GitHub Actions"),
    ("a2perf-resume", "string", "", "RUN", "go on with a run that was cut off (default: the last)"),
    ("a2perf-save", "string", "", "NAME", "write the run as a baseline"),
    ("a2perf-compare", "string", "", "NAME|PATH|auto", "baseline of the regression gates"),
    ("a2perf-update-baseline", "bool", False, None, "replace the baseline by this run"),
    ("a2perf-require-baseline", "bool", False, None, "fail regression gates without a baseline"),
    ("a2perf-any-machine", "bool", False, None, "compare time and energy across machines"),
    ("a2perf-alpha", "string", "0.05", "P", "chance of any false alarm among regression gates"),
    ("a2perf-baselines", "string", "baselines", "DIR", "folder of baselines (default: baselines)"),
    ("a2perf-against", "string", "", "GITREF", "run each trial on that version, too, in turns"),
    ("a2perf-against-python", "string", "", "PATH", "interpreter for that version (default: this)"),
    ("a2perf-drift", "string", "20 %", "SHARE", "taint trials on a machine that drifts (0: off)"),
    ("a2perf-tainted", "string", "keep", "keep|drop|repeat", "what to do with tainted trials"),
    ("a2perf-shard", "string", "", "I/N|auto", "run one part of the trials; join them with merge"),
    ("a2perf-undecided", "string", "fail", "fail|warn|pass", "what an undecided gate does"),
    ("a2perf-workers-per-gpu", "string", "1", "N", "workers that share one GPU (default: 1)"),
    ("a2perf-concurrency", "string", "1", "N", "trials at once that wait for models (default: 1)"),
    (
        "a2perf-launcher",
        "string",
        "",
        "CMD",
        "start xdist workers by CMD, e.g. 'srun -n1 python'",
    ),
    ("a2perf-cluster", "string", "", "ray[://HOST:PORT]", "put each xdist worker into a Ray actor"),
    ("a2perf-worker-cpus", "string", "1", "N", "CPUs that a worker asks of the cluster"),
    ("a2perf-worker-gpus", "string", "0", "N", "GPUs that a worker asks of the cluster"),
    (
        "a2perf-launch-timeout",
        "string",
        "60 s",
        "TIME",
        "until a launched worker must be there",
    ),
    ("a2perf-require-target", "bool", False, None, "fail what a missing target would skip"),
    ("a2perf-watts-per-core", "string", "4", "W", "power of a busy hardware thread, for the model"),
    ("a2perf-country", "string", "USA", "ISO", "country whose grid converts energy to CO2e"),
    ("a2perf-carbon", "bool", False, None, "convert energy to CO2e"),
)


def accept_gpu_workers(parser: pytest.Parser) -> None:
    """Let ``-n gpu`` through the parser of xdist's option, which must be there."""
    for group in parser._groups:  # noqa: SLF001 - pytest has no public way to an option
        for option in group.options:
            if "-n" in option.names():
                attributes: Any = option.attrs()
                attributes["type"] = partial(_parse_workers, attributes["type"])
                return


def _parse_workers(number: Callable[[str], Any], text: str) -> Any:
    return text if text == "gpu" else number(text)


def add_options(parser: pytest.Parser) -> None:
    """Add every option to the command line and to the ini file."""
    group = parser.getgroup("a2perf", "benchmarks of agents (pytest-a2perf)")
    for name, kind, default, metavar, text in _OPTIONS:
        dest = name.replace("-", "_")
        extra: dict[str, Any] = {}
        if kind == "bool":
            extra = {"action": "store_true", "default": None}
        elif kind == "args":
            extra = {"action": "append", "metavar": metavar}
        elif name == "a2perf-resume":
            extra = {"nargs": "?", "const": "last", "metavar": metavar}
        else:
            extra = {"metavar": metavar}
        group.addoption(f"--{name}", dest=dest, help=text, **extra)
        parser.addini(dest, text, type=kind, default=default)
    parser.addini(
        "a2perf_scenarios", "folders with scenario files", type="args", default=["scenarios"]
    )
