"""Several environments at once, on all cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv

__all__ = ["QuadrupedVectorEnv"]


class _Ahead(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Has its step done before it is asked for it."""

    done: tuple[Any, Any, bool, bool, dict[str, Any]] | None = None

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        if self.done is None:
            return self.env.step(action)
        done, self.done = self.done, None
        return done


class QuadrupedVectorEnv(SyncVectorEnv):
    """Gymnasium's ``SyncVectorEnv``, but its environments step in threads.

    MuJoCo lets go of Python's lock while it computes, and that is most of the time. What comes out
    is exactly what the environments give one by one.

    Args:
        num_envs: how many environments.
        threads: that step them; default: one for each core.
        max_episode_steps: truncate episodes here, if that is before their own limit.
        autoreset_mode: see Gymnasium.
        **settings: of `QuadrupedEnv`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        threads: int | None = None,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **settings: Any,
    ) -> None:
        def make() -> gymnasium.Env[Any, Any]:
            env: gymnasium.Env[Any, Any] = QuadrupedEnv(**settings)
            return _Ahead(TimeLimit(env, max_episode_steps) if max_episode_steps else env)

        super().__init__([make] * num_envs, autoreset_mode=autoreset_mode)
        self._threads = min(threads or _cores(), num_envs)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="quadruped")

    def step(self, actions: Any) -> Any:
        """Step all environments that do not begin a new episode."""
        waits = self._autoreset_envs
        busy = [
            (cast("_Ahead", env), action)
            for env, action, wait in zip(self.envs, actions, waits, strict=True)
            if not wait
        ]

        def work(share: list[tuple[_Ahead, Any]]) -> None:
            for env, action in share:
                env.done = env.env.step(action)

        shares = [busy[n :: self._threads] for n in range(self._threads)]
        for _ in self._pool.map(work, shares):
            pass
        return super().step(np.asarray(actions))

    def close_extras(self, **kwargs: Any) -> None:
        """Close the environments and end the threads."""
        super().close_extras(**kwargs)
        self._pool.shutdown()


def _cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
