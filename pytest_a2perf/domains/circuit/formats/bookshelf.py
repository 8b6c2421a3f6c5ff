"""Academic placement benchmarks in Bookshelf format: ISPD 2005, 2006 and 2011, DAC and ICCAD 2012.

An ``.aux`` file names the others: ``.nodes``, ``.nets``, ``.pl`` (places), ``.scl`` (rows) and
perhaps ``.wts`` (weights). ``.shapes`` and ``.route`` are not read: a block that is not
rectangular counts with its bounding box.
"""

from __future__ import annotations

import contextlib
import gc
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.circuit.errors import CircuitError, FormatError
from pytest_a2perf.domains.circuit.formats import read_text
from pytest_a2perf.domains.circuit.netlist import (
    FLIPS,
    ORIENTATIONS,
    Kind,
    Netlist,
    Node,
    build_netlist,
)

__all__ = ["Bookshelf", "read_bookshelf"]

_NEEDED = (".nodes", ".nets", ".pl", ".scl")
_WEIGHTS = ".wts"
_COUNTS = {"NumNodes", "NumTerminals", "NumNets", "NumPins", "NumRows"}
_ROW = ("Coordinate", "Height", "Sitewidth", "SubrowOrigin", "NumSites")
_ROW_KEYS = {key.lower() for key in (*_ROW, "Sitespacing")}  # files differ in their capitals


@dataclass(frozen=True, eq=False)
class Bookshelf:
    """A benchmark.

    Attributes:
        netlist: its circuit; nodes in the file's order, then pins.
        fixed: nodes that must stay where they are, in rising order.
    """

    netlist: Netlist
    fixed: NDArray[np.int64]


class _File:
    """Lines of a file as words, without comments, header and colons.

    Attributes:
        path: of the file.
        line: number of the line that was read last.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self._stated: dict[str, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[list[str]]:
        for line, text in enumerate(read_text(self.path).replace(":", " ").split("\n"), 1):
            words = text.partition("#")[0].split()
            if not words or words[0] == "UCLA":
                continue
            self.line = line
            if words[0] in _COUNTS and len(words) == 2:
                self._stated[words[0]] = self.count(words[1]), line
            else:
                yield words

    def count(self, word: str) -> int:
        try:
            return int(word)
        except ValueError:
            raise self.error(f"{word!r} is no whole number") from None

    def number(self, word: str) -> float:
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{word!r} is no finite number")
        return value

    def check(self, counts: Mapping[str, int]) -> None:
        """Compare what there is with what the file says that there is."""
        for key, count in counts.items():
            stated, line = self._stated.get(key, (count, 0))
            if stated != count:
                raise self.error(f"{key} is {stated}, but the file has {count}", line)

    def unexpected(self, words: list[str], expected: str) -> FormatError:
        return self.error(f"expected {expected!r}, not {' '.join(words)!r}")

    def error(self, message: str, line: int | None = None) -> FormatError:
        return FormatError(self.path, self.line if line is None else line, message)


@dataclass(slots=True)
class _Item:
    """A line of the nodes file, and what the other files add to it."""

    node: Node
    line: int
    fixed: bool
    overlaps: bool
    placed: bool = False
    orientation: str = "N"
    pins: int = 0


@dataclass(slots=True)
class _Net:
    name: str
    degree: int
    line: int
    pins: list[tuple[_Item, str, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class _Rows:
    left: float
    bottom: float
    right: float
    top: float
    height: float


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Stop the collector, which would search a million nodes again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_garbage()
def read_bookshelf(path: Path | str) -> Bookshelf:
    """Read a benchmark; its canvas is the bounding box of the rows, its origin their lower left.

    Nodes higher than a row, and fixed ones with an area, become hard macros; other nodes standard
    cells; fixed ones without an area, or that others may overlap, ports. A connection of a macro
    becomes a pin, as does that of a cell away from its centre, or of a cell that drives another net
    already; in these cases that of a port becomes a fixed port of its own.

    Args:
        path: of the ``.aux`` file. It and those that it names may be packed, ``.gz``.

    Raises:
        FormatError: a file cannot be read, or a line is wrong.
    """
    files = _files(Path(path))
    rows = _read_rows(files[".scl"])
    items = _read_nodes(files[".nodes"])
    _read_places(files[".pl"], items)
    for item in items.values():
        _settle(item, rows, files[".nodes"])
    pins = _connect(files, items)
    nodes = [item.node for item in items.values()] + pins
    fixed = [item.fixed for item in items.values()] + [pin.kind == Kind.PORT for pin in pins]
    try:
        netlist = build_netlist(nodes, canvas=(rows.right - rows.left, rows.top - rows.bottom))
    except CircuitError as error:
        raise FormatError(path, 0, str(error)) from None
    return Bookshelf(netlist, np.flatnonzero(fixed))


def _files(aux: Path) -> dict[str, _File]:
    file = _File(aux)
    found = {}
    for name in next(iter(file), [])[1:]:
        suffix = Path(name.removesuffix(".gz")).suffix
        if suffix not in (*_NEEDED, _WEIGHTS):
            continue
        path = aux.parent / name
        if not path.is_file():  # some are distributed packed, with the names of unpacked files
            path = aux.parent / f"{name}.gz"
        if not path.is_file():
            raise file.error(f"names {name!r}, which is not there")
        found[suffix] = _File(path)
    for suffix in _NEEDED:
        if suffix not in found:
            raise file.error(f"names no {suffix} file; expected 'RowBasedPlacement : files'")
    return found


def _read_rows(file: _File) -> _Rows:
    boxes: list[tuple[float, float, float, float]] = []
    rows = 0
    row: dict[str, list[float]] | None = None
    for words in file:
        if row is None:
            if words != ["CoreRow", "Horizontal"]:
                raise file.unexpected(words, "CoreRow Horizontal")
            row = defaultdict(list)
        elif words != ["End"]:
            for key, value in zip(words[::2], words[1::2], strict=False):
                if key.lower() in _ROW_KEYS:
                    row[key.lower()].append(file.number(value))
        else:
            boxes += _boxes(row, file)
            row = None
            rows += 1
    if row is not None:
        raise file.error("the last row has no 'End'")
    file.check({"NumRows": rows})
    if not boxes:
        raise file.error("has no rows", 0)
    lefts, bottoms, rights, heights = zip(*boxes, strict=True)
    top = max(bottom + height for _, bottom, _, height in boxes)
    return _Rows(min(lefts), min(bottoms), max(rights), top, max(heights))


def _boxes(
    row: Mapping[str, list[float]], file: _File
) -> Iterator[tuple[float, float, float, float]]:
    """Yield left, bottom, right and height of a row's parts."""
    for key in _ROW:
        if key.lower() not in row:
            raise file.error(f"a row has no {key}")
    bottom, height, width = (row[key.lower()][0] for key in _ROW[:3])
    spacing = row.get("sitespacing", [width])[0]
    origins, counts = row["subroworigin"], row["numsites"]
    if len(origins) != len(counts):
        raise file.error(f"a row has {len(origins)} SubrowOrigin, but {len(counts)} NumSites")
    for left, count in zip(origins, counts, strict=True):
        right = left + (count - 1) * spacing + width
        if not (right > left and height > 0):
            raise file.error(f"a row has no area: width {right - left:g}, height {height:g}")
        yield left, bottom, right, height


