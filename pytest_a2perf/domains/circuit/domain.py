"""The domain ``circuit``: the domain ``gym``, with costs and without cold kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_a2perf.domains.gym.domain import GymDomain

if TYPE_CHECKING:
    from pytest_a2perf.trials.trial import Trial

__all__ = ["CircuitDomain"]

_COSTS = ("wirelength", "density", "congestion")


class CircuitDomain(GymDomain):
    """Chip floorplanning; reports the costs of complete placements, averaged over episodes.

    They are ``reported.wirelength``, ``reported.density``, ``reported.congestion`` and their
    weighted sum ``reported.proxy_cost``. An episode is solved if all macros were placed.
    """

    name = "circuit"

    def prepare(self) -> None:
        """Import and compile what trials need, on a circuit so small that it costs nothing."""
        super().prepare()
        from pytest_a2perf.domains.circuit.annealing import anneal
        from pytest_a2perf.domains.circuit.environment import CircuitEnv

        env = CircuitEnv("toy")
        anneal(env.placement, env.order, rounds=1, steps=1)

    def watch(self, trial: Trial) -> Callable[[dict[str, Any], bool], None]:
        """Report the costs of the episodes whose macros were all placed."""
        from pytest_a2perf.domains.circuit.incremental import WEIGHTS

        found: list[list[float]] = []

        def tell(info: dict[str, Any], over: bool) -> None:
            if not (over and info.get("is_success")):
                return
            found.append([info[cost] for cost in _COSTS])
            means = np.mean(found, axis=0)
            for cost, mean in zip(_COSTS, means.tolist(), strict=True):
                trial.report(cost, mean)
            trial.report("proxy_cost", float(WEIGHTS @ means))

        return tell
