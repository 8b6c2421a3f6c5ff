"""Coordinate descent: each macro in turn takes the place and orientation with the lowest cost.

After Circuit Training's ``coordinate_descent_placer``: a macro looks at the cells within a distance
of ``reach`` (rows plus columns), and at the orientations that need no turn by 90°.
"""

from __future__ import annotations

import numpy as np

from pytest_a2perf.domains.circuit.costs import proxy_costs
from pytest_a2perf.domains.circuit.force_directed import place_clusters
from pytest_a2perf.domains.circuit.incremental import Evaluator
from pytest_a2perf.domains.circuit.mask import placement_mask
from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["coordinate_descent"]

_ENOUGH = 1e-3  # an epoch that gains less is the last


def coordinate_descent(
    placement: Placement,
    *,
    epochs: int = 2,
    reach: int = 5,
    only_orientations: bool = False,
    clusters_every: int | None = 32,
    seed: int = 0,
) -> float:
    """Improve a placement; the result is never worse.

    Args:
        placement: is changed; all macros must be placed.
        epochs: times that every macro has its turn, at most.
        reach: how far a macro may go at a time, in cells.
        only_orientations: turn macros, but leave them where they are.
        clusters_every: place the clusters anew after so many macros, and keep that if it is better;
            None: never. Without effect if only orientations change.
        seed: of the order of the macros.

    Returns:
        The proxy cost.

    Raises:
        InfraError: numba is missing.
    """
    rng = np.random.default_rng(seed)
    hard = placement.netlist.hard
    macros = hard[~placement.fixed[hard]]
    evaluator = Evaluator(placement)
    cost = evaluator.costs().proxy
    for _ in range(epochs):
        before = cost
        for number, macro in enumerate(rng.permutation(macros).tolist(), 1):
            _improve(evaluator, macro, 0 if only_orientations else reach)
            if clusters_every and not only_orientations and number % clusters_every == 0:
                evaluator = _improve_clusters(evaluator)
        cost = evaluator.costs().proxy
        if before - cost < _ENOUGH * before:
            break
    return cost


def _improve(evaluator: Evaluator, macro: int, reach: int) -> None:
    placement = evaluator.placement
    canvas = placement.canvas
    x, y = [float(placement.x[macro])], [float(placement.y[macro])]
    if reach:
        placement.placed[macro] = False
        rows, columns = np.nonzero(placement_mask(placement, macro))
        placement.placed[macro] = True
        column = int(x[0] / canvas.cell_width)
        row = int(y[0] / canvas.cell_height)
        near = np.abs(rows - row) + np.abs(columns - column) <= reach
        x += ((columns[near] + 0.5) * canvas.cell_width).tolist()
        y += ((rows[near] + 0.5) * canvas.cell_height).tolist()
    now = int(placement.orientations[macro])
    turns = np.arange(4) + (now // 4) * 4
    # Where it is and as it lies comes first, so that of equal costs it wins.
    turns = np.concatenate([[now], turns[turns != now]])
    places = np.repeat(np.arange(len(x)), 4)
    orientations = np.tile(turns, len(x))
    proxies = evaluator.proxies_at(macro, np.array(x)[places], np.array(y)[places], orientations)
    best = int(np.argmin(proxies))
    at = places[best]
    evaluator.move(macro, x[at], y[at], int(orientations[best]))


def _improve_clusters(evaluator: Evaluator) -> Evaluator:
    placement = evaluator.placement
    other = placement.copy()
    place_clusters(other, from_centre=False)
    if proxy_costs(other).proxy >= proxy_costs(placement).proxy:
        return evaluator
    placement.x[:], placement.y[:] = other.x, other.y
    return Evaluator(placement)
