"""The world of a trial, with the judge that sits in it: ours, or those of Meta's package."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_a2perf.domains.assistant.apps.files import Files
from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.judge.base import Judge
from pytest_a2perf.domains.assistant.judging import make_ask, make_judge
from pytest_a2perf.domains.assistant.options import AssistantOptions
from pytest_a2perf.domains.assistant.trace.models import Trace
from pytest_a2perf.domains.assistant.world.noise import Noise
from pytest_a2perf.domains.assistant.world.oracle import run_oracle
from pytest_a2perf.domains.assistant.world.world import World
from pytest_a2perf.errors import InfraError
from pytest_a2perf.llm import Cassette, ChatModel

if TYPE_CHECKING:
    from pytest_a2perf.domains.assistant.sources import CaseRef
    from pytest_a2perf.trials.trial import Trial

__all__ = ["DURATIONS", "Setting", "Stage", "open_stage"]

DURATIONS = {"time": 420.0}
"""Simulated seconds that Gaia2 gives scenarios that say nothing themselves, by capability."""
_DURATION = 1800.0


@dataclass(frozen=True)
class Setting:
    """What all parts of a trial need.

    Attributes:
        trial: gets what is recorded.
        ref: where the scenario was found.
        trace: the scenario.
        options: of the domain.
        cassette: recorded answers of models, or None.
        judge: the judge's model, or None.
    """

    trial: Trial
    ref: CaseRef
    trace: Trace
    options: AssistantOptions
    cassette: Cassette | None
    judge: ChatModel | None

    @property
    def duration(self) -> float:
        """Simulated seconds until the world ends."""
        own = self.options.duration or self.trace.metadata.definition.duration
        return own or DURATIONS.get(self.ref.capability, _DURATION)

    @property
    def seed(self) -> int:
        """Of the world, which is the scenario's and not the trial's."""
        return self.trace.metadata.definition.seed or 0


class Stage(Protocol):
    """A world with the judge that sits in it."""

    world: Any

    def verdict(self) -> tuple[bool | None, str]:
        """Return whether all turns are accepted, and why; None: nothing is judged."""


@contextlib.contextmanager
def open_stage(setting: Setting) -> Iterator[Stage]:
    """Make the world of a trial, and put a judge into it.

    Raises:
        InfraError: the scenario does not work, or cannot be judged.
    """
    try:
        if setting.options.backend == "native":
            yield _native(setting)
        else:
            with contextlib.closing(_are_world(setting)) as world:
                yield _Are(world)
    except TraceError as error:
        raise InfraError(f"the scenario does not work: {error}") from error.__cause__


@dataclass
class _Native:
    world: World
    judge: Judge | None

    def verdict(self) -> tuple[bool | None, str]:
        if self.judge is None:
            return None, "not judged"
        verdict = self.judge.judge(self.world.log)
        return verdict.success, verdict.rationale


@dataclass
class _Are:
    world: Any

    def verdict(self) -> tuple[bool | None, str]:
        turns = self.world.verdicts
        return self.world.success, turns[-1].rationale if turns else "no turn was judged"


def _native(setting: Setting) -> _Native:
    options, trial = setting.options, setting.trial
    with tempfile.TemporaryDirectory(prefix="a2perf-oracle-") as scratch:
        oracle = run_oracle(setting.trace, setting.seed, files=Path(scratch))
    judge = make_judge(
        options.judge, setting.trace, oracle.log, model=setting.judge, root=trial.root
    )
    noise = options.noise
    world = World(
        setting.trace,
        seed=setting.seed,
        verbosity=options.verbosity,
        duration=setting.duration,
        judge_turn=None if judge is None else judge.judge_turn,
        noise=None
        if noise is None
        else Noise(noise.failures, noise.renames, noise.events_per_minute, noise.seed + trial.seed),
        files=trial.folder / "files",
    )
    if options.files is not None:
        for app in world.apps.values():
            if isinstance(app, Files):
                app.mirror = trial.root / options.files
    return _Native(world, judge)


def _are_world(setting: Setting) -> Any:
    from pytest_a2perf.domains.assistant.backends.are import AreWorld

    return AreWorld(
        setting.ref.text.decode(),
        seed=setting.seed,
        verbosity=setting.options.verbosity,
        duration=setting.duration,
        ask=None if setting.judge is None else make_ask(setting.judge),
    )
