"""Circuit Training's netlists: protobuf text of a TensorFlow ``GraphDef``.

Read by one regular expression instead of a protobuf library: the format uses a small part of the
grammar, and a netlist has megabytes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.circuit.errors import CircuitError, FormatError
from pytest_a2perf.domains.circuit.formats import read_text
from pytest_a2perf.domains.circuit.netlist import ORIENTATIONS, Kind, Netlist, Node, build_netlist

__all__ = ["parse_netlist", "read_netlist", "write_netlist"]

_ITEM = re.compile(
    r'\s*(?:attr\s*\{\s*key:\s*"([^"]*)"\s*value\s*\{\s*(\w+):\s*("[^"]*"|[^\s"}]+)\s*\}\s*\}'
    r'|input:\s*"([^"]*)"|name:\s*"([^"]*)"|(node\s*\{)|(\})|#[^\n]*|(\S))'
)
_CANVAS = re.compile(r"^# FP bbox: \{([-\d.]+) ([-\d.]+)\} \{([-\d.]+) ([-\d.]+)\}", re.MULTILINE)
_METADATA = "__metadata__"
_SOFT = "Grp"
_NUMBERS = ("x", "y", "width", "height", "weight")
_TEXTS = {"macro_name": "macro", "orientation": "orientation", "side": "side"}
_OFFSETS = {"x_offset": "x", "y_offset": "y"}

Attributes = dict[str, float | str]


def read_netlist(path: Path | str) -> Netlist:
    """Read a netlist, from ``.pb.txt`` or ``.pb.txt.gz``.

    Raises:
        FormatError: the file cannot be read, is no such netlist, or is a wrong one.
    """
    return parse_netlist(read_text(Path(path)), path)


def parse_netlist(text: str, path: Path | str = "netlist") -> Netlist:
    """Parse a netlist.

    Args:
        text: protobuf text.
        path: for messages.

    Raises:
        FormatError: it is no such netlist, or a wrong one; see `build_netlist`.
    """
    metadata: Attributes = {}
    nodes = []
    for name, sinks, attributes in _raw_nodes(text, path):
        if name == _METADATA:  # nodes of a placement file are counted without it
            metadata = attributes
            continue
        try:
            nodes.append(_node(name, sinks, attributes))
        except CircuitError as error:
            raise FormatError(path, _line_of(text, name), str(error)) from None
    if not nodes:
        raise FormatError(path, 0, "has no node; is it a netlist in protobuf text?")
    found = _CANVAS.search(text[: text.find("node")])
    canvas = None
    if found:
        left, bottom, right, top = map(float, found.groups())
        canvas = right - left, top - bottom
    try:
        return build_netlist(nodes, metadata=metadata, canvas=canvas)
    except CircuitError as error:
        raise FormatError(path, _line_of(text, error.node), str(error)) from None


def _raw_nodes(text: str, path: Path | str) -> Iterator[tuple[str, list[str], Attributes]]:
    name: str | None = None
    sinks: list[str] = []
    attributes: Attributes = {}
    inside = False
    for key, how, value, sink, named, opened, closed, other in _ITEM.findall(text):
        if key and inside:
            if how in ("placeholder", "s"):
                attributes[key] = value.strip('"')
            else:
                try:
                    attributes[key] = float(value)
                except ValueError:
                    line = _line_of(text, name or "")
                    raise FormatError(
                        path, line, f"node {name!r}: {key} = {value} is no number"
                    ) from None
        elif sink and inside:
            sinks.append(sink)
        elif named and inside and name is None:
            name = named
        elif opened and not inside:
            inside, name, sinks, attributes = True, None, [], {}
        elif closed and inside:
            if name is None:
                break
            yield name, sinks, attributes
            inside = False
        elif key or sink or named or opened or closed or other:
            break
    else:
        if not inside:
            return
    raise FormatError(path, *_trouble(text))


def _trouble(text: str) -> tuple[int, str]:
    """Find what does not belong, line and message."""
    inside = named = False
    for found in _ITEM.finditer(text):
        line = text.count("\n", 0, found.end()) + 1
        kind = found.lastindex
        if kind == 8:
            rest = text[found.end() - 1 :].partition("\n")[0].strip()
            return line, (
                f"expected name, input, attr or '}}' of a node, not {rest[:40]!r}"
                if inside
                else f"expected 'node {{', not {rest[:40]!r}"
            )
        if kind == 6:
            if inside:
                return line, "a node begins inside another one; is a '}' missing?"
            inside, named = True, False
        elif kind in (3, 4, 5) and not inside:
            return line, "this belongs into a node"
        elif kind == 5:
            if named:
                return line, "a node has two names"
            named = True
        elif kind == 7:
            if not inside:
                return line, "there is one '}' too many"
            if not named:
                return line, "a node without a name ends here"
            inside = False
    return text.count("\n") + 1, "the file ends in the middle of a node; is it cut off?"


def _line_of(text: str, name: str) -> int:
    position = text.find(f'name: "{name}"')
    return 0 if position < 0 else text.count("\n", 0, position) + 1


def _node(name: str, sinks: list[str], attributes: Attributes) -> Node:
    kind = _kind(name, attributes)
    node = Node(name, kind, sinks)
    for key, value in attributes.items():
        if key in _TEXTS:
            setattr(node, _TEXTS[key], str(value))
        elif key in _NUMBERS or key in _OFFSETS:
            if isinstance(value, str):
                raise CircuitError(f"node {name!r}: {key} = {value!r} is no number")
            if kind != Kind.PIN:
                if key in _NUMBERS:
                    setattr(node, key, value)
            elif key not in ("x", "y"):  # a pin's own coordinates follow from its macro's
                setattr(node, _OFFSETS.get(key, key), value)
    if kind == Kind.PIN and not node.macro:
        raise CircuitError(f"node {name!r} is a macro's pin, but has no macro_name")
    return node


def _kind(name: str, attributes: Attributes) -> Kind:
    match str(attributes.get("type", "")).lower():
        case "macro":
            return Kind.SOFT_MACRO if name.startswith(_SOFT) else Kind.HARD_MACRO
        case "macro_pin":
            return Kind.PIN
        case "port":
            return Kind.PORT
        case "stdcell":
            return Kind.STDCELL
        case other:
            raise CircuitError(
                f"node {name!r} has the type {other!r}; known: macro, macro_pin, port, stdcell"
            )


def write_netlist(netlist: Netlist, path: Path | str) -> None:
    """Write a netlist as protobuf text; `read_netlist` gives an equal one back."""
    Path(path).write_text(format_netlist(netlist), encoding="utf-8")


def format_netlist(netlist: Netlist) -> str:
    """Return a netlist as protobuf text."""
    lines = []
    if netlist.canvas is not None:
        width, height = netlist.canvas
        lines.append(f"# FP bbox: {{0.0 0.0}} {{{width!r} {height!r}}}")
    if netlist.metadata:
        lines += _format_node(_METADATA, [], dict(netlist.metadata))
    sinks: dict[int, list[str]] = {}
    weights: dict[int, float] = {}
    starts = netlist.net_starts.tolist()
    for net, weight in enumerate(netlist.net_weights.tolist()):
        driver, *others = netlist.net_nodes[starts[net] : starts[net + 1]].tolist()
        sinks[driver] = [netlist.names[other] for other in others]
        weights[driver] = weight
    types = {
        Kind.HARD_MACRO: "MACRO",
        Kind.SOFT_MACRO: "macro",
        Kind.STDCELL: "STDCELL",
        Kind.PORT: "PORT",
    }
    for index, name in enumerate(netlist.names):
        kind = Kind(netlist.kinds[index])
        x, y = float(netlist.x[index]), float(netlist.y[index])
        attributes: Attributes
        if kind == Kind.PIN:
            parent = int(netlist.parents[index])
            hard = netlist.kinds[parent] == Kind.HARD_MACRO
            attributes = {
                "macro_name": netlist.names[parent],
                "type": "MACRO_PIN" if hard else "macro_pin",
                "x_offset": x,
                "y_offset": y,
            }
        else:
            attributes = {"type": types[kind], "x": x, "y": y}
            if kind == Kind.PORT:
                attributes |= {"side": netlist.sides[index]} if index in netlist.sides else {}
            else:
                attributes |= {
                    "width": float(netlist.width[index]),
                    "height": float(netlist.height[index]),
                    "orientation": ORIENTATIONS[netlist.orientations[index]],
                }
        if weights.get(index, 1.0) != 1.0:
            attributes["weight"] = weights[index]
        lines += _format_node(name, sinks.get(index, []), attributes)
    return "\n".join([*lines, ""])


def _format_node(name: str, sinks: list[str], attributes: Attributes) -> list[str]:
    lines = ["node {", f'  name: "{name}"', *(f'  input: "{sink}"' for sink in sinks)]
    for key, value in sorted(attributes.items()):
        text = f'placeholder: "{value}"' if isinstance(value, str) else f"f: {value!r}"
        lines += ["  attr {", f'    key: "{key}"', "    value {", f"      {text}", "    }", "  }"]
    return [*lines, "}"]
