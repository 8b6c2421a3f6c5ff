"""Where file systems keep their files: what they ask of it, and the one in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pytest_a2perf.domains.assistant.apps.paths import Parts

__all__ = ["Entry", "MemoryStore", "Store"]

Kind = Literal["file", "directory", "other"]


@dataclass(frozen=True)
class Entry:
    """What is at a path.

    Attributes:
        kind: ``other`` is neither a file nor a folder, e.g. a link, and is never opened.
        size: in bytes; 0 for what is no file.
        mtime: when it was last changed, in simulated seconds since 1970.
    """

    kind: Kind
    size: int
    mtime: float


class Store(Protocol):
    """Keeps files, and does what it is told: `FileSystem` has checked that it can be done.

    Whatever changes something is told the simulated time, in seconds since 1970.
    """

    def stat(self, path: Parts) -> Entry | None:
        """Return what is at a path, or None."""

    def names(self, path: Parts) -> list[str]:
        """Return the names in a folder, sorted."""

    def read(self, path: Parts) -> bytes:
        """Return what a file holds."""

    def write(self, path: Parts, content: bytes, now: float) -> None:
        """Make or replace a file, in a folder that is there."""

    def make(self, path: Parts, now: float) -> None:
        """Make a folder, in a folder that is there."""

    def remove(self, path: Parts, now: float) -> None:
        """Remove a file or an empty folder."""

    def move(self, source: Parts, target: Parts, now: float) -> None:
        """Move a file or folder to where nothing is, or a file over a file."""

    def usage(self) -> tuple[int, int]:
        """Return how many bytes all files hold, and how many files and folders there are."""


@dataclass
class _Node:
    """A file, or (with children, if only none) a folder."""

    mtime: float
    content: bytes = b""
    children: dict[str, _Node] | None = None


class MemoryStore:
    """Keeps files in memory."""

    def __init__(self, now: float) -> None:
        self._root = _Node(now, children={})

    def stat(self, path: Parts) -> Entry | None:
        """See `Store.stat`."""
        node: _Node | None = self._root
        for name in path:
            node = node.children.get(name) if node and node.children is not None else None
        if node is None:
            return None
        kind: Kind = "file" if node.children is None else "directory"
        return Entry(kind, len(node.content), node.mtime)

    def names(self, path: Parts) -> list[str]:
        """See `Store.names`."""
        return sorted(self._children(path))

    def read(self, path: Parts) -> bytes:
        """See `Store.read`."""
        return self._children(path[:-1])[path[-1]].content

    def write(self, path: Parts, content: bytes, now: float) -> None:
        """See `Store.write`."""
        folder = self._children(path[:-1])
        folder[path[-1]] = _Node(now, content)
        self._node(path[:-1]).mtime = now

    def make(self, path: Parts, now: float) -> None:
        """See `Store.make`."""
        self._children(path[:-1])[path[-1]] = _Node(now, children={})
        self._node(path[:-1]).mtime = now

    def remove(self, path: Parts, now: float) -> None:
        """See `Store.remove`."""
        del self._children(path[:-1])[path[-1]]
        self._node(path[:-1]).mtime = now

    def move(self, source: Parts, target: Parts, now: float) -> None:
        """See `Store.move`."""
        node = self._children(source[:-1]).pop(source[-1])
        self._children(target[:-1])[target[-1]] = node
        self._node(source[:-1]).mtime = self._node(target[:-1]).mtime = now

    def usage(self) -> tuple[int, int]:
        """See `Store.usage`."""
        size = entries = 0
        nodes = [self._root]
        while nodes:
            node = nodes.pop()
            size += len(node.content)
            entries += len(node.children or ())
            nodes += (node.children or {}).values()
        return size, entries

    def _node(self, path: Parts) -> _Node:
        node = self._root
        for name in path:
            assert node.children is not None
            node = node.children[name]
        return node

    def _children(self, path: Parts) -> dict[str, _Node]:
        children = self._node(path).children
        assert children is not None
        return children
