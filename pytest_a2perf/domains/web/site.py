"""Sites: the elements of the pages that a design stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pytest_a2perf.domains.web.design import Design
from pytest_a2perf.domains.web.errors import WebError
from pytest_a2perf.domains.web.nodes import Kind, Node
from pytest_a2perf.domains.web.primitives import PRIMITIVES

__all__ = ["MAX_ELEMENTS", "Element", "Page", "Site", "Slot"]

MAX_ELEMENTS = 250
"""Elements that an observation can hold of a page."""
_OWN_BUTTON = Node("button", "Continue", "next", {"type": "submit"})
"""Ends a page that has no transition of its own, so that every site can be finished."""


@dataclass(frozen=True, slots=True)
class Element:
    """A DOM element.

    Attributes:
        index: in the page, in document order.
        parent: index of its parent, -1 at the top of the page.
        depth: number of its ancestors in the page.
        tag: e.g. ``input``.
        text: its own; no element of ours has both a text and children.
        attributes: of HTML.
        kind: what acting on it does.
        primitive: to which it belongs; none is the button that we put on a page without one.
        field: of the profile that its primitive asks for, or None.
        goto: page to which acting on it leads, -1 where it submits; or None.
        options: texts of a ``select``.
        control: for a label, the index of the element that it acts on; else its own index.
    """

    index: int
    parent: int
    depth: int
    tag: str
    text: str
    attributes: Mapping[str, str]
    kind: Kind
    primitive: str | None
    field: str | None
    goto: int | None
    options: tuple[str, ...]
    control: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A field that a page asks for.

    Attributes:
        field: of the profile.
        controls: positions in the page's `controls` of what is filled in: one, or several radios.
    """

    field: str
    controls: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Page:
    """A page.

    Attributes:
        number: from 0.
        elements: in document order.
    """

    number: int
    elements: tuple[Element, ...]

    @cached_property
    def controls(self) -> tuple[Element, ...]:
        """The elements that hold a value, in document order."""
        holding = ("text", "select", "checkbox", "radio")
        return tuple(element for element in self.elements if element.kind in holding)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """What it asks for."""
        places: dict[str, list[int]] = {}
        for place, element in enumerate(self.controls):
            if element.field is not None:
                places.setdefault(element.field, []).append(place)
        return tuple(Slot(field, tuple(controls)) for field, controls in places.items())


@dataclass(frozen=True, eq=False)
class Site:
    """A site.

    Attributes:
        design: of which it is made.
        pages: in order.
    """

    design: Design
    pages: tuple[Page, ...]

    @classmethod
    def of(cls, design: Design) -> Site:
        """Build a site.

        Raises:
            WebError: a page has more elements than an observation can hold.
        """
        pages = []
        for number, names in enumerate(design.pages()):
            goto = -1 if number == design.number_of_pages - 1 else number + 1
            elements = tuple(_elements(names, number, goto))
            if len(elements) > MAX_ELEMENTS:
                raise WebError(
                    f"page {number} has {len(elements)} elements; {MAX_ELEMENTS} is the limit"
                )
            pages.append(Page(number, elements))
        return cls(design, tuple(pages))

    @cached_property
    def fields(self) -> int:
        """How many fields its pages ask for, each on its page."""
        return sum(len(page.slots) for page in self.pages)


def _elements(names: list[str], number: int, goto: int) -> Iterator[Element]:
    roots: list[tuple[str | None, Node]] = [(name, PRIMITIVES[name].root) for name in names]
    if not any(root.kind == "next" for _, root in roots):
        roots.append((None, _OWN_BUTTON))
    flat: list[tuple[str | None, Node, int, int]] = []
    for name, root in roots:
        _flatten(name, root, -1, 0, flat)
    filled = [
        {
            key: value.replace("#", str(number)) if key != "href" else value
            for key, value in node.attributes.items()
        }
        for _, node, _, _ in flat
    ]
    by_id = {
        attributes["id"]: index for index, attributes in enumerate(filled) if "id" in attributes
    }
    for index, (name, node, parent, depth) in enumerate(flat):
        fillable = name is not None and PRIMITIVES[name].fillable
        yield Element(
            index=index,
            parent=parent,
            depth=depth,
            tag=node.tag,
            text=node.text,
            attributes=filled[index],
            kind=node.kind,
            primitive=name,
            field=name if fillable else None,
            goto=goto if node.kind == "next" else None,
            options=node.options,
            control=by_id[filled[index]["for"]] if "for" in filled[index] else index,
        )


def _flatten(
    name: str | None,
    node: Node,
    parent: int,
    depth: int,
    into: list[tuple[str | None, Node, int, int]],
) -> None:
    index = len(into)
    into.append((name, node, parent, depth))
    for child in node.children:
        _flatten(name, child, index, depth + 1, into)
