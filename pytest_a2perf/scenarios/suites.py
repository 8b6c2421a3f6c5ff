"""The suites that ship: in the wheel beside the package's code, in a checkout at its root."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_a2perf.suggest import did_you_mean

__all__ = ["suite_path", "suites_folder"]

_PACKAGE = Path(__file__).resolve().parent.parent


def suites_folder() -> Path:
    """Return the folder with the shipped scenario files."""
    installed = _PACKAGE / "suites"
    return installed if installed.is_dir() else _PACKAGE.parent / "scenarios"


def suite_path(name: str) -> Path:
    """Return the scenario file of a shipped suite.

    Raises:
        pytest.UsageError: there is no suite of that name.
    """
    path = suites_folder() / f"{name}.toml"
    if not path.is_file():
        names = [file.stem for file in suites_folder().glob("*.toml")]
        raise pytest.UsageError(f"--a2perf-suite: no suite {name!r}{did_you_mean(name, names)}")
    return path
