"""What an agent asks of a language model: read, checked, and written anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.posttrain.lines import parts_of
from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions, UpstreamOptions
from pytest_a2perf.domains.serving.recorder.calls import Interface, interface_of

__all__ = ["Asked", "Denied", "asked_of"]

_PATHS: dict[Interface, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "responses": "/responses",
    "messages": "/messages",
}
_COUNT = "/messages/count_tokens"
# Other models, what is paid for otherwise, and ways to a network.
_DROPPED = (
    *("models", "fallbacks", "route", "provider", "service_tier", "background"),
    *("plugins", "web_search_options", "mcp_servers", "container"),
)
_TOOLS = (
    *("web_search", "web_fetch", "code_execution", "code_interpreter", "file_search"),
    *("image_generation", "mcp"),
)
_LINKS = ("url", "image_url", "file_url")
_MODEL = 200  # characters of a name
_PARTS = 2_000_000  # of a body: a list within a list takes 25 times its bytes in memory
_SHOWN = 60  # characters of a tool's type
_MOST_SHOWN = 20


class Denied(Exception):  # noqa: N818 - an answer to the agent
    """A request is not passed on; the message is for the agent."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that may be passed on.

    Attributes:
        interface: that it speaks.
        model: that it names.
        upstream: that serves the model.
        path: below the upstream's URL.
        body: as it is passed on.
        counted: whether it runs the model, and is charged.
        told: whether the client itself wants to be told of its usage, in a stream.
        dropped: what was taken out of it, for the log: the first ones, cut off.
    """

    interface: Interface
    model: str
    upstream: UpstreamOptions
    path: str
    body: bytes
    counted: bool
    told: bool
    dropped: tuple[str, ...]


def asked_of(method: str, path: str, body: bytes, options: LlmOptions) -> Asked:
    """Return what a request asks.

    It is written anew, so that upstream reads nothing else in it than was checked here, and nothing
    of the agent's path or query is passed on.

    Args:
        method: of HTTP.
        path: with or without ``/v1``.
        body: JSON.
        options: see `LlmOptions`.

    Raises:
        Denied: it is no request for a model, or for one that is not allowed.
    """
    path = path.partition("?")[0].rstrip("/")
    counted = not path.endswith(_COUNT)
    interface = interface_of(method, path) if counted else "messages"
    if interface is None or method != "POST":
        raise Denied(404, "only chat/completions, completions, responses and messages are offered")
    if parts_of(body) > _PARTS:
        raise Denied(413, f"a body may have {_PARTS} commas and brackets")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Denied(400, "the body is no JSON") from None
    if not isinstance(data, dict):
        raise Denied(400, "the body is no JSON object")
    model = data.get("model")
    model = model if isinstance(model, str) else ""
    upstream = options.upstream_of(model) if 0 < len(model) <= _MODEL else None
    if upstream is None:
        allowed = ", ".join(options.names())
        raise Denied(
            403, f"model {model[:100]!r} is not allowed here, only {allowed}", "not_allowed"
        )
    told = True
    try:
        dropped = [] if options.server_tools else _without_network(data, interface)
        if data.get("stream") and interface in ("chat", "completions"):
            wanted = _stream_options(data)
            told = bool(wanted.get("include_usage"))
            data["stream_options"] = {**wanted, "include_usage": True}
        text = json.dumps(data, allow_nan=False)
    except (ValueError, RecursionError):
        raise Denied(400, "the body has numbers that are none, or is too deep") from None
    return Asked(
        interface,
        model,
        upstream,
        _PATHS[interface] if counted else _COUNT,
        text.encode(),
        counted,
        told,
        tuple(name[:_SHOWN] for name in dropped[:_MOST_SHOWN]),
    )


def _stream_options(data: dict[str, Any]) -> dict[str, Any]:
    given = data.get("stream_options") or {}
    if not isinstance(given, dict):
        raise Denied(400, "stream_options is no object")
    return given


def _without_network(data: dict[str, Any], interface: Interface) -> list[str]:
    """Take out of a request what its provider would do elsewhere; return its names.

    Raises:
        Denied: the provider is to fetch something.
    """
    dropped = [name for name in _DROPPED if data.pop(name, None) is not None]
    if interface == "responses" and data.pop("prompt", None) is not None:
        dropped.append("prompt")
    tools = data.get("tools")
    if isinstance(tools, list):
        kept = [tool for tool in tools if not _is_elsewhere(tool)]
        dropped += [str(tool["type"]) for tool in tools if _is_elsewhere(tool)]
        if kept:
            data["tools"] = kept
        elif dropped and tools:
            for name in ("tools", "tool_choice"):
                data.pop(name, None)
    if any(_fetches(data.get(name)) for name in ("messages", "input", "system", "instructions")):
        raise Denied(403, "files by URL are not fetched: put the data into the request")
    return dropped


def _is_elsewhere(tool: Any) -> bool:
    return isinstance(tool, dict) and str(tool.get("type") or "").startswith(_TOOLS)


def _fetches(value: Any) -> bool:
    """Return whether a part of messages is a file that is named by its URL."""
    if isinstance(value, list):
        return any(map(_fetches, value))
    if not isinstance(value, dict) or value.get("type") == "tool_use":
        return False  # arguments of a tool are the client's own
    for key, inner in value.items():
        if key in _LINKS and isinstance(inner, str) and not inner.startswith("data:"):
            return True
        if _fetches(inner):
            return True
    return False
