"""Academic placement benchmarks in Bookshelf format."""

from __future__ import annotations

import gc
import gzip
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.circuit.errors import FormatError
from pytest_a2perf.domains.circuit.formats.bookshelf import read_bookshelf
from pytest_a2perf.domains.circuit.netlist import FLIPS, ORIENTATIONS, Kind

FILES = {
    "x.aux": "# a comment\nRowBasedPlacement : x.nodes x.nets x.wts x.pl x.scl x.shapes x.route\n",
    "x.nodes": """UCLA nodes 1.0
# Created: long ago

NumNodes : 9
NumTerminals:5
  a     4 10
  b     6 12  # a cell as well: it fits the higher row
  m    20 30
  f     2 10
  g     1  1
  t     8 40 terminal
  p     0  0 terminal
  q     2  4 terminal_NI
  m/p0  0  0 terminal
""",
    "x.nets": """UCLA nets 1.0
NumNets : 5
NumPins : 12

NetDegree : 4 n0
  p I
  m I : 5 -3   # what its pin would be called, a node is called
  a O : 0.0 0.0
  t I:1 1
NetDegree : 2 n1
  a O
  b I : 0 1
NetDegree : 1 n2
  t O
NetDegree:2
  m B : 5 -3

  b O
NetDegree : 3 n4
  p B : 0 0
  p I : 1 0
  q I : 1 2
""",
    "x.wts": "UCLA wts 1.0\n\nn1 2.5\nn2 7\nn4 0\na 40  # an area\n",
    "x.pl": """UCLA pl 1.0

a 110 50 : N
b 120 60 : FS
m 130 50 : E
f 150 60 : N /FIXED
g 100 70 : N /FIXED_NI
t 160 40 : FN
p 99 49
q 200 50:W /FIXED
m/p0 100 50 : N /FIXED
""",
    "x.scl": """UCLA scl 1.0
NumRows : 2
CoreRow Horizontal
  Coordinate    : 50
  Height        : 10
  Sitewidth     : 2
  Sitespacing   : 3
  Siteorient    : N
  Sitesymmetry  :
  SubrowOrigin  : 100 NumSites : 10
  SubrowOrigin  : 140 Numsites : 20
End
CoreRow Horizontal
  Coordinate : 60
  Height : 12
  SiteWidth : 3
  SubrowOrigin : 110
  NumSites : 30
End
""",
}


def written(folder, files=FILES):
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder / "x.aux"


def nets_of(netlist):
    """Names of each net's nodes, and its weight."""
    parts = np.split(netlist.net_nodes, netlist.net_starts[1:-1])
    names = [[netlist.names[node] for node in part] for part in parts]
    return list(zip(names, netlist.net_weights.tolist(), strict=True))


def test_a_small_design(tmp_path):
    design = read_bookshelf(str(written(tmp_path)))
    netlist = design.netlist
    assert netlist.canvas == (100, 22)
    got = {
        name: (
            Kind(netlist.kinds[k]).name,
            (netlist.x[k], netlist.y[k]),
            (netlist.width[k], netlist.height[k]),
            ORIENTATIONS[netlist.orientations[k]],
        )
        for k, name in enumerate(netlist.names)
        if netlist.parents[k] == k
    }
    assert got == {
        "a": ("STDCELL", (12, 5), (4, 10), "N"),
        "b": ("STDCELL", (23, 16), (6, 12), "FS"),
        "m": ("HARD_MACRO", (45, 10), (20, 30), "E"),
        "f": ("HARD_MACRO", (51, 15), (2, 10), "N"),
        "g": ("PORT", (0.5, 20.5), (0, 0), "N"),
        "t": ("HARD_MACRO", (64, 10), (8, 40), "FN"),
        "p": ("PORT", (-1, -1), (0, 0), "N"),
        "q": ("PORT", (102, 1), (0, 0), "N"),
        "m/p0": ("PORT", (0, 0), (0, 0), "N"),
        "p/p0": ("PORT", (0, -1), (0, 0), "N"),
        "q/p0": ("PORT", (100, 2), (0, 0), "N"),
    }
    pins = {
        netlist.names[k]: (netlist.names[netlist.parents[k]], netlist.x[k], netlist.y[k])
        for k in netlist.of_kind(Kind.PIN)
    }
    assert pins == {
        "m/p1": ("m", 5, -3),
        "t/p0": ("t", 1, 1),
        "a/p0": ("a", 0, 0),
        "b/p0": ("b", 0, 1),
        "m/p2": ("m", 5, -3),
    }
    assert nets_of(netlist) == [
        (["a", "p", "m/p1", "t/p0"], 1.0),
        (["b", "m/p2"], 1.0),
        (["p", "p/p0", "q/p0"], 0.0),
        (["a/p0", "b/p0"], 2.5),
    ]
    fixed = ["f", "g", "t", "p", "q", "m/p0", "p/p0", "q/p0"]
    assert [netlist.names[k] for k in design.fixed] == fixed
    assert design.fixed.dtype == np.int64


