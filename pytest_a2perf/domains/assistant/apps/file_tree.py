"""Files as scenarios list them: nodes with names, of which nothing may be believed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_a2perf.domains.assistant.apps.paths import Parts, check, show
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError

__all__ = ["unfold"]


def unfold(root: Any) -> Iterator[tuple[Parts, str]]:
    """Yield path and kind (``file`` or ``directory``) of all nodes, folders before what is in them.

    Args:
        root: the folder at the top, whose name does not matter.

    Raises:
        TraceError: a node is something else, or its name leads elsewhere; names it.
    """
    # A stack, not recursion: how deep they are nested is checked on the way.
    nodes: list[tuple[Parts, Any]] = [((), child) for child in reversed(_children((), root))]
    while nodes:
        parent, node = nodes.pop()
        if not isinstance(node, dict) or not isinstance(node.get("name"), str):
            raise TraceError(f"files: {show(parent)}: a file needs a name, got {node!r:.60}")
        path, kind = (*parent, node["name"]), node.get("type")
        try:
            check(path)
        except ToolError as error:
            raise TraceError(f"files: {show(parent)}: {error}") from None
        if kind not in {"file", "directory"}:
            raise TraceError(f"files: {show(path)} should be file or directory, not {kind!r:.60}")
        yield path, kind
        if kind == "directory":
            nodes += [(path, child) for child in reversed(_children(path, node))]


def _children(path: Parts, node: Any) -> list[Any]:
    children = node.get("children", []) if isinstance(node, dict) else None
    if not isinstance(children, list):
        raise TraceError(f"files: {show(path)}: children should be a list")
    return children
