"""The domain ``quadruped``: the domain ``gym``, with how well the robot follows its clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_a2perf.domains.gym.domain import GymDomain

if TYPE_CHECKING:
    from pytest_a2perf.trials.trial import Trial

__all__ = ["QuadrupedDomain"]


class QuadrupedDomain(GymDomain):
    """Legged locomotion; reports the mean of each term of the reward over all steps.

    They are ``reported.pose``, ``reported.velocity``, ``reported.end_effector``,
    ``reported.root_pose`` and ``reported.root_velocity``, each from 0 to 1. An episode is solved
    if the robot did not fall.
    """

    name = "quadruped"

    def prepare(self) -> None:
        """Import and compile what trials need."""
        super().prepare()
        from pytest_a2perf.domains.quadruped.environment import QuadrupedEnv

        QuadrupedEnv()

    def watch(self, trial: Trial) -> Callable[[dict[str, Any], bool], None]:
        """Report the terms of the reward at the end of each episode."""
        from pytest_a2perf.domains.quadruped.reward import WEIGHTS

        total = np.zeros(len(WEIGHTS))
        steps = 0

        def tell(info: dict[str, Any], over: bool) -> None:
            nonlocal steps
            total[:] += [info[term] for term in WEIGHTS]
            steps += 1
            if over:
                for term, mean in zip(WEIGHTS, (total / steps).tolist(), strict=True):
                    trial.report(term, mean)

        return tell
