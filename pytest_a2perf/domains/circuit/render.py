"""Pictures of placements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.costs import Floats, congestion_maps
from pytest_a2perf.domains.circuit.netlist import Kind
from pytest_a2perf.domains.circuit.placement import Placement
from pytest_a2perf.errors import InfraError

__all__ = ["draw"]

_MARGIN = 10
_PAPER, _FRAME = (255, 255, 255), (60, 60, 60)
_HARD, _HARD_EDGE = (94, 129, 172, 170), (46, 72, 110, 255)
_SOFT, _PORT, _NET = (235, 203, 139, 150), (60, 60, 60, 255), (40, 40, 40, 26)
_MOST_NETS = 4000


def draw(placement: Placement, width: int = 800, height: int = 600) -> NDArray[np.uint8]:
    """Draw macros, clusters, ports, nets at hard macros and, beneath them, congestion.

    Congestion is white where nothing is routed and red where routes run out.

    Args:
        placement: macros that are not placed yet are left out.
        width: of the picture, pixels.
        height: likewise.

    Returns:
        Shape (height, width, 3).

    Raises:
        InfraError: Pillow is missing.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise InfraError("pictures need Pillow: pip install 'pytest-a2perf[circuit]'") from error
    canvas, netlist = placement.canvas, placement.netlist
    scale = min((width - 2 * _MARGIN) / canvas.width, (height - 2 * _MARGIN) / canvas.height)
    left = (width - scale * canvas.width) / 2
    bottom = height - (height - scale * canvas.height) / 2

    def at(x: float, y: float) -> tuple[float, float]:
        return left + scale * x, bottom - scale * y

    picture = Image.new("RGB", (width, height), _PAPER)
    x, y = placement.pin_positions()
    heat = _heat(placement, x, y)
    size = max(1, round(scale * canvas.width)), max(1, round(scale * canvas.height))
    tile = Image.fromarray(heat[::-1]).resize(size, Image.Resampling.BILINEAR)
    picture.paste(tile, (round(left), round(bottom) - size[1]))
    pen = ImageDraw.Draw(picture, "RGBA")
    shown = placement.placed | (netlist.kinds != Kind.HARD_MACRO)
    widths, heights = placement.sizes()

    def box(node: int) -> list[tuple[float, float]]:
        dx, dy = widths[node] / 2, heights[node] / 2
        low = at(placement.x[node] - dx, placement.y[node] - dy)
        high = at(placement.x[node] + dx, placement.y[node] + dy)
        return [(low[0], high[1]), (max(high[0], low[0] + 1), max(low[1], high[1] + 1))]

    for node in netlist.clusters.tolist():
        pen.rectangle(box(node), fill=_SOFT)
    for node in netlist.hard[shown[netlist.hard]].tolist():
        pen.rectangle(box(node), fill=_HARD, outline=_HARD_EDGE)
    for one, other in _wires(placement, shown):
        pen.line([at(x[one], y[one]), at(x[other], y[other])], fill=_NET)
    for node in netlist.ports.tolist():
        px, py = at(placement.x[node], placement.y[node])
        pen.rectangle([px - 1, py - 1, px + 1, py + 1], fill=_PORT)
    pen.rectangle([at(0, canvas.height), at(canvas.width, 0)], outline=_FRAME)
    return np.asarray(picture)


def _heat(placement: Placement, x: Floats, y: Floats) -> NDArray[np.uint8]:
    """Return colours by cell, shape (rows, columns, 3)."""
    vertical, horizontal = congestion_maps(placement, x, y)
    level = np.clip(np.maximum(vertical, horizontal), 0.0, 1.0)[..., None]
    white, red = np.array([255.0, 255.0, 255.0]), np.array([224.0, 96.0, 80.0])
    return np.asarray(white + level * (red - white), dtype=np.uint8)


def _wires(placement: Placement, shown: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return driver and sink of connections at hard macros; an even choice of them if many."""
    netlist = placement.netlist
    drivers, sinks, _ = netlist.connections
    ends = netlist.parents[drivers], netlist.parents[sinks]
    hard = netlist.kinds == Kind.HARD_MACRO
    wanted = shown[ends[0]] & shown[ends[1]] & (hard[ends[0]] | hard[ends[1]])
    found = np.flatnonzero(wanted)
    found = found[:: max(1, -(-len(found) // _MOST_NETS))]
    return list(zip(drivers[found].tolist(), sinks[found].tolist(), strict=True))
