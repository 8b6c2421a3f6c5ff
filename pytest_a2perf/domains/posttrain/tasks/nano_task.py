"""What the tasks with a tiny model have in common: how their materials are made and found again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import Field

import pytest_a2perf
from pytest_a2perf.domains.posttrain import nano
from pytest_a2perf.domains.posttrain.tasks.base import SPLITS, Budget, Evaluation, Materials, Split
from pytest_a2perf.domains.posttrain.tasks.cache import cached, key_of
from pytest_a2perf.errors import InfraError
from pytest_a2perf.scenarios.models import Strict

if TYPE_CHECKING:
    from pytest_a2perf.domains.posttrain.nano.model import Config, NanoLM

__all__ = ["NanoOptions", "NanoTask", "Preset", "make", "read_lines", "write_lines"]

_MAKING = 1200.0  # seconds
_NANO = Path(nano.__file__).parent
_SAID = 2000  # characters of what a process that failed wrote


class NanoOptions(Strict):
    """What scenarios may set for any of these tasks."""

    size: Literal["full", "small"] = Field(
        "full", description="'small' is made, trained and evaluated in seconds, for smoke tests"
    )
    seed: int = Field(0, ge=0, description="of the data and of the base model")


class Size(Protocol):
    """What every size of a task says.

    Attributes:
        public, private: hidden items of the splits.
        cpu: CPU seconds of the agent.
    """

    @property
    def public(self) -> int: ...
    @property
    def private(self) -> int: ...
    @property
    def cpu(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Preset:
    """A size of a task that first learns what is right, and then to do otherwise.

    Attributes:
        lessons: updates of the base model's weights with what is right only, so that it can.
        habits: updates with what it has seen most, so that it mostly does not.
        demonstrations: visible problems with replies, or visible episodes of an expert.
        rewards: visible problems with what a verifier needs, or visible tasks for rollouts.
        public: hidden problems or tasks.
        private: hidden problems or tasks.
        cpu: CPU seconds of the agent.
    """

    lessons: int
    habits: int
    demonstrations: int
    rewards: int
    public: int
    private: int
    cpu: float


class NanoTask(ABC):
    """A task whose base model is a `NanoLM` that we train ourselves.

    Subclasses say what it is, see `Task`, and fill the folders; that happens in a process of its
    own with one thread, and only when the cache lacks them.

    Args:
        options: of the scenario.

    Raises:
        pydantic.ValidationError: there is no such option, or it has a wrong value.

    Attributes:
        Options: model of the options.
        options: those given.
        code: further modules that its making depends on, beside those of its classes; another text
            in one of them makes everything anew.
        tools: those of ``code`` that agents may import as well; they need no package but torch.
    """

    Options: ClassVar[type[NanoOptions]] = NanoOptions
    name: ClassVar[str]
    level: ClassVar[Literal[1, 2, 3]]
    stands_for: ClassVar[str]
    metric: ClassVar[str]
    noise: float = 0.0
    services: tuple[str, ...] = ()
    base_name: ClassVar[str] = "nano"
    code: ClassVar[tuple[Path, ...]] = ()
    tools: ClassVar[tuple[Path, ...]] = ()

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = self.Options.model_validate(dict(options or {}))

    @property
    @abstractmethod
    def preset(self) -> Size:
        """The sizes that the options ask for."""

    @property
    def budget(self) -> Budget:
        """CPU seconds by size, and what is the same for all."""
        cpu = self.preset.cpu
        return Budget(cpu=cpu, wall=20 * cpu + 120, submissions=20, memory=2 << 30, disk=256 << 20)

    def count(self, split: Split) -> int:
        """Return how many hidden items a split has; of each kind, where there are kinds."""
        return self.preset.public if split == "public" else self.preset.private

    @abstractmethod
    def config(self) -> Config:
        """Return the shape of the base model, which is that of submissions; needs torch."""

    @abstractmethod
    def train(self) -> NanoLM:
        """Train the base model; the same each time."""

    @abstractmethod
    def write_visible(self, folder: Path) -> None:
        """Write what agents see as ``data``.

        Files called ``demonstrations*`` are withheld from agents that are to learn from rewards
        only, and files called ``rewards*`` from those that are to learn without.
        """

    @abstractmethod
    def write_hidden(self, path: Path, split: Split) -> None:
        """Write what evaluators see of a split.

        Args:
            path: of a file; it may be made a folder.
            split: see `Split`.
        """

    @abstractmethod
    def description(self) -> str:
        """Return the text for agents, in Markdown."""

    @abstractmethod
    def score(self, artefact: Path, hidden: Path, split: Split, seed: int) -> Evaluation:
        """Evaluate a model; called where neither network nor anything else is seen.

        Args:
            artefact: folder of the submission.
            hidden: folder with the entry of the split.
            split: see `Split`.
            seed: of everything random.

        Raises:
            ModelError: the submission is not such a model.
        """

    def materials(self, cache: Path) -> Materials:
        """Make base model and data, or find them in the cache.

        Raises:
            InfraError: they cannot be made here.
        """
        about = {
            "task": self.name,
            "options": self.options.model_dump(mode="json"),
            "torch": version_of("torch"),
        }
        classes = {Path(str(sys.modules[one.__module__].__file__)) for one in self._classes()}
        sources = {*_NANO.glob("*.py"), *classes, *self.code}
        root, digest = cached(
            cache, self.name.replace("/", "-"), key_of(about, sources), self._make_apart
        )
        return Materials(
            base=root / "base",
            base_name=self.base_name,
            visible=root / "visible",
            hidden=root / "hidden",
            description=(root / "description.md").read_text(encoding="utf-8"),
            toolkit=root / "toolkit",
            digest=digest,
        )

    def evaluator(self, split: Split, seed: int) -> Mapping[str, Any]:
        """Return what the evaluator is told."""
        return {
            "task": self.name,
            "options": self.options.model_dump(mode="json"),
            "artefact": "/artefact",
            "hidden": "/hidden",
            "split": split,
            "seed": seed,
        }

    def _classes(self) -> list[type]:
        return [one for one in type(self).__mro__ if issubclass(one, NanoTask)]

    def _make_apart(self, folder: Path) -> None:
        """Make the materials in another process: with one thread, and torch stays out of ours."""
        options = json.dumps(self.options.model_dump(mode="json"))
        root = str(Path(pytest_a2perf.__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        command = [
            sys.executable,
            "-m",
            f"{__package__}.nano_make",
            self.name,
            options,
            str(folder),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - our own module
                command,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_MAKING,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InfraError(
                f"{self.name}: the base model was not made within {_MAKING:.0f} s: the machine is"
                " too busy, or too slow for this size; try size = 'small'"
            ) from None
        if done.returncode:
            said = done.stdout.decode(errors="replace").strip()[-_SAID:]
            raise InfraError(f"{self.name}: its materials cannot be made: {said}")


def make(task: NanoTask, folder: Path) -> None:
    """Fill a folder with a task's materials; needs torch."""
    from pytest_a2perf.domains.posttrain.nano import io

    io.save(task.train(), folder / "base")
    (folder / "visible").mkdir()
    task.write_visible(folder / "visible")
    (folder / "hidden").mkdir()
    for split in SPLITS:
        task.write_hidden(folder / "hidden" / split, split)
    shutil.copytree(
        _NANO, folder / "toolkit" / "nano", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in task.tools:
        shutil.copyfile(path, folder / "toolkit" / path.name)
    (folder / "description.md").write_text(task.description(), encoding="utf-8")


def version_of(package: str) -> str:
    """Return the version of a package that the tasks cannot do without.

    Raises:
        InfraError: it is not installed.
    """
    try:
        return version(package)
    except ImportError as error:
        raise InfraError(
            f"this task needs {package}: pip install 'pytest-a2perf[posttrain]'"
        ) from error


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a JSON object a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Inverse of `write_lines`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
