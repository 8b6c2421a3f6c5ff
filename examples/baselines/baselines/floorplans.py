"""Floorplans of three small chips, for learners that know no action masks.

An action is one of 6 x 6 places on the canvas, and means the legal cell nearest to it. The
observation is a vector:

=========  ===================================================================================
numbers    what
=========  ===================================================================================
0 - 35     part of the cells at each place that are legal for the current macro
36 - 39    centre of the current macro in a first estimate, and its size, relative to the canvas
40         part of the macros that are placed
=========  ===================================================================================
"""

import tempfile
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

from pytest_a2perf.domains.circuit.canvas import Canvas, congestion_grid
from pytest_a2perf.domains.circuit.environment import CircuitEnv
from pytest_a2perf.domains.circuit.formats.plc import write_placement
from pytest_a2perf.domains.circuit.formats.protobuf import write_netlist
from pytest_a2perf.domains.circuit.generate import generate_netlist
from pytest_a2perf.domains.circuit.placement import initial_placement

PLACES = 6
"""That an action can mean, along each side of the canvas."""
CELLS = 24
"""Of the grid, along each side of the canvas; a multiple of `PLACES`."""
SIDE = 60.0
"""Of the canvas, micrometres."""
CORNERED = -2.0
"""Reward where a macro has no place left: A2Perf's -1 is more than any placement is worth."""


class Floorplan(gymnasium.Env):
    """A generated chip of 8 hard macros, seen and acted on through `PLACES` x `PLACES` places.

    Args:
        chip: seed of the netlist.
        render_mode: see `CircuitEnv`.
    """

    metadata = CircuitEnv.metadata

    def __init__(self, chip=1, render_mode=None):
        netlist = generate_netlist(hard=8, soft=16, ports=32, canvas=(SIDE, SIDE), seed=chip)
        canvas = congestion_grid(Canvas(SIDE, SIDE, columns=CELLS, rows=CELLS))
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder) / "chip.pb.txt", Path(folder) / "chip.plc"
            write_netlist(netlist, files[0])
            write_placement(initial_placement(netlist, canvas), files[1])
            self.chip = CircuitEnv(
                files[0],
                init_placement=files[1],
                max_num_nodes=128,
                max_num_edges=2000,
                max_grid_size=32,
                output_all_features=True,
                render_mode=render_mode,
            )
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (PLACES**2 + 5,), np.float32)
        self.action_space = spaces.Discrete(PLACES**2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        seen, info = self.chip.reset(seed=seed, options=options)
        self._placed = 0
        return self._observe(seen), info

    def step(self, action):
        place = (np.array(divmod(int(action), PLACES)) + 0.5) * CELLS / PLACES - 0.5
        # Of cells that are as near as each other, the first.
        legal = np.argwhere(self.chip.mask)
        row, column = legal[np.argmin(((legal - place) ** 2).sum(axis=1))].tolist()
        cell = self.chip.observer.action_of(row * CELLS + column)
        seen, reward, terminated, truncated, info = self.chip.step(cell)
        self._placed += 1
        if info.get("infeasible"):
            reward = CORNERED
        return self._observe(seen), reward, terminated, truncated, info

    def render(self):
        return self.chip.render()

    def _observe(self, seen):
        node = int(seen["current_node"][0])
        width, height = float(seen["canvas_width"][0]), float(seen["canvas_height"][0])
        about = [
            seen["locations_x"][node] / width,
            seen["locations_y"][node] / height,
            seen["macros_w"][node] / width,
            seen["macros_h"][node] / height,
            self._placed / len(self.chip.order),
        ]
        return np.concatenate([self._legal().ravel(), about]).astype(np.float32).clip(0.0, 1.0)

    def _legal(self):
        """Return the part of legal cells at each place, shape (PLACES, PLACES)."""
        if self.chip.mask is None:
            return np.zeros((PLACES, PLACES))
        blocks = self.chip.mask.reshape(PLACES, CELLS // PLACES, PLACES, CELLS // PLACES)
        return blocks.mean(axis=(1, 3))


for letter, chip in {"A": 1, "B": 2, "C": 3}.items():
    gymnasium.register(f"Floorplan-{letter}-v0", Floorplan, kwargs={"chip": chip})
