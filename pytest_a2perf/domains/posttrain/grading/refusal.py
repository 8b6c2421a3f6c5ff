"""Why the service does not do what it was asked to."""

from __future__ import annotations

from pytest_a2perf.domains.posttrain.errors import SubmissionError

__all__ = ["Refused"]


class Refused(SubmissionError):  # noqa: N818 - an answer, not a programming error
    """A request is refused; the message is for the agent.

    Args:
        message: what is wrong, and what to do about it.
        status: of HTTP.
        retry: seconds after which the same request may succeed; None: never.
    """

    def __init__(self, message: str, status: int = 400, retry: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry = retry
