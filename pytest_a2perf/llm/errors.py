"""What can be wrong with asking a model, beside `InfraError`."""

from __future__ import annotations

from pytest_a2perf.errors import AgentError

__all__ = ["CassetteError", "ConversationError"]


class CassetteError(AgentError):
    """A cassette cannot be read, or holds no answer to what is asked."""


class ConversationError(AgentError):
    """The provider refuses this very conversation: too long, or against its policy.

    An agent that has led it there has failed.
    """
