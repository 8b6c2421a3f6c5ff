"""Netlists that the package makes itself, since the real ones are not ours to ship.

A circuit is a random binary hierarchy of blocks. A module of B blocks has t * B^p terminals (Rent's
rule: Landman and Russo, "On a Pin Versus Block Relationship For Partitions of Logic Graphs", 1971),
so what two halves have more than the whole is wired between them, and what the top has is wired to
ports.
"""

from __future__ import annotations

import functools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_a2perf.domains.circuit.canvas import Canvas, congestion_grid
from pytest_a2perf.domains.circuit.errors import CircuitError
from pytest_a2perf.domains.circuit.netlist import Kind, Netlist, Node, build_netlist
from pytest_a2perf.domains.circuit.placement import Placement, initial_placement

__all__ = ["ariane_like", "generate_netlist", "toy_macros"]

_DEGREES = ((2, 0.62), (3, 0.18), (4, 0.08), (5, 0.05), (6, 0.03), (8, 0.02), (12, 0.02))
"""Blocks on a net, and how often: most nets join two."""
_SHAPES = ((0.9, 0.95), (0.9, 0.95), (1.4, 0.95), (0.9, 1.45), (1.9, 1.9))
"""Width and height of hard macros, relative to the most common one's side."""
_SIDES = ("LEFT", "TOP", "RIGHT", "BOTTOM")


@dataclass(slots=True)
class _Module:
    """A node of the hierarchy: blocks ``first`` up to ``end``."""

    first: int
    end: int
    halves: tuple[_Module, ...] = ()

    @property
    def size(self) -> int:
        return self.end - self.first


@dataclass(slots=True)
class _Wiring:
    """Pins and nets that grow."""

    blocks: Sequence[Node]
    rng: random.Random
    pins: dict[str, Node] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)

    def driver(self, block: int) -> Node:
        """Give a block a new output."""
        return self._pin(block, "out")

    def sink(self, block: int) -> str:
        """Return an input of a block: a cluster has one for all its nets."""
        if self.blocks[block].kind == Kind.SOFT_MACRO:
            name = f"{self.blocks[block].name}/Pinput"
            self.pins.setdefault(name, Node(name, Kind.PIN, macro=self.blocks[block].name))
            return name
        return self._pin(block, "in").name

    def _pin(self, block: int, what: str) -> Node:
        owner = self.blocks[block]
        name = f"{owner.name}/{what}{self.count[owner.name]}"
        self.count[owner.name] += 1
        pin = Node(name, Kind.PIN, macro=owner.name)
        if owner.kind == Kind.SOFT_MACRO:
            # A net between clusters stands for several wires.
            pin.weight = float(1 + int(self.rng.expovariate(1.2))) if what == "out" else 1.0
        else:  # memories have their pins on one side
            pin.x = (self.rng.random() - 0.5) * owner.width * 0.9
            pin.y = -owner.height / 2
        self.pins[name] = pin
        return pin


def generate_netlist(
    *,
    hard: int,
    soft: int,
    ports: int,
    canvas: tuple[float, float],
    seed: int = 0,
    rent: float = 0.62,
    terminals: float = 14.0,
    hard_share: float = 0.4,
    soft_share: float = 0.2,
) -> Netlist:
    """Make a clustered netlist.

    The same arguments give the same netlist.

    Args:
        hard: hard macros, of five sizes.
        soft: soft macros, clusters of standard cells.
        ports: on the canvas's edges.
        canvas: width and height, micrometres.
        seed: of everything that is drawn.
        rent: Rent's exponent p.
        terminals: of one block, Rent's coefficient t.
        hard_share: of the canvas that hard macros cover.
        soft_share: likewise.

    Raises:
        CircuitError: the numbers make no sense.
    """
    if hard < 0 or soft < 0 or hard + soft < 2 or ports < 0:
        raise CircuitError("a netlist needs two blocks or more, and no negative number of anything")
    if not 0 < rent < 1 or terminals <= 0:
        raise CircuitError("Rent's exponent lies between 0 and 1, and its coefficient above 0")
    if hard_share + soft_share >= 1 or min(hard_share, soft_share) <= 0:
        raise CircuitError("blocks must cover more than nothing and less than the canvas")
    rng = random.Random(seed)
    blocks = _blocks((hard, soft), canvas, (hard_share, soft_share), rng)
    wiring = _Wiring(blocks, rng)
    top = _split(0, len(blocks), rng)
    _wire(top, wiring, rent, terminals)
    edge = _ports(ports, canvas)
    outside = round(terminals * top.size**rent)
    for number in range(max(outside, ports) if ports else 0):
        port, block = edge[number % ports], rng.randrange(len(blocks))
        if number % 2:
            driver = wiring.driver(block)
            driver.sinks = [port.name]
        else:
            port.sinks = [*port.sinks, wiring.sink(block)]
    return build_netlist([*edge, *blocks, *wiring.pins.values()], canvas=canvas)


