"""What can be wrong in the domain ``assistant``."""

from __future__ import annotations

from pytest_a2perf.errors import A2PerfError

__all__ = ["ToolError", "TraceError"]


class TraceError(A2PerfError):
    """A scenario or trace cannot be read, or breaks a rule of its format; names the event."""


class ToolError(Exception):
    """A tool was called wrongly, or its app refused; the agent is told, and may go on."""
