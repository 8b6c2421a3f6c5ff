"""From an endpoint to its clients."""

from __future__ import annotations

from collections.abc import Callable

from pytest_a2perf.domains.serving.client.connection import Connection, Limits
from pytest_a2perf.domains.serving.client.decode import Decoder
from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.client.exchange import Client
from pytest_a2perf.domains.serving.client.http_client import HttpClient
from pytest_a2perf.domains.serving.client.idle import Idle
from pytest_a2perf.domains.serving.client.target import scrubber, target_of

__all__ = ["Connector", "connector"]

Connector = Callable[[], Client]


def connector(
    endpoint: Endpoint,
    limits: Limits | None = None,
    *,
    count: Callable[[str], int] | None = None,
    idle: Idle | None = None,
) -> Connector:
    """Return what makes clients of an endpoint, each with a connection of its own.

    To be called where an event loop runs.

    Args:
        endpoint: to reach.
        limits: see `Limits`.
        count: counts tokens of text where the server does not; None: a token a chunk.
        idle: where long replies are read.

    Raises:
        AgentError: the endpoint makes no sense, or the variable of its key is missing.
    """
    limits, scrub, idle = limits or Limits(), scrubber(endpoint), idle or Idle()
    if endpoint.api == "litellm":
        from pytest_a2perf.domains.serving.client.litellm_client import LiteLLMClient

        return lambda: LiteLLMClient(endpoint, limits, count, scrub)
    target = target_of(endpoint)

    def connect() -> Client:
        return HttpClient(
            lambda full: Connection(target, limits, full),
            lambda reply: Decoder(endpoint.api, reply, count, scrub),
            idle,
        )

    return connect
