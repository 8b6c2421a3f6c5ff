"""Circuit Training's placements, ``.plc``: a header of comments, then a line for each node."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.circuit.canvas import Blockage, Canvas, default_canvas
from pytest_a2perf.domains.circuit.costs import proxy_costs
from pytest_a2perf.domains.circuit.errors import CircuitError, FormatError
from pytest_a2perf.domains.circuit.formats import read_text
from pytest_a2perf.domains.circuit.netlist import ORIENTATIONS, Kind, Netlist
from pytest_a2perf.domains.circuit.placement import Placement, initial_placement

__all__ = ["read_placement", "stated_costs", "write_placement"]

_NUMBER = r"([-+.\deE]+|nan|inf)"
_HEADER: Mapping[str, tuple[str, ...]] = {
    rf"Columns : {_NUMBER}\s+Rows : {_NUMBER}": ("columns", "rows"),
    rf"Congestion Columns : {_NUMBER}\s+Congestion Rows : {_NUMBER}": (
        "congestion_columns",
        "congestion_rows",
    ),
    rf"Width : {_NUMBER}\s+Height : {_NUMBER}": ("width", "height"),
    rf"Routes per micron, hor : {_NUMBER}\s+ver : {_NUMBER}": (
        "horizontal_routes",
        "vertical_routes",
    ),
    rf"Routes used by macros, hor : {_NUMBER}\s+ver : {_NUMBER}": (
        "horizontal_allocation",
        "vertical_allocation",
    ),
    rf"Smoothing factor : {_NUMBER}": ("smoothing",),
    rf"Overlap threshold : {_NUMBER}": ("overlap_threshold",),
    rf"Macro spacing : {_NUMBER}": ("spacing",),
}
_COUNTS = {"columns", "rows", "congestion_columns", "congestion_rows", "smoothing"}
_BLOCKAGE = re.compile(r"Blockage : (.*)")
_STATED = re.compile(
    r"^# (Wirelength|(?:Wirelength|Congestion|Density) cost) : ([-.\deE]+)", re.MULTILINE
)
_PLACED = (Kind.HARD_MACRO, Kind.SOFT_MACRO, Kind.STDCELL, Kind.PORT)


def read_placement(
    path: Path | str, netlist: Netlist, *, canvas: Canvas | None = None
) -> Placement:
    """Read a placement of a netlist.

    Args:
        path: of the ``.plc`` file.
        netlist: nodes that the file does not mention stay where the netlist has them.
        canvas: for what the header does not say; default: `default_canvas`.

    Returns:
        The placement, on the canvas of the header.

    Raises:
        FormatError: the file cannot be read, or a line is wrong.
    """
    lines = read_text(Path(path)).splitlines()
    settings = _header(lines, path)
    try:
        base = canvas or default_canvas(netlist)
        placement = initial_placement(netlist, replace(base, **settings))
    except CircuitError as error:
        raise FormatError(path, 0, f"the header is wrong: {error}") from None
    seen: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith("#") or not line.strip():
            continue
        node = _place(placement, line, path, number)
        if seen.setdefault(node, number) != number:
            first = seen[node]
            raise FormatError(
                path, number, f"node {netlist.names[node]!r} was placed on line {first} already"
            )
    return placement


def _header(lines: list[str], path: Path | str) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    blockages = []
    for number, line in enumerate(lines, 1):
        if not line.startswith("#"):
            continue
        text = line[1:].strip()
        for pattern, names in _HEADER.items():
            found = re.fullmatch(pattern, text)
            if found is None:
                continue
            for name, value in zip(names, found.groups(), strict=True):
                try:
                    settings[name] = int(float(value)) if name in _COUNTS else float(value)
                except (ValueError, OverflowError):
                    raise FormatError(path, number, f"{value!r} is no number") from None
        found = _BLOCKAGE.fullmatch(text)
        if found is not None:
            try:
                values = [float(value) for value in found[1].split()]
                blockages.append(Blockage(*values))
            except (TypeError, ValueError):
                raise FormatError(
                    path, number, "expected 'Blockage : left bottom right top [rate]'"
                ) from None
    if blockages:
        settings["blockages"] = tuple(blockages)
    return settings


def _place(placement: Placement, line: str, path: Path | str, number: int) -> int:
    netlist = placement.netlist
    parts = line.split()
    try:
        index, x, y, orientation, fixed = parts
        node, position = int(index), (float(x), float(y))
    except ValueError:
        raise FormatError(
            path, number, f"expected 'node_index x y orientation fixed', not {line.strip()!r}"
        ) from None
    if not 0 <= node < len(netlist.names):
        raise FormatError(
            path,
            number,
            f"there is no node {node}; the netlist has {len(netlist.names)}. "
            "Does the placement belong to another netlist?",
        )
    if netlist.kinds[node] not in _PLACED:
        raise FormatError(
            path,
            number,
            f"node {node} is the pin {netlist.names[node]!r}, which follows its macro. "
            "Does the placement belong to another netlist?",
        )
    if not all(map(math.isfinite, position)):
        raise FormatError(path, number, f"coordinates must be finite, not {x}, {y}")
    if orientation not in (*ORIENTATIONS, "-"):
        known = ", ".join(ORIENTATIONS)
        raise FormatError(path, number, f"unknown orientation {orientation!r}; known: -, {known}")
    if fixed not in ("0", "1"):
        raise FormatError(path, number, f"fixed is 0 or 1, not {fixed!r}")
    placement.x[node], placement.y[node] = position
    if orientation != "-":
        placement.orientations[node] = ORIENTATIONS.index(orientation)
    placement.fixed[node] = fixed == "1" or netlist.kinds[node] == Kind.PORT
    return node


def stated_costs(path: Path | str) -> dict[str, float]:
    """Return the costs that a placement's header states, by the header's names."""
    return {name: float(value) for name, value in _STATED.findall(read_text(Path(path)))}


def write_placement(placement: Placement, path: Path | str, comment: str = "") -> None:
    """Write a placement with its costs in the header.

    `read_placement` gives back coordinates, orientations, what is fixed, and the canvas; sizes are
    those of the netlist.

    Args:
        placement: what to write.
        path: where to.
        comment: further lines for the header.
    """
    netlist, canvas = placement.netlist, placement.canvas
    costs = proxy_costs(placement)
    allocation = canvas.horizontal_allocation, canvas.vertical_allocation
    header = [
        "Placement file for Circuit Training",
        f"Columns : {canvas.columns}  Rows : {canvas.rows}",
        f"Width : {canvas.width!r}  Height : {canvas.height!r}",
        f"Area (stdcell+macros) : {netlist.area!r}",
        f"Wirelength : {costs.total_wirelength:.3f}",
        f"Wirelength cost : {costs.wirelength:.4f}",
        f"Congestion cost : {costs.congestion:.4f}",
        f"Density cost : {costs.density:.4f}",
        f"Routes per micron, hor : {canvas.horizontal_routes!r}  ver : {canvas.vertical_routes!r}",
        f"Routes used by macros, hor : {allocation[0]!r}  ver : {allocation[1]!r}",
        f"Smoothing factor : {canvas.smoothing}",
        f"Overlap threshold : {canvas.overlap_threshold!r}",
        f"Macro spacing : {canvas.spacing!r}",
    ]
    columns, rows = canvas.routing
    if (columns, rows) != (canvas.columns, canvas.rows):
        header.append(f"Congestion Columns : {columns}  Congestion Rows : {rows}")
    for area in canvas.blockages:
        numbers = (area.left, area.bottom, area.right, area.top, area.rate)
        header.append(f"Blockage : {' '.join(map(repr, numbers))}")
    header += [*comment.splitlines(), "", "node_index x y orientation fixed"]
    lines = [f"# {line}".rstrip() for line in header]
    for node in netlist.of_kind(*_PLACED).tolist():
        port = netlist.kinds[node] == Kind.PORT
        orientation = "-" if port else ORIENTATIONS[placement.orientations[node]]
        x, y = float(placement.x[node]), float(placement.y[node])
        lines.append(f"{node} {x!r} {y!r} {orientation} {int(placement.fixed[node])}")
    Path(path).write_text("\n".join([*lines, ""]), encoding="utf-8")