def _blocks(
    counts: tuple[int, int],
    canvas: tuple[float, float],
    shares: tuple[float, float],
    rng: random.Random,
) -> list[Node]:
    """Make blocks in the order of the hierarchy: the memories of a module lie side by side."""
    (hard, soft), (hard_share, soft_share) = counts, shares
    area, middle = canvas[0] * canvas[1], (canvas[0] / 2, canvas[1] / 2)
    shapes: list[tuple[float, float]] = []
    while len(shapes) < hard:
        shapes += [rng.choice(_SHAPES)] * (1 + int(rng.random() * 8))
    total = sum(width * height for width, height in shapes[:hard])
    side = math.sqrt(hard_share * area / total) if hard else 0.0
    memories = [
        Node(f"mem_{number}", Kind.HARD_MACRO, (), *middle, round(w * side, 3), round(h * side, 3))
        for number, (w, h) in enumerate(shapes[:hard])
    ]
    sizes = [rng.lognormvariate(0.0, 0.4) for _ in range(soft)]
    clusters = []
    for number, size in enumerate(sizes):
        edge = round(math.sqrt(soft_share * area * size / sum(sizes)), 4)
        clusters.append(Node(f"Grp_{number}", Kind.SOFT_MACRO, (), *middle, edge, edge))
    # Each group of memories comes between clusters, its controllers.
    blocks: list[Node] = []
    for number, cluster in enumerate(clusters):
        blocks += memories[number * hard // soft : (number + 1) * hard // soft]
        blocks.append(cluster)
    return blocks if clusters else memories


def _split(first: int, end: int, rng: random.Random) -> _Module:
    if end - first < 2:
        return _Module(first, end)
    middle = first + min(max(1, round((end - first) * (0.4 + 0.2 * rng.random()))), end - first - 1)
    return _Module(first, end, (_split(first, middle, rng), _split(middle, end, rng)))


def _wire(module: _Module, wiring: _Wiring, rent: float, terminals: float) -> None:
    """Wire the halves of a module to each other, and each of them inside."""
    if not module.halves:
        return
    rng = wiring.rng
    left, right = module.halves
    joined = (left.size**rent + right.size**rent - module.size**rent) * terminals
    whole = joined / 2  # a net between the halves takes a terminal of each
    nets = int(whole) + (rng.random() < whole - int(whole))
    degrees, shares = zip(*_DEGREES, strict=True)
    for degree in rng.choices(degrees, shares, k=nets):
        source, other = (left, right) if rng.random() < 0.5 else (right, left)
        start = rng.randrange(source.first, source.end)
        ends = {rng.randrange(other.first, other.end)}
        for _ in range(degree - 2):
            ends.add(rng.randrange(module.first, module.end))
        ends.discard(start)
        driver = wiring.driver(start)
        driver.sinks = [wiring.sink(end) for end in sorted(ends)]
    for half in module.halves:
        _wire(half, wiring, rent, terminals)


def _ports(count: int, canvas: tuple[float, float]) -> list[Node]:
    """Spread ports evenly along the four edges, clockwise from the lower left."""
    width, height = canvas
    ports = []
    for number in range(count):
        way = (number + 0.5) / count * 4
        side, along = int(way), way % 1
        x, y = (
            (0.0, along * height),
            (along * width, height),
            (width, (1 - along) * height),
            ((1 - along) * width, 0.0),
        )[side]
        ports.append(
            Node(f"io_{number}", Kind.PORT, (), round(x, 3), round(y, 3), side=_SIDES[side])
        )
    return ports


@functools.cache
def ariane_like() -> Placement:
    """Return a circuit of the size of A2Perf's Ariane, unplaced but for its ports.

    133 hard macros, 799 soft macros and 1,231 ports on a canvas of 356.592 by 356.640 um with 35 by
    33 cells. It is not the Ariane core: its wires are drawn at random. Copy it before changing it.
    """
    size = (356.592, 356.64)
    netlist = generate_netlist(hard=133, soft=799, ports=1231, canvas=size, seed=133)
    return initial_placement(netlist, congestion_grid(Canvas(*size, columns=35, rows=33)))


@functools.cache
def toy_macros() -> Placement:
    """Return two hard macros, 12 standard cells and 12 ports on a canvas of 200 by 100 um.

    Copy it before changing it.
    """
    nodes = [
        Node("left", Kind.HARD_MACRO, (), 50.0, 50.0, 30.0, 40.0),
        Node("right", Kind.HARD_MACRO, (), 150.0, 50.0, 30.0, 40.0),
        Node("left/in", Kind.PIN, (), -15.0, 0.0, macro="left"),
        Node("right/in", Kind.PIN, (), -15.0, 0.0, macro="right"),
        Node("left/out", Kind.PIN, [f"mid_{n}" for n in range(6)], 15.0, 0.0, macro="left"),
        Node("right/out", Kind.PIN, [f"out_{n}" for n in range(3)], 15.0, 0.0, macro="right"),
    ]
    for side, x, y, dx, dy in (
        ("west", 0.0, 35.0, 0.0, 15.0),
        ("north", 70.0, 100.0, 30.0, 0.0),
        ("east", 200.0, 35.0, 0.0, 15.0),
        ("south", 70.0, 0.0, 30.0, 0.0),
    ):
        for n in range(3):
            sinks = {"west": [f"in_{n}"], "north": [f"mid_{n}"], "south": [f"mid_{n + 3}"]}
            nodes.append(
                Node(f"{side}_{n}", Kind.PORT, sinks.get(side, ()), x + n * dx, y + n * dy)
            )
    for name, x, targets in (
        ("in", 20.0, ["left/in"] * 3),
        ("mid", 100.0, ["right/in"] * 6),
        ("out", 185.0, [f"east_{n}" for n in range(3)]),
    ):
        for n, target in enumerate(targets):
            y = 50.0 + 12.0 * (n - (len(targets) - 1) / 2)
            nodes.append(Node(f"{name}_{n}", Kind.STDCELL, [target], x, y, 10.0, 10.0))
    netlist = build_netlist(nodes, canvas=(200.0, 100.0))
    return initial_placement(netlist, congestion_grid(Canvas(200.0, 100.0, columns=20, rows=10)))
