"""Stable-Baselines3: its logger, and ``agent = "sb3:PPO"``, which trains without any code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.logger import Logger

    from pytest_a2perf.training.training import Training

__all__ = ["ALGORITHMS", "make_logger", "train_sb3"]

ALGORITHMS = ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")
RETURN = "rollout/ep_rew_mean"


def make_logger(training: Training) -> Logger:
    """Return a logger whose numbers become curves of the training.

    Raises:
        AgentError: Stable-Baselines3 is missing.
    """
    _require()
    from stable_baselines3.common.logger import KVWriter, Logger

    class Curves(KVWriter):  # type: ignore[misc]  # it is untyped
        def write(
            self,
            key_values: dict[str, Any],
            key_excluded: dict[str, tuple[str, ...]],
            step: int = 0,
        ) -> None:
            del key_excluded
            numbers = {
                "return" if name == RETURN else name: float(value)
                for name, value in key_values.items()
                if isinstance(value, int | float) or getattr(value, "ndim", None) == 0
            }
            training.log(step, **numbers)

        def close(self) -> None:
            """Nothing is open."""

    return Logger(folder=None, output_formats=[Curves()])


def train_sb3(
    training: Training,
    algorithm: str | type[BaseAlgorithm],
    *,
    total_timesteps: int,
    policy: str = "MlpPolicy",
    checkpoints: int = 0,
    log_interval: int | None = None,
    log_steps: int | None = None,
    threads: int | None = None,
    **settings: Any,
) -> Path:
    """Train with Stable-Baselines3 in the scenario's environment.

    Args:
        training: where and with which seed.
        algorithm: one of `ALGORITHMS`, or a class that derives from one of theirs.
        total_timesteps: steps of the environment.
        policy: of the algorithm.
        checkpoints: how many models to save on the way.
        log_interval: updates (PPO, A2C) or episodes (the others) between two points of the
            curves; default: the algorithm's.
        log_steps: steps of the environment between two points, instead; all seeds then have their
            points at the same steps, also where those of episodes differ.
        threads: of PyTorch; default: its own choice.
        **settings: of the algorithm's constructor, e.g. ``learning_rate``.

    Returns:
        The saved model.

    Raises:
        AgentError: the algorithm or one of its settings is unknown, or the package is missing.
    """
    if isinstance(algorithm, str) and algorithm not in ALGORITHMS:
        raise AgentError(
            f"agent 'sb3:{algorithm}': unknown algorithm{did_you_mean(algorithm, ALGORITHMS)}"
        )
    _require()
    import stable_baselines3
    import torch
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.utils import safe_mean

    if threads is not None:
        torch.set_num_threads(threads)

    class Observer(BaseCallback):  # type: ignore[misc]  # it is untyped
        """Logs and saves models at even distances."""

        logs = saves = 0

        def _on_step(self) -> bool:
            step = self.num_timesteps
            if log_steps and step >= (self.logs + 1) * log_steps:
                self.logs += 1
                if self.model.ep_info_buffer:
                    returns = [episode["r"] for episode in self.model.ep_info_buffer]
                    self.logger.record(RETURN, safe_mean(returns))
                self.logger.dump(step)
            if step * checkpoints >= (self.saves + 1) * total_timesteps:
                self.saves += 1
                path = training.folder / "checkpoints" / f"{step}.zip"
                self.model.save(path)
                training.checkpoint(step, path)
            return True

    kind = getattr(stable_baselines3, algorithm) if isinstance(algorithm, str) else algorithm
    try:
        model = kind(policy, _environment(training), seed=training.seed, **settings)
    except TypeError as error:
        raise AgentError(f"{kind.__name__}: agent_options: {error}") from error
    model.set_logger(training.sb3_logger())
    own = log_interval is None and log_steps is None
    every = {} if own else {"log_interval": None if log_steps else log_interval}
    model.learn(total_timesteps, callback=Observer(), **every)
    path = training.folder / "model.zip"
    model.save(path)
    return path


def _environment(training: Training) -> Any:
    """Return the environment as Stable-Baselines3 wants it, its own kind of vector included."""
    if training.num_envs == 1:
        return training.env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor

    kind = SubprocVecEnv if training.parallel else DummyVecEnv
    return VecMonitor(training.closing(kind([training.single] * training.num_envs)))


def _require() -> None:
    try:
        import stable_baselines3  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        raise AgentError(
            "training with Stable-Baselines3 needs it: pip install 'pytest-a2perf[train]'"
        ) from None
