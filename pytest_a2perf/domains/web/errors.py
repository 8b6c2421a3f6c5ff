"""What can be wrong with a design, a profile or an environment's settings."""

from __future__ import annotations

from pytest_a2perf.errors import A2PerfError

__all__ = ["WebError"]


class WebError(A2PerfError):
    """A design, a profile or a setting does not make sense; the message names what."""
