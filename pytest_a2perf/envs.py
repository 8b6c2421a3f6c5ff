"""Registers our environments with Gymnasium: ``import pytest_a2perf.envs``.

Scenarios need no import: the domains register them.
"""

from __future__ import annotations

from typing import Any

import gymnasium

__all__ = ["register"]

_CIRCUIT = "pytest_a2perf.domains.circuit.environment:CircuitEnv"
_ENVS: dict[str, tuple[str, dict[str, Any]]] = {
    "a2perf/CircuitTraining-Ariane-v0": (_CIRCUIT, {"netlist": "ariane"}),
    "a2perf/CircuitTraining-ToyMacro-v0": (_CIRCUIT, {"netlist": "toy"}),
    "a2perf/CircuitTraining-v0": (_CIRCUIT, {}),
}


def register() -> None:
    """Register what is not registered yet."""
    for name, (entry_point, settings) in _ENVS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=entry_point, kwargs=settings)


register()
