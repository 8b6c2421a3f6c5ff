"""Force-directed placement of soft macros and standard cells.

Connected bodies attract each other by weight times distance, overlapping ones repel each other,
and a step moves each along its force, but no farther than a longest move
(Mirhoseini et al., "A graph placement methodology for fast chip design", Nature 594, 2021,
Methods). What the paper leaves open follows TILOS's MacroPlacement: springs from a net's driver to
each of its sinks, moves that would leave the canvas are cancelled, all clusters begin in its
centre. Google's own placer is closed, so coordinates differ from its.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.costs import Floats, Ints
from pytest_a2perf.domains.circuit.netlist import Kind
from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["EPISODE", "INITIAL", "Schedule", "place_clusters"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Phases of the placement.

    Attributes:
        steps: of each phase.
        moves: the phase's longest way, relative to the canvas's longer side; a step's is that
            divided by the steps.
        attract: factor of the springs.
        repel: factor of the repulsion.
        ports: factor of springs at ports.
    """

    steps: tuple[int, ...] = (100, 100, 100)
    moves: tuple[float, ...] = (1.0, 1.0, 1.0)
    attract: tuple[float, ...] = (1e2, 1e-3, 1e-5)
    repel: tuple[float, ...] = (0.0, 1e6, 1e7)
    ports: float = 1.0


EPISODE = Schedule()
"""Circuit Training's at the end of an episode."""

INITIAL = Schedule(moves=(1.0, 2.0, 2.0), repel=(0.0, 1e5, 1e6))
"""Its schedule for macros and clusters together, before the first episode."""


def place_clusters(
    placement: Placement,
    schedule: Schedule = EPISODE,
    *,
    move_macros: bool = False,
    from_centre: bool = True,
) -> None:
    """Place the clusters in the forces of hard macros and ports.

    Args:
        placement: is changed; fixed nodes stay.
        schedule: steps and factors.
        move_macros: move hard macros as well; they may overlap afterwards.
        from_centre: begin in the canvas's centre, else where everything is.

    Raises:
        InfraError: numba is missing.
    """
    from pytest_a2perf.domains.circuit.kernels.forces import run_steps

    netlist, canvas = placement.netlist, placement.canvas
    movable = np.zeros(len(netlist.names), dtype=bool)
    movable[netlist.clusters] = True
    if move_macros:
        movable[netlist.hard] = True
    movable &= ~placement.fixed
    if not movable.any():
        return
    if from_centre:
        placement.x[movable], placement.y[movable] = canvas.width / 2, canvas.height / 2
    x, y, width, height, movable = _with_blockages(placement, movable)
    pin_x, pin_y = placement.pin_positions()
    one, other, springs = _springs(placement, schedule.ports)
    parents = netlist.parents
    # Offsets of both ends from their bodies' centres; orientations do not change here.
    dx, dy = pin_x - placement.x[parents], pin_y - placement.y[parents]
    side = max(canvas.width, canvas.height)
    for steps, moves, attract, repel in zip(
        schedule.steps, schedule.moves, schedule.attract, schedule.repel, strict=True
    ):
        run_steps(
            x,
            y,
            width,
            height,
            movable,
            parents[one],
            parents[other],
            dx[other] - dx[one],
            dy[other] - dy[one],
            springs,
            (canvas.width, canvas.height),
            attract,
            repel,
            moves * side / steps,
            steps,
        )
    placement.x[:], placement.y[:] = x[: len(netlist.names)], y[: len(netlist.names)]


def _with_blockages(
    placement: Placement, movable: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats, Floats, NDArray[np.bool_]]:
    """Return all bodies: the nodes, and the blockages that clusters may not use at all."""
    width, height = placement.sizes()
    solid = [area for area in placement.canvas.blockages if area.rate >= 1.0]
    columns = (
        (placement.x, [(area.left + area.right) / 2 for area in solid]),
        (placement.y, [(area.bottom + area.top) / 2 for area in solid]),
        (width, [area.right - area.left for area in solid]),
        (height, [area.top - area.bottom for area in solid]),
    )
    x, y, w, h = (np.concatenate([nodes, np.array(areas)]) for nodes, areas in columns)
    return x, y, w, h, np.concatenate([movable, np.zeros(len(solid), dtype=bool)])


def _springs(placement: Placement, ports: float) -> tuple[Ints, Ints, Floats]:
    """Return driver, sink and weight of each spring that something movable may be at."""
    netlist = placement.netlist
    drivers, sinks, weights = netlist.connections
    own = netlist.parents[drivers] != netlist.parents[sinks]
    drivers, sinks, weights = drivers[own], sinks[own], weights[own]
    at_port = (netlist.kinds[drivers] == Kind.PORT) | (netlist.kinds[sinks] == Kind.PORT)
    weights[at_port] *= ports
    return drivers, sinks, weights
