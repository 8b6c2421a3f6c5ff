"""Exceptions of the domain ``serving``."""

from __future__ import annotations

from pytest_a2perf.errors import A2PerfError

__all__ = ["TrajectoryError"]


class TrajectoryError(A2PerfError):
    """Recorded sessions cannot be used; the message names file, session and turn."""
