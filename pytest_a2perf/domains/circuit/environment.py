"""The floorplanning environment: one hard macro a step, the costs at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.costs import proxy_costs
from pytest_a2perf.domains.circuit.errors import CircuitError, IllegalActionError
from pytest_a2perf.domains.circuit.force_directed import INITIAL, place_clusters
from pytest_a2perf.domains.circuit.loading import load_circuit
from pytest_a2perf.domains.circuit.mask import Obstacles
from pytest_a2perf.domains.circuit.observation import FakeNets, Limits, Observer, observation_space
from pytest_a2perf.domains.circuit.placement import Placement, square_clusters

__all__ = ["ILLEGAL", "INFEASIBLE", "CircuitEnv"]

INFEASIBLE = -1.0
"""Reward where a macro has no place left, as in A2Perf."""
ILLEGAL = -10.0
"""Reward of a masked action, below that of any placement, so that giving up never pays."""

Observation = dict[str, NDArray[Any]]
NodeOrder = Literal["descending_size_macro_first", "random", "random_macro_first"]


class CircuitEnv(gymnasium.Env[Observation, np.int64]):
    """Place the hard macros of a netlist one by one; clusters of standard cells follow by force.

    An action is a cell of the padded grid, in whose middle the real one lies; the observation's
    ``mask`` says which are legal. The episode ends when all macros are placed, with the reward
    -(wirelength + density + 0.5 * congestion), or with -1 when the next macro has no place left.
    Costs are -1 in ``info`` until then. Nothing is random but a random ``node_order``.

    Args:
        netlist: ``"ariane"`` and ``"toy"``, which ship; or the path of a netlist: ``.pb.txt``,
            ``.pb.txt.gz``, or Bookshelf's ``.aux``.
        init_placement: path of a ``.plc`` file with the canvas, its grid, ports and fixed macros.
        std_cell_placer_mode: ``"fd"``, the force-directed placement, or ``"none"``: clusters stay
            where the first force-directed placement put them.
        cost_info_fn: from a placement to its cost and what ``info`` shall say of it; default: the
            proxy costs.
        global_seed: of a random ``node_order``.
        netlist_index: for A2Perf's sake; 0 is the only one.
        is_eval: write ``output_plc_file`` at the end of each episode.
        save_best_cost: only if it is the best so far.
        output_plc_file: path of the placement to write.
        cd_finetune: turn macros by coordinate descent at the end of an episode.
        cd_plc_file: name of the placement that is written after that, beside ``output_plc_file``.
        output_all_features: observations with features that do not change.
        node_order: in which macros are placed.
        save_partial_placement: write placements of episodes that ended too early as well.
        fake_nets: weights of nets that attract macros in ``fake_net_heatmap`` alone.
        masked_action: ``"penalise"``: the episode ends with -10; ``"raise"``: an
            `IllegalActionError`, as in A2Perf.
        max_num_nodes: to which observations are padded.
        max_num_edges: likewise.
        max_grid_size: likewise.
        render_mode: ``"rgb_array"`` or none.

    Raises:
        CircuitError: a file cannot be read, or the options do not fit the netlist.
        InfraError: numba is missing.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - so Gymnasium declares it
        "render_modes": ["rgb_array"],
        "render_fps": 4,
    }

    def __init__(
        self,
        netlist: str | Path = "ariane",
        *,
        init_placement: str | Path = "",
        std_cell_placer_mode: Literal["fd", "none"] = "fd",
        cost_info_fn: Callable[[Placement], tuple[float, dict[str, float]]] | None = None,
        global_seed: int = 0,
        netlist_index: int = 0,
        is_eval: bool = False,
        save_best_cost: bool = False,
        output_plc_file: str | Path = "",
        cd_finetune: bool = False,
        cd_plc_file: str = "ppo_cd_placement.plc",
        output_all_features: bool = False,
        node_order: NodeOrder = "descending_size_macro_first",
        save_partial_placement: bool = False,
        fake_nets: FakeNets | None = None,
        masked_action: Literal["penalise", "raise"] = "penalise",
        max_num_nodes: int = 3500,
        max_num_edges: int = 42000,
        max_grid_size: int = 128,
        render_mode: Literal["rgb_array"] | None = None,
    ) -> None:
        _check("std_cell_placer_mode", std_cell_placer_mode, ("fd", "none"))
        _check("masked_action", masked_action, ("penalise", "raise"))
        _check("netlist_index", netlist_index, (0,))
        _check("render_mode", render_mode, ("rgb_array", None))
        if is_eval and not output_plc_file:
            raise CircuitError("is_eval writes a placement: give output_plc_file")
        self.render_mode = render_mode
        self._clusters_move = std_cell_placer_mode == "fd"
        self._cost = cost_info_fn or _proxy
        self._raises = masked_action == "raise"
        self._output = Path(output_plc_file) if is_eval else None
        self._only_best, self._partial = save_best_cost, save_partial_placement
        self._finetune, self._finetuned = cd_finetune, cd_plc_file
        self._best = np.inf
        start = load_circuit(netlist, init_placement)
        square_clusters(start)
        hard = start.netlist.hard
        self.order = _ordered(start, hard[~start.fixed[hard]], node_order, global_seed)
        if not self.order:
            raise CircuitError("the netlist has no hard macro that could be placed")
        start.placed[self.order] = False
        # Where nobody placed anything yet, agents see this estimate.
        place_clusters(start, INITIAL, move_macros=True)
        self._start = start
        self.placement = start.copy()
        limits = Limits(max_num_nodes, max_num_edges, max_grid_size)
        self.observer = Observer(start, limits, fake_nets or {}, static=output_all_features)
        self.observation_space = observation_space(limits, static=output_all_features)  # type: ignore[assignment]
        self.action_space: spaces.Discrete = spaces.Discrete(limits.grid**2)
        self._obstacles = Obstacles(start.canvas, len(hard))
        self._step = 0
        self._over = True
        self.mask: NDArray[np.bool_] | None = None

    @property
    def current(self) -> int | None:
        """The macro that is placed next, as a node of the netlist."""
        return None if self._over else self.order[self._step]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Unplace all macros that are not fixed."""
        super().reset(seed=seed, options=options)
        self.placement = self._start.copy()
        self.observer.reset()
        self._obstacles.clear()
        width, height = self.placement.sizes()
        self._obstacles.add_placed(self.placement)
        self._width, self._height = width.tolist(), height.tolist()
        self._step, self._over = 0, False
        self.mask = self._next_mask()
        if self.mask is None:
            name = self.placement.netlist.names[self.order[0]]
            raise CircuitError(f"macro {name!r} fits nowhere; is the canvas too small?")
        return self.observer.observe(self.current, self.mask), self._info()

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place the current macro in the middle of a cell.

        Raises:
            IllegalActionError: the action is masked, and ``masked_action`` is ``"raise"``.
            CircuitError: the episode is over.
        """
        if self._over or self.mask is None:
            raise CircuitError("the episode is over: call reset")
        cell = self.observer.cell_of(int(action))
        if cell is None or not self.mask.flat[cell]:
            if self._raises:
                name = self.placement.netlist.names[self.order[self._step]]
                raise IllegalActionError(f"action {action} is masked: {name!r} does not fit there")
            return self._end(ILLEGAL, self._info(is_success=False, illegal_action=True))
        self._place(cell)
        self._step += 1
        if self._step == len(self.order):
            return self._finish()
        self.mask = self._next_mask()
        if self.mask is None:
            if self._partial and not self._only_best:  # it has no cost to compare
                self._save(np.inf)
            return self._end(INFEASIBLE, self._info(is_success=False, infeasible=True))
        observation = self.observer.observe(self.order[self._step], self.mask)
        return observation, 0.0, False, False, self._info()

    def render(self) -> NDArray[np.uint8] | None:
        """Return a picture of macros, nets and congestion, shape (600, 800, 3)."""
        if self.render_mode is None:
            return None
        from pytest_a2perf.domains.circuit.render import draw

        return draw(self.placement)

    def _place(self, cell: int) -> None:
        node = self.order[self._step]
        x, y = self.placement.canvas.centre(cell)
        self.placement.x[node], self.placement.y[node] = x, y
        self.placement.placed[node] = True
        self._obstacles.add(x, y, self._width[node], self._height[node])
        self.observer.place(node, x, y)

    def _next_mask(self) -> NDArray[np.bool_] | None:
        node = self.order[self._step]
        mask = self._obstacles.mask(self._width[node], self._height[node])
        return mask if mask.any() else None

    def _finish(self) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if self._clusters_move:
            place_clusters(self.placement)
        cost, found = self._cost(self.placement)
        self._save(cost)
        if self._finetune:
            from pytest_a2perf.domains.circuit.refine import coordinate_descent

            coordinate_descent(self.placement, only_orientations=True)
            cost, found = self._cost(self.placement)
            self._save(cost, self._finetuned)
        return self._end(-cost, self._info(is_success=True) | found)

    def _end(
        self, reward: float, info: dict[str, Any]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self._over, self.mask = True, None
        return self.observer.observe(None, None), reward, True, False, info

    def _info(self, **more: bool) -> dict[str, Any]:
        return {"wirelength": -1.0, "congestion": -1.0, "density": -1.0, **more}

    def _save(self, cost: float, name: str = "") -> None:
        if self._output is None or (self._only_best and cost > self._best):
            return
        from pytest_a2perf.domains.circuit.formats.plc import write_placement

        self._best = min(cost, self._best)
        self._output.parent.mkdir(parents=True, exist_ok=True)
        write_placement(self.placement, self._output.with_name(name) if name else self._output)


def _proxy(placement: Placement) -> tuple[float, dict[str, float]]:
    costs = proxy_costs(placement)
    return costs.proxy, {
        "wirelength": costs.wirelength,
        "congestion": costs.congestion,
        "density": costs.density,
    }


def _check(option: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        choices = ", ".join(map(repr, known))
        raise CircuitError(f"{option} is {value!r}; known: {choices}")


def _ordered(placement: Placement, macros: NDArray[np.int64], how: str, seed: int) -> list[int]:
    _check("node_order", how, ("descending_size_macro_first", "random", "random_macro_first"))
    if how != "descending_size_macro_first":
        order: list[int] = np.random.default_rng(seed).permutation(macros).tolist()
        return order
    area = (placement.width * placement.height)[macros]
    ordered: list[int] = macros[np.argsort(-area, kind="stable")].tolist()
    return ordered
