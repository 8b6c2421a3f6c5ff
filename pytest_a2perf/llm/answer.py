"""What a model answers, and what all its answers took."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "ToolCall", "Totals"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wants.

    Attributes:
        id: under which the result is to be returned.
        name: of the tool, perhaps of none that there is.
        arguments_text: a JSON object, if all is well.
    """

    id: str
    name: str
    arguments_text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a model.

    Attributes:
        text: empty if there is none.
        tool_calls: in the model's order.
        prompt_tokens: 0 if the server does not count.
        completion_tokens: reasoning included.
        cached_tokens: those of the prompt that the provider had in its cache.
        reasoning_tokens: those of the completion that nobody sees.
        seconds: from the request to the answer, without earlier tries and pauses; where the answer
            is replayed, what it took when it was recorded.
        cost: in dollars; None where prices or counts are unknown.
        finish: why the model stopped, e.g. ``stop``, ``tool_calls`` or ``length``.
        message: the answer as it goes into the conversation.
        cached: it is replayed from a cassette.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = None
    finish: str = ""
    message: dict[str, Any] = field(default_factory=dict)
    cached: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what a cassette keeps: without `text` and `tool_calls`, which `message` has."""
        left_out = ("text", "tool_calls", "cached")
        names = [f.name for f in dataclasses.fields(self) if f.name not in left_out]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Answer:
        """Return the answer that `to_json` has returned, as replayed.

        Raises:
            KeyError: a key is missing; or TypeError: a value is of another type.
        """
        facts = dict(data)
        return cls.of_message(facts.pop("message"), **facts, cached=True)

    @classmethod
    def of_message(cls, message: dict[str, Any], **facts: Any) -> Answer:
        """Return the answer that a message of a conversation stands for."""
        calls = tuple(
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or ()
        )
        return cls(message.get("content") or "", calls, message=message, **facts)


@dataclass(slots=True)
class Totals:
    """Sums over answers.

    Attributes:
        calls: answers, the replayed ones included.
        replayed: answers from a cassette.
        retries: further tries, after the server was busy or failed.
        uncounted: answers whose tokens the server did not count.
        prompt_tokens: see `Answer`, as the following.
        completion_tokens: see `Answer`.
        cached_tokens: see `Answer`.
        reasoning_tokens: see `Answer`.
        seconds: see `Answer`.
        cost: in dollars; None as soon as that of one answer is unknown.
    """

    calls: int = 0
    replayed: int = 0
    retries: int = 0
    uncounted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0

    @property
    def tokens(self) -> int:
        """Tokens of prompts and completions."""
        return self.prompt_tokens + self.completion_tokens

    def add(self, answer: Answer) -> None:
        """Add an answer."""
        self.calls += 1
        self.replayed += answer.cached
        self.uncounted += answer.prompt_tokens == 0
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.cached_tokens += answer.cached_tokens
        self.reasoning_tokens += answer.reasoning_tokens
        self.seconds += answer.seconds
        known = self.cost is not None and answer.cost is not None
        self.cost = self.cost + answer.cost if known else None  # type: ignore[operator]
