"""What a training function is given."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pytest_a2perf.errors import AgentError
from pytest_a2perf.training.artefacts import Checkpoint
from pytest_a2perf.training.log import CurveLog

if TYPE_CHECKING:
    import minari
    import numpy as np
    import stable_baselines3.common.logger as sb3

    from pytest_a2perf.domains.gym.options import GymOptions
    from pytest_a2perf.trials.trial import Trial

__all__ = ["Training"]


class Training:
    """One training: where it learns, where it writes, and how it tells how far it is.

    Attributes:
        task: id of the environment.
        seed: the trial's; all randomness must come from it.
        folder: of the artefact; whatever is written here stays in the run.
        checkpoints: what `checkpoint` was told.

        dataset: what the scenario names as such, or None.
        num_envs: how many sub-environments `env` has.
        parallel: whether they are to run in processes of their own.
        single: makes one environment, not vectorised, for frameworks that have vectors of their
            own; it can be pickled, and who calls it closes the environment.

    Args:
        trial: gets the curves.
        folder: exists and is empty.
        options: of the domain.
        dataset: as above.
    """

    def __init__(
        self,
        trial: Trial,
        folder: Path,
        options: GymOptions,
        dataset: minari.MinariDataset | None = None,
    ) -> None:
        from pytest_a2perf.domains.gym.environment import make_env

        self.task = trial.scenario.task
        self.seed = trial.seed
        self.folder = folder
        self.checkpoints: list[Checkpoint] = []
        self._trial = trial
        self.dataset = dataset
        self.num_envs = options.num_envs
        self.parallel = options.vectorization == "async"
        alone = options.model_copy(update={"num_envs": 1})
        self.single = partial(make_env, self.task, alone, trial.root)
        self._make = partial(make_env, self.task, options, trial.root)
        self._env: Any = None
        self._closing = contextlib.ExitStack()
        self._log = CurveLog(folder)
        self._closing.callback(self._log.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._closing.__exit__(*details)  # type: ignore[arg-type]  # what an exit is given

    @property
    def rng(self) -> np.random.Generator:
        """A generator seeded with the trial's seed."""
        return self._trial.rng

    @property
    def env(self) -> Any:
        """The scenario's environment, vectorised if its options say so; made when first asked."""
        if self._env is None:
            self._env = self.make_env()
        return self._env

    def make_env(self) -> Any:
        """Make one more environment; it is closed after the training.

        Raises:
            InfraError: it cannot be made.
        """
        return self.closing(self._make())

    def closing(self, env: Any) -> Any:
        """Have an environment closed after the training; return it."""
        from pytest_a2perf.domains.gym.environment import closing_env

        self._closing.enter_context(closing_env(env))
        return env

    def log(self, step: float, **values: float) -> None:
        """Add points to learning curves.

        ``return`` feeds the metrics of reliability in training; as it is a word of Python's, write
        ``log(step, **{"return": value})``, or ``returns=value``, which means the same.

        Args:
            step: of the environment, so that algorithms compare.
            **values: by the curve's name.
        """
        if "returns" in values:
            values["return"] = values.pop("returns")
        for name, value in values.items():
            self._trial.curve(name, step, value)
            self._log.add(name, step, value)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        self._trial.progress(f"step {step:,.0f}: {shown}")

    def checkpoint(self, step: float, path: Path | str) -> None:
        """Say that a model was saved; it counts with the return that was logged last.

        Args:
            step: of the training.
            path: of the file, in the folder.

        Raises:
            AgentError: there is no such file in the folder.
        """
        curve = self._trial.record.curves.get("return")
        value = curve.value[-1] if curve is not None and curve.value else None
        self.checkpoints.append(Checkpoint(float(step), self.inside(path), value))

    def inside(self, path: Path | str) -> str:
        """Return a path relative to the folder.

        Raises:
            AgentError: there is no such file in the folder.
        """
        whole = (self.folder / path).resolve()
        if not whole.exists() or not whole.is_relative_to(self.folder.resolve()):
            raise AgentError(f"the training named {path}, but there is no such file in its folder")
        return str(whole.relative_to(self.folder.resolve()))

    def sb3_logger(self) -> sb3.Logger:
        """Return a logger for Stable-Baselines3's ``model.set_logger``.

        What the model records becomes curves; ``rollout/ep_rew_mean`` is ``return``.
        """
        from pytest_a2perf.training.sb3 import make_logger

        return make_logger(self)