def _read_nodes(file: _File) -> dict[str, _Item]:
    items: dict[str, _Item] = {}
    for words in file:
        match words:
            case [name, right, up, *marks] if marks in ([], ["terminal"], ["terminal_NI"]):
                width, height = file.number(right), file.number(up)
            case _:
                raise file.unexpected(words, "name width height [terminal|terminal_NI]")
        if name in items:
            raise file.error(f"node {name!r} occurs twice, first in line {items[name].line}")
        if width < 0 or height < 0:
            raise file.error(f"node {name!r} has a negative size: {width:g}, {height:g}")
        node = Node(name, Kind.STDCELL, width=width, height=height)
        items[name] = _Item(node, file.line, bool(marks), marks == ["terminal_NI"])
    file.check({"NumNodes": len(items)})
    if not items:
        raise file.error("has no nodes", 0)
    return items


def _read_places(file: _File, items: Mapping[str, _Item]) -> None:
    for words in file:
        match words if len(words) != 3 else [*words, "N"]:
            case [name, right, up, orientation, *marks] if marks in ([], ["/FIXED"], ["/FIXED_NI"]):
                pass
            case _:
                raise file.unexpected(words, "name x y : orientation [/FIXED|/FIXED_NI]")
        item = items.get(name)
        if item is None:
            raise file.error(f"places {name!r}, which the .nodes file does not have")
        if item.placed:
            raise file.error(f"places {name!r} twice")
        if orientation not in ORIENTATIONS:
            known = ", ".join(ORIENTATIONS)
            raise file.error(f"{name!r} has the orientation {orientation!r}; known: {known}")
        item.node.x, item.node.y = file.number(right), file.number(up)
        item.orientation, item.placed = orientation, True
        item.fixed |= bool(marks)
        item.overlaps |= marks == ["/FIXED_NI"]


