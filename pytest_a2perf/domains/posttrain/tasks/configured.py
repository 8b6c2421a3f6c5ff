"""What the tasks with a user's own models and data have in common."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pytest_a2perf.domains.posttrain.devices import CUDA, device_files, gpus_to_use
from pytest_a2perf.domains.posttrain.grading.artefact import Rules
from pytest_a2perf.domains.posttrain.grading.config import Place
from pytest_a2perf.domains.posttrain.sandbox.spec import Limits, Mount
from pytest_a2perf.domains.posttrain.tasks.base import SPLITS, Budget, Evaluation, Materials, Split
from pytest_a2perf.domains.posttrain.tasks.cache import cached, key_of
from pytest_a2perf.domains.posttrain.tasks.configured_options import ConfiguredOptions, path_of
from pytest_a2perf.domains.posttrain.tasks.formats import Row, read_rows, write_rows
from pytest_a2perf.errors import InfraError, ScenarioError

__all__ = ["JUDGE", "ConfiguredTask"]

JUDGE = "A2PERF_JUDGE"
"""Variable of evaluators with the socket of the judge's proxy."""

_HOURS = 12 * 3600.0
_SPARE = 64 << 20
_FEWEST = 10  # rows of a split: with fewer, no interval says anything


class ConfiguredTask(ABC):
    """A task of a user's own model and data.

    Subclasses say what it is, see `Task`, and what its rows are.

    Args:
        options: of the scenario.

    Raises:
        pydantic.ValidationError: there is no such option, or it has a wrong value.

    Attributes:
        Options: model of the options.
        Visible: rows of the data that agents see.
        Hidden: rows of test data.
        needs_hidden: whether test data must be given.
        options: those given.
    """

    Options: ClassVar[type[ConfiguredOptions]] = ConfiguredOptions
    Visible: ClassVar[type[Row]] = Row
    Hidden: ClassVar[type[Row]] = Row
    needs_hidden: ClassVar[bool] = True
    name: str
    level: ClassVar[Literal[1, 2, 3]]
    metric: str
    noise: float = 0.0
    services: tuple[str, ...] = ()
    budget: Budget = Budget(wall=_HOURS, processes=4096)

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = self.Options.model_validate(dict(options or {}))

    @property
    def stands_for(self) -> str:
        """Itself."""
        return self.name

    # -- what tasks say ------------------------------------------------------------------------

    @abstractmethod
    def description(self) -> str:
        """Return the text for agents, in Markdown."""

    @abstractmethod
    def prompt_of(self, row: Any) -> str:
        """Return what of a row must not be among the visible ones, if it is hidden."""

    def test_rows(self) -> list[Any]:
        """Return the rows of the option ``hidden`` that are test data."""
        return read_rows(self._path("hidden"), self.Hidden)

    def visible_rows(self) -> list[Any]:
        """Return the rows that agents see."""
        return read_rows(self._path("train"), self.Visible) if self.options.train else []

    def without_answers(self, row: Any) -> Any:
        """Return a row as the evaluator sees it."""
        return row

    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Evaluate a model, where the evaluator runs; see `evaluate.Scores`.

        Raises:
            ScenarioError: the task has no evaluator of its own.
        """
        del artefact, hidden, split, seed
        raise ScenarioError(f"{self.name}: has no evaluator of its own: give evaluator")

    def further_problems(self) -> Iterator[str]:
        """Yield what else is wrong with the options."""
        if not self.options.evaluator and self.options.backend is None:
            yield "give backend, or evaluator"

    # -- checks --------------------------------------------------------------------------------

    def check(self) -> None:
        """Check that a run could begin: paths, formats, programs.

        Raises:
            ScenarioError: it could not; the message has a line for each reason.
        """
        problems = [*self._path_problems(), *self.further_problems(), *self._program_problems()]
        if not problems:
            for read in (self.splits, self.visible_rows):
                try:
                    read()
                except ScenarioError as error:
                    problems.append(str(error))
        if problems:
            lines = "\n".join(f"  {line}" for text in problems for line in text.splitlines())
            raise ScenarioError(f"task {self.name!r} cannot be run:\n{lines}")

    def _path_problems(self) -> Iterator[str]:
        given = {key: self._path(key) for key in _SHOWN + _HIDDEN if getattr(self.options, key)}
        given |= {f"resources[{i}]": path_of(p) for i, p in enumerate(self.options.resources)}
        for key, path in given.items():
            if not path.exists():
                yield f"{key}: there is no {path}"
        base = given["base_model"]
        if base.exists() and not (base / "config.json").is_file():
            yield f"base_model: {base} has no config.json: name the folder of a model"
        elif base.exists() and not any(base.rglob("*.safetensors")):
            yield f"base_model: {base} has no weights: a file that ends in .safetensors is needed"
        for shown in (key for key in given if key in _SHOWN):
            for key in (key for key in given if key not in _SHOWN):
                one, other = given[shown].resolve(), given[key].resolve()
                if one.is_relative_to(other) or other.is_relative_to(one):
                    yield f"{key}: agents would see it: {given[key]} and {shown} overlap"
        if "hidden" not in given and "public" not in given and self.needs_hidden:
            yield "hidden: give the test data, or public and private"

    def _program_problems(self) -> Iterator[str]:
        backend = self.options.backend
        commands = {
            "evaluator": self.options.evaluator,
            "backend.generate": backend.generate if backend else (),
            "backend.serve": backend.serve if backend else (),
        }
        for key, command in commands.items():
            if command and shutil.which(command[0]) is None:
                yield f"{key}: there is no program {command[0]!r} here, or it may not be run"

    # -- the task ------------------------------------------------------------------------------

    def splits(self) -> dict[Split, list[Any]]:
        """Return the rows of both splits.

        Raises:
            ScenarioError: they cannot be read, or are too few.
        """
        options = self.options
        if options.public is not None:
            return {split: read_rows(self._path(split), self.Hidden) for split in SPLITS}
        rows = self.test_rows()
        if options.splits == "upstream":
            return dict.fromkeys(SPLITS, rows)
        count = round(options.public_share * len(rows))
        if min(count, len(rows) - count) < _FEWEST:
            raise ScenarioError(
                f"public_share: {options.public_share:g} of {len(rows)} rows of test data makes "
                f"splits of {count} and {len(rows) - count}, and each needs {_FEWEST}: give more "
                "rows, another share, or public and private"
            )

        def place(number: int) -> bytes:
            # By content: the order of the file says nothing about who is in which split.
            text = f"{options.seed}\0{self.prompt_of(rows[number])}"
            return hashlib.sha256(text.encode()).digest()

        ranked = sorted(range(len(rows)), key=place)
        chosen = set(ranked[:count])
        return {
            "public": [row for number, row in enumerate(rows) if number in chosen],
            "private": [row for number, row in enumerate(rows) if number not in chosen],
        }

    def materials(self, cache: Path) -> Materials:
        """Prepare the data; base model and folders of data stay where they are.

        Training data whose prompt is among the hidden ones is left out.

        Raises:
            ScenarioError: see `check`.
            InfraError: the cache cannot be written.
        """
        self.check()
        files = [self._path(key) for key in (*_SHOWN, *_HIDDEN) if getattr(self.options, key)]
        try:
            about = {
                "task": self.name,
                "options": self.options.model_dump(mode="json"),
                "files": {str(path): _identity(path) for path in files},
            }
            sources = tuple(Path(__file__).parent.glob("*.py"))
            root, digest = cached(cache, self.name, key_of(about, sources), self._make)
        except OSError as error:
            raise InfraError(f"{self.name}: its data cannot be prepared: {error}") from error
        train = None if self.options.train is None else self._path("train")
        return Materials(
            base=self._path("base_model"),
            base_name=self.options.base_name or self._path("base_model").name,
            visible=train if train is not None and train.is_dir() else root / "visible",
            hidden=root / "hidden",
            description=(root / "description.md").read_text(encoding="utf-8"),
            toolkit=None,
            digest=hashlib.sha256(
                (digest + json.dumps(about, sort_keys=True)).encode()
            ).hexdigest(),
        )

    def evaluator(self, split: Split, seed: int) -> Mapping[str, Any]:
        """Return what the evaluator is told."""
        return {
            "task": self.name,
            "code": f"{type(self).__module__}:{type(self).__qualname__}",
            "options": self.options.model_dump(mode="json"),
            "artefact": "/artefact",
            "hidden": "/hidden",
            "split": split,
            "seed": seed,
        }

    @property
    def command(self) -> tuple[str, ...]:
        """Argument list of the evaluator, for `Plan.command`."""
        ours = (sys.executable, "-m", f"{__package__}.configured_evaluate")
        return self.options.evaluator or ours

    @property
    def rules(self) -> Rules:
        """What a submission may be, for `Config.rules`."""
        base = sum(path.stat().st_size for path in self._path("base_model").rglob("*.safetensors"))
        return Rules(size=self.options.largest or int(1.5 * base) + _SPARE, seconds=3600.0)

    def place(
        self,
        *,
        sandbox: str = "auto",
        allow_unisolated: bool = False,
        judge: Path | None = None,
    ) -> Place:
        """Return where the evaluator runs, for `Plan.place`.

        Args:
            sandbox: see `Place`.
            allow_unisolated: see there.
            judge: socket of the judge's proxy; see ``options.judge.llm``.

        Raises:
            InfraError: there is no such device file.
        """
        options = self.options
        seen = [*map(path_of, options.resources), *self.seen_by_evaluator()]
        env = dict(options.env)
        if gpus := gpus_to_use(options.gpus, options.devices):
            env[CUDA] = ",".join(gpus)
        if judge is not None:
            seen.append(judge.parent)
            env[JUDGE] = str(judge)
        return Place(
            sandbox=sandbox,
            allow_unisolated=allow_unisolated,
            limits=Limits(memory=options.memory, processes=options.processes, wall=options.wall),
            mounts=tuple(Mount(path, str(path)) for path in dict.fromkeys(seen)),
            env=env,
            devices=device_files(options.devices),
            network=options.network,
        )

    def seen_by_evaluator(self) -> Sequence[Path]:
        """Return further files and folders that the evaluator sees at their own paths."""
        return ()

    def _path(self, key: str) -> Path:
        return path_of(str(getattr(self.options, key)))

    def _make(self, folder: Path) -> None:
        splits = self.splits()
        hidden = {self.prompt_of(row) for rows in splits.values() for row in rows}
        (folder / "visible").mkdir()
        (folder / "hidden").mkdir()
        rows = [row for row in self.visible_rows() if self.prompt_of(row) not in hidden]
        if rows:
            write_rows(folder / "visible" / "train.jsonl", rows)
        for split, test in splits.items():
            kept = [self.without_answers(row) for row in test]
            write_rows(folder / "hidden" / f"{split}.jsonl", kept)
        (folder / "description.md").write_text(self.description(), encoding="utf-8")


_SHOWN = ("base_model", "train")
_HIDDEN = ("hidden", "public", "private")


def _identity(path: Path) -> list[tuple[str, int, int]]:
    """Return what changes when a file or folder does; models are too large to be hashed."""
    parts = [path] if path.is_file() else sorted(part for part in path.rglob("*") if part.is_file())
    return [
        (part.relative_to(path).as_posix(), part.stat().st_size, part.stat().st_mtime_ns)
        for part in parts
    ]
