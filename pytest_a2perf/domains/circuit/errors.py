"""What can be wrong with a netlist, a placement or an action."""

from __future__ import annotations

from pathlib import Path

from pytest_a2perf.errors import A2PerfError

__all__ = ["CircuitError", "FormatError", "IllegalActionError"]


class CircuitError(A2PerfError):
    """A netlist, a canvas or a placement does not make sense; the message names the node.

    Attributes:
        node: name of the culprit, if it is one node.
    """

    node: str = ""


class FormatError(CircuitError):
    """A file cannot be read; the message names file and line.

    Args:
        path: of the file.
        line: counted from 1; 0 if it is about the whole file.
        message: what is wrong and what to do.
    """

    def __init__(self, path: Path | str, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


class IllegalActionError(CircuitError):
    """The action is masked: the macro does not fit there."""
