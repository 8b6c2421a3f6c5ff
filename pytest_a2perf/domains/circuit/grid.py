"""The search for a placement grid, as in Circuit Training's ``grid_size_selection``.

A grid is good if the macros, placed on it one by one at the first place that is free, leave many
cells empty, and if a row (column) of all macros side by side wastes little of its cells.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from pytest_a2perf.domains.circuit.canvas import Canvas
from pytest_a2perf.domains.circuit.costs import Floats, overlaps
from pytest_a2perf.domains.circuit.errors import CircuitError
from pytest_a2perf.domains.circuit.mask import Obstacles
from pytest_a2perf.domains.circuit.netlist import Netlist

__all__ = ["GridSearch", "choose_grid", "place_in_order", "waste"]

_EMPTY = 1e-5  # density below which a cell counts as empty


@dataclass(frozen=True, slots=True)
class GridSearch:
    """Limits of the search.

    Attributes:
        least: columns, and rows.
        most: likewise; one more than there may be, as in Circuit Training.
        least_cells: of the whole grid.
        most_cells: likewise.
        aspect: of a cell, the longer side over the shorter.
        tolerance: share of the best score that a smaller grid may miss.
    """

    least: int = 10
    most: int = 128
    least_cells: int = 500
    most_cells: int = 4096
    aspect: float = 1.5
    tolerance: float = 0.05


def choose_grid(netlist: Netlist, canvas: Canvas, search: GridSearch | None = None) -> Canvas:
    """Return the canvas with the grid that suits its hard macros best.

    Raises:
        CircuitError: there are no hard macros, or they fit on no grid within the limits.
    """
    limits = search or GridSearch()
    hard = netlist.hard
    if not len(hard):
        raise CircuitError("the netlist has no hard macro, so no grid suits it best")
    order = hard[np.argsort(-(netlist.width * netlist.height)[hard], kind="stable")]
    width, height = netlist.width[order], netlist.height[order]
    across: dict[int, float] = {}
    upward: dict[int, float] = {}
    scores = {}
    for columns, rows in _grids(canvas, limits):
        grid = replace(canvas, columns=columns, rows=rows)
        centres = place_in_order(grid, width, height)
        if centres is None:
            continue
        if columns not in across:
            across[columns] = waste(netlist.width[hard], grid.cell_width)
        if rows not in upward:
            upward[rows] = waste(netlist.height[hard], grid.cell_height)
        covered = overlaps(centres[1], height, grid.cell_height, rows).T @ overlaps(
            centres[0], width, grid.cell_width, columns
        )
        empty = float(np.mean(covered < _EMPTY * grid.cell_width * grid.cell_height))
        scores[columns, rows] = empty + 2 - across[columns] - upward[rows]
    if not scores:
        raise CircuitError(
            f"{len(hard)} hard macros fit on no grid on a canvas of {canvas.width:g} by "
            f"{canvas.height:g} um; is the canvas too small?"
        )
    good = max(scores.values()) * (1 - limits.tolerance)
    columns, rows = max(
        (grid for grid, score in scores.items() if score >= good),
        key=lambda grid: scores[grid] / (grid[0] * grid[1]),
    )
    return replace(canvas, columns=columns, rows=rows)


def _grids(canvas: Canvas, limits: GridSearch) -> Iterable[tuple[int, int]]:
    for rows in range(limits.least, limits.most):
        for columns in range(limits.least, limits.most):
            shape = (canvas.width / columns) / (canvas.height / rows)
            if (
                limits.least_cells <= columns * rows <= limits.most_cells
                and max(shape, 1 / shape) <= limits.aspect
            ):
                yield columns, rows


def place_in_order(canvas: Canvas, width: Floats, height: Floats) -> tuple[Floats, Floats] | None:
    """Place macros one by one on the first cell that is free.

    Returns:
        Coordinates of their centres, or None if one has no place.
    """
    obstacles = Obstacles(canvas, len(width))
    x, y = np.zeros(len(width)), np.zeros(len(width))
    for number, size in enumerate(zip(width.tolist(), height.tolist(), strict=True)):
        free = obstacles.mask(*size).ravel()
        cell = int(np.argmax(free))
        if not free[cell]:
            return None
        x[number], y[number] = canvas.centre(cell)
        obstacles.add(x[number], y[number], *size)
    return x, y


def waste(sizes: Floats, cell: float) -> float:
    """Return the share of a row of cells that macros side by side leave unused.

    Each macro is centred on a cell, so it spans an odd number of them; the last cell of one and
    the first of the next are the same if both fit into it.
    """
    spanned, before = 1, 0.0
    for size in sizes.tolist():
        span = 1
        while span * cell < size:
            span += 2
        piece = cell - (span * cell - size) / 2  # what the macro takes of its outermost cells
        spanned += span - (piece + before <= cell)
        before = piece
    length = spanned * cell
    return float((length - np.sum(sizes)) / length)
