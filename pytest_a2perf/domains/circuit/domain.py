"""The domain ``circuit``: the domain ``gym``, with costs and without cold kernels."""

from __future__ import annotations

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

    def watch(self, env: Any, trial: Trial) -> Any:
        """Wrap a single environment, so that its episodes' costs are reported."""
        if hasattr(env, "num_envs"):
            return env
        import gymnasium

        from pytest_a2perf.domains.circuit.costs import (
            CONGESTION_WEIGHT,
            DENSITY_WEIGHT,
            WIRELENGTH_WEIGHT,
        )

        weights = np.array([WIRELENGTH_WEIGHT, DENSITY_WEIGHT, CONGESTION_WEIGHT])
        found: list[list[float]] = []

        class Watched(gymnasium.Wrapper[Any, Any, Any, Any]):
            def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
                result = self.env.step(action)
                info = result[4]
                if info.get("is_success"):
                    found.append([info[cost] for cost in _COSTS])
                    means = np.mean(found, axis=0)
                    for cost, mean in zip(_COSTS, means.tolist(), strict=True):
                        trial.report(cost, mean)
                    trial.report("proxy_cost", float(weights @ means))
                return result

        return Watched(env)
