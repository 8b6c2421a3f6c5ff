"""Where a macro may be placed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.canvas import Canvas
from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["Obstacles", "placement_mask"]

_SIGNS = np.array([1.0, 1.0, -1.0, -1.0])
_EDGE = 1e-8  # micrometres: what rounding may push a macro over the canvas's edge


class Obstacles:
    """Hard macros and blockages that the next macro must not overlap.

    A mask is a summed-area table: each obstacle forbids a rectangle of cells, which is four corners
    of a table of differences, and two cumulative sums make that the count of obstacles at each
    cell. The time hardly depends on the number of obstacles, and the result is exact.

    Args:
        canvas: with blockages, spacing and overlap threshold.
        capacity: of how many macros there may be.
    """

    def __init__(self, canvas: Canvas, capacity: int) -> None:
        self._canvas = canvas
        columns, rows = canvas.columns, canvas.rows
        self._scale = np.array([[canvas.cell_width]] * 2 + [[canvas.cell_height]] * 2)
        self._most = np.array([[columns], [columns], [rows], [rows]])
        # Left, right, bottom and top of each obstacle, in cells.
        self._edges = np.zeros((4, len(canvas.blockages) + capacity))
        self._count = 0
        for area in canvas.blockages:
            self._add(area.left, area.right, area.bottom, area.top, 0.0)
        self._blockages = self._count

    def add(self, x: float, y: float, width: float, height: float) -> None:
        """Add a macro by its centre and size."""
        self._add(
            x - width / 2, x + width / 2, y - height / 2, y + height / 2, self._canvas.spacing
        )

    def add_placed(self, placement: Placement) -> None:
        """Add the hard macros that are placed."""
        hard = placement.netlist.hard
        width, height = placement.sizes()
        for node in hard[placement.placed[hard]].tolist():
            x, y = float(placement.x[node]), float(placement.y[node])
            self.add(x, y, float(width[node]), float(height[node]))

    def clear(self) -> None:
        """Remove all macros; blockages stay."""
        self._count = self._blockages

    def _add(self, left: float, right: float, bottom: float, top: float, spacing: float) -> None:
        room = spacing - self._canvas.overlap_threshold - _EDGE
        self._edges[:, self._count] = (left - room, right + room, bottom - room, top + room)
        self._edges[:, self._count] /= self._scale[:, 0]
        self._count += 1

    def mask(self, width: float, height: float) -> NDArray[np.bool_]:
        """Return whether a macro of this size may be centred on a cell, shape (rows, columns)."""
        canvas = self._canvas
        columns, rows = canvas.columns, canvas.rows
        across = _fitting(width, canvas.width, canvas.cell_width, columns)
        upward = _fitting(height, canvas.height, canvas.cell_height, rows)
        legal = np.zeros((rows, columns), dtype=bool)
        # Centres of cells lie halves of a cell beside whole numbers; so round to the next of them.
        reach = np.array([[-width], [width], [-height], [height]]) / (2 * self._scale) + 0.5
        corners = np.floor(self._edges[:, : self._count] + reach).astype(np.int64)
        np.minimum(np.maximum(corners, 0, out=corners), self._most, out=corners)
        left, right, bottom, top = corners
        bottom, top = bottom * (columns + 1), top * (columns + 1)
        table = np.bincount(
            np.concatenate([bottom + left, top + right, bottom + right, top + left]),
            np.repeat(_SIGNS, self._count),
            (rows + 1) * (columns + 1),
        )
        hits = table.reshape(rows + 1, columns + 1).cumsum(0).cumsum(1)
        inside = slice(*upward), slice(*across)
        legal[inside] = hits[inside] < 0.5
        return legal


def _fitting(size: float, canvas: float, cell: float, count: int) -> tuple[int, int]:
    """Return the range of cells on which something of this size stays inside the canvas."""
    first = int(np.ceil((size / 2 - _EDGE) / cell - 0.5))
    end = int(np.floor((canvas - size / 2 + _EDGE) / cell - 0.5)) + 1
    return max(first, 0), min(end, count)


def placement_mask(placement: Placement, node: int) -> NDArray[np.bool_]:
    """Return where a block may be centred, shape (rows, columns).

    It must lie inside the canvas, keep its spacing to the hard macros that are placed, overlap none
    by more than the threshold, and no blockage. If it is placed itself, that counts as well, as in
    Circuit Training: unplace it first.
    """
    obstacles = Obstacles(placement.canvas, len(placement.netlist.hard))
    obstacles.add_placed(placement)
    width, height = placement.sizes()
    return obstacles.mask(float(width[node]), float(height[node]))
