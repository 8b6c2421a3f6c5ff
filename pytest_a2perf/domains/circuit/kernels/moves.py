"""Costs kept up to date: what a block adds is taken off, the block moved, and added again.

The definitions are those of `pytest_a2perf.domains.circuit.costs`, where the quirks are explained.
"""

from __future__ import annotations

import numpy as np

from pytest_a2perf.domains.circuit.kernels import compiled
from pytest_a2perf.domains.circuit.kernels.state import Fixed, Floats, Ints, Moving

__all__ = ["add_all", "costs_of", "move", "proxies_at", "proxy_of", "size_of"]

_TOUCH = 1e-5


@compiled
def add_all(fixed: Fixed, moving: Moving) -> None:
    """Add every net and every block to empty grids."""
    for net in range(len(fixed.net_weights)):
        _add_net(fixed, moving, net, 1.0)
    for node in range(len(fixed.width)):
        if fixed.width[node] > 0.0:
            _add_block(fixed, moving, node, 1.0)


@compiled
def move(fixed: Fixed, moving: Moving, node: int, x: float, y: float, orientation: int) -> None:
    """Move and turn a block."""
    _change(fixed, moving, node, -1.0)
    moving.x[node] = x
    moving.y[node] = y
    moving.orientations[node] = orientation
    flip = fixed.flips[orientation]
    for at in range(fixed.pin_starts[node], fixed.pin_starts[node + 1]):
        pin = fixed.pins[at]
        dx, dy = fixed.offset_x[pin], fixed.offset_y[pin]
        moving.pin_x[pin] = x + (flip[0, 0] * dx + flip[0, 1] * dy)
        moving.pin_y[pin] = y + (flip[1, 0] * dx + flip[1, 1] * dy)
    _change(fixed, moving, node, 1.0)


@compiled
def costs_of(fixed: Fixed, moving: Moving) -> tuple[float, float, float, float]:
    """Return total wirelength, and the costs of wirelength, density and congestion."""
    total = moving.wirelength[0]
    covered = moving.covered.ravel()
    density = 0.5 * _top_mean(covered, 0.1) / (fixed.cell_width * fixed.cell_height)
    size = fixed.route_rows * fixed.route_columns
    used = np.empty(2 * size)
    _smooth_rows(
        moving.upward, moving.blocked_up, fixed.vertical_allocation, fixed.smoothing, used[:size]
    )
    used[:size] /= fixed.vertical_capacity
    _smooth_rows(
        moving.across.T,
        moving.blocked_across.T,
        fixed.horizontal_allocation,
        fixed.smoothing,
        used[size:],
    )
    used[size:] /= fixed.horizontal_capacity
    wirelength = total / fixed.span if fixed.span > 0.0 else 0.0
    return total, wirelength, density, _top_mean(used, 0.05)


@compiled
def proxy_of(fixed: Fixed, moving: Moving, weights: Floats) -> float:
    """Return the proxy cost; ``weights`` are those of wirelength, density and congestion."""
    _, wirelength, density, congestion = costs_of(fixed, moving)
    return float(weights[0] * wirelength + weights[1] * density + weights[2] * congestion)


@compiled
def size_of(fixed: Fixed, moving: Moving, node: int) -> tuple[float, float]:
    """Return a block's width and height as it lies."""
    if moving.orientations[node] >= 4:
        return fixed.height[node], fixed.width[node]
    return fixed.width[node], fixed.height[node]


@compiled
def proxies_at(
    fixed: Fixed,
    moving: Moving,
    node: int,
    x: Floats,
    y: Floats,
    orientations: Ints,
    weights: Floats,
) -> Floats:
    """Return the proxy cost with a block at each of several places; it is put back afterwards.

    Args:
        fixed: the circuit.
        moving: the placement.
        node: a block.
        x: of its centre at each place.
        y: likewise.
        orientations: at each place.
        weights: of wirelength, density and congestion.
    """
    before = moving.x[node], moving.y[node], moving.orientations[node]
    proxies = np.empty(len(x))
    for at in range(len(x)):
        move(fixed, moving, node, x[at], y[at], orientations[at])
        proxies[at] = proxy_of(fixed, moving, weights)
    move(fixed, moving, node, before[0], before[1], before[2])
    return proxies


