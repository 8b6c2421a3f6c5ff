"""Command-line and ini options, resolved once into a frozen `Config`.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Config", "add_options", "resolve_options"]

Undecided = Literal["fail", "warn", "pass"]

# option, ini type, default, metavar, help; every option has an ini twin: --a2perf-x is a2perf_x
_OPTIONS: tuple[tuple[str, Literal["string", "bool", "args"], Any, str | None, str], ...] = (
    ("a2perf", "bool", False, None, "run benchmarks: scenario files and tests marked a2perf"),
    ("a2perf-suite", "args", [], "NAME", "also run a suite that ships with the plugin"),
    ("a2perf-dir", "string", ".a2perf", "DIR", "folder for runs (default: .a2perf)"),
    ("a2perf-json", "string", "", "FILE", "write the whole run as one JSON file"),
    ("a2perf-resume", "string", "", "RUN", "go on with a run that was cut off (default: the last)"),
    ("a2perf-undecided", "string", "fail", "fail|warn|pass", "what an undecided gate does"),
    ("a2perf-watts-per-core", "string", "4", "W", "power of a busy hardware thread, for the model"),
    ("a2perf-country", "string", "USA", "ISO", "country whose grid converts energy to CO2e"),
    ("a2perf-carbon", "bool", False, None, "convert energy to CO2e"),
)


@dataclass(frozen=True, slots=True)
class Config:
    """The plugin's settings for one session.

    Attributes:
        scenarios: folders that hold scenario files.
        suites: names of shipped suites to run as well.
        folder: where runs are kept.
        json: file for the whole run, or None.
        resume: a run to go on with (``last`` or its id or path), or None.
        undecided: what an undecided gate does to the exit code.
        watts_per_core: for the CPU-time energy model, W.
        country: ISO 3166 alpha-3 code.
        carbon: whether energy is converted to CO2e.
    """

    scenarios: tuple[Path, ...]
    suites: tuple[str, ...]
    folder: Path
    json: Path | None
    resume: str | None
    undecided: Undecided
    watts_per_core: float
    country: str
    carbon: bool


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
        undecided=cast("Undecided", undecided),
        watts_per_core=watts_per_core,
        country=str(value("a2perf_country")),
        carbon=bool(value("a2perf_carbon")),
    )