def test_what_may_be_left_out(tmp_path):
    files = FILES | {
        "x.aux": "RowBasedPlacement : x.nodes x.nets x.pl x.scl",
        "x.pl": FILES["x.pl"].replace("a 110 50 : N\n", ""),
        "x.nodes": re.sub("Num.*", "", FILES["x.nodes"]),
    }
    netlist = read_bookshelf(written(tmp_path, files)).netlist
    assert set(netlist.net_weights) == {1.0}
    assert (netlist.x[0], netlist.y[0]) == (-98, -45)  # contests have what is unplaced at (0, 0)


@pytest.mark.parametrize("named", ["x.nodes.gz", "x.nodes"])
def test_packed_files(tmp_path, named):
    plain = read_bookshelf(written(tmp_path)).netlist
    folder = tmp_path / "packed"
    folder.mkdir()
    for name, text in FILES.items():
        packed = gzip.compress(text.replace("x.nodes", named).encode())
        (folder / f"{name}.gz").write_bytes(packed)
    netlist = read_bookshelf(folder / "x.aux.gz").netlist
    assert netlist.names == plain.names
    assert nets_of(netlist) == nets_of(plain)


def test_the_garbage_collector_is_left_as_it_was(tmp_path):
    aux = written(tmp_path)
    read_bookshelf(aux)
    assert gc.isenabled()
    with pytest.raises(FormatError):
        read_bookshelf(tmp_path / "y.aux")
    assert gc.isenabled()
    gc.disable()
    try:
        read_bookshelf(aux)
        assert not gc.isenabled()
    finally:
        gc.enable()


