"""The proxy costs of a placement: wirelength, density and congestion, computed afresh.

The definitions are those that TILOS's MacroPlacement project worked out together with Google's
engineers (Cheng et al., "Assessment of Reinforcement Learning for Macro Placement", ISPD 2023, and
the documentation of its Circuit Training replica). `pytest_a2perf.domains.circuit.incremental`
keeps them up to date while macros move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.canvas import Canvas
from pytest_a2perf.domains.circuit.placement import Placement

__all__ = [
    "CONGESTION_WEIGHT",
    "DENSITY_WEIGHT",
    "WIRELENGTH_WEIGHT",
    "Costs",
    "blocked_area",
    "congestion_maps",
    "density_map",
    "half_perimeters",
    "overlaps",
    "proxy_costs",
    "top_mean",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WIRELENGTH_WEIGHT, DENSITY_WEIGHT, CONGESTION_WEIGHT = 1.0, 1.0, 0.5
"""Weights of Circuit Training's public code; A2Perf's documentation states others, which its code
does not use."""

_DENSEST = 0.1
_MOST_CONGESTED = 0.05
_TOUCH = 1e-5  # micrometres by which a macro may miss a cell's border and still cover the cell


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of a placement.

    Attributes:
        total_wirelength: weighted sum of the nets' half perimeters, micrometres.
        wirelength: that, per weight and relative to the canvas's half perimeter.
        density: half the mean density of the densest tenth of the cells.
        congestion: mean congestion of the worst twentieth of both routing grids.
    """

    total_wirelength: float
    wirelength: float
    density: float
    congestion: float

    @property
    def proxy(self) -> float:
        """The weighted sum that agents minimise."""
        return (
            WIRELENGTH_WEIGHT * self.wirelength
            + DENSITY_WEIGHT * self.density
            + CONGESTION_WEIGHT * self.congestion
        )


def proxy_costs(placement: Placement) -> Costs:
    """Compute all costs of a placement."""
    x, y = placement.pin_positions()
    weights = placement.netlist.net_weights
    canvas = placement.canvas
    total = float(np.sum(weights * half_perimeters(placement, x, y)))
    span = float(np.sum(weights)) * (canvas.width + canvas.height)
    vertical, horizontal = congestion_maps(placement, x, y)
    return Costs(
        total,
        total / span if span else 0.0,
        0.5 * top_mean(density_map(placement).ravel(), _DENSEST),
        top_mean(np.concatenate([vertical.ravel(), horizontal.ravel()]), _MOST_CONGESTED),
    )


def top_mean(values: Floats, share: float) -> float:
    """Return the mean of the largest values: ``floor(share * n)`` of them, at least one."""
    count = max(1, int(len(values) * share))
    return float(np.mean(np.partition(values, len(values) - count)[len(values) - count :]))


def half_perimeters(placement: Placement, x: Floats, y: Floats) -> Floats:
    """Return the half perimeter of each net's bounding box, micrometres, shape (m,).

    Args:
        placement: whose nets.
        x: where nodes connect, see `Placement.pin_positions`.
        y: likewise.
    """
    netlist = placement.netlist
    length = np.zeros(len(netlist.net_weights))
    # Most nets have a few nodes, and numpy is four times as fast on those of one size.
    for nets, nodes in netlist.small_nets:
        length[nets] = np.ptp(x[nodes], axis=0) + np.ptp(y[nodes], axis=0)
    nets, starts, nodes = netlist.large_nets
    if len(nets):
        for values in (x[nodes], y[nodes]):
            length[nets] += np.maximum.reduceat(values, starts)
            length[nets] -= np.minimum.reduceat(values, starts)
    return length


def overlaps(centres: Floats, sizes: Floats, cell: float, count: int) -> Floats:
    """Return how much of each interval lies in each cell of a row, shape (intervals, count)."""
    low = np.arange(count) * cell
    left, right = centres - sizes / 2, centres + sizes / 2
    inside = np.minimum(right[:, None], low + cell) - np.maximum(left[:, None], low)
    return np.asarray(np.maximum(inside, 0.0))


def density_map(placement: Placement) -> Floats:
    """Return the covered share of each cell, shape (rows, columns); overlaps count twice."""
    canvas, blocks = placement.canvas, placement.netlist.blocks
    width, height = placement.sizes()
    columns, rows = canvas.columns, canvas.rows
    across = overlaps(placement.x[blocks], width[blocks], canvas.cell_width, columns)
    upward = overlaps(placement.y[blocks], height[blocks], canvas.cell_height, rows)
    covered = blocked_area(canvas) + upward.T @ across
    return covered / (canvas.cell_width * canvas.cell_height)


