"""Paths of simulated file systems: tuples of names from the root, so that none leads above it."""

from __future__ import annotations

from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["MAX_DEPTH", "Parts", "check", "parse", "show"]

Parts = tuple[str, ...]

MAX_DEPTH = 64
"""How many names a path may have."""

_MAX_NAME = 255


def parse(text: str) -> Parts:
    """Return the path that a text stands for: from the root, whether or not it says so.

    ``~`` is the folder ``/home/userhome``, and ``..`` undoes a name, be it there or not.

    Raises:
        ToolError: it leads above the root, or has an impossible name.
    """
    if text.startswith("~"):
        user, _, rest = text[1:].partition("/")
        text = f"home/{user or 'userhome'}/{rest}"
    path: list[str] = []
    for name in text.split("/"):
        if name == "..":
            if not path:
                raise ToolError(f"{text!r} is outside of the file system")
            path.pop()
        elif name not in {"", "."}:
            path.append(name)
    check(tuple(path))
    return tuple(path)


def check(path: Parts) -> None:
    """Check the names of a path, wherever they come from.

    Raises:
        ToolError: one cannot be the name of a file, or they are too many.
    """
    if len(path) > MAX_DEPTH:
        raise ToolError(f"a path has at most {MAX_DEPTH} names, not {len(path)}")
    for name in path:
        try:
            size = len(name.encode())
        except UnicodeEncodeError:  # half of a surrogate pair
            size = 0
        if name in {".", ".."} or "/" in name or "\0" in name or not 0 < size <= _MAX_NAME:
            raise ToolError(f"{name[:60]!r} cannot be the name of a file")


def show(path: Parts) -> str:
    """Return a path as text."""
    return "/" + "/".join(path)
