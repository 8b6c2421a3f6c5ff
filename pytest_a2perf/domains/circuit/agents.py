"""Agents for the floorplanning environment, from any legal place to simulated annealing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.mask import placement_mask
from pytest_a2perf.errors import AgentError

if TYPE_CHECKING:
    from pytest_a2perf.domains.circuit.costs import Floats, Ints
    from pytest_a2perf.domains.circuit.environment import CircuitEnv
    from pytest_a2perf.domains.circuit.incremental import Evaluator
    from pytest_a2perf.domains.circuit.netlist import Netlist
    from pytest_a2perf.domains.circuit.placement import Placement

__all__ = ["AnnealingAgent", "ByAreaAgent", "GreedyAgent", "RandomLegalAgent"]

Observation = dict[str, NDArray[Any]]


def _circuit(env: Any) -> CircuitEnv:
    from pytest_a2perf.domains.circuit.environment import CircuitEnv

    inner = env.unwrapped
    if not isinstance(inner, CircuitEnv):
        raise AgentError(f"this agent places macros; it cannot act in {inner}")
    return inner


def _next(env: CircuitEnv) -> tuple[int, NDArray[np.bool_]]:
    """Return the macro that is placed next, and where it may be."""
    assert env.current is not None
    assert env.mask is not None
    return env.current, env.mask


class RandomLegalAgent:
    """Places each macro on any cell that the mask allows."""

    def __init__(self, env: Any) -> None:
        self._rng = np.random.default_rng(0)
        _circuit(env)

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self._rng = np.random.default_rng([seed, 1])

    def act(self, observation: Observation) -> int:
        """Return any legal action."""
        return int(self._rng.choice(np.flatnonzero(observation["mask"])))


class GreedyAgent:
    """Places each macro where the proxy cost is lowest, as far as it is known by then.

    Macros to come and clusters are taken to be where the first force-directed placement put them;
    the clusters are placed anew now and then.

    Args:
        env: a `CircuitEnv`.
        clusters_every: macros after which the clusters follow.
    """

    def __init__(self, env: Any, clusters_every: int = 20) -> None:
        self._env = _circuit(env)
        self._every = clusters_every
        self._evaluator: Evaluator | None = None
        self._placed = 0

    def reset(self, seed: int) -> None:
        """Begin an episode; nothing is random here."""
        del seed
        self._evaluator, self._placed = None, 0

    def act(self, observation: Observation) -> int:
        """Return the legal action with the lowest cost; of equal ones the first."""
        del observation
        from pytest_a2perf.domains.circuit.force_directed import place_clusters
        from pytest_a2perf.domains.circuit.incremental import Evaluator

        env = self._env
        node, mask = _next(env)
        if self._evaluator is None or self._placed % self._every == 0:
            placement = (
                env.placement.copy() if self._evaluator is None else self._evaluator.placement
            )
            place_clusters(placement, from_centre=False)
            self._evaluator = Evaluator(placement)
        canvas = env.placement.canvas
        cells = np.flatnonzero(mask)
        x, y = canvas.centres(cells)
        best = int(np.argmin(self._evaluator.proxies_at(node, x, y)))
        self._evaluator.move(node, float(x[best]), float(y[best]))
        self._placed += 1
        return env.observer.action_of(int(cells[best]))


class ByAreaAgent:
    """Places macros as a person would: the largest first, along the edges, by their connections.

    Of the legal cells it takes the one nearest to the canvas's edge, and among those that are as
    near the one with the shortest wires to ports and to macros that are placed.
    """

    def __init__(self, env: Any) -> None:
        self._env = _circuit(env)
        self._neighbours = _neighbours(self._env.placement.netlist, self._env.order)

    def reset(self, seed: int) -> None:
        """Begin an episode; nothing is random here."""
        del seed

    def act(self, observation: Observation) -> int:
        """Return the cell nearest to the edge, then to what the macro is connected with."""
        del observation
        env = self._env
        node, mask = _next(env)
        cell = _along_the_edge(env.placement, node, mask, self._neighbours[node])
        return env.observer.action_of(cell)


class AnnealingAgent:
    """Anneals a whole placement before its first move, and then carries it out.

    It begins with what `ByAreaAgent` would do.

    Args:
        env: a `CircuitEnv`.
        rounds: see `anneal`.
        steps: likewise.
    """

    def __init__(self, env: Any, rounds: int = 24, steps: int = 1500) -> None:
        self._env = _circuit(env)
        self._rounds, self._steps = rounds, steps
        self._seed = 0
        self._plan: dict[int, int] = {}

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self._seed, self._plan = seed, {}

    def act(self, observation: Observation) -> int:
        """Return the planned action.

        Raises:
            AgentError: a macro had no place left where annealing would begin.
        """
        del observation
        node, _ = _next(self._env)
        if not self._plan:
            self._plan = self._anneal()
        return self._plan[node]

    def _anneal(self) -> dict[int, int]:
        from pytest_a2perf.domains.circuit.annealing import anneal

        env = self._env
        start = env.placement.copy()
        neighbours = _neighbours(start.netlist, env.order)
        for node in env.order:
            mask = placement_mask(start, node)
            if not mask.any():
                name = start.netlist.names[node]
                raise AgentError(f"found no place for macro {name!r} to begin annealing with")
            cell = _along_the_edge(start, node, mask, neighbours[node])
            start.x[node], start.y[node] = start.canvas.centre(cell)
            start.placed[node] = True
        best = anneal(start, env.order, rounds=self._rounds, steps=self._steps, seed=self._seed)
        canvas = best.canvas
        columns = (best.x[env.order] / canvas.cell_width).astype(int)
        rows = (best.y[env.order] / canvas.cell_height).astype(int)
        cells = (rows * canvas.columns + columns).tolist()
        return {
            node: env.observer.action_of(cell) for node, cell in zip(env.order, cells, strict=True)
        }


def _neighbours(netlist: Netlist, macros: list[int]) -> dict[int, tuple[Ints, Floats]]:
    """Return the blocks and ports that each macro is connected with, and by what weight."""
    drivers, sinks, weights = netlist.connections
    drivers, sinks = netlist.parents[drivers], netlist.parents[sinks]
    one, other = np.concatenate([drivers, sinks]), np.concatenate([sinks, drivers])
    weights = np.tile(weights, 2)
    apart = one != other
    one, other, weights = one[apart], other[apart], weights[apart]
    size = len(netlist.names)
    pairs, at = np.unique(one * size + other, return_inverse=True)
    total = np.bincount(at, weights, len(pairs)).astype(float)
    starts = np.searchsorted(pairs, np.arange(size + 1) * size)
    found = {}
    for macro in macros:
        own = slice(starts[macro], starts[macro + 1])
        others: Ints = np.asarray(pairs[own] % size, dtype=np.int64)
        found[macro] = others, total[own]
    return found


def _along_the_edge(
    placement: Placement, node: int, mask: NDArray[np.bool_], neighbours: tuple[Ints, Floats]
) -> int:
    """Return the legal cell nearest to the edge, and among those the one with the least wire."""
    canvas = placement.canvas
    cells = np.flatnonzero(mask)
    x, y = canvas.centres(cells)
    width, height = placement.width[node] / 2, placement.height[node] / 2
    gap = np.minimum.reduce(
        [x - width, canvas.width - width - x, y - height, canvas.height - height - y]
    )
    near = np.flatnonzero(gap <= gap.min() + max(canvas.cell_width, canvas.cell_height) / 2)
    others, weights = neighbours
    there = placement.placed[others]
    others, weights = others[there], weights[there]
    wires = np.abs(x[near, None] - placement.x[others]) + np.abs(
        y[near, None] - placement.y[others]
    )
    return int(cells[near[int(np.argmin(wires @ weights))]])
