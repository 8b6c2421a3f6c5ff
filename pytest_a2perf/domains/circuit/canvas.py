"""The canvas: its size, its grids and what it has for routing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.errors import CircuitError
from pytest_a2perf.domains.circuit.netlist import Netlist

__all__ = ["Blockage", "Canvas", "congestion_grid", "default_canvas"]


@dataclass(frozen=True, slots=True)
class Blockage:
    """A rectangle where no hard macro may be; micrometres.

    Attributes:
        left: lower left corner.
        bottom: likewise.
        right: upper right corner.
        top: likewise.
        rate: how much of it is lost to clusters of standard cells, 0 to 1.
    """

    left: float
    bottom: float
    right: float
    top: float
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where blocks are placed, and how costs are computed.

    The defaults are those of Circuit Training's ``create_placement_cost``: routing capacities of a
    7 nm process, less 18 % for the power grid.

    Attributes:
        width: micrometres.
        height: micrometres.
        columns: of the grid on which macros are placed and density is counted.
        rows: likewise.
        congestion_columns: of the grid on which nets are routed; 0: the same grid.
        congestion_rows: likewise.
        horizontal_routes: per micrometre of height.
        vertical_routes: per micrometre of width.
        horizontal_allocation: of these, used up by a hard macro.
        vertical_allocation: likewise.
        smoothing: congestion is spread over this many cells on each side.
        overlap_threshold: micrometres by which two hard macros may overlap.
        spacing: micrometres between two hard macros, in both directions.
        blockages: where no hard macro may be.
    """

    width: float
    height: float
    columns: int = 10
    rows: int = 10
    congestion_columns: int = 0
    congestion_rows: int = 0
    horizontal_routes: float = 70.33
    vertical_routes: float = 74.51
    horizontal_allocation: float = 51.79
    vertical_allocation: float = 51.79
    smoothing: int = 5
    overlap_threshold: float = 0.004
    spacing: float = 0.1
    blockages: tuple[Blockage, ...] = ()

    def __post_init__(self) -> None:
        sizes = (self.width, self.height)
        if not all(math.isfinite(size) and size > 0 for size in sizes):
            raise CircuitError(f"a canvas of {self.width:g} by {self.height:g} um has no area")
        if self.columns < 1 or self.rows < 1:
            raise CircuitError(f"a grid of {self.columns} by {self.rows} cells has no cell")
        if self.horizontal_routes <= 0 or self.vertical_routes <= 0:
            raise CircuitError("routes per micrometre must be more than 0")
        if self.smoothing < 0:
            raise CircuitError(f"the smoothing {self.smoothing} must not be negative")

    @property
    def cell_width(self) -> float:
        """Micrometres."""
        return self.width / self.columns

    @property
    def cell_height(self) -> float:
        """Micrometres."""
        return self.height / self.rows

    @property
    def routing(self) -> tuple[int, int]:
        """Columns and rows of the congestion grid."""
        return self.congestion_columns or self.columns, self.congestion_rows or self.rows

    def centres(self, cells: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the centres of several cells, see `centre`."""
        rows, columns = np.divmod(cells, self.columns)
        return (columns + 0.5) * self.cell_width, (rows + 0.5) * self.cell_height

    def centre(self, cell: int) -> tuple[float, float]:
        """Return the centre of a cell; cells are counted row by row from the lower left."""
        row, column = divmod(cell, self.columns)
        return (column + 0.5) * self.cell_width, (row + 0.5) * self.cell_height


def congestion_grid(canvas: Canvas, routes: float = 1000.0) -> Canvas:
    """Give a canvas a congestion grid of its own, whose cells are square and have so many routes.

    Circuit Training's ``create_placement_cost``: the side is 2 * routes / (horizontal + vertical
    routes per micrometre).
    """
    side = 2 * routes / (canvas.horizontal_routes + canvas.vertical_routes)
    columns, rows = (max(1, int(size / side)) for size in (canvas.width, canvas.height))
    return replace(canvas, congestion_columns=columns, congestion_rows=rows)


def default_canvas(netlist: Netlist) -> Canvas:
    """Return what Google's placement tool assumes if nobody tells it.

    A square of which the blocks fill 60 %, with 10 by 10 cells, and the routing capacities of
    NanGate 45 nm. Found from the golden values of Circuit Training's unit test; the tool is closed.
    """
    if netlist.canvas is not None:
        width, height = netlist.canvas
    else:
        width = height = math.sqrt(netlist.area / 0.6)
    return Canvas(
        width,
        height,
        horizontal_routes=57.031,
        vertical_routes=56.818,
        horizontal_allocation=39.583,
        vertical_allocation=30.303,
        smoothing=2,
        spacing=0.0,
    )
