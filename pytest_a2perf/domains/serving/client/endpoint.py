"""Where requests go and how they are put; read by the processes that make load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["APIS", "Api", "Endpoint"]

Api = Literal["chat", "completions", "responses", "litellm"]
APIS: tuple[Api, ...] = ("chat", "completions", "responses", "litellm")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An inference endpoint.

    Attributes:
        url: base, such as ``http://127.0.0.1:8000/v1``; empty for litellm's own choice.
        model: name that requests carry.
        api: interface of OpenAI's that it speaks, or litellm for whatever that reaches.
        key_env: environment variable that holds the key; the key itself is never kept.
        headers: further headers, without secrets.
        sampling: further members of each request's body, e.g. ``temperature``.
        ignore_eos: the server understands ``ignore_eos`` and ``min_tokens``, so that the length of
            replies can be forced.
    """

    url: str
    model: str
    api: Api = "chat"
    key_env: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    ignore_eos: bool = True
