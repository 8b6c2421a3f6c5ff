"""Registers our environments with Gymnasium: ``import pytest_a2perf.envs``.

Scenarios need no import: the domains register them.
"""

from __future__ import annotations

from typing import Any

import gymnasium

__all__ = ["register"]

_CIRCUIT = "pytest_a2perf.domains.circuit.environment:CircuitEnv"
_QUADRUPED = "pytest_a2perf.domains.quadruped.environment:QuadrupedEnv"
_WEB = "pytest_a2perf.domains.web.environment:WebNavigationEnv"
_ENVS: dict[str, tuple[str, dict[str, Any]]] = {
    "a2perf/CircuitTraining-Ariane-v0": (_CIRCUIT, {"netlist": "ariane"}),
    "a2perf/CircuitTraining-ToyMacro-v0": (_CIRCUIT, {"netlist": "toy"}),
    "a2perf/CircuitTraining-v0": (_CIRCUIT, {}),
    "a2perf/QuadrupedLocomotion-DogPace-v0": (_QUADRUPED, {"clip": "pace"}),
    "a2perf/QuadrupedLocomotion-DogTrot-v0": (_QUADRUPED, {"clip": "trot"}),
    "a2perf/QuadrupedLocomotion-DogSpin-v0": (_QUADRUPED, {"clip": "spin"}),
    "a2perf/QuadrupedLocomotion-v0": (_QUADRUPED, {}),
    "a2perf/WebNavigation-Difficulty-01-v0": (_WEB, {"difficulty": 1}),
    "a2perf/WebNavigation-Difficulty-02-v0": (_WEB, {"difficulty": 2}),
    "a2perf/WebNavigation-Difficulty-03-v0": (_WEB, {"difficulty": 3}),
    "a2perf/WebNavigation-v0": (_WEB, {}),
}
_VECTORS = {_QUADRUPED: "pytest_a2perf.domains.quadruped.vector:QuadrupedVectorEnv"}
"""Entry points of environments that have a vector mode of their own, and what makes it."""


def register() -> None:
    """Register what is not registered yet."""
    for name, (entry_point, settings) in _ENVS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point=entry_point,
                vector_entry_point=_VECTORS.get(entry_point),
                kwargs=settings,
            )


register()
