"""What a request asks for, of OpenAI's chat, completions and responses interfaces."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pytest_a2perf.domains.serving.trajectories.tokens import BYTES_A_TOKEN, text_of

__all__ = ["PATHS", "Ask", "BadRequestError", "Kind", "prompt_of", "read_request"]

Kind = Literal["chat", "completions", "responses"]
PATHS: dict[str, Kind] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
}
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")


class BadRequestError(Exception):
    """A request cannot be read; the message goes into a 400."""


@dataclass(slots=True)
class Ask:
    """A request.

    Attributes:
        kind: interface.
        model: name that it carries.
        stream: wants events.
        usage: wants its usage told in the stream.
        most: limit of the reply's length; 0: none.
        least: tokens that the reply has at least.
        ignore_eos: the reply goes on up to the limit.
        tool: name of the first tool that is declared; empty: none.
        prompt: four bytes a token.
    """

    kind: Kind
    model: str
    stream: bool
    usage: bool
    most: int
    least: int
    ignore_eos: bool
    tool: str
    prompt: bytes

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt."""
        return len(self.prompt) // BYTES_A_TOKEN


def read_request(kind: Kind, body: bytes) -> Ask:
    """Read a request's body.

    Raises:
        BadRequestError: it is no JSON, or a member is not what it should be.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise BadRequestError("the body is no JSON object")
    try:
        tools = data.get("tools") or []
        options = data.get("stream_options") or {}
        return Ask(
            kind=kind,
            model=str(data.get("model") or ""),
            stream=bool(data.get("stream")),
            usage=kind == "responses" or bool(options.get("include_usage")),
            most=_limit(data),
            least=int(data.get("min_tokens") or 0),
            ignore_eos=bool(data.get("ignore_eos")),
            tool=_tool_name(tools),
            prompt=prompt_of(tools, _messages(kind, data)),
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadRequestError(f"a member is missing or cannot be read: {error!r}") from None


def prompt_of(tools: list[Any], messages: list[dict[str, Any]]) -> bytes:
    """Return what a model would read, with four bytes a token.

    Tools stand first. Each message begins with its role, made four tokens long, and every text is
    filled up to a whole token, so that lengths agree with `trajectories.tokens`.
    """
    parts = []
    if tools:
        parts.append(_whole(json.dumps(tools, separators=(",", ":"), ensure_ascii=False)))
    for message in messages:
        role = str(message.get("role", "")).encode("utf-8", "surrogatepass")
        parts.append(role[:16].ljust(16))
        parts.append(_whole(text_of(message)))
    return b"".join(parts)


def _whole(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return data + b" " * (-len(data) % BYTES_A_TOKEN)


def _limit(data: dict[str, Any]) -> int:
    """Return the limit of the reply's length, or 0."""
    for name in _LIMITS:
        if data.get(name) is not None:
            limit = int(data[name])
            if limit < 1:
                raise ValueError(f"{name} is {limit}")
            return limit
    return 0


def _tool_name(tools: list[Any]) -> str:
    if not tools:
        return ""
    return str(tools[0].get("function", tools[0]).get("name", ""))


def _messages(kind: Kind, data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return messages as chat has them."""
    if kind == "chat":
        messages = data["messages"]
        if not messages:
            raise ValueError("messages is empty")
        return list(messages)
    prompt = data["prompt" if kind == "completions" else "input"]
    if isinstance(prompt, str):
        messages = [{"role": "user", "content": prompt}]
    elif kind == "completions":  # numbers of tokens
        messages = [{"role": "user", "content": "".join(f"{number:04}"[-4:] for number in prompt)}]
    else:
        messages = [_item(item) for item in prompt]
    if data.get("instructions"):
        messages.insert(0, {"role": "system", "content": data["instructions"]})
    return messages


def _item(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of the responses interface as a message."""
    match item.get("type", "message"):
        case "function_call":
            return {"role": "assistant", "tool_calls": [item]}
        case "function_call_output":
            return {"role": "tool", "content": item["output"]}
        case "reasoning":
            return {"role": "assistant", "content": item.get("content") or item.get("summary")}
        case _:
            return item
