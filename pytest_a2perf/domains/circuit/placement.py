"""Where the blocks of a netlist are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.canvas import Canvas, default_canvas
from pytest_a2perf.domains.circuit.errors import CircuitError
from pytest_a2perf.domains.circuit.netlist import FLIPS, ORIENTATIONS, Netlist

__all__ = ["Placement", "initial_placement", "square_clusters"]

_EAST = ORIENTATIONS.index("E")


@dataclass(eq=False)
class Placement:
    """Coordinates and orientations of all nodes; arrays of shape (n,).

    Attributes:
        netlist: the circuit.
        canvas: where it is placed.
        x: centres of blocks and ports, micrometres; of pins meaningless, see `pin_positions`.
        y: likewise.
        orientations: index in `ORIENTATIONS`.
        placed: whether a block counts as an obstacle for the next macro.
        fixed: whether nobody may move it.
        width: of blocks, in orientation N.
        height: likewise.
    """

    netlist: Netlist
    canvas: Canvas
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    orientations: NDArray[np.uint8]
    placed: NDArray[np.bool_]
    fixed: NDArray[np.bool_]
    width: NDArray[np.float64]
    height: NDArray[np.float64]

    def copy(self) -> Placement:
        """Return a placement that can be changed without changing this one."""
        return Placement(
            self.netlist,
            self.canvas,
            self.x.copy(),
            self.y.copy(),
            self.orientations.copy(),
            self.placed.copy(),
            self.fixed.copy(),
            self.width,
            self.height,
        )

    def sizes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return width and height as they lie: a block facing east or west is turned by 90°."""
        turned = self.orientations >= _EAST
        if not turned.any():
            return self.width, self.height
        return np.where(turned, self.height, self.width), np.where(turned, self.width, self.height)

    def pin_positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where nodes connect: of pins the macro's centre plus the turned offset."""
        netlist = self.netlist
        parents, (dx, dy) = netlist.parents, netlist.offsets
        x, y = self.x[parents] + dx, self.y[parents] + dy
        if not self.orientations.any():
            return x, y
        turned = np.flatnonzero(self.orientations[parents])
        owners, dx, dy = parents[turned], dx[turned], dy[turned]
        flips = FLIPS.reshape(-1, 4)[self.orientations[owners]].T
        x[turned] = self.x[owners] + (flips[0] * dx + flips[1] * dy)
        y[turned] = self.y[owners] + (flips[2] * dx + flips[3] * dy)
        return x, y

    def turn(self, node: int, orientation: str) -> None:
        """Give a block another orientation.

        Raises:
            CircuitError: there is no such orientation, or it would turn the block by 90°, which
                Circuit Training's rules forbid.
        """
        if orientation not in ORIENTATIONS:
            known = ", ".join(ORIENTATIONS)
            raise CircuitError(f"unknown orientation {orientation!r}; known: {known}")
        index = ORIENTATIONS.index(orientation)
        if (index >= _EAST) != (self.orientations[node] >= _EAST):
            was = ORIENTATIONS[self.orientations[node]]
            raise CircuitError(
                f"node {self.netlist.names[node]!r} cannot be turned by 90°, "
                f"from {was} to {orientation}"
            )
        self.orientations[node] = index


def initial_placement(netlist: Netlist, canvas: Canvas | None = None) -> Placement:
    """Place everything where the netlist's file says; ports are fixed.

    Args:
        netlist: the circuit.
        canvas: default: `default_canvas`.
    """
    size = len(netlist.names)
    fixed = np.zeros(size, dtype=bool)
    fixed[netlist.ports] = True
    return Placement(
        netlist,
        canvas or default_canvas(netlist),
        netlist.x.copy(),
        netlist.y.copy(),
        netlist.orientations.copy(),
        np.ones(size, dtype=bool),
        fixed,
        netlist.width,
        netlist.height,
    )


def square_clusters(placement: Placement) -> None:
    """Make soft macros squares of the same area, as Circuit Training does before it places them."""
    placement.width, placement.height = placement.width.copy(), placement.height.copy()
    soft = placement.netlist.clusters
    side = np.sqrt(placement.width[soft] * placement.height[soft])
    placement.width[soft] = placement.height[soft] = side
