"""The compiled steps of the force-directed placement, see `..force_directed`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.kernels import compiled
from pytest_a2perf.domains.circuit.kernels.state import Floats, Ints

__all__ = ["run_steps"]

_GOLDEN_ANGLE = 2.399963229728653  # spreads directions evenly, however many there are


@compiled
def run_steps(
    x: Floats,
    y: Floats,
    width: Floats,
    height: Floats,
    movable: NDArray[np.bool_],
    one: Ints,
    other: Ints,
    offset_x: Floats,
    offset_y: Floats,
    springs: Floats,
    canvas: tuple[float, float],
    attract: float,
    repel: float,
    reach: float,
    steps: int,
) -> None:
    """Move bodies by the forces on them, some steps long.

    Args:
        x: centres of the bodies, changed in place; micrometres.
        y: likewise.
        width: of the bodies; ports have none.
        height: likewise.
        movable: which of them may move.
        one: body at one end of each spring.
        other: body at its other end.
        offset_x: of the springs' ends to each other, beside that of the bodies' centres.
        offset_y: likewise.
        springs: weight of each.
        canvas: width and height.
        attract: a spring's force per weight and micrometre.
        repel: force between two bodies that overlap.
        reach: the longest move of a step, micrometres.
        steps: how many.
    """
    count = len(x)
    force_x, force_y = np.zeros(count), np.zeros(count)
    for _ in range(steps):
        force_x[:] = 0.0
        force_y[:] = 0.0
        if attract > 0.0:
            for at in range(len(one)):
                a, b, pull = one[at], other[at], attract * springs[at]
                dx = pull * (x[b] - x[a] + offset_x[at])
                dy = pull * (y[b] - y[a] + offset_y[at])
                force_x[a] += dx
                force_y[a] += dy
                force_x[b] -= dx
                force_y[b] -= dy
        if repel > 0.0:
            _repel(x, y, width, height, movable, repel, force_x, force_y)
        _step(x, y, width, height, movable, canvas, reach, force_x, force_y)


@compiled
def _repel(
    x: Floats,
    y: Floats,
    width: Floats,
    height: Floats,
    movable: NDArray[np.bool_],
    repel: float,
    force_x: Floats,
    force_y: Floats,
) -> None:
    """Push overlapping bodies apart, along the line between their centres."""
    left = x - width / 2
    order = np.argsort(left)
    count = len(order)
    for at in range(count):
        a = order[at]
        if width[a] <= 0.0:
            continue
        end = left[a] + width[a]
        for later in range(at + 1, count):
            b = order[later]
            if left[b] >= end:
                break
            if width[b] <= 0.0 or not (movable[a] or movable[b]):
                continue
            dx, dy = x[a] - x[b], y[a] - y[b]
            if 2 * abs(dy) >= height[a] + height[b]:
                continue
            distance = np.sqrt(dx * dx + dy * dy)
            if distance > 1e-9:
                dx, dy = dx / distance, dy / distance
            else:
                angle = _GOLDEN_ANGLE * (a * count + b)
                dx, dy = np.cos(angle), np.sin(angle)
            force_x[a] += repel * dx
            force_y[a] += repel * dy
            force_x[b] -= repel * dx
            force_y[b] -= repel * dy


@compiled
def _step(
    x: Floats,
    y: Floats,
    width: Floats,
    height: Floats,
    movable: NDArray[np.bool_],
    canvas: tuple[float, float],
    reach: float,
    force_x: Floats,
    force_y: Floats,
) -> None:
    """Move along the forces, at most so far; not at all where it would leave the canvas."""
    for body in range(len(x)):
        if not movable[body]:
            continue
        force = np.sqrt(force_x[body] ** 2 + force_y[body] ** 2)
        scale = 1.0 if force <= reach else reach / force
        to_x, to_y = x[body] + scale * force_x[body], y[body] + scale * force_y[body]
        half_width, half_height = width[body] / 2, height[body] / 2
        if half_width <= to_x <= canvas[0] - half_width:
            x[body] = to_x
        if half_height <= to_y <= canvas[1] - half_height:
            y[body] = to_y
