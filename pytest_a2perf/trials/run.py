"""Run a trial of a scenario file: its domain, sync or async."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from pytest_a2perf.domains.registry import get_domain

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pytest_a2perf.trials.trial import Trial

__all__ = ["run_scenario"]


def run_scenario(trial: Trial) -> None:
    """Run the trial's domain."""
    result = get_domain(trial.scenario.domain).run(trial)
    if inspect.isawaitable(result):
        # A loop of its own: asyncio.run would take away the one that somebody else may have set.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(_wait(result))


async def _wait(result: Awaitable[None]) -> None:
    await result
