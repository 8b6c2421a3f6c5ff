"""Run a trial of a scenario file: its target, its domain, sync or async."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest

from pytest_a2perf.domains.registry import get_domain
from pytest_a2perf.scheduling.targets import missing_target

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pytest_a2perf.trials.trial import Trial

__all__ = ["run_scenario"]


def run_scenario(trial: Trial) -> None:
    """Run the trial's domain; skip where the scenario's target is not at hand."""
    reason = missing_target(trial.scenario.target)
    if reason is not None:
        pytest.skip(reason)
    result = get_domain(trial.scenario.domain).run(trial)
    if inspect.isawaitable(result):
        asyncio.run(_wait(result))


async def _wait(result: Awaitable[None]) -> None:
    await result