WRONG = {
    "no aux": ("x.aux", None, None, 0, "cannot be read: No such file or directory"),
    "no names": ("x.aux", "RowBased", "# RowBased", 0, "names no .nodes file; expected 'RowBasedPlacement : files'"),
    "no nodes file": ("x.aux", " x.nodes", "", 2, "names no .nodes file; expected 'RowBasedPlacement : files'"),
    "no nets file": ("x.aux", " x.nets", "", 2, "names no .nets file; expected 'RowBasedPlacement : files'"),
    "no pl file": ("x.aux", " x.pl", "", 2, "names no .pl file; expected 'RowBasedPlacement : files'"),
    "no scl file": ("x.aux", " x.scl", "", 2, "names no .scl file; expected 'RowBasedPlacement : files'"),
    "missing file": ("x.aux", "x.wts", "y.wts", 2, "names 'y.wts', which is not there"),
    "nodes": ("x.nodes", "NumNodes : 9", "NumNodes : 8", 4, "NumNodes is 8, but the file has 9"),
    "count": ("x.nodes", "NumNodes : 9", "NumNodes : nine", 4, "'nine' is no whole number"),
    "no node": ("x.nodes", re.compile(r"(?s).*"), "UCLA nodes 1.0", 0, "has no nodes"),
    "size": ("x.nodes", "a     4 10", "a     4", 6, "expected 'name width height [terminal|terminal_NI]', not 'a 4'"),
    "mark": ("x.nodes", "40 terminal", "40 fixed", 11, "expected 'name width height [terminal|terminal_NI]', not 't 8 40 fixed'"),
    "word size": ("x.nodes", "a     4 10", "a  four 10", 6, "'four' is no finite number"),
    "nan size": ("x.nodes", "a     4 10", "a  4 nan", 6, "'nan' is no finite number"),
    "negative size": ("x.nodes", "a     4 10", "a  4 -10", 6, "node 'a' has a negative size: 4, -10"),
    "twice": ("x.nodes", "b     6 12", "a     6 12", 7, "node 'a' occurs twice, first in line 6"),
    "flat": ("x.nodes", "b     6 12", "b     6 0", 7, "the movable node 'b' has no area: width 6, height 0"),
    "unplaced": ("x.pl", "t 160 40 : FN", "", ("x.nodes", 11), "the terminal 't' has no place in the .pl file"),
    "stranger": ("x.pl", "t 160", "u 160", 8, "places 'u', which the .nodes file does not have"),
    "placed twice": ("x.pl", "b 120", "a 120", 4, "places 'a' twice"),
    "turned": ("x.pl", ": FS", ": R90", 4, "'b' has the orientation 'R90'; known: N, FN, S, FS, E, FE, W, FW"),
    "place": ("x.pl", "b 120 60", "b 120 inf", 4, "'inf' is no finite number"),
    "short place": ("x.pl", "p 99 49", "p 99", 9, "expected 'name x y : orientation [/FIXED|/FIXED_NI]', not 'p 99'"),
    "place's mark": ("x.pl", "60 : N /FIXED", "60 : N /GLUED", 6, "expected 'name x y : orientation [/FIXED|/FIXED_NI]', not 'f 150 60 N /GLUED'"),
    "nets": ("x.nets", "NumNets : 5", "NumNets : 6", 2, "NumNets is 6, but the file has 5"),
    "pins": ("x.nets", "NumPins : 12", "NumPins : 13", 3, "NumPins is 13, but the file has 12"),
    "degree": ("x.nets", "NetDegree : 2 n1", "NetDegree : 3 n1", 10, "NetDegree is 3, but the net 'n1' has 2 pins"),
    "degree, unnamed": ("x.nets", "NetDegree:2", "NetDegree:1", 15, "NetDegree is 1, but the net has 2 pins"),
    "last degree": ("x.nets", "  q I : 1 2\n", "", 19, "NetDegree is 3, but the net 'n4' has 2 pins"),
    "no degree": ("x.nets", "NetDegree:2", "NetDegree:", 15, "expected 'NetDegree : pins [name]', not 'NetDegree'"),
    "degree's number": ("x.nets", "NetDegree:2", "NetDegree:2.5", 15, "'2.5' is no whole number"),
    "no net": ("x.nets", "NetDegree : 4 n0", "", 6, "expected 'NetDegree : pins [name]', not 'p I'"),
    "stranger's pin": ("x.nets", "p I\n", "u I\n", 6, "connects 'u', which the .nodes file does not have"),
    "direction": ("x.nets", "p I\n", "p X\n", 6, "expected 'node I|O|B [: x y]', not 'p X'"),
    "half an offset": ("x.nets", "p I\n", "p I : 1\n", 6, "expected 'node I|O|B [: x y]', not 'p I 1'"),
    "offset": ("x.nets", "p I\n", "p I : 1 %2\n", 6, "'%2' is no finite number"),
    "no weight": ("x.wts", "n1 2.5", "n1", 3, "expected 'net weight', not 'n1'"),
    "weight": ("x.wts", "n1 2.5", "n1 heavy", 3, "'heavy' is no finite number"),
    "negative weight": ("x.wts", "n1 2.5", "n1 -2.5", 3, "'n1' has the negative weight -2.5"),
    "stranger's weight": ("x.wts", "n2 7", "n3 7", 4, "'n3' is neither a net nor a node"),
    "no rows": ("x.scl", re.compile(r"(?s).*"), "UCLA scl 1.0", 0, "has no rows"),
    "rows": ("x.scl", "NumRows : 2", "NumRows : 3", 2, "NumRows is 3, but the file has 2"),
    "columns": ("x.scl", "CoreRow Horizontal", "CoreRow Vertical", 3, "expected 'CoreRow Horizontal', not 'CoreRow Vertical'"),
    "endless row": ("x.scl", re.compile(r"End\n\Z"), "", 18, "the last row has no 'End'"),
    "no height": ("x.scl", "  Height        : 10\n", "", 11, "a row has no Height"),
    "height": ("x.scl", "Height        : 10", "Height : tall", 5, "'tall' is no finite number"),
    "flat row": ("x.scl", "Height        : 10", "Height : 0", 12, "a row has no area: width 29, height 0"),
    "half a subrow": ("x.scl", " Numsites : 20", "", 12, "a row has 2 SubrowOrigin, but 1 NumSites"),
    "overflow": ("x.pl", "a 110", "a 1.7e308", ("x.aux", 0), "node 'a' has x = inf; it must be finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong(tmp_path, case):
    name, old, new, line, message = WRONG[case]
    files = dict(FILES)
    if old is None:
        del files[name]
    elif isinstance(old, str):
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)
    else:
        files[name] = old.sub(new, files[name], count=1)
    if case == "overflow":
        files["x.nodes"] = files["x.nodes"].replace("a     4", "a     1.7e308")
    written(tmp_path, files)
    where, number = line if isinstance(line, tuple) else (name, line)
    place = f"{tmp_path / where}:{number}" if number else f"{tmp_path / where}"
    with pytest.raises(FormatError) as error:
        read_bookshelf(tmp_path / "x.aux")
    assert str(error.value) == f"{place}: {message}"


MARKS = (
    ("", ""),
    ("", "/FIXED"),
    ("", "/FIXED_NI"),
    ("terminal", ""),
    ("terminal", "/FIXED"),
    ("terminal_NI", "/FIXED_NI"),
)
quarters = st.integers(-400, 400).map(lambda value: value / 4)
sizes = st.integers(1, 160).map(lambda value: value / 4)


@st.composite
def designs(draw):
    """Rows, nodes, nets: what the texts say, as lists."""
    rows = draw(st.lists(st.tuples(quarters, quarters, st.integers(1, 50)), min_size=1, max_size=4))
    nodes = []
    for k in range(draw(st.integers(1, 6))):
        mark, glue = draw(st.sampled_from(MARKS))
        flat = bool(mark or glue) and draw(st.booleans())
        size = (0.0, 0.0) if flat else (draw(sizes), draw(sizes))
        orientation = draw(st.sampled_from(ORIENTATIONS))
        name = draw(st.sampled_from(["", "o0/p", "o1/p"])) + f"{k}"
        place = draw(quarters), draw(quarters)
        nodes.append((name if "/" in name else f"o{k}", size, mark, place, orientation, glue))
    offsets = st.none() | st.just((0.0, 0.0)) | st.tuples(quarters, quarters)
    pins = st.tuples(st.integers(0, len(nodes) - 1), st.sampled_from("IOB"), offsets)
    weights = st.none() | st.integers(0, 9)
    nets = draw(st.lists(st.tuples(st.lists(pins, max_size=5), weights), max_size=8))
    return rows, nodes, nets, draw(st.sampled_from([":", " : ", "\t:"]))


def texts(design):
    rows, nodes, nets, colon = design
    pins = [
        [f"{nodes[k][0]} {way}" + (f"{colon}{at[0]} {at[1]}" if at else "") for k, way, at in net]
        for net, _ in nets
    ]
    lines = {
        "aux": [f"RowBasedPlacement{colon} x.scl x.pl x.wts x.nets x.nodes"],
        "nodes": [f"NumNodes{colon}{len(nodes)}"]
        + [f"{name} {size[0]} {size[1]} {mark}" for name, size, mark, *_ in nodes],
        "pl": [f"{n} {at[0]} {at[1]}{colon}{turn} {glue}" for n, _, _, at, turn, glue in nodes],
        "nets": [f"NumNets{colon}{len(nets)}", f"NumPins{colon}{sum(map(len, pins))}"]
        + [
            line
            for k, net in enumerate(pins)
            for line in [f"NetDegree{colon}{len(net)} n{k}", *net]
        ],
        "wts": [f"n{k} {weight}" for k, (_, weight) in enumerate(nets) if weight is not None],
        "scl": [
            line
            for x, y, sites in rows
            for line in [
                "CoreRow Horizontal",
                *(f"{key}{colon}{value}" for key, value in (("Coordinate", y), ("Height", 10))),
                *(f"{key}{colon}1" for key in ("Sitewidth", "Sitespacing", "Siteorient")),
                f"SubrowOrigin{colon}{x} NumSites{colon}{sites}",
                "End",
            ]
        ],
    }
    return {f"x.{key}": "\n".join(lines[key]) for key in lines}


def lengths(design):
    """Half perimeter and weight of each net with two pins or more, from what the texts say."""
    _, nodes, nets, _ = design
    found = []
    for pins, weight in nets:
        points = []
        for k, _, offset in pins:
            _, size, _, corner, orientation, _ = nodes[k]
            turn = FLIPS[ORIENTATIONS.index(orientation)]
            centre = corner + np.abs(turn @ size) / 2
            points.append(centre + turn @ (offset or (0, 0)))
        if len(points) > 1:
            found.append((float(np.ptp(points, axis=0).sum()), 1.0 if weight is None else weight))
    return sorted(found)


@pytest.mark.slow
@given(designs())
@settings(deadline=None, max_examples=100)
def test_wirelength_and_order_survive(design):
    with TemporaryDirectory() as folder:
        bookshelf = read_bookshelf(written(Path(folder), texts(design)))
    rows, nodes, nets, _ = design
    netlist = bookshelf.netlist
    parents = netlist.parents
    at = np.stack([netlist.x, netlist.y], axis=1)
    turned = np.einsum("kij,kj->ki", FLIPS[netlist.orientations[parents]], at)
    points = np.where((netlist.kinds == Kind.PIN)[:, None], at[parents] + turned, at)
    parts = (
        np.split(netlist.net_nodes, netlist.net_starts[1:-1]) if netlist.net_weights.size else []
    )
    got = [float(np.ptp(points[part], axis=0).sum()) for part in parts]
    assert sorted(zip(got, netlist.net_weights.tolist(), strict=True)) == lengths(design)

    names = [node[0] for node in nodes]
    assert list(netlist.names[: len(nodes)]) == names
    held = [k for k, node in enumerate(nodes) if node[2] or node[5]]
    assert [k for k in bookshelf.fixed if k < len(nodes)] == held
    assert set(netlist.of_kind(Kind.PORT)) <= set(bookshelf.fixed)
    assert set(netlist.kinds[len(nodes) :]) <= {Kind.PIN, Kind.PORT}
    left, bottom = np.min([row[:2] for row in rows], axis=0)
    right, top = np.max([(x + sites, y + 10) for x, y, sites in rows], axis=0)
    assert netlist.canvas == (right - left, top - bottom)

    drivers = []
    for pins, _ in nets:
        if len(pins) > 1:
            drivers.append(names[next((k for k, way, _ in pins if way == "O"), pins[0][0])])
    owners = [netlist.names[part[0]] for part in parts]
    owners = [name if name in names else name.rpartition("/p")[0] for name in owners]
    assert sorted(owners) == sorted(drivers)
