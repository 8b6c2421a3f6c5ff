"""What an agent sees, as A2Perf's fork of Circuit Training documents and computes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.errors import CircuitError
from pytest_a2perf.domains.circuit.netlist import Kind
from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["FakeNets", "Limits", "Observer", "observation_space"]

FakeNets = Mapping[tuple[str, str], float]
"""Weights of nets that are not in the netlist, by the names of the two nodes they pull together."""

_HARD, _SOFT, _PORTS = 1, 2, 3
_TINY = 1e-6
_HIGH = 1e6


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes to which observations are padded.

    Attributes:
        nodes: macros and clusters of ports.
        edges: between them.
        grid: columns, and rows.
    """

    nodes: int = 3500
    edges: int = 42000
    grid: int = 128


def observation_space(limits: Limits, *, static: bool) -> spaces.Dict:
    """Return the space of observations.

    Args:
        limits: of the netlist.
        static: with the features that do not change during an episode.
    """

    def real(size: int, high: float = 1.0) -> spaces.Box:
        return spaces.Box(0.0, high, (size,), np.float32)

    def whole(size: int, high: int = 1) -> spaces.Box:
        return spaces.Box(0, high, (size,), np.int32)

    cells = limits.grid**2
    found: dict[str, spaces.Space[Any]] = {
        "locations_x": real(limits.nodes),
        "locations_y": real(limits.nodes),
        "is_node_placed": whole(limits.nodes),
        "current_node": whole(1, limits.nodes - 1),
        "fake_net_heatmap": real(cells),
        "mask": whole(cells),
        "netlist_index": whole(1),  # always 0; A2Perf's space has no other value
    }
    if static:
        found |= {
            "normalized_num_edges": real(1, _HIGH),
            "normalized_num_hard_macros": real(1),
            "normalized_num_soft_macros": real(1),
            "normalized_num_port_clusters": real(1),
            "horizontal_routes_per_micron": real(1, _HIGH),
            "vertical_routes_per_micron": real(1, _HIGH),
            "macro_horizontal_routing_allocation": real(1, _HIGH),
            "macro_vertical_routing_allocation": real(1, _HIGH),
            "canvas_width": real(1),
            "canvas_height": real(1),
            "grid_cols": real(1),
            "grid_rows": real(1),
            "sparse_adj_i": whole(limits.edges, limits.nodes - 1),
            "sparse_adj_j": whole(limits.edges, limits.nodes - 1),
            "sparse_adj_weight": real(limits.edges, _HIGH),
            "edge_counts": whole(limits.nodes, limits.nodes - 1),
            "macros_w": real(limits.nodes),
            "macros_h": real(limits.nodes),
            "node_types": whole(limits.nodes, 3),
        }
    return spaces.Dict(found)


