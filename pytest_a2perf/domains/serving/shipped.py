"""What comes along with the domain ``serving``."""

from __future__ import annotations

__all__ = ["REFERENCE", "SCALES"]

SCALES = {"a2perf/coding": 1.0, "a2perf/coding-small": 1 / 16}
"""Tasks that stand for synthetic coding sessions, and the scale of their lengths and pauses. They
follow the distributions that Artificial Analysis has published for AA-AgentPerf; they are not its
sessions, which are private."""

REFERENCE = "reference"
"""The agent that stands for the server that comes along, whose times are known."""
