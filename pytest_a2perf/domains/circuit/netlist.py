"""A netlist as arrays: blocks, ports and pins, and the nets that connect them.

The public description is Circuit Training's ``docs/NETLIST_FORMAT.md``. All lengths are in
micrometres, all coordinates are those of centres.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.errors import CircuitError

__all__ = ["FLIPS", "ORIENTATIONS", "Kind", "Netlist", "Node", "build_netlist"]

ORIENTATIONS = ("N", "FN", "S", "FS", "E", "FE", "W", "FW")
"""DEF's names: north, south, east, west, and each of them flipped."""

FLIPS: NDArray[np.float64] = np.array(
    [
        [[1, 0], [0, 1]],
        [[-1, 0], [0, 1]],
        [[-1, 0], [0, -1]],
        [[1, 0], [0, -1]],
        [[0, 1], [-1, 0]],
        [[0, -1], [-1, 0]],
        [[0, -1], [1, 0]],
        [[0, 1], [1, 0]],
    ],
    dtype=float,
)
"""Matrix by orientation, shape (8, 2, 2): a pin's offset from the centre in orientation N times
this is its offset in that orientation."""


class Kind(enum.IntEnum):
    """What a node is."""

    HARD_MACRO = 0
    SOFT_MACRO = 1
    STDCELL = 2
    PORT = 3
    PIN = 4


_SMALL = 8
_BLOCKS = (Kind.HARD_MACRO, Kind.SOFT_MACRO, Kind.STDCELL)


@dataclass(slots=True)
class Node:
    """A node as a file has it.

    Attributes:
        name: unique in the netlist.
        kind: what it is.
        sinks: names of the nodes that it drives.
        x: of the centre, or a pin's offset from its macro's centre.
        y: likewise.
        width: of a block.
        height: of a block.
        macro: a pin's macro.
        weight: of the net that it drives.
        orientation: of a block, one of `ORIENTATIONS`.
        side: of a port: LEFT, TOP, RIGHT or BOTTOM.
    """

    name: str
    kind: Kind
    sinks: Sequence[str] = ()
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    macro: str = ""
    weight: float = 1.0
    orientation: str = "N"
    side: str = ""


