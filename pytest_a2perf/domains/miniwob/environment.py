"""A task of MiniWoB++, made fit for a benchmark."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium

from pytest_a2perf.domains.web.browser import find_chromedriver, find_chromium, reaped
from pytest_a2perf.errors import InfraError

__all__ = ["MiniWoB", "make_miniwob"]


class MiniWoB(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A task with the raw reward, which does not fall with the time that a machine takes.

    The last info says ``is_success``: the reward is above 0. An episode that the page ends because
    its time is up is truncated, with the reward -1.

    Args:
        env: of MiniWoB++.
        time_limit: seconds that the page gives an episode; default: the page's own, 10 in most.
        screenshots: whether observations show the page; else they are black, and steps faster.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], time_limit: float | None, screenshots: bool
    ) -> None:
        super().__init__(env)
        base: Any = env.unwrapped
        base.set_record_screenshots(screenshots)
        page = base.instance.driver
        if time_limit is not None:
            page.execute_script(f"core.EPISODE_MAX_TIME = {round(time_limit * 1000)};")
        self._limit: float = page.execute_script("return core.EPISODE_MAX_TIME;") / 1000

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; without a seed, one drawn from the generator of the environment."""
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        else:
            self.np_random = gymnasium.utils.seeding.np_random(seed)[0]
        return self.env.reset(seed=int(seed), options=options)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Act on the page."""
        observation, given, done, _, info = self.env.step(action)
        if not done:
            return observation, 0.0, False, False, info
        reward = float(given)
        # The page's clock ends an episode without saying so; it sets no other reward than -1.
        late = reward == -1.0 and info["elapsed"] >= self._limit
        return observation, reward, not late, late, info | {"is_success": reward > 0}


def make_miniwob(
    task: str, time_limit: float | None = None, screenshots: bool = False, **settings: Any
) -> MiniWoB:
    """Make a task, in headless Chromium.

    Args:
        task: id of MiniWoB++, e.g. ``miniwob/click-test-2-v1``.
        time_limit: see `MiniWoB`.
        screenshots: see `MiniWoB`.
        settings: further arguments of ``MiniWoBEnvironment``.

    Raises:
        InfraError: Chromium or ChromeDriver is not here, or does not start.
    """
    from miniwob.reward import get_raw_reward
    from selenium.common.exceptions import WebDriverException

    settings.setdefault("reward_processor", get_raw_reward)
    with _reaped_driver():
        try:
            env = gymnasium.make(task, disable_env_checker=True, **settings)
        except WebDriverException as error:
            raise InfraError(f"{task}: the browser does not start: {error.msg}") from error
    return MiniWoB(env, time_limit, screenshots)


@contextlib.contextmanager
def _reaped_driver() -> Iterator[None]:
    """Have MiniWoB++ start its driver such that everything ends with this process.

    It takes the driver's path from the environment, and a path has no arguments; hence a script.
    """
    chromium, driver = find_chromium(), find_chromedriver()
    with tempfile.TemporaryDirectory(prefix="a2perf-driver-") as folder:
        script = Path(folder, "chromedriver")
        script.write_text(f'#!/bin/sh\nexec {shlex.join(reaped(driver))} "$@"\n', encoding="utf-8")
        script.chmod(0o700)
        settings = {
            "MINIWOB_CHROME_BINARY": chromium,
            "MINIWOB_CHROMEDRIVER": str(script),
            "SE_OFFLINE": "true",  # Selenium looks for nothing on the network
            "SE_AVOID_STATS": "true",
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
