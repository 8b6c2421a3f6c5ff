"""A request and its reply, whoever carried it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pytest_a2perf.domains.serving.client.answer import Answer

__all__ = ["Client", "Ended", "Exchange"]


class Exchange(Protocol):
    """A request whose reply has ended, and has perhaps not been read yet.

    Attributes:
        ended: monotonic seconds.
        brief: the reply is short or failed, so that reading it at once costs next to nothing.
        answer: complete once `step` has returned True.
    """

    @property
    def ended(self) -> float: ...  # noqa: D102

    @property
    def brief(self) -> bool: ...  # noqa: D102

    @property
    def answer(self) -> Answer: ...  # noqa: D102

    def step(self) -> bool:
        """Read a slice of the reply; return whether nothing is left to do for now."""
        ...


Ended = Callable[[Exchange], None]
"""Is called, within the event loop, when a reply has ended."""


class Client(Protocol):
    """Carries one request at a time to an endpoint."""

    def prepare(self) -> None:
        """Begin to connect ahead of a request, if need be."""

    async def open(self) -> None:
        """Connect; that it cannot is told by the first request."""

    def send(self, body: bytes, ended: Ended) -> None:
        """Begin a request; ``ended`` is called exactly once, and may begin the next."""

    async def request(self, body: bytes) -> Answer:
        """Make a request and return what came of it; never raises for what a server does."""
        ...

    def close(self) -> None:
        """Give up the connection; a request under way fails as ``cancelled``."""
