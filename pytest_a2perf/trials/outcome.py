"""How a trial ended: from an exception to an outcome and a text for the user."""

from __future__ import annotations

import pytest

from pytest_a2perf.agents.traceback import user_traceback
from pytest_a2perf.errors import (
    A2PerfError,
    AgentFailure,
    InfraError,
    MeterUnavailableError,
    TrialTimeout,
)
from pytest_a2perf.runs.record import Outcome

__all__ = ["describe", "error_json", "outcome_of"]


def outcome_of(error: BaseException | None, *, from_file: bool, phase: str) -> Outcome:
    """Map what was raised to an outcome.

    In a test function an assertion is the agent's failure; anywhere else it is an error.
    """
    match error:
        case None:
            return "success"
        case AgentFailure():
            return "failure"
        case InfraError() | MeterUnavailableError():
            return "infra"
        case TrialTimeout():
            return "timeout"
        case pytest.skip.Exception():
            return "not_run"
        case AssertionError() | pytest.fail.Exception() if not from_file and phase == "call":
            return "failure"
        case _:
            return "error"


def error_json(error: BaseException) -> dict[str, str]:
    """Return type, message and the traceback of the user's code."""
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "" if error.__cause__ is None and _is_ours(error) else user_traceback(error),
    }


def describe(error: BaseException) -> str:
    """Say what went wrong in the first line, then show the frames of the user's code."""
    cause = error.__cause__ if _is_ours(error) else error
    head = str(error) if _is_ours(error) else f"{type(error).__name__}: {error}"
    return head if cause is None else f"{head}\n\n{user_traceback(cause)}"


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, A2PerfError | TrialTimeout)