@dataclass(frozen=True, eq=False)
class Netlist:
    """A circuit; n nodes, m nets, k connections.

    Attributes:
        names: of the n nodes; their order is that of the file.
        kinds: `Kind`, shape (n,).
        x: where the file places them, shape (n,); of pins the offset from the macro's centre.
        y: likewise.
        width: of blocks, else 0, shape (n,).
        height: likewise.
        parents: a pin's macro, else the node itself, shape (n,).
        orientations: index in `ORIENTATIONS`, shape (n,).
        net_starts: where a net's nodes begin in ``net_nodes``, shape (m + 1,).
        net_nodes: nodes of the nets, the driver first, shape (k,).
        net_weights: shape (m,).
        sides: of ports that have one, by node.
        metadata: attributes of the netlist itself.
        canvas: width and height, if the file says.
    """

    names: tuple[str, ...]
    kinds: NDArray[np.uint8]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    width: NDArray[np.float64]
    height: NDArray[np.float64]
    parents: NDArray[np.int64]
    orientations: NDArray[np.uint8]
    net_starts: NDArray[np.int64]
    net_nodes: NDArray[np.int64]
    net_weights: NDArray[np.float64]
    sides: Mapping[int, str] = field(default_factory=dict)
    metadata: Mapping[str, float | str] = field(default_factory=dict)
    canvas: tuple[float, float] | None = None

    def of_kind(self, *kinds: Kind) -> NDArray[np.int64]:
        """Return the nodes of these kinds, in the netlist's order."""
        return np.flatnonzero(np.isin(self.kinds, kinds))

    @functools.cached_property
    def hard(self) -> NDArray[np.int64]:
        """The hard macros."""
        return self.of_kind(Kind.HARD_MACRO)

    @functools.cached_property
    def clusters(self) -> NDArray[np.int64]:
        """What a placer of standard cells moves: soft macros and single cells."""
        return self.of_kind(Kind.SOFT_MACRO, Kind.STDCELL)

    @functools.cached_property
    def blocks(self) -> NDArray[np.int64]:
        """All that has an area."""
        return self.of_kind(*_BLOCKS)

    @functools.cached_property
    def ports(self) -> NDArray[np.int64]:
        """The ports."""
        return self.of_kind(Kind.PORT)

    @functools.cached_property
    def area(self) -> float:
        """Area of all blocks, in square micrometres."""
        return float(np.sum(self.width * self.height))

    @functools.cached_property
    def net_of_connection(self) -> NDArray[np.int64]:
        """The net that each entry of ``net_nodes`` belongs to, shape (k,)."""
        return np.repeat(np.arange(len(self.net_weights)), np.diff(self.net_starts))

    @functools.cached_property
    def offsets(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Offset of each node from its parent's centre, in orientation N; shape (n,)."""
        pins = self.kinds == Kind.PIN
        return np.where(pins, self.x, 0.0), np.where(pins, self.y, 0.0)

    @functools.cached_property
    def small_nets(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Nets of up to `_SMALL` nodes by their size: the nets, and their nodes (size, nets)."""
        sizes = np.diff(self.net_starts)
        found = []
        for size in range(1, _SMALL + 1):
            nets = np.flatnonzero(sizes == size)
            if len(nets):
                at = self.net_starts[nets] + np.arange(size)[:, None]
                found.append((nets, self.net_nodes[at]))
        return found

    @functools.cached_property
    def large_nets(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """The other nets, where each one's nodes begin, and the nodes."""
        sizes = np.diff(self.net_starts)
        nets = np.flatnonzero(sizes > _SMALL)
        starts = np.concatenate([[0], np.cumsum(sizes[nets])])[:-1].astype(np.int64)
        return nets, starts, self.net_nodes[np.repeat(sizes > _SMALL, sizes)]

    @functools.cached_property
    def connections(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Driver, sink and weight of each connection, three arrays of shape (k - m,)."""
        counts = np.diff(self.net_starts) - 1
        sinks = np.ones(len(self.net_nodes), dtype=bool)
        sinks[self.net_starts[:-1]] = False
        return (
            np.repeat(self.net_nodes[self.net_starts[:-1]], counts),
            self.net_nodes[sinks],
            np.repeat(self.net_weights, counts),
        )

    def index(self, name: str) -> int:
        """Return the node of that name.

        Raises:
            CircuitError: there is none.
        """
        try:
            return self._indices[name]
        except KeyError:
            raise CircuitError(f"the netlist has no node {name!r}") from None

    @functools.cached_property
    def _indices(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}


def build_netlist(
    nodes: Sequence[Node],
    *,
    metadata: Mapping[str, float | str] | None = None,
    canvas: tuple[float, float] | None = None,
) -> Netlist:
    """Make a netlist of nodes, and check it.

    Raises:
        CircuitError: a name occurs twice, a pin or a net hangs in the air, a pin's macro is no
            macro, a number is not finite, or a block has no area. Its
            attribute ``node`` is the name of the culprit.
    """
    indices: dict[str, int] = {}
    for index, node in enumerate(nodes):
        if indices.setdefault(node.name, index) != index:
            raise _wrong(node, "occurs twice; names must be unique")
    kinds = np.array([node.kind for node in nodes], dtype=np.uint8)
    columns: dict[str, Any] = {
        key: np.array([getattr(node, key) for node in nodes], dtype=float)
        for key in ("x", "y", "width", "height", "weight")
    }
    for key, values in columns.items():
        for index in np.flatnonzero(~np.isfinite(values)).tolist():
            raise _wrong(nodes[index], f"has {key} = {values[index]}; it must be finite")
    flat = np.isin(kinds, _BLOCKS) & ~((columns["width"] > 0) & (columns["height"] > 0))
    for index in np.flatnonzero(flat).tolist():
        node = nodes[index]
        raise _wrong(node, f"has no area: width {node.width:g}, height {node.height:g}")
    for index in np.flatnonzero(columns["weight"] < 0).tolist():
        raise _wrong(nodes[index], f"has the negative weight {nodes[index].weight:g}")
    starts, connections, weights = [0], [], []
    for index, node in enumerate(nodes):
        if not node.sinks:
            continue
        connections.append(index)
        for name in node.sinks:
            sink = indices.get(name)
            if sink is None:
                raise _wrong(node, f"drives {name!r}, which the netlist does not have")
            connections.append(sink)
        starts.append(len(connections))
        weights.append(node.weight)
    net_nodes = np.array(connections, dtype=np.int64)
    for index in net_nodes[np.isin(kinds[net_nodes], (Kind.HARD_MACRO, Kind.SOFT_MACRO))].tolist():
        raise _wrong(nodes[index], "is a macro and cannot be on a net itself; give it a pin")
    return Netlist(
        names=tuple(indices),
        kinds=kinds,
        x=columns["x"],
        y=columns["y"],
        width=columns["width"],
        height=columns["height"],
        parents=np.array(_parents(nodes, indices), dtype=np.int64),
        orientations=np.array([_orientation(node) for node in nodes], dtype=np.uint8),
        net_starts=np.array(starts, dtype=np.int64),
        net_nodes=net_nodes,
        net_weights=np.array(weights, dtype=float),
        sides={index: node.side for index, node in enumerate(nodes) if node.side},
        metadata=dict(metadata or {}),
        canvas=canvas,
    )


def _parents(nodes: Sequence[Node], indices: Mapping[str, int]) -> list[int]:
    parents = list(range(len(nodes)))
    for index, node in enumerate(nodes):
        if node.kind != Kind.PIN:
            continue
        parent = indices.get(node.macro)
        if parent is None:
            raise _wrong(node, f"is a pin of {node.macro!r}, which the netlist does not have")
        if nodes[parent].kind == Kind.PIN:
            raise _wrong(node, f"is a pin of {node.macro!r}, which is a pin itself")
        if nodes[parent].kind not in _BLOCKS:
            raise _wrong(node, f"is a pin of {node.macro!r}, which is a port")
        parents[index] = parent
    return parents


def _orientation(node: Node) -> int:
    try:
        return ORIENTATIONS.index(node.orientation)
    except ValueError:
        known = ", ".join(ORIENTATIONS)
        raise _wrong(node, f"has the orientation {node.orientation!r}; known: {known}") from None


def _wrong(node: Node, what: str) -> CircuitError:
    error = CircuitError(f"node {node.name!r} {what}")
    error.node = node.name
    return error
