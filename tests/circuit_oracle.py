"""The circuit domain's costs, straightforward: one net, one macro, one cell after the other.

An oracle for tests and the peer of the benchmarks. It follows the public definitions word for word,
and knows nothing of how the package computes them.
"""

from __future__ import annotations

import math
from typing import Any

from pytest_a2perf.domains.circuit.netlist import Kind
from pytest_a2perf.domains.circuit.placement import Placement

Grid = list[list[float]]
Cell = tuple[int, int]


def pins_of(placement: Placement) -> list[tuple[float, float]]:
    """Where nodes connect."""
    turned = {
        "N": lambda x, y: (x, y),
        "FN": lambda x, y: (-x, y),
        "S": lambda x, y: (-x, -y),
        "FS": lambda x, y: (x, -y),
        "E": lambda x, y: (y, -x),
        "FE": lambda x, y: (-y, -x),
        "W": lambda x, y: (-y, x),
        "FW": lambda x, y: (y, x),
    }
    names = list(turned)
    netlist = placement.netlist
    found = []
    for node, kind in enumerate(netlist.kinds.tolist()):
        parent = int(netlist.parents[node])
        x, y = float(placement.x[parent]), float(placement.y[parent])
        if kind == Kind.PIN:
            turn = turned[names[placement.orientations[parent]]]
            dx, dy = turn(float(netlist.x[node]), float(netlist.y[node]))
            x, y = x + dx, y + dy
        found.append((x, y))
    return found


def nets_of(placement: Placement) -> list[tuple[list[int], float]]:
    """Nodes, driver first, and weight of each net."""
    netlist = placement.netlist
    starts = netlist.net_starts.tolist()
    nodes = netlist.net_nodes.tolist()
    return [
        (nodes[start:end], weight)
        for start, end, weight in zip(
            starts, starts[1:], netlist.net_weights.tolist(), strict=False
        )
    ]


def wirelength(placement: Placement) -> tuple[float, float]:
    """Total and cost."""
    pins = pins_of(placement)
    total = weights = 0.0
    for nodes, weight in nets_of(placement):
        xs, ys = [pins[node][0] for node in nodes], [pins[node][1] for node in nodes]
        total += weight * (max(xs) - min(xs) + max(ys) - min(ys))
        weights += weight
    span = weights * (placement.canvas.width + placement.canvas.height)
    return total, total / span if span else 0.0