def _settle(item: _Item, rows: _Rows, file: _File) -> None:
    """Decide what it is, and move its coordinates from the corner to the centre."""
    node = item.node
    if item.fixed and not item.placed:
        raise file.error(f"the terminal {node.name!r} has no place in the .pl file", item.line)
    width, height = node.width, node.height
    if item.fixed and (item.overlaps or not width * height):
        node.kind = Kind.PORT
        node.width = node.height = 0.0
    elif not width * height:
        sizes = f"width {width:g}, height {height:g}"
        raise file.error(f"the movable node {node.name!r} has no area: {sizes}", item.line)
    else:
        node.orientation = item.orientation
        if item.fixed or height > rows.height:
            node.kind = Kind.HARD_MACRO
    if item.orientation in ("E", "W", "FE", "FW"):
        width, height = height, width
    node.x += width / 2 - rows.left
    node.y += height / 2 - rows.bottom


def _connect(files: Mapping[str, _File], items: Mapping[str, _Item]) -> list[Node]:
    """Let nodes drive nets, and return the pins that this takes."""
    weights = _read_weights(files[_WEIGHTS]) if _WEIGHTS in files else {}
    pins: list[Node] = []
    names = set()
    for net in _read_nets(files[".nets"], items):
        names.add(net.name)
        if len(net.pins) < 2:
            continue
        first = next((k for k, pin in enumerate(net.pins) if pin[1] == "O"), 0)
        net.pins.insert(0, net.pins.pop(first))
        ends: list[Node] = []
        for item, _, x, y in net.pins:
            node = item.node
            drives_another = not ends and bool(node.sinks)
            if x or y or drives_another or node.kind == Kind.HARD_MACRO:
                node = _pin(item, x, y, items)
                pins.append(node)
            ends.append(node)
        driver, *sinks = ends
        driver.sinks = [sink.name for sink in sinks]
        driver.weight = weights.get(net.name, (1.0, 0))[0]
    for name, (_, line) in weights.items():
        if name not in names and name not in items:
            raise files[_WEIGHTS].error(f"{name!r} is neither a net nor a node", line)
    return pins


def _pin(item: _Item, x: float, y: float, items: Mapping[str, _Item]) -> Node:
    node = item.node
    while (name := f"{node.name}/p{item.pins}") in items:
        item.pins += 1
    item.pins += 1
    if node.kind != Kind.PORT:
        return Node(name, Kind.PIN, x=x, y=y, macro=node.name)
    right, up = FLIPS[ORIENTATIONS.index(item.orientation)] @ (x, y)
    return Node(name, Kind.PORT, x=node.x + float(right), y=node.y + float(up))


def _read_nets(file: _File, items: Mapping[str, _Item]) -> Iterator[_Net]:
    nets = pins = 0
    net: _Net | None = None
    for words in file:
        if words[0] == "NetDegree":
            if net:
                yield _complete(net, file)
            if len(words) not in (2, 3):
                raise file.unexpected(words, "NetDegree : pins [name]")
            net = _Net("".join(words[2:]), file.count(words[1]), file.line)
            nets += 1
        elif net is None:
            raise file.unexpected(words, "NetDegree : pins [name]")
        else:
            match words:
                case [name, "I" | "O" | "B" as direction]:
                    x = y = 0.0
                case [name, "I" | "O" | "B" as direction, right, up]:
                    x, y = file.number(right), file.number(up)
                case _:
                    raise file.unexpected(words, "node I|O|B [: x y]")
            item = items.get(name)
            if item is None:
                raise file.error(f"connects {name!r}, which the .nodes file does not have")
            net.pins.append((item, direction, x, y))
            pins += 1
    if net:
        yield _complete(net, file)
    file.check({"NumNets": nets, "NumPins": pins})


def _complete(net: _Net, file: _File) -> _Net:
    if len(net.pins) != net.degree:
        name = f" {net.name!r}" if net.name else ""
        raise file.error(
            f"NetDegree is {net.degree}, but the net{name} has {len(net.pins)} pins", net.line
        )
    return net


def _read_weights(file: _File) -> dict[str, tuple[float, int]]:
    """Return weights and their lines, of nets and of nodes: the format does not tell them apart."""
    weights = {}
    for words in file:
        if len(words) < 2:
            raise file.unexpected(words, "net weight")
        weight = file.number(words[1])
        if weight < 0:
            raise file.error(f"{words[0]!r} has the negative weight {words[1]}")
        weights[words[0]] = weight, file.line
    return weights