def blocked_area(canvas: Canvas) -> Floats:
    """Return what blockages take from each cell, square micrometres, shape (rows, columns)."""
    columns, rows = canvas.columns, canvas.rows
    covered = np.zeros((rows, columns))
    for area in canvas.blockages:
        middle = np.array([area.left + area.right, area.bottom + area.top]) / 2
        size = np.array([area.right - area.left, area.top - area.bottom])
        dx = overlaps(middle[:1], size[:1], canvas.cell_width, columns)
        dy = overlaps(middle[1:], size[1:], canvas.cell_height, rows)
        covered += area.rate * (dy.T @ dx)
    return covered


def congestion_maps(placement: Placement, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return vertical and horizontal congestion, each of the shape (rows, columns).

    The share of a cell's routes that smoothed nets and hard macros use.

    Args:
        placement: whose nets and macros.
        x: where nodes connect, see `Placement.pin_positions`.
        y: likewise.
    """
    canvas = placement.canvas
    columns, rows = canvas.routing
    cell_width, cell_height = canvas.width / columns, canvas.height / rows
    vertical, horizontal = _route(placement, x, y, cell_width, cell_height)
    # Vertical routes are spread over neighbouring columns, horizontal ones over neighbouring rows.
    vertical = _smooth(vertical, canvas.smoothing)
    horizontal = _smooth(horizontal.T, canvas.smoothing).T
    up, across = _macro_routes(placement, cell_width, cell_height)
    vertical += canvas.vertical_allocation * up
    horizontal += canvas.horizontal_allocation * across
    return (
        vertical / (cell_width * canvas.vertical_routes),
        horizontal / (cell_height * canvas.horizontal_routes),
    )


def _smooth(routes: Floats, reach: int) -> Floats:
    """Spread each cell's routes evenly over the cells of its row within reach."""
    if not reach:
        return routes
    count = routes.shape[1]
    cells = np.arange(count)
    low, high = np.maximum(cells - reach, 0), np.minimum(cells + reach, count - 1)
    near = (cells >= low[:, None]) & (cells <= high[:, None])
    return np.asarray(routes @ (near / (high - low + 1)[:, None]))


def _macro_routes(
    placement: Placement, cell_width: float, cell_height: float
) -> tuple[Floats, Floats]:
    """Return the lengths over which hard macros block cells, vertical and horizontal routes.

    Quirk: where a macro covers the topmost (rightmost) or the lowest (leftmost) of its cells only
    in part, its topmost row (rightmost column) of cells is not blocked for vertical (horizontal)
    routes.
    """
    hard = placement.netlist.hard
    width, height = placement.sizes()
    columns, rows = placement.canvas.routing
    across = overlaps(placement.x[hard], width[hard], cell_width, columns)
    upward = overlaps(placement.y[hard], height[hard], cell_height, rows)
    return (
        _kept(upward, cell_height).T @ across,
        upward.T @ _kept(across, cell_width),
    )


def _kept(overlap: Floats, cell: float) -> Floats:
    """Return 1 where a macro blocks a cell along an axis, after the quirk, else 0."""
    covered = overlap > 0
    kept = covered.astype(float)
    count = covered.shape[1]
    macros = np.arange(len(covered))
    first = np.argmax(covered, axis=1)
    last = count - 1 - np.argmax(covered[:, ::-1], axis=1)
    partial = (np.abs(overlap[macros, first] - cell) > _TOUCH) | (
        np.abs(overlap[macros, last] - cell) > _TOUCH
    )
    dropped = partial & (last > first)
    kept[macros[dropped], last[dropped]] = 0.0
    return kept


def _route(
    placement: Placement, x: Floats, y: Floats, cell_width: float, cell_height: float
) -> tuple[Floats, Floats]:
    """Route all nets on the grid; return the weights that cross each cell, vertically and not.

    A net is routed between the distinct cells of its nodes. Quirk: a net that leaves the canvas,
    be it by one node, is not routed at all; so do Google's figures for placements with macros
    across the border.
    """
    netlist = placement.netlist
    columns, rows = placement.canvas.routing
    nodes, nets = netlist.net_nodes, netlist.net_of_connection
    column, row = (x / cell_width).astype(np.int64), (y / cell_height).astype(np.int64)
    outside = (x < 0) | (column >= columns) | (y < 0) | (row >= rows)
    cells = (row * columns + column)[nodes]
    routed = np.ones(len(netlist.net_weights), dtype=bool)
    routed[nets[outside[nodes]]] = False
    source = cells[netlist.net_starts[:-1]]
    keys = nets * (rows * columns) + cells
    if not routed.all():
        keys = keys[routed[nets]]
    # Short numbers are sorted faster, and all this in a third of numpy.unique's time.
    keys = np.sort(keys.astype(np.int32 if len(routed) * rows * columns < 2**31 else np.int64))
    first = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    net, cell = np.divmod(keys[first].astype(np.int64), rows * columns)
    count = np.bincount(net, minlength=len(routed))
    grid = _Grid(rows, columns)
    # Two cells, or more than three: a star of L-shaped routes from the driver's cell.
    star = (count[net] != 3) & (cell != source[net])
    grid.add_legs(source[net[star]], cell[star], netlist.net_weights[net[star]])
    three = np.flatnonzero(count == 3)
    cells = cell[count[net] == 3].reshape(-1, 3)
    _route_three(grid, cells, netlist.net_weights[three])
    return grid.routes()


class _Grid:
    """Adds up straight pieces of wire as differences, which one cumulative sum turns into routes.

    A piece covers its first cell, but not its last.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self._across = np.zeros(rows * (columns + 1))
        self._upward = np.zeros((rows + 1) * columns)

    def add_across(self, row: Ints, start: Ints, end: Ints, weight: Floats) -> None:
        """Add horizontal pieces."""
        begin, size = row * (self.columns + 1), len(self._across)
        self._across += np.bincount(begin + start, weight, size)
        self._across -= np.bincount(begin + end, weight, size)

    def add_upward(self, column: Ints, one: Ints, other: Ints, weight: Floats) -> None:
        """Add vertical pieces between two rows."""
        low, high, size = np.minimum(one, other), np.maximum(one, other), len(self._upward)
        self._upward += np.bincount(low * self.columns + column, weight, size)
        self._upward -= np.bincount(high * self.columns + column, weight, size)

    def add_legs(self, source: Ints, sink: Ints, weight: Floats) -> None:
        """Add L-shaped routes: across in the source's row, then up or down in the sink's column."""
        row, column = np.divmod(source, self.columns)
        to_row, to_column = np.divmod(sink, self.columns)
        low, high = np.minimum(column, to_column), np.maximum(column, to_column)
        self.add_across(row, low, high, weight)
        self.add_upward(to_column, row, to_row, weight)

    def routes(self) -> tuple[Floats, Floats]:
        """Return the weights that cross each cell, vertically and horizontally."""
        across = np.cumsum(self._across.reshape(self.rows, -1), axis=1)[:, :-1]
        upward = np.cumsum(self._upward.reshape(-1, self.columns), axis=0)[:-1]
        return upward, across


def _route_three(grid: _Grid, cells: Ints, weight: Floats) -> None:
    """Route nets of three cells, one of four shapes each.

    Args:
        grid: where to.
        cells: ascending, that is by row and then column; shape (nets, 3).
        weight: of the nets.
    """
    rows, columns = np.divmod(cells, grid.columns)
    order = np.argsort(columns, axis=1, kind="stable")  # by column and then row
    y1, y2, y3 = np.take_along_axis(rows, order, axis=1).T
    x1, x2, x3 = np.take_along_axis(columns, order, axis=1).T
    between = (x1 < x2) & (x2 < x3) & (np.minimum(y1, y3) < y2) & (y2 < np.maximum(y1, y3))
    corner = ~between & (x2 == x3) & (x1 < x2) & (y1 < np.minimum(y2, y3))
    level = ~between & ~corner & (y2 == y3)
    trunk = ~(between | corner | level)

    # Through the middle cell, which lies between the others: two L-shaped routes.
    # Level with the last cell: the same, but for the second one's missing vertical leg.
    for shape in (between, level):
        w = weight[shape]
        grid.add_across(y1[shape], x1[shape], x2[shape], w)
        grid.add_across(y2[shape], x2[shape], x3[shape], w)
        grid.add_upward(x2[shape], y1[shape], y2[shape], w)
        grid.add_upward(x3[shape], y2[shape], y3[shape], w)
    # Two cells above each other, to the upper right of the first: one leg serves both.
    w = weight[corner]
    grid.add_across(y1[corner], x1[corner], x2[corner], w)
    grid.add_upward(x2[corner], y1[corner], np.maximum(y2, y3)[corner], w)
    # A horizontal trunk in the middle row, and branches to the lowest and the highest cell.
    w, r, c = weight[trunk], rows[trunk], columns[trunk]
    grid.add_across(r[:, 1], x1[trunk], x3[trunk], w)
    grid.add_upward(c[:, 0], r[:, 0], r[:, 1], w)
    grid.add_upward(c[:, 2], r[:, 1], r[:, 2], w)
