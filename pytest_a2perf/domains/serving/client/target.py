"""Where requests of an endpoint go, and the heads that they carry."""

from __future__ import annotations

import base64
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.errors import AgentError
from pytest_a2perf.llm.secrets import redact, shown_url

__all__ = ["Target", "key_of", "scrubber", "target_of"]

_PATHS = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved endpoint.

    Attributes:
        host, port: to connect to.
        tls: of https, else None.
        head: of each request, up to the value of Content-Length.
        shown: the endpoint in words, without keys.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    head: bytes
    shown: str


def target_of(endpoint: Endpoint) -> Target:
    """Resolve an endpoint; proxies of the environment are not heeded.

    Raises:
        AgentError: its URL or a header makes no sense, or the variable of its key is missing.
    """
    shown = shown_url(endpoint.url)
    try:
        url = urlsplit(endpoint.url)
        port = url.port or {"http": 80, "https": 443}[url.scheme]
    except (ValueError, KeyError):
        url, port = urlsplit(""), 0
    if not url.hostname:
        raise AgentError(f"{shown!r} is no endpoint: write it like http://host:8000/v1")
    path = url.path.rstrip("/")
    if not path.endswith(_PATHS[endpoint.api]):
        path += _PATHS[endpoint.api]
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    headers = {
        "Host": host if url.port is None else f"{host}:{url.port}",
        "User-Agent": "pytest-a2perf",
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    }
    if key := key_of(endpoint):
        headers["Authorization"] = f"Bearer {key}"
    elif url.username is not None:
        user = f"{url.username}:{url.password or ''}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(user).decode()
    headers |= endpoint.headers
    for name, value in headers.items():
        if any(mark in name + value for mark in "\r\n"):
            raise AgentError(f"{shown}: header {name.splitlines()[0]!r} has more than one line")
    query = f"?{url.query}" if url.query else ""
    lines = [f"POST {path}{query} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
    return Target(
        host=url.hostname,
        port=port,
        tls=ssl.create_default_context() if url.scheme == "https" else None,
        head=("\r\n".join(lines) + "\r\nContent-Length: ").encode("utf-8"),
        shown=shown,
    )


def key_of(endpoint: Endpoint) -> str:
    """Return an endpoint's key, or "" if it needs none.

    Raises:
        AgentError: the environment has no such variable.
    """
    if not endpoint.key_env:
        return ""
    if not (key := os.environ.get(endpoint.key_env)):
        raise AgentError(
            f"{shown_url(endpoint.url) or endpoint.model}: key_env is {endpoint.key_env!r}, but "
            "the environment has no such variable"
        )
    return key


def scrubber(endpoint: Endpoint) -> Callable[[str], str]:
    """Return what takes keys out of a text: the endpoint's, and all others of the environment."""
    key, shown = key_of(endpoint), f"${endpoint.key_env}"
    return lambda text: redact(text.replace(key, shown) if key else text) if text else text
