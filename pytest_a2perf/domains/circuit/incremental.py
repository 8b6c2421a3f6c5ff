"""Costs of a placement that are kept up to date while blocks move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_a2perf.domains.circuit.costs import (
    CONGESTION_WEIGHT,
    DENSITY_WEIGHT,
    WIRELENGTH_WEIGHT,
    Costs,
    Floats,
    Ints,
)

if TYPE_CHECKING:
    from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["WEIGHTS", "Evaluator"]

WEIGHTS = np.array([WIRELENGTH_WEIGHT, DENSITY_WEIGHT, CONGESTION_WEIGHT])
"""Of the proxy cost."""


class Evaluator:
    """Keeps the costs of a placement up to date; needs numba.

    Move blocks through it only: it shares coordinates and orientations with the placement.

    Raises:
        InfraError: numba is missing.
    """

    def __init__(self, placement: Placement) -> None:
        from pytest_a2perf.domains.circuit.kernels import moves, state

        self.placement = placement
        self._kernels = moves
        self.fixed = state.fixed_of(placement)
        self.moving = state.moving_of(placement)
        moves.add_all(self.fixed, self.moving)

    def move(self, node: int, x: float, y: float, orientation: int | None = None) -> None:
        """Move a block's centre, and turn the block if ``orientation`` is given."""
        if orientation is None:
            orientation = int(self.moving.orientations[node])
        self._kernels.move(self.fixed, self.moving, node, x, y, orientation)

    def costs(self) -> Costs:
        """Return what `proxy_costs` would."""
        return Costs(*self._kernels.costs_of(self.fixed, self.moving))

    def proxies_at(
        self, node: int, x: Floats, y: Floats, orientations: Ints | None = None
    ) -> Floats:
        """Return the proxy cost with a block at each of several places; it stays where it is."""
        if orientations is None:
            orientations = np.full(len(x), self.moving.orientations[node], dtype=np.int64)
        return self._kernels.proxies_at(self.fixed, self.moving, node, x, y, orientations, WEIGHTS)