@compiled
def _change(fixed: Fixed, moving: Moving, node: int, sign: float) -> None:
    for at in range(fixed.touch_starts[node], fixed.touch_starts[node + 1]):
        _add_net(fixed, moving, fixed.touched[at], sign)
    _add_block(fixed, moving, node, sign)


@compiled
def _top_mean(values: Floats, share: float) -> float:
    """Average the largest values, which a heap collects: its root is the least of them.

    numba's ``partition`` takes quadratic time where many values are equal, as zeros are here.
    """
    count = max(1, int(len(values) * share))
    heap = np.sort(values[:count])
    for at in range(count, len(values)):
        value = values[at]
        if value <= heap[0]:
            continue
        parent, child = 0, 1
        while child < count:
            if child + 1 < count and heap[child + 1] < heap[child]:
                child += 1
            if value <= heap[child]:
                break
            heap[parent] = heap[child]
            parent, child = child, 2 * child + 1
        heap[parent] = value
    return float(np.mean(heap))


@compiled
def _smooth_rows(
    routes: Floats, blocked: Floats, allocation: float, reach: int, into: Floats
) -> None:
    """Spread routes within their rows, and add what macros block."""
    rows, columns = routes.shape
    change = np.zeros(columns + 1)
    for row in range(rows):
        change[:] = 0.0
        for column in range(columns):
            low, high = max(0, column - reach), min(columns - 1, column + reach)
            share = routes[row, column] / (high - low + 1)
            change[low] += share
            change[high + 1] -= share
        level = 0.0
        for column in range(columns):
            level += change[column]
            into[row * columns + column] = level + allocation * blocked[row, column]


@compiled
def _add_block(fixed: Fixed, moving: Moving, node: int, sign: float) -> None:
    """Add what a block covers, and what a hard macro blocks."""
    width, height = size_of(fixed, moving, node)
    left, right = moving.x[node] - width / 2, moving.x[node] + width / 2
    low, high = moving.y[node] - height / 2, moving.y[node] + height / 2
    columns = _cells(left, right, fixed.cell_width, fixed.columns)
    rows = _cells(low, high, fixed.cell_height, fixed.rows)
    for row in range(rows[0], rows[1]):
        dy = _overlap(low, high, row, fixed.cell_height)
        for column in range(columns[0], columns[1]):
            dx = _overlap(left, right, column, fixed.cell_width)
            moving.covered[row, column] += sign * dx * dy
    if not fixed.hard[node]:
        return
    columns = _cells(left, right, fixed.route_width, fixed.route_columns)
    rows = _cells(low, high, fixed.route_height, fixed.route_rows)
    top = rows[1] - _partial(low, high, rows, fixed.route_height)
    end = columns[1] - _partial(left, right, columns, fixed.route_width)
    for row in range(rows[0], rows[1]):
        dy = _overlap(low, high, row, fixed.route_height)
        for column in range(columns[0], columns[1]):
            dx = _overlap(left, right, column, fixed.route_width)
            if row < top:
                moving.blocked_up[row, column] += sign * dx
            if column < end:
                moving.blocked_across[row, column] += sign * dy


@compiled
def _cells(low: float, high: float, cell: float, count: int) -> tuple[int, int]:
    """Return the range of cells that an interval overlaps."""
    first = min(max(int(np.floor(low / cell)) - 1, 0), count)
    while first < count and _overlap(low, high, first, cell) <= 0.0 and first * cell < high:
        first += 1
    end = first
    while end < count and _overlap(low, high, end, cell) > 0.0:
        end += 1
    return first, end


@compiled
def _overlap(low: float, high: float, cell: int, size: float) -> float:
    start = cell * size
    return min(high, start + size) - max(low, start)