def box_of(placement: Placement, node: int) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a block."""
    width, height = float(placement.width[node]), float(placement.height[node])
    if placement.orientations[node] >= 4:
        width, height = height, width
    x, y = float(placement.x[node]), float(placement.y[node])
    return x - width / 2, x + width / 2, y - height / 2, y + height / 2


def density(placement: Placement) -> float:
    """Half the mean of the densest tenth."""
    canvas = placement.canvas
    boxes = [(*box_of(placement, node), 1.0) for node in placement.netlist.blocks.tolist()]
    boxes += [(a.left, a.right, a.bottom, a.top, a.rate) for a in canvas.blockages]
    cells = []
    for row in range(canvas.rows):
        for column in range(canvas.columns):
            left, bottom = column * canvas.cell_width, row * canvas.cell_height
            covered = 0.0
            for low_x, high_x, low_y, high_y, rate in boxes:
                dx = min(high_x, left + canvas.cell_width) - max(low_x, left)
                dy = min(high_y, bottom + canvas.cell_height) - max(low_y, bottom)
                if dx > 0 and dy > 0:
                    covered += rate * dx * dy
            cells.append(covered / (canvas.cell_width * canvas.cell_height))
    count = max(1, math.floor(0.1 * len(cells)))
    return 0.5 * sum(sorted(cells)[-count:]) / count


def congestion(placement: Placement) -> float:
    """Mean of the worst twentieth of both maps."""
    canvas = placement.canvas
    columns, rows = canvas.routing
    width, height = canvas.width / columns, canvas.height / rows
    across: Grid = [[0.0] * columns for _ in range(rows)]
    upward: Grid = [[0.0] * columns for _ in range(rows)]
    pins = pins_of(placement)
    for nodes, weight in nets_of(placement):
        cells = [(math.floor(pins[n][1] / height), math.floor(pins[n][0] / width)) for n in nodes]
        if any(not (0 <= row < rows and 0 <= column < columns) for row, column in cells):
            continue
        _route(across, upward, cells[0], sorted(set(cells)), weight)
    across = [[v / (height * canvas.horizontal_routes) for v in row] for row in across]
    upward = [[v / (width * canvas.vertical_routes) for v in row] for row in upward]
    upward = _spread(upward, canvas.smoothing)
    across = _turned(_spread(_turned(across), canvas.smoothing))
    for node in placement.netlist.hard.tolist():
        _block(placement, node, across, upward, width, height)
    values = [v for row in upward + across for v in row]
    count = max(1, math.floor(0.05 * len(values)))
    return sum(sorted(values)[-count:]) / count


def _route(across: Grid, upward: Grid, source: Cell, cells: list[Cell], weight: float) -> None:
    def horizontal(row: int, start: int, end: int) -> None:
        for column in range(min(start, end), max(start, end)):
            across[row][column] += weight

    def vertical(column: int, start: int, end: int) -> None:
        for row in range(min(start, end), max(start, end)):
            upward[row][column] += weight

    if len(cells) == 3:
        (y1, x1), (y2, x2), (y3, x3) = sorted(cells, key=lambda cell: (cell[1], cell[0]))
        if x1 < x2 < x3 and min(y1, y3) < y2 < max(y1, y3):
            horizontal(y1, x1, x2)
            horizontal(y2, x2, x3)
            vertical(x2, y1, y2)
            vertical(x3, y2, y3)
        elif x2 == x3 and x1 < x2 and y1 < min(y2, y3):
            horizontal(y1, x1, x2)
            vertical(x2, y1, max(y2, y3))
        elif y2 == y3:
            horizontal(y1, x1, x2)
            horizontal(y2, x2, x3)
            vertical(x2, y1, y2)
        else:
            (y1, x1), (y2, x2), (y3, x3) = cells
            horizontal(y2, min(x1, x2, x3), max(x1, x2, x3))
            vertical(x1, y1, y2)
            vertical(x3, y2, y3)
        return
    for cell in cells:
        if cell != source:
            horizontal(source[0], source[1], cell[1])
            vertical(cell[1], source[0], cell[0])


def _spread(grid: Grid, reach: int) -> Grid:
    result = [[0.0] * len(row) for row in grid]
    for r, row in enumerate(grid):
        for c, value in enumerate(row):
            near = range(max(0, c - reach), min(len(row) - 1, c + reach) + 1)
            for other in near:
                result[r][other] += value / len(near)
    return result


def _turned(grid: Grid) -> Grid:
    return [list(column) for column in zip(*grid, strict=True)]


def _block(
    placement: Placement, node: int, across: Grid, upward: Grid, width: float, height: float
) -> None:
    canvas: Any = placement.canvas
    left, right, bottom, top = box_of(placement, node)
    dx = [min(right, (c + 1) * width) - max(left, c * width) for c in range(len(across[0]))]
    dy = [min(top, (r + 1) * height) - max(bottom, r * height) for r in range(len(across))]
    columns = [c for c, overlap in enumerate(dx) if overlap > 0]
    rows = [r for r, overlap in enumerate(dy) if overlap > 0]
    if not columns or not rows:
        return
    partly_high = len(rows) > 1 and any(abs(dy[r] - height) > 1e-5 for r in (rows[0], rows[-1]))
    partly_wide = len(columns) > 1 and any(
        abs(dx[c] - width) > 1e-5 for c in (columns[0], columns[-1])
    )
    for r in rows:
        for c in columns:
            if not (partly_high and r == rows[-1]):
                upward[r][c] += (
                    dx[c] * canvas.vertical_allocation / (width * canvas.vertical_routes)
                )
            if not (partly_wide and c == columns[-1]):
                across[r][c] += (
                    dy[r] * canvas.horizontal_allocation / (height * canvas.horizontal_routes)
                )
