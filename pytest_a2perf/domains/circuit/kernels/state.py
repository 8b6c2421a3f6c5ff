"""What the compiled loops work on: named tuples of arrays, which numba can take apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.costs import Floats, Ints, blocked_area
from pytest_a2perf.domains.circuit.netlist import FLIPS, Kind
from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["Fixed", "Floats", "Ints", "Moving", "fixed_of", "moving_of"]


class Fixed(NamedTuple):
    """What no move changes; n nodes, m nets."""

    offset_x: Floats  # (n,): of pins, in orientation N
    offset_y: Floats
    flips: Floats  # (8, 2, 2)
    width: Floats  # (n,)
    height: Floats
    hard: NDArray[np.bool_]  # (n,)
    net_starts: Ints  # (m + 1,)
    net_nodes: Ints
    net_weights: Floats
    pin_starts: Ints  # (n + 1,): the nodes that move with a block
    pins: Ints
    touch_starts: Ints  # (n + 1,): the nets that a block is on
    touched: Ints
    columns: int
    rows: int
    cell_width: float
    cell_height: float
    route_columns: int
    route_rows: int
    route_width: float
    route_height: float
    vertical_capacity: float  # routes of a routing cell
    horizontal_capacity: float
    vertical_allocation: float
    horizontal_allocation: float
    smoothing: int
    span: float  # sum of the nets' weights times the canvas's half perimeter


class Moving(NamedTuple):
    """What moves change."""

    x: Floats  # (n,): centres of blocks and ports
    y: Floats
    orientations: NDArray[np.uint8]
    pin_x: Floats  # (n,): where nodes connect
    pin_y: Floats
    wirelength: Floats  # (1,)
    covered: Floats  # (rows, columns): square micrometres
    upward: Floats  # (route_rows, route_columns): weights of nets
    across: Floats
    blocked_up: Floats  # (route_rows, route_columns): micrometres of hard macros
    blocked_across: Floats
    stamps: Ints  # scratch: the last net that was seen in a routing cell
    cells: Ints  # scratch: the cells of a net


def fixed_of(placement: Placement) -> Fixed:
    """Collect what no move changes."""
    netlist, canvas = placement.netlist, placement.canvas
    size = len(netlist.names)
    parents = netlist.parents
    order = np.argsort(parents, kind="stable")
    pin_starts = np.searchsorted(parents[order], np.arange(size + 1))
    connected = parents[netlist.net_nodes]
    pairs = np.unique(connected * max(1, len(netlist.net_weights)) + netlist.net_of_connection)
    owner, net = np.divmod(pairs, max(1, len(netlist.net_weights)))
    columns, rows = canvas.routing
    route_width, route_height = canvas.width / columns, canvas.height / rows
    return Fixed(
        *netlist.offsets,
        FLIPS,
        placement.width,
        placement.height,
        netlist.kinds == Kind.HARD_MACRO,
        netlist.net_starts,
        netlist.net_nodes,
        netlist.net_weights,
        pin_starts,
        order,
        np.searchsorted(owner, np.arange(size + 1)),
        net,
        canvas.columns,
        canvas.rows,
        canvas.cell_width,
        canvas.cell_height,
        columns,
        rows,
        route_width,
        route_height,
        route_width * canvas.vertical_routes,
        route_height * canvas.horizontal_routes,
        canvas.vertical_allocation,
        canvas.horizontal_allocation,
        canvas.smoothing,
        float(np.sum(netlist.net_weights)) * (canvas.width + canvas.height),
    )


def moving_of(placement: Placement) -> Moving:
    """Make the arrays that moves change; they share x, y and orientations with the placement."""
    canvas = placement.canvas
    columns, rows = canvas.routing
    pin_x, pin_y = placement.pin_positions()
    longest = int(np.max(np.diff(placement.netlist.net_starts), initial=1))
    return Moving(
        placement.x,
        placement.y,
        placement.orientations,
        pin_x,
        pin_y,
        np.zeros(1),
        blocked_area(canvas),
        np.zeros((rows, columns)),
        np.zeros((rows, columns)),
        np.zeros((rows, columns)),
        np.zeros((rows, columns)),
        np.full(rows * columns, -1, dtype=np.int64),
        np.zeros(longest, dtype=np.int64),
    )
