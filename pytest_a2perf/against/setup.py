"""What a companion is told: where the other version is, and how this pytest was set up."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_a2perf.against.relocation import Relocation
from pytest_a2perf.keys import PROGRESS

__all__ = ["AGAINST", "Setup", "setup_of"]

AGAINST = "a2perf_against"
"""Key of an xdist worker's input that makes it run pairs."""

_INI_FILES = (
    "pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini",
    "setup.cfg",
)  # fmt: skip
_OPTIONS: dict[str, Any] = {
    # It runs what it is asked to, all of it must be there,
    "keyword": "", "markexpr": "", "deselect": None, "lf": False, "failedfirst": False,
    "newfirst": False, "stepwise": False, "stepwise_skip": False, "maxfail": 0,
    "collectonly": False, "a2perf_shard": "", "a2perf_resume": "", "cacheclear": False,
    # in this one process,
    "numprocesses": None, "maxprocesses": None, "tx": [], "px": [], "dist": "no",
    "distload": False, "looponfail": False, "usepdb": False, "trace": False,
    "a2perf_against": "", "a2perf_against_python": "", "a2perf_launcher": "", "a2perf_cluster": "",
    # and writes no files of the user's.
    "xmlpath": None, "log_file": None, "htmlpath": None, "report_log": None, "pastebin": None,
    "basetemp": None, "a2perf_html": "", "a2perf_json": "", "no_cov": True,
    "a2perf": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setup:
    """How a companion is to run.

    Attributes:
        repository, tree, environment: see `Relocation`.
        python: its interpreter.
        cwd: its working directory.
        path: ``sys.path``; with an interpreter of another environment, what comes before its own.
        pythonpath: folders of the project, for processes that its trials start.
        arguments: paths to collect.
        options: pytest's, by name.
        workerinput: of the xdist worker it accompanies, or None.
        folder: for the files of its trials.
        progress: address for progress messages, or None.
    """

    repository: str
    tree: str
    environment: str
    python: str
    cwd: str
    path: list[str]
    pythonpath: list[str]
    arguments: list[str]
    options: dict[str, Any]
    workerinput: dict[str, Any] | None
    folder: str
    progress: tuple[str, int] | None

    @property
    def relocation(self) -> Relocation:
        """The mapping of paths."""
        return Relocation(Path(self.repository), Path(self.tree), Path(self.environment))

    @property
    def is_ours(self) -> bool:
        """Whether it runs the version of the working tree."""
        return self.tree == self.repository

    @property
    def same_python(self) -> bool:
        """Whether it shares this interpreter and its packages."""
        return self.python == sys.executable

    def to_line(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Setup:
        """Inverse of `to_line`."""
        return cls(**json.loads(line))


def setup_of(config: pytest.Config, tree: Mapping[str, str]) -> Setup:
    """Make a set-up that is like this process, but for the version.

    Args:
        config: pytest's.
        tree: ``repository``, ``tree``, ``folder`` and ``python``; our own version's tree is the
            repository.
    """
    move = Relocation(Path(tree["repository"]), Path(tree["tree"]), Path(sys.prefix))
    python = tree["python"] or sys.executable
    folders = [path for path in sys.path if move.applies(path or ".")]
    known = sys.path if python == sys.executable else folders
    # What stands on the command line is parsed, the rest is set beforehand.
    plain = {name: value for name, value in vars(config.option).items() if _is_plain(value)}
    plain.pop("file_or_dir", None)
    cut = plain.get("confcutdir") or str(config.rootpath)
    options = {
        "rootdir": move.moved(config.rootpath),
        "inifilename": _ini_file(config, move),
        "confcutdir": move.moved(cut),
    }
    here = config.invocation_params.dir
    given = getattr(config, "workerinput", None)
    if given is not None:
        given = {k: v for k, v in given.items() if k != AGAINST and _is_plain(v)}
    return Setup(
        tree["repository"],
        tree["tree"],
        sys.prefix,
        python,
        move.moved(here),
        move.all_moved(known),
        move.all_moved(path for path in folders if path),
        [moved for arg in config.args if (moved := _argument(here, str(arg), move)) is not None],
        plain | _OPTIONS | options,
        given,
        tree["folder"],
        config.stash.get(PROGRESS, None) if tree["tree"] == tree["repository"] else None,
    )


def _is_plain(value: object) -> bool:
    """Whether JSON carries a value unharmed."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False


def _ini_file(config: pytest.Config, move: Relocation) -> str:
    """Return the other version's configuration file; never let pytest look in parent folders."""
    if config.inipath is not None:
        moved = move.moved(config.inipath)
        if Path(moved).exists():
            return moved
    root = Path(move.moved(config.rootpath))
    candidates = [root / name for name in _INI_FILES]
    return str(next((path for path in candidates if path.is_file()), os.devnull))


def _argument(here: Path, argument: str, move: Relocation) -> str | None:
    """Return the file or folder of an argument in the other tree; None if it has none."""
    path = here / argument.partition("::")[0]
    if not path.exists():
        return argument  # a module's name, with --pyargs
    moved = Path(move.moved(path))
    return str(moved) if moved.exists() else None