@compiled
def _partial(low: float, high: float, cells: tuple[int, int], size: float) -> int:
    """Return 1 if the first or the last of several cells is only partly covered, else 0."""
    first, end = cells
    if end - first < 2:
        return 0
    begins = abs(_overlap(low, high, first, size) - size) > _TOUCH
    ends = abs(_overlap(low, high, end - 1, size) - size) > _TOUCH
    return 1 if begins or ends else 0


@compiled
def _add_net(fixed: Fixed, moving: Moving, net: int, sign: float) -> None:
    """Add a net's half perimeter and its routes."""
    start, end = fixed.net_starts[net], fixed.net_starts[net + 1]
    weight = sign * fixed.net_weights[net]
    first = fixed.net_nodes[start]
    left = right = moving.pin_x[first]
    low = high = moving.pin_y[first]
    for at in range(start + 1, end):
        node = fixed.net_nodes[at]
        left, right = min(left, moving.pin_x[node]), max(right, moving.pin_x[node])
        low, high = min(low, moving.pin_y[node]), max(high, moving.pin_y[node])
    moving.wirelength[0] += weight * ((right - left) + (high - low))
    columns, rows = fixed.route_columns, fixed.route_rows
    width, height = fixed.route_width, fixed.route_height
    if not (
        np.floor(left / width) >= 0
        and np.floor(right / width) < columns
        and np.floor(low / height) >= 0
        and np.floor(high / height) < rows
    ):
        return
    cells, stamps, count = moving.cells, moving.stamps, 0
    for at in range(start, end):
        node = fixed.net_nodes[at]
        cell = int(np.floor(moving.pin_y[node] / height)) * columns
        cell += int(np.floor(moving.pin_x[node] / width))
        if stamps[cell] != net:
            stamps[cell] = net
            cells[count] = cell
            count += 1
    for at in range(count):
        stamps[cells[at]] = -1
    if count == 3:
        _route_three(moving, cells, columns, weight)
    else:
        for at in range(1, count):
            _leg(moving, cells[0], cells[at], columns, weight)


@compiled
def _across(moving: Moving, row: int, start: int, end: int, weight: float) -> None:
    for column in range(start, end):
        moving.across[row, column] += weight


@compiled
def _upward(moving: Moving, column: int, one: int, other: int, weight: float) -> None:
    for row in range(min(one, other), max(one, other)):
        moving.upward[row, column] += weight


@compiled
def _leg(moving: Moving, source: int, sink: int, columns: int, weight: float) -> None:
    row, column = source // columns, source % columns
    to_row, to_column = sink // columns, sink % columns
    _across(moving, row, min(column, to_column), max(column, to_column), weight)
    _upward(moving, to_column, row, to_row, weight)


@compiled
def _route_three(moving: Moving, cells: Ints, columns: int, weight: float) -> None:
    a, b, c = cells[0], cells[1], cells[2]
    low, high = min(a, b, c), max(a, b, c)
    middle = a + b + c - low - high
    rows = (low // columns, middle // columns, high // columns)
    ends = (low % columns, middle % columns, high % columns)
    # By column, and by row in the same column; the three are sorted by row already.
    i, j, k = 0, 1, 2
    if ends[j] < ends[i]:
        i, j = j, i
    if ends[k] < ends[j]:
        j, k = k, j
        if ends[j] < ends[i]:
            i, j = j, i
    x1, x2, x3 = ends[i], ends[j], ends[k]
    y1, y2, y3 = rows[i], rows[j], rows[k]
    between = x1 < x2 < x3 and min(y1, y3) < y2 < max(y1, y3)
    corner = x2 == x3 and x1 < x2 and y1 < min(y2, y3)
    if between or (not corner and y2 == y3):
        _across(moving, y1, x1, x2, weight)
        _across(moving, y2, x2, x3, weight)
        _upward(moving, x2, y1, y2, weight)
        _upward(moving, x3, y2, y3, weight)
    elif corner:
        _across(moving, y1, x1, x2, weight)
        _upward(moving, x2, y1, max(y2, y3), weight)
    else:
        _across(moving, rows[1], x1, x3, weight)
        _upward(moving, ends[0], rows[0], rows[1], weight)
        _upward(moving, ends[2], rows[1], rows[2], weight)
