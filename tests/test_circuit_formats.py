"""Circuit Training's netlists and placements."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from circuit_worlds import placements, real
from hypothesis import given, settings

from pytest_a2perf.domains.circuit.canvas import Blockage
from pytest_a2perf.domains.circuit.errors import CircuitError, FormatError
from pytest_a2perf.domains.circuit.formats.plc import read_placement, write_placement
from pytest_a2perf.domains.circuit.formats.protobuf import (
    format_netlist,
    parse_netlist,
    read_netlist,
    write_netlist,
)
from pytest_a2perf.domains.circuit.generate import ariane_like, toy_macros
from pytest_a2perf.domains.circuit.netlist import Kind, Netlist, Node, build_netlist

SMALL = """\
# FP bbox: {0.0 0.0} {200.0 100.0}
node {
  name: "__metadata__"
  attr { key: "soft_macro_area_bloating_ratio" value { f: 2.0 } }
}
node {
  name: "in"
  input: "m/i"
  attr { key: "side" value { placeholder: "LEFT" } }
  attr { key: "type" value { placeholder: "PORT" } }
  attr { key: "x" value { f: 0 } }
  attr { key: "y" value { f: 50.5 } }
}
node {
  name: "m"
  attr { key: "type" value { placeholder: "MACRO" } }
  attr { key: "width" value { f: 20 } }
  attr { key: "height" value { f: 1e1 } }
  attr { key: "x" value { f: 100 } }
  attr { key: "y" value { f: 50 } }
  attr { key: "orientation" value { placeholder: "FS" } }
}
node {
  name: "m/i"
  attr { key: "type" value { placeholder: "MACRO_PIN" } }
  attr { key: "macro_name" value { placeholder: "m" } }
  attr { key: "x_offset" value { f: -3.5 } }
  attr { key: "y_offset" value { f: 4 } }
}
node {
  name: "Grp_0"
  attr { key: "type" value { placeholder: "macro" } }
  attr { key: "width" value { f: 5 } }
  attr { key: "height" value { f: 5 } }
  attr { key: "x" value { f: 10 } }
  attr { key: "y" value { f: 10 } }
}
node {
  name: "Grp_0/o"
  input: "m/i"
  input: "in"
  attr { key: "type" value { placeholder: "macro_pin" } }
  attr { key: "macro_name" value { placeholder: "Grp_0" } }
  attr { key: "weight" value { f: 7.0 } }
}
"""


def same(one: Netlist, other: Netlist) -> bool:
    arrays = [
        "kinds",
        "x",
        "y",
        "width",
        "height",
        "parents",
        "orientations",
        "net_starts",
        "net_nodes",
        "net_weights",
    ]
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and one.names == other.names
        and one.sides == other.sides
        and one.metadata == other.metadata
        and one.canvas == other.canvas
    )


def test_everything_that_a_netlist_says():
    netlist = parse_netlist(SMALL)
    assert netlist.names == ("in", "m", "m/i", "Grp_0", "Grp_0/o")
    kinds = [Kind.PORT, Kind.HARD_MACRO, Kind.PIN, Kind.SOFT_MACRO, Kind.PIN]
    assert netlist.kinds.tolist() == kinds
    assert netlist.parents.tolist() == [0, 1, 1, 3, 3]
    assert netlist.net_starts.tolist() == [0, 2, 5]
    assert netlist.net_nodes.tolist() == [0, 2, 4, 2, 0]
    assert netlist.net_weights.tolist() == [1.0, 7.0]
    assert (netlist.x[2], netlist.y[2]) == (-3.5, 4.0)
    assert netlist.canvas == (200.0, 100.0)
    assert netlist.metadata == {"soft_macro_area_bloating_ratio": 2.0}
    assert netlist.sides == {0: "LEFT"}
    assert netlist.area == 225.0
    assert netlist.index("Grp_0") == 3
    with pytest.raises(CircuitError, match="no node 'nothing'"):
        netlist.index("nothing")


@pytest.mark.parametrize("make", [toy_macros, ariane_like])
def test_netlists_come_back_from_a_file(make, tmp_path):
    netlist = make().netlist
    write_netlist(netlist, tmp_path / "x.pb.txt")
    assert same(netlist, read_netlist(tmp_path / "x.pb.txt"))


def test_the_real_netlists_come_back():
    for name in ("ariane133_ng45/netlist.pb.txt.gz", "toy_macro_stdcell/netlist.pb.txt"):
        netlist = read_netlist(real(name))
        assert same(netlist, parse_netlist(format_netlist(netlist)))


def test_ariane_has_the_published_size():
    netlist = read_netlist(real("ariane133_ng45/netlist.pb.txt.gz"))
    assert len(netlist.names) == 19_887  # and __metadata__
    assert (len(netlist.hard), len(netlist.clusters), len(netlist.ports)) == (133, 782, 495)
    assert netlist.area == pytest.approx(1447227.522542122, rel=1e-8)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('  name: "m/i"\n', "", ":28: a node without a name ends here"),
        ('  name: "m/i"\n', '  name: "m/i"\n  name: "again"\n', ":25: a node has two names"),
        ("value { f: -3.5 } }", "value { f: -3.5 }", ":27: expected name, input, attr or '}'"),
        ("value { f: -3.5 }", "value { f: left }", ":24: node 'm/i': x_offset = left is no number"),
        ("{ f: 20 }", "{ f: nan }", ":15: node 'm' has width = nan; it must be finite"),
        ("{ f: 1e1 }", "{ f: 0 }", ":15: node 'm' has no area: width 20, height 0"),
        ('"FS"', '"UP"', ":15: node 'm' has the orientation 'UP'; known: N, FN"),
        ('{ placeholder: "m" }', '{ placeholder: "n" }', ":24: node 'm/i' is a pin of 'n', which"),
        ('{ placeholder: "m" }', '{ placeholder: "m/i" }', "'m/i', which is a pin itself"),
        (
            '{ placeholder: "m" }',
            '{ placeholder: "in" }',
            ":24: node 'm/i' is a pin of 'in', which is a port",
        ),
        ('input: "in"', 'input: "out"', ":39: node 'Grp_0/o' drives 'out', which the netlist"),
        ('input: "in"', 'input: "m"', "node 'm' is a macro and cannot be on a net itself"),
        ('name: "Grp_0"', 'name: "m"', "node 'm' occurs twice; names must be unique"),
        ('"macro_pin"', '"pin"', ":39: node 'Grp_0/o' has the type 'pin'; known: macro"),
        ("{ f: 7.0 }", "{ f: -7.0 }", ":39: node 'Grp_0/o' has the negative weight -7"),
        ("{ f: 7.0 }", '{ placeholder: "7" }', "weight = '7' is no number"),
        ('  attr { key: "macro_name" value { placeholder: "m" } }\n', "", "has no macro_name"),
        ('node {\n  name: "in"', 'gate {\n  name: "in"', ":6: expected 'node {', not 'gate {'"),
        ('}\nnode {\n  name: "m"', 'node {\n  name: "m"', ":13: a node begins inside another one"),
        ('}\nnode {\n  name: "m"', '}\n}\nnode {\n  name: "m"', ":14: there is one '}' too many"),
    ],
)
def test_wrong_netlists_name_the_line(old, new, message):
    assert SMALL.count(old) == 1
    with pytest.raises(FormatError, match=re.escape(message)) as caught:
        parse_netlist(SMALL.replace(old, new), "x.pb.txt")
    assert str(caught.value).startswith("x.pb.txt:")


def test_files_that_are_no_netlists(tmp_path):
    cut = tmp_path / "cut.pb.txt"
    cut.write_text(SMALL[:-3])
    with pytest.raises(FormatError, match=r"cut.pb.txt:\d+: the file ends in the middle of a node"):
        read_netlist(cut)
    (tmp_path / "empty.pb.txt").write_text("# nothing\n")
    with pytest.raises(FormatError, match="has no node"):
        read_netlist(tmp_path / "empty.pb.txt")
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        read_netlist(tmp_path / "none.pb.txt")
    (tmp_path / "x.pb.txt.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    with pytest.raises(FormatError, match="cannot be read"):
        read_netlist(tmp_path / "x.pb.txt.gz")
    (tmp_path / "x.pb.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="is not a text file"):
        read_netlist(tmp_path / "x.pb.txt")


def test_a_node_that_drives_itself_is_real():
    nodes = [Node("p", Kind.PORT, ["p"]), Node("Grp_0", Kind.SOFT_MACRO, (), 0, 0, 1, 1)]
    netlist = build_netlist(nodes)
    assert netlist.net_nodes.tolist() == [0, 0]


@given(placements())
@settings(deadline=None, max_examples=40)
def test_placements_come_back_from_a_file(placement):
    netlist = placement.netlist
    placement.orientations[netlist.ports] = 0
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.plc")
        write_placement(placement, path, "a comment")
        again = read_placement(path, netlist)
    kept = np.setdiff1d(np.arange(len(netlist.names)), netlist.of_kind(Kind.PIN))
    for name in ("x", "y", "orientations", "fixed"):
        assert np.array_equal(getattr(placement, name)[kept], getattr(again, name)[kept])
    for name in (
        "width",
        "height",
        "columns",
        "rows",
        "routing",
        "smoothing",
        "blockages",
        "spacing",
    ):
        assert getattr(placement.canvas, name) == getattr(again.canvas, name)


def test_everything_that_a_placement_says():
    netlist = read_netlist(real("ariane133_ng45/netlist.pb.txt.gz"))
    placement = read_placement(real("ariane133_ng45/initial.plc"), netlist)
    canvas = placement.canvas
    assert (canvas.columns, canvas.rows, canvas.routing) == (24, 21, (24, 21))
    assert (canvas.width, canvas.height, canvas.smoothing) == (1433.406, 1433.406, 0)
    assert (canvas.horizontal_routes, canvas.vertical_routes) == (57.031, 56.818)
    assert (canvas.horizontal_allocation, canvas.vertical_allocation) == (39.583, 30.303)
    assert placement.fixed[netlist.ports].all()
    assert np.count_nonzero(placement.orientations == 2) == 19


PLACED = """\
# Columns : 20  Rows : 10
# Width : 200.0  Height : 100.0
# Blockage : 0 0 10 20 0.5
# node_index x y orientation fixed
0 0 60 - 0
1 40 50 S 1
3 12 13 N 0
"""


def test_a_placement_by_hand(tmp_path):
    path = tmp_path / "x.plc"
    path.write_text(PLACED)
    placement = read_placement(path, parse_netlist(SMALL))
    assert placement.x[[0, 1, 3]].tolist() == [0, 40, 12]
    assert placement.orientations[1] == 2
    assert placement.fixed.tolist() == [True, True, False, False, False]
    assert placement.canvas.blockages == (Blockage(0, 0, 10, 20, 0.5),)
    x, y = placement.pin_positions()
    assert (x[2], y[2]) == (40 + 3.5, 50 - 4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("3 12 13 N 0", "3 12 13 N", ":7: expected 'node_index x y orientation fixed', not"),
        ("3 12 13 N 0", "3 12 nan N 0", ":7: coordinates must be finite"),
        ("3 12 13 N 0", "9 12 13 N 0", ":7: there is no node 9; the netlist has 5"),
        ("3 12 13 N 0", "2 12 13 N 0", ":7: node 2 is the pin 'm/i', which follows its macro"),
        ("3 12 13 N 0", "3 12 13 X 0", ":7: unknown orientation 'X'; known: -, N"),
        ("3 12 13 N 0", "3 12 13 N 2", ":7: fixed is 0 or 1, not '2'"),
        ("3 12 13 N 0", "1 12 13 N 0", ":7: node 'm' was placed on line 6 already"),
        ("20 0.5", "x 0.5", ":3: expected 'Blockage : left bottom right top [rate]'"),
        ("Columns : 20", "Columns : 0", "the header is wrong: a grid of 0 by 10 cells"),
        ("Height : 100.0", "Height : nan", "the header is wrong: a canvas of 200 by nan um"),
        ("Width : 200.0", "Width : 2.0.0", ":2: '2.0.0' is no number"),
    ],
)
def test_wrong_placements_name_the_line(old, new, message, tmp_path):
    assert PLACED.count(old) == 1
    path = tmp_path / "x.plc"
    path.write_text(PLACED.replace(old, new))
    with pytest.raises(FormatError, match=re.escape(message)) as caught:
        read_placement(path, parse_netlist(SMALL))
    assert str(caught.value).startswith(str(path))
