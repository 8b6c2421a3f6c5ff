"""Circuits for tests: real ones, if the data is there, and random ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from pytest_a2perf.domains.circuit.canvas import Blockage, Canvas
from pytest_a2perf.domains.circuit.generate import generate_netlist
from pytest_a2perf.domains.circuit.placement import Placement, initial_placement

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "circuit"


def real(path: str) -> Path:
    """Return a file of the reference data, or skip the test."""
    found = DATA / path
    if not found.exists():
        pytest.skip(f"the reference data is not here: {found}")
    return found


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    """Small circuits with blocks anywhere, also beyond the canvas's edge."""
    width, height = draw(st.sampled_from([(40.0, 30.0), (100.0, 100.0), (13.7, 57.1)]))
    netlist = generate_netlist(
        hard=draw(st.integers(0, 6)),
        soft=draw(st.integers(2, 8)),
        ports=draw(st.integers(0, 9)),
        canvas=(width, height),
        seed=draw(st.integers(0, 50)),
        terminals=draw(st.sampled_from([1.0, 6.0])),
    )
    canvas = Canvas(
        width,
        height,
        columns=draw(st.integers(1, 9)),
        rows=draw(st.integers(1, 9)),
        congestion_columns=draw(st.sampled_from([0, 1, 7])),
        congestion_rows=draw(st.sampled_from([0, 4])),
        smoothing=draw(st.integers(0, 3)),
    )
    if draw(st.booleans()):
        area = Blockage(width * 0.1, height * 0.2, width * 0.45, height * 0.7, 0.5)
        canvas = replace(canvas, blockages=(area,))
    placement = initial_placement(netlist, canvas)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    blocks = netlist.blocks
    # Whole cells too, so that edges of blocks and of cells meet.
    near = draw(st.sampled_from([0.0, 0.5]))
    placement.x[blocks] = rng.integers(-1, canvas.columns + 1, len(blocks)) + near
    placement.y[blocks] = rng.integers(-1, canvas.rows + 1, len(blocks)) + near
    placement.x[blocks] *= canvas.cell_width
    placement.y[blocks] *= canvas.cell_height
    if draw(st.booleans()):
        placement.x[blocks] += rng.normal(0, 0.3 * canvas.cell_width, len(blocks))
        placement.y[blocks] += rng.normal(0, 0.3 * canvas.cell_height, len(blocks))
    placement.orientations[blocks] = rng.integers(0, 8, len(blocks))
    return placement
