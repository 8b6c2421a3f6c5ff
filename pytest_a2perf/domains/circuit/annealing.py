"""Simulated annealing of hard macros (Kirkpatrick, Gelatt and Vecchi, Science 220, 1983).

The baseline that TILOS's MacroPlacement compares Circuit Training with. Macros move between cells
and swap places while the clusters stand still; between rounds the clusters are placed anew.
"""

from __future__ import annotations

import numpy as np

from pytest_a2perf.domains.circuit.costs import Floats, Ints, proxy_costs
from pytest_a2perf.domains.circuit.force_directed import place_clusters
from pytest_a2perf.domains.circuit.incremental import WEIGHTS, Evaluator
from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["anneal"]

_HOTTEST, _COLDEST = 3e-3, 1e-4  # in units of the proxy cost
_DRIFT = 2e-3  # of the proxy cost: what a round may lose at first


def anneal(
    placement: Placement, macros: list[int], *, rounds: int = 24, steps: int = 1500, seed: int = 0
) -> Placement:
    """Anneal a legal placement.

    Args:
        placement: where the macros are centred on cells and do not overlap; it is not changed.
        macros: those that may move.
        rounds: after each of them the clusters follow, and it is kept or undone.
        steps: of each round.
        seed: of what is drawn.

    Returns:
        The best of all placements, the first one included, with its clusters where the
        force-directed placement puts them.

    Raises:
        InfraError: numba is missing.
    """
    from pytest_a2perf.domains.circuit.kernels.annealing import anneal_macros

    canvas = placement.canvas
    movable = np.array(macros, dtype=np.int64)
    obstacles = _obstacles(placement, movable)
    rng = np.random.default_rng(seed)
    current = placement.copy()
    place_clusters(current)
    cost = proxy_costs(current).proxy
    best, lowest = current, cost
    for number in range(rounds):
        left = 1 - number / rounds
        trial = current.copy()
        evaluator = Evaluator(trial)
        x, y = anneal_macros(
            evaluator.fixed,
            evaluator.moving,
            movable,
            obstacles,
            (canvas.width, canvas.height),
            canvas.spacing - canvas.overlap_threshold,
            WEIGHTS,
            np.geomspace(_HOTTEST * left, _COLDEST * left, steps),
            int(rng.integers(2**32)),
        )
        trial.x[movable], trial.y[movable] = x, y
        place_clusters(trial)
        new = proxy_costs(trial).proxy
        if new <= cost or rng.random() < np.exp((cost - new) / (_DRIFT * left)):
            current, cost = trial, new
        if new < lowest:
            best, lowest = trial, new
    return best


def _obstacles(placement: Placement, movable: Ints) -> Floats:
    """Return left, bottom, right and top of blockages and other macros, spacing included."""
    canvas, netlist = placement.canvas, placement.netlist
    threshold = canvas.overlap_threshold
    width, height = placement.sizes()
    rows = [
        (
            area.left + threshold,
            area.bottom + threshold,
            area.right - threshold,
            area.top - threshold,
        )
        for area in canvas.blockages
    ]
    room = canvas.spacing - threshold
    for node in np.setdiff1d(netlist.hard, movable).tolist():
        dx, dy = width[node] / 2 + room, height[node] / 2 + room
        x, y = placement.x[node], placement.y[node]
        rows.append((x - dx, y - dy, x + dx, y + dy))
    return np.array(rows, dtype=float).reshape(-1, 4)
