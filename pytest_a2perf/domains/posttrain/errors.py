"""Exceptions of the domain ``posttrain``."""

from __future__ import annotations

from pytest_a2perf.errors import A2PerfError, InfraError

__all__ = ["SandboxError", "SubmissionError"]


class SandboxError(InfraError):
    """A sandbox cannot be had here; the message says what is missing and the remedy."""


class SubmissionError(A2PerfError):
    """A submission is not accepted; the message is for the agent."""
