"""What can be wrong with a clip, a gait or an environment's settings."""

from __future__ import annotations

from pathlib import Path

from pytest_a2perf.errors import A2PerfError

__all__ = ["ClipError", "QuadrupedError"]


class QuadrupedError(A2PerfError):
    """A gait or a setting does not make sense."""


class ClipError(QuadrupedError):
    """A clip cannot be read; the message names the file.

    Args:
        path: of the file.
        message: what is wrong.
    """

    def __init__(self, path: Path | str, message: str) -> None:
        super().__init__(f"{path}: {message}")
