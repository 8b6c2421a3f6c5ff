"""Replies of OpenAI's responses interface, whose events are named and numbered."""

from __future__ import annotations

from typing import Any

from pytest_a2perf.domains.serving.server.replies import WORD, Part, Usage, Writer, event

__all__ = ["ResponsesWriter"]

_DELTAS = {
    "text": "response.output_text.delta",
    "reasoning": "response.reasoning_text.delta",
    "call": "response.function_call_arguments.delta",
}


class ResponsesWriter(Writer):
    """Writes one reply as items: reasoning, then a message or a call of a function."""

    def opening(self) -> bytes:
        """Return events that hold nothing visible yet."""
        self._sequence = 0
        self._items: list[dict[str, Any]] = []
        self._part: Part = ""
        self._text = ""
        response = self._response("in_progress", [], None)
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def tokens(self, part: Part, count: int) -> bytes:
        """Return events of some tokens."""
        data = b""
        if part != self._part:
            data = self._end_item() + self._begin_item(part)
        delta = WORD * count
        if part == "call" and not self._text:
            delta = '{"text":"' + delta
        self._text += delta
        return data + self._event(_DELTAS[part], delta=delta, **self._place())

    def closing(self, finish: str, usage: Usage | None) -> bytes:
        """Return the last events."""
        data = b""
        if self._part == "call":
            self._text += '"}'
            data = self._event(_DELTAS["call"], delta='"}', **self._place())
        data += self._end_item()
        status = "incomplete" if finish == "length" else "completed"
        return data + self._event(
            f"response.{status}", response=self._response(status, self._items, usage)
        )

    def whole(self, parts: list[tuple[Part, int]], finish: str, usage: Usage | None) -> Any:
        """Return a reply without a stream."""
        self.opening()
        for part, count in parts:
            self.tokens(part, count)
        self.closing(finish, usage)
        status = "incomplete" if finish == "length" else "completed"
        return self._response(status, self._items, usage)

    def _begin_item(self, part: Part) -> bytes:
        self._part, self._text = part, ""
        data = self._event(
            "response.output_item.added", output_index=len(self._items), item=self._item(False)
        )
        if part == "text":
            content = {"type": "output_text", "text": "", "annotations": []}
            data += self._event("response.content_part.added", part=content, **self._place())
        return data

    def _end_item(self) -> bytes:
        if not self._part:
            return b""
        place, item = self._place(), self._item(True)
        name = _DELTAS[self._part].removesuffix("delta") + "done"
        text = "arguments" if self._part == "call" else "text"
        data = self._event(name, **{text: self._text}, **place)
        if self._part == "text":
            data += self._event("response.content_part.done", part=item["content"][0], **place)
        data += self._event("response.output_item.done", output_index=len(self._items), item=item)
        self._items.append(item)
        return data

    def _place(self) -> dict[str, Any]:
        number = len(self._items)
        place: dict[str, Any] = {"item_id": f"item_{self._id}_{number}", "output_index": number}
        return place if self._part == "call" else place | {"content_index": 0}

    def _item(self, done: bool) -> dict[str, Any]:
        item: dict[str, Any] = {
            "id": self._place()["item_id"],
            "status": "completed" if done else "in_progress",
        }
        if self._part == "call":
            call = {"call_id": f"call_{self._id}", "name": self._ask.tool}
            return item | {"type": "function_call", "arguments": self._text} | call
        if self._part == "reasoning":
            content = [{"type": "reasoning_text", "text": self._text}] if done else []
            return item | {"type": "reasoning", "summary": [], "content": content}
        text = {"type": "output_text", "text": self._text, "annotations": []}
        return item | {"type": "message", "role": "assistant", "content": [text] if done else []}

    def _event(self, name: str, **members: Any) -> bytes:
        self._sequence += 1
        number = self._sequence - 1
        return event({"type": name, "sequence_number": number, **members}, name)

    def _response(
        self, status: str, output: list[dict[str, Any]], usage: Usage | None
    ) -> dict[str, Any]:
        incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": incomplete,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": _usage_of(usage) if usage else None,
        }


def _usage_of(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output,
    }
