"""Trees of HTML from which primitives are made, before their elements have numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Kind", "Node"]

Kind = Literal["text", "select", "checkbox", "radio", "button", "link", "next", "static"]
"""What acting on an element does: hold a value, do nothing, or (``next``) leave the page."""


@dataclass(frozen=True, slots=True)
class Node:
    """An element with its children.

    Attributes:
        tag: e.g. ``input``.
        text: before the children; none of ours has both.
        kind: what acting on it does.
        attributes: of HTML, in their order; ``#`` in an ``id`` or a ``name``, and what refers to
            it, becomes the number of the page, so that they are unique in a site.
        children: in document order.
        options: texts of a ``select``; the first is empty.
    """

    tag: str
    text: str = ""
    kind: Kind = "static"
    attributes: dict[str, str] = field(default_factory=dict)
    children: tuple[Node, ...] = ()
    options: tuple[str, ...] = ()
