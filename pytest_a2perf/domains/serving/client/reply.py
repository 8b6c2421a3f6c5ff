"""A reply as it came over the wire: times and bytes, not yet read."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_a2perf.domains.serving.client.answer import Failure

__all__ = ["Reply"]


@dataclass(slots=True)
class Reply:
    """What a connection notes of one request; times are of the monotonic clock, in seconds.

    Attributes:
        sent: the request was handed to the socket; 0 if it never was.
        heard: something was last received, or else ``sent``.
        ended: the reply was complete or given up; 0 before.
        connecting: seconds that the request waited for a connection.
        status: of HTTP; 0 where there was none.
        headers: of the reply, names in lower case.
        times, pieces: of each read, when it was and what of the body it held; the decoder takes
            them out.
        failure, error: what went wrong on the wire, see `Answer`.
    """

    sent: float = 0.0
    heard: float = 0.0
    ended: float = 0.0
    connecting: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    failure: Failure = ""
    error: str = ""
