"""Make and close the environments of a scenario, with errors that say what to do."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.agents.imports import importable
from pytest_a2perf.errors import A2PerfError, InfraError
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_a2perf.domains.gym.options import GymOptions

__all__ = ["closing_env", "make_env", "watched"]


def make_env(task: str, options: GymOptions, root: Path) -> Any:
    """Make an environment, single or vectorised.

    Args:
        task: a Gymnasium id, or ``module:id``.
        options: how to make it.
        root: folder from which the user's modules are imported.

    Raises:
        InfraError: it is unknown, a package is missing, or its code raised.
    """
    import gymnasium
    from gymnasium import error

    from pytest_a2perf import envs
    from pytest_a2perf.domains.gym.blame import plain

    envs.register()
    importable(root)
    _import_modules(options.modules)
    try:
        return _make(task, options)
    except error.NameNotFound as problem:
        near = did_you_mean(task.rpartition(":")[2], gymnasium.registry)
        raise InfraError(f"unknown environment {task!r}{near}") from problem
    except error.DependencyNotInstalled as problem:
        extra = (
            ", or pip install 'pytest-a2perf[mujoco]'" if "mujoco" in str(problem).lower() else ""
        )
        raise InfraError(f"environment {task!r} needs a package: {problem}{extra}") from problem
    except (error.Error, ModuleNotFoundError, Warning) as problem:  # strict filters raise warnings
        raise InfraError(f"environment {task!r}: {plain(problem)}") from problem
    except A2PerfError as problem:  # one of ours, which says enough
        raise InfraError(f"environment {task!r}: {problem}") from None
    except Exception as problem:
        raise InfraError(
            f"environment {task!r} could not be made: {type(problem).__name__}: {problem}"
        ) from problem


def _make(task: str, options: GymOptions) -> Any:
    import gymnasium

    settings = dict(options.env)
    if options.max_steps is not None:
        settings["max_episode_steps"] = options.max_steps
    if options.num_envs == 1:
        return gymnasium.make(task, **settings)
    own = options.vectorization == "vector_entry_point"
    return gymnasium.make_vec(
        task,
        num_envs=options.num_envs,
        vectorization_mode=options.vectorization,
        # We reset the sub-environments, each with the seed of its next episode.
        vector_kwargs=None if own else {"autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED},
        **settings,
    )


def _import_modules(modules: tuple[str, ...]) -> None:
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as problem:
            raise InfraError(
                f"options.modules: importing {module!r} raised {type(problem).__name__}: {problem}"
            ) from problem


def watched(env: Any, tell: Callable[[dict[str, Any], bool], None] | None) -> Any:
    """Wrap a single environment; vectorised ones are not watched.

    Args:
        env: the environment.
        tell: gets each step's info, and whether the episode is over; None: nobody is told.
    """
    if tell is None or hasattr(env, "num_envs"):
        return env
    import gymnasium

    listener = tell

    class Watched(gymnasium.Wrapper[Any, Any, Any, Any]):
        def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
            result = self.env.step(action)
            listener(result[4], result[2] or result[3])
            return result

    return Watched(env)


@contextlib.contextmanager
def closing_env(env: Any) -> Iterator[None]:
    """Close an environment in any case; processes that are in the middle of a step are ended."""
    try:
        yield
    except BaseException:
        # The reason is on its way already; trouble with closing would only hide it.
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env.close(**({"terminate": True} if hasattr(env, "processes") else {}))
        raise
    env.close()
