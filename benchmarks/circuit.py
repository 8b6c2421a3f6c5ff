"""The domain circuit: costs and steps, against a straightforward version in plain Python.

The straightforward version is the tests' oracle: one net, one macro, one cell after the other. The
circuit is the real Ariane core if the reference data is there, else the generated one.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import interleave, median_ratio, report

from pytest_a2perf.domains.circuit.canvas import Canvas
from pytest_a2perf.domains.circuit.costs import proxy_costs
from pytest_a2perf.domains.circuit.environment import CircuitEnv
from pytest_a2perf.domains.circuit.force_directed import place_clusters
from pytest_a2perf.domains.circuit.formats.plc import read_placement
from pytest_a2perf.domains.circuit.formats.protobuf import read_netlist, write_netlist
from pytest_a2perf.domains.circuit.generate import ariane_like, generate_netlist
from pytest_a2perf.domains.circuit.incremental import Evaluator
from pytest_a2perf.domains.circuit.placement import Placement, initial_placement

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import circuit_oracle

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "circuit" / "ariane133_ng45"
ROUNDS = 15
SIZES = (1_000, 10_000, 100_000)


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Return the processor's time of one call."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times


def plainly(placement: Placement) -> tuple[float, float, float]:
    """Compute all costs, straightforward."""
    return (
        circuit_oracle.wirelength(placement)[1],
        circuit_oracle.density(placement),
        circuit_oracle.congestion(placement),
    )


def circuit() -> tuple[Path, Placement, str]:
    """Return a netlist's file, the circuit and what to call it."""
    if DATA.exists():
        path = DATA / "netlist.pb.txt.gz"
        return path, read_placement(DATA / "initial.plc", read_netlist(path)), "real Ariane"
    placement = ariane_like().copy()
    place_clusters(placement)
    path = Path(tempfile.mkdtemp(prefix="a2perf-benchmark-"), "netlist.pb.txt")
    write_netlist(placement.netlist, path)
    return path, placement, "generated Ariane"


def random_moves(placement: Placement, count: int) -> Callable[[], None]:
    """Return work that moves hard macros at random and asks for the costs after each move."""
    evaluator = Evaluator(placement.copy())
    rng = np.random.default_rng(0)
    canvas = placement.canvas
    macros = rng.choice(placement.netlist.hard, count).tolist()
    x = (rng.random(count) * canvas.width).tolist()
    y = (rng.random(count) * canvas.height).tolist()

    def work() -> None:
        for node, to_x, to_y in zip(macros, x, y, strict=True):
            evaluator.move(node, to_x, to_y)
            evaluator.costs()

    return work


def steps(env: CircuitEnv, rng: np.random.Generator) -> list[float]:
    """Play an episode; return the seconds of all its steps but the last, which prices it."""
    observation, _ = env.reset()
    found: list[float] = []
    over = False
    while not over:
        action = int(rng.choice(np.flatnonzero(observation["mask"])))
        started = time.perf_counter()
        observation, _, over, _, _ = env.step(action)
        found.append(time.perf_counter() - started)
    return found[:-1]


def toy_rate(rng: np.random.Generator) -> float:
    """Return toy episodes a minute."""
    env = CircuitEnv("toy")
    steps(env, rng)
    return 60 / seconds(partial(steps, env, rng), 300)


def growth() -> dict[str, Any]:
    """Time full costs of circuits of several sizes."""
    parts = []
    per_node = []
    for size in SIZES:
        soft = size // 12
        netlist = generate_netlist(
            hard=soft // 6, soft=soft, ports=soft, canvas=(1000.0, 1000.0), seed=size
        )
        placement = initial_placement(netlist, Canvas(1000.0, 1000.0, columns=40, rows=40))
        rng = np.random.default_rng(0)
        placement.x[netlist.blocks] = rng.random(len(netlist.blocks)) * 1000
        placement.y[netlist.blocks] = rng.random(len(netlist.blocks)) * 1000
        work = {"ours": partial(seconds, partial(proxy_costs, placement), 5)}
        if size < SIZES[-1]:  # the straightforward one would take minutes
            work["plain"] = partial(seconds, partial(plainly, placement))
        times = interleave(5 if size < SIZES[-1] else 3, work)
        ours = statistics.median(times["ours"])
        nodes = len(netlist.names)
        per_node.append(ours / nodes)
        parts.append(f"{1000 * ours:.1f} ms for {nodes:,} nodes")
        if "plain" in times:
            ratio = median_ratio(times["plain"], times["ours"])
            parts[-1] += f" (straightforward Python {ratio:.0f} times as long)"
    return report(
        "circuit: cost per node, largest over smallest circuit",
        per_node[-1] / per_node[0],
        "x",
        "none",
        "full proxy costs: " + "; ".join(parts),
    )


def main() -> list[dict[str, object]]:
    path, placement, name = circuit()
    nodes = len(placement.netlist.names)
    move = random_moves(placement, 100)
    move()
    times = interleave(
        ROUNDS,
        {
            "full": partial(seconds, partial(proxy_costs, placement), 5),
            "move": partial(seconds, move),
        },
    )
    plain = interleave(
        3,
        {
            "load": partial(seconds, partial(read_netlist, path)),
            "full": partial(seconds, partial(proxy_costs, placement), 5),
            "plain": partial(seconds, partial(plainly, placement)),
        },
    )
    full = 1000 * statistics.median(times["full"])
    once = 1e6 * statistics.median(times["move"]) / 100
    rng = np.random.default_rng(0)
    env = CircuitEnv("ariane")
    masked = 1e6 * statistics.median([s for _ in range(ROUNDS) for s in steps(env, rng)])
    rate = statistics.median(toy_rate(rng) for _ in range(5))
    return [
        report(
            "circuit: full proxy cost",
            full,
            "ms CPU",
            "<= 5",
            f"{name}, {nodes:,} nodes; straightforward Python takes "
            f"{median_ratio(plain['plain'], plain['full']):.0f} times as long; {ROUNDS} rounds",
        ),
        report(
            "circuit: load a netlist",
            statistics.median(plain["load"]),
            "s CPU",
            "well under 1",
            f"{name}, {nodes:,} nodes, checked; 3 rounds",
        ),
        report(
            "circuit: costs after moving one macro",
            once,
            "us CPU",
            "none",
            f"{name}; all costs afresh take {1000 * full / once:.0f} times as long",
        ),
        report(
            "circuit: masked step",
            masked,
            "us",
            "tens",
            f"generated Ariane with 133 macros, median of all steps of {ROUNDS} episodes",
        ),
        report(
            "circuit: toy episodes",
            rate,
            "a minute",
            "thousands",
            "two macros, force-directed placement and costs included; 5 rounds",
        ),
        growth(),
    ]


if __name__ == "__main__":
    main()
