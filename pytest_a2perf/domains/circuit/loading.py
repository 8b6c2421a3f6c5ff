"""From what a user names to a circuit on its canvas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_a2perf.domains.circuit.canvas import Canvas, congestion_grid, default_canvas
from pytest_a2perf.domains.circuit.errors import CircuitError, FormatError
from pytest_a2perf.domains.circuit.formats.bookshelf import read_bookshelf
from pytest_a2perf.domains.circuit.formats.plc import read_placement
from pytest_a2perf.domains.circuit.formats.protobuf import read_netlist
from pytest_a2perf.domains.circuit.generate import ariane_like, toy_macros
from pytest_a2perf.domains.circuit.grid import choose_grid
from pytest_a2perf.domains.circuit.placement import Placement, initial_placement

__all__ = ["SHIPPED", "load_circuit"]

SHIPPED = {"ariane": ariane_like, "toy": toy_macros}
"""Circuits that the package makes itself, by name."""


def load_circuit(netlist: str | Path, init_placement: str | Path = "") -> Placement:
    """Load a circuit.

    Args:
        netlist: a name of `SHIPPED`, or the path of a netlist, relative to the working directory.
        init_placement: path of a ``.plc`` file. Without one the canvas is that of the netlist's
            file, or one that the blocks fill by 60 %, and the grid is searched, see `choose_grid`.

    Returns:
        A placement of the caller's own.

    Raises:
        CircuitError: there is no such netlist, or a file is wrong.
    """
    if str(netlist) in SHIPPED:
        if init_placement:
            raise CircuitError(f"netlist {netlist!r} has a placement; init_placement is for files")
        return SHIPPED[str(netlist)]().copy()
    path = Path(netlist)
    if not path.exists():
        known = ", ".join(map(repr, SHIPPED))
        raise CircuitError(f"there is no netlist {str(netlist)!r}: give a path, or one of {known}")
    fixed = np.array([], dtype=np.int64)
    if path.suffix == ".aux":
        design = read_bookshelf(path)
        found, fixed = design.netlist, design.fixed
    elif path.name.endswith((".pb.txt", ".pb.txt.gz")):
        found = read_netlist(path)
    else:
        raise FormatError(path, 0, "is no .pb.txt, .pb.txt.gz or .aux file")
    default = default_canvas(found)
    canvas = congestion_grid(Canvas(default.width, default.height))
    if init_placement:
        # A header without a congestion grid means that nets are routed on the placement's.
        canvas = replace(canvas, congestion_columns=0, congestion_rows=0)
        placement = read_placement(Path(init_placement), found, canvas=canvas)
    else:
        placement = initial_placement(found, choose_grid(found, canvas))
    placement.fixed[fixed] = True
    return placement
