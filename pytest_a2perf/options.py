"""The command-line options, each with its ini twin; `pytest_a2perf.settings` reads them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Literal

    import pytest

__all__ = ["accept_gpu_workers", "add_options"]

# option, ini type, default, metavar, help; every option has an ini twin: --a2perf-x is a2perf_x
_OPTIONS: tuple[tuple[str, Literal["string", "bool", "args"], Any, str | None, str], ...] = (
    ("a2perf", "bool", False, None, "run benchmarks: scenario files and tests marked a2perf"),
    ("a2perf-suite", "args", [], "NAME", "also run a suite that ships with the plugin"),
    ("a2perf-dir", "string", ".a2perf", "DIR", "folder for runs (default: .a2perf)"),
    ("a2perf-json", "string", "", "FILE", "write the whole run as one JSON file"),
    ("a2perf-resume", "string", "", "RUN", "go on with a run that was cut off (default: the last)"),
    ("a2perf-shard", "string", "", "I/N|auto", "run one part of the trials; join them with merge"),
    ("a2perf-undecided", "string", "fail", "fail|warn|pass", "what an undecided gate does"),
    ("a2perf-workers-per-gpu", "string", "1", "N", "workers that share one GPU (default: 1)"),
    ("a2perf-require-target", "bool", False, None, "fail what a missing target would skip"),
    ("a2perf-watts-per-core", "string", "4", "W", "power of a busy hardware thread, for the model"),
    ("a2perf-country", "string", "USA", "ISO", "country whose grid converts energy to CO2e"),
    ("a2perf-carbon", "bool", False, None, "convert energy to CO2e"),
)


def accept_gpu_workers(parser: pytest.Parser) -> None:
    """Let ``-n gpu`` through xdist's parser, whether its option is there already or comes later."""
    import xdist.plugin

    number: Any = xdist.plugin.parse_numprocesses

    def parse(text: str) -> Any:
        return text if text == "gpu" else number(text)

    xdist.plugin.parse_numprocesses = parse
    for group in parser._groups:  # noqa: SLF001 - pytest has no public way to an option
        for option in group.options:
            if "-n" in option.names():
                option.attrs()["type"] = parse


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
