"""Exceptions, and the outcome of a trial that each one stands for.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

__all__ = [
    "A2PerfError",
    "AgentError",
    "AgentFailure",
    "InfraError",
    "MeterUnavailableError",
    "ScenarioError",
    "TrialTimeout",
    "UnknownNameError",
    "UnsupportedSampleError",
]


class A2PerfError(Exception):
    """Base of all errors whose message is written for the user, without a traceback."""


class ScenarioError(A2PerfError):
    """A scenario (file or marker) is invalid; the message names file, line and key."""


class UnknownNameError(A2PerfError):
    """A name (metric, agent, domain, ...) is not registered; the message offers the nearest."""


class UnsupportedSampleError(A2PerfError):
    """A statistic is undefined for, or not supported by, the sample at hand."""


class MeterUnavailableError(A2PerfError):
    """A meter cannot read here; the message says why."""


class AgentError(A2PerfError):
    """The agent is missing or broken: the trial's outcome is ``error``."""


class AgentFailure(A2PerfError):  # noqa: N818 - an outcome, not a programming error
    """The agent ran but did not solve its task: the trial's outcome is ``failure``."""


class InfraError(A2PerfError):
    """Something around the agent broke (endpoint, sandbox, judge): the outcome is ``infra``."""


class TrialTimeout(BaseException):
    """The trial's time is up: the outcome is ``timeout``."""