class Observer:
    """Turns a placement into observations.

    Its nodes are the macros, in the netlist's order, and clusters of ports: those in one cell of
    the grid. Lengths are relative to the canvas's half perimeter, so both coordinates have one
    scale.

    Args:
        placement: as it is at the start of each episode.
        limits: to pad to.
        fake_nets: see `FakeNets`.
        static: with the features that do not change.

    Raises:
        CircuitError: the netlist or its grid exceeds the limits, or a fake net names no macro or
            port.
    """

    def __init__(
        self, placement: Placement, limits: Limits, fake_nets: FakeNets, *, static: bool
    ) -> None:
        self._placement = placement
        self._limits = limits
        canvas, netlist = placement.canvas, placement.netlist
        if max(canvas.columns, canvas.rows) > limits.grid:
            raise CircuitError(
                f"a grid of {canvas.columns} by {canvas.rows} cells exceeds the limit of "
                f"{limits.grid}; give max_grid_size"
            )
        self._row = (limits.grid - canvas.rows) // 2
        self._column = (limits.grid - canvas.columns) // 2
        self._span = canvas.width + canvas.height
        self._macros = netlist.of_kind(Kind.HARD_MACRO, Kind.SOFT_MACRO)
        self.positions = {node: at for at, node in enumerate(self._macros.tolist())}
        """Place of each macro in the arrays of the observation."""
        cells = _cells_of(placement, netlist.ports)
        self._port_cells, of_port = np.unique(cells, return_inverse=True)
        count = len(self._macros) + len(self._port_cells)
        if count > limits.nodes:
            raise CircuitError(
                f"{count} macros and clusters of ports exceed the limit of {limits.nodes}; "
                "give max_num_nodes"
            )
        self._graph = np.full(len(netlist.names), -1, dtype=np.int64)
        self._graph[self._macros] = np.arange(len(self._macros))
        self._graph[netlist.ports] = len(self._macros) + of_port
        self._start = self._locations()
        self._static = self._static_features() if static else {}
        self._pulls = self._pulls_of(fake_nets)
        self.reset()

    def reset(self) -> None:
        """Begin an episode."""
        self._x, self._y, self._placed = (array.copy() for array in self._start)

    def place(self, node: int, x: float, y: float) -> None:
        """Take down where a macro was placed."""
        at = self.positions[node]
        self._x[at], self._y[at], self._placed[at] = x / self._span, y / self._span, 1

    def pad(self, cells: NDArray[Any], dtype: type) -> NDArray[Any]:
        """Put a grid's values into the middle of the padded grid, and flatten it."""
        size = self._limits.grid
        padded: NDArray[Any] = np.zeros((size, size), dtype=dtype)
        rows, columns = cells.shape
        padded[self._row : self._row + rows, self._column : self._column + columns] = cells
        return padded.ravel()

    def cell_of(self, action: int) -> int | None:
        """Return the cell that an action means, or None outside of the grid."""
        canvas = self._placement.canvas
        row, column = divmod(action, self._limits.grid)
        row, column = row - self._row, column - self._column
        inside = 0 <= row < canvas.rows and 0 <= column < canvas.columns
        return row * canvas.columns + column if inside else None

    def action_of(self, cell: int) -> int:
        """Return the action that means a cell."""
        row, column = divmod(cell, self._placement.canvas.columns)
        return (row + self._row) * self._limits.grid + column + self._column

    def observe(self, node: int | None, mask: NDArray[np.bool_] | None) -> dict[str, NDArray[Any]]:
        """Return an observation.

        Args:
            node: the macro that comes next, if any.
            mask: where it may be placed, shape (rows, columns).
        """
        size = self._limits.grid**2
        pulls = self._pulls.get(node) if node is not None else None
        return {
            "locations_x": self._x.copy(),
            "locations_y": self._y.copy(),
            "is_node_placed": self._placed.copy(),
            "current_node": np.array([0 if node is None else self.positions[node]], dtype=np.int32),
            "fake_net_heatmap": np.zeros(size, np.float32)
            if pulls is None
            else self._heatmap(pulls),
            "mask": np.zeros(size, np.int32) if mask is None else self.pad(mask, np.int32),
            "netlist_index": np.zeros(1, np.int32),
            **{name: values.copy() for name, values in self._static.items()},
        }

    def _locations(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
        placement, size = self._placement, self._limits.nodes
        canvas, macros = placement.canvas, self._macros
        x, y, placed = np.zeros(size), np.zeros(size), np.zeros(size, dtype=np.int32)
        count, end = len(macros), len(macros) + len(self._port_cells)
        # Between steps of the force-directed placement nothing keeps a macro's centre inside.
        x[:count] = np.clip(placement.x[macros], 0.0, canvas.width)
        y[:count] = np.clip(placement.y[macros], 0.0, canvas.height)
        placed[:count] = placement.placed[macros]
        rows, columns = np.divmod(self._port_cells, canvas.columns)
        x[count:end] = _to_edge(columns, canvas.columns, canvas.cell_width)
        y[count:end] = _to_edge(rows, canvas.rows, canvas.cell_height)
        placed[count:end] = 1
        span = self._span
        return (x / span).astype(np.float32), (y / span).astype(np.float32), placed

    def _static_features(self) -> dict[str, NDArray[Any]]:
        placement, limits = self._placement, self._limits
        netlist, canvas = placement.netlist, placement.canvas
        one, other, weight = self._edges()
        if len(one) > limits.edges:
            raise CircuitError(
                f"{len(one)} edges between nodes exceed the limit of {limits.edges}; "
                "give max_num_edges"
            )
        counts = np.bincount(np.concatenate([one, other]), minlength=limits.nodes)
        kinds = netlist.kinds[self._macros]
        types = np.where(kinds == Kind.HARD_MACRO, _HARD, _SOFT)
        hard = kinds == Kind.HARD_MACRO
        width, height = placement.width[self._macros], placement.height[self._macros]
        types = np.concatenate([types, np.full(len(self._port_cells), _PORTS)])
        mean = float(np.mean(weight)) if len(weight) else 0.0

        def scalar(value: float) -> NDArray[np.float32]:
            return np.array([value], dtype=np.float32)

        return {
            "normalized_num_edges": scalar(float(np.sum(weight)) / limits.edges),
            "normalized_num_hard_macros": scalar(float(np.sum(hard)) / limits.nodes),
            "normalized_num_soft_macros": scalar(float(np.sum(~hard)) / limits.nodes),
            "normalized_num_port_clusters": scalar(len(self._port_cells) / limits.nodes),
            "horizontal_routes_per_micron": scalar(canvas.horizontal_routes),
            "vertical_routes_per_micron": scalar(canvas.vertical_routes),
            "macro_horizontal_routing_allocation": scalar(canvas.horizontal_allocation),
            "macro_vertical_routing_allocation": scalar(canvas.vertical_allocation),
            "canvas_width": scalar(canvas.width / self._span),
            "canvas_height": scalar(canvas.height / self._span),
            "grid_cols": scalar(canvas.columns / limits.grid),
            "grid_rows": scalar(canvas.rows / limits.grid),
            "sparse_adj_i": _padded(one, limits.edges, np.int32),
            "sparse_adj_j": _padded(other, limits.edges, np.int32),
            "sparse_adj_weight": _padded(weight / (mean + _TINY), limits.edges, np.float32),
            "edge_counts": counts.astype(np.int32),
            "macros_w": _padded(np.where(hard, width, 0.0) / self._span, limits.nodes, np.float32),
            "macros_h": _padded(np.where(hard, height, 0.0) / self._span, limits.nodes, np.float32),
            "node_types": _padded(types, limits.nodes, np.int32),
        }

    def _edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return the lower and the higher node, and the weight, of each edge, in ascending order.

        An edge's weight is that of all connections between drivers and sinks of its two nodes.
        """
        netlist = self._placement.netlist
        drivers, sinks, weights = netlist.connections
        one, other = (self._graph[netlist.parents[ends]] for ends in (drivers, sinks))
        real = (one >= 0) & (other >= 0) & (one != other)
        low, high = np.minimum(one, other)[real], np.maximum(one, other)[real]
        pairs, at = np.unique(low * self._limits.nodes + high, return_inverse=True)
        low, high = (np.asarray(part) for part in np.divmod(pairs, self._limits.nodes))
        return low, high, np.bincount(at, weights[real], len(pairs)).astype(float)

    def _pulls_of(self, fake_nets: FakeNets) -> dict[int, dict[int, float]]:
        netlist = self._placement.netlist
        pulls: dict[int, dict[int, float]] = {}
        for names, weight in fake_nets.items():
            nodes = [netlist.index(name) for name in names]
            for node in nodes:
                if self._graph[node] < 0:
                    raise CircuitError(
                        f"fake net {names}: {netlist.names[node]!r} is neither a macro nor a port"
                    )
            for node, other in (nodes, nodes[::-1]):
                pulls.setdefault(node, {})[other] = float(weight)
        return pulls

    def _heatmap(self, pulls: Mapping[int, float]) -> NDArray[np.float32]:
        """Return how much each cell saves of the fake nets' length, from 0 to 1."""
        placement = self._placement
        canvas = placement.canvas
        placed = [
            (self._x[at] * self._span, self._y[at] * self._span, weight)
            for other, weight in pulls.items()
            if self._placed[at := int(self._graph[other])]
        ]
        columns = (np.arange(canvas.columns) + 0.5) * canvas.cell_width
        rows = (np.arange(canvas.rows) + 0.5) * canvas.cell_height
        cost = np.zeros((canvas.rows, canvas.columns))
        for x, y, weight in placed:
            column = min(int(x / canvas.cell_width), canvas.columns - 1)
            row = min(int(y / canvas.cell_height), canvas.rows - 1)
            cost += weight * np.hypot(rows[:, None] - rows[row], columns - columns[column])
        saved = cost.max() - cost
        return self.pad(saved / (saved.max() + _TINY), np.float32)


def _padded(values: NDArray[Any], size: int, dtype: type) -> NDArray[Any]:
    padded: NDArray[Any] = np.zeros(size, dtype=dtype)
    padded[: len(values)] = values
    return padded


def _cells_of(placement: Placement, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cell of each node, or the nearest one if it lies outside of the canvas."""
    canvas = placement.canvas
    column = np.clip(placement.x[nodes] // canvas.cell_width, 0, canvas.columns - 1)
    row = np.clip(placement.y[nodes] // canvas.cell_height, 0, canvas.rows - 1)
    return (row * canvas.columns + column).astype(np.int64)


def _to_edge(cell: NDArray[np.int64], count: int, size: float) -> NDArray[np.float64]:
    """Return centres of cells, but at both ends of the grid the canvas's edge."""
    centre = (cell + 0.5) * size
    return np.where(cell == 0, 0.0, np.where(cell == count - 1, count * size, centre))
