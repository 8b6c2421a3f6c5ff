"""The compiled loop of simulated annealing, see `..annealing`."""

from __future__ import annotations

import numpy as np

from pytest_a2perf.domains.circuit.kernels import compiled
from pytest_a2perf.domains.circuit.kernels.moves import move, proxy_of, size_of
from pytest_a2perf.domains.circuit.kernels.state import Fixed, Floats, Ints, Moving

__all__ = ["anneal_macros"]


@compiled
def anneal_macros(
    fixed: Fixed,
    moving: Moving,
    macros: Ints,
    obstacles: Floats,
    canvas: tuple[float, float],
    room: float,
    weights: Floats,
    temperatures: Floats,
    seed: int,
) -> tuple[Floats, Floats]:
    """Move macros between cells and swap them, by Metropolis's rule.

    Args:
        fixed: the circuit.
        moving: the placement; left as the last move left it.
        macros: those that may move; they must be centred on cells and not overlap.
        obstacles: left, bottom, right and top of what they must not overlap, shape (n, 4).
        canvas: width and height.
        room: micrometres between two macros.
        weights: of wirelength, density and congestion.
        temperatures: of each step.
        seed: of what is drawn.

    Returns:
        Coordinates of the macros when the cost was lowest.
    """
    np.random.seed(seed)
    count, steps = len(macros), len(temperatures)
    cost = proxy_of(fixed, moving, weights)
    best, best_x, best_y = cost, moving.x[macros], moving.y[macros]
    for step in range(steps):
        one = macros[np.random.randint(count)]
        x1, y1 = moving.x[one], moving.y[one]
        other, x2, y2 = -1, 0.0, 0.0
        if np.random.random() < 0.3:
            other = macros[np.random.randint(count)]
            if other == one:
                continue
            x2, y2 = moving.x[other], moving.y[other]
        else:
            # Far at first, then ever nearer.
            reach = 1.0 - 0.9 * step / steps
            x2 = _cell_near(x1, fixed.cell_width, fixed.columns, reach)
            y2 = _cell_near(y1, fixed.cell_height, fixed.rows, reach)
        moving.x[one], moving.y[one] = x2, y2
        if other >= 0:
            moving.x[other], moving.y[other] = x1, y1
        legal = _fits(fixed, moving, macros, obstacles, canvas, room, one) and (
            other < 0 or _fits(fixed, moving, macros, obstacles, canvas, room, other)
        )
        moving.x[one], moving.y[one] = x1, y1
        if other >= 0:
            moving.x[other], moving.y[other] = x2, y2
        if not legal:
            continue
        move(fixed, moving, one, x2, y2, moving.orientations[one])
        if other >= 0:
            move(fixed, moving, other, x1, y1, moving.orientations[other])
        new = proxy_of(fixed, moving, weights)
        if new <= cost or np.random.random() < np.exp((cost - new) / temperatures[step]):
            cost = new
            if cost < best:
                best, best_x, best_y = cost, moving.x[macros], moving.y[macros]
            continue
        move(fixed, moving, one, x1, y1, moving.orientations[one])
        if other >= 0:
            move(fixed, moving, other, x2, y2, moving.orientations[other])
    return best_x, best_y


@compiled
def _cell_near(centre: float, size: float, count: int, reach: float) -> float:
    now = int(centre / size)
    far = max(1, int(reach * count))
    cell = now - far + np.random.randint(2 * far + 1)
    return (min(max(cell, 0), count - 1) + 0.5) * size


@compiled
def _fits(
    fixed: Fixed,
    moving: Moving,
    macros: Ints,
    obstacles: Floats,
    canvas: tuple[float, float],
    room: float,
    node: int,
) -> bool:
    """Say whether a macro is inside the canvas and clear of everything else."""
    width, height = size_of(fixed, moving, node)
    x, y = moving.x[node], moving.y[node]
    left, right, low, high = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    if left < -1e-8 or low < -1e-8 or right > canvas[0] + 1e-8 or high > canvas[1] + 1e-8:
        return False
    for at in range(len(obstacles)):
        if (
            left < obstacles[at, 2]
            and obstacles[at, 0] < right
            and low < obstacles[at, 3]
            and obstacles[at, 1] < high
        ):
            return False
    for other in macros:
        if other == node:
            continue
        w, h = size_of(fixed, moving, other)
        if (
            2 * abs(moving.x[other] - x) < width + w + 2 * room
            and 2 * abs(moving.y[other] - y) < height + h + 2 * room
        ):
            return False
    return True
