"""What OpenCode sent, from the parts of its messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import Record
from pytest_a2perf.domains.serving.trajectories.formats.chat import answer, assistant, call, joined
from pytest_a2perf.domains.serving.trajectories.formats.conversation import Conversation
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["Replay"]

# What OpenCode itself sends in the place of a part.
_COMPACTION = "What did we do so far?"
_SUBTASK = "The following tool was executed by the user"
_INTERRUPTED = "[Tool execution was interrupted]"
_CLEARED = "[Old tool result content cleared]"
_AS_TEXT = ("text/plain", "application/x-directory")  # files whose content stands in a text part
_MILLISECONDS = 0.001


class Replay:
    """Makes a session of messages and their parts, in order.

    Args:
        session_id: of the session.
        source: name of the format.
        parent: id of the session that started this one.
    """

    def __init__(self, session_id: str, *, source: str, parent: str) -> None:
        self._talk = Conversation(session_id, source=source, parent=parent)
        self._cleared: dict[str, float] = {}  # when the result of a call was left out from then on
        self._compaction: Message | None = None

    def read(self, messages: list[tuple[Record, list[Record]]]) -> Session | None:
        """Return the session, or None where nothing was replied.

        Raises:
            TrajectoryError: a message or a part is not as it should be.
        """
        for info, parts in messages:
            role = info.text("role")
            if role == "user":
                self._ask(info, parts)
            elif role == "assistant":
                self._answer(info, parts)
            else:
                raise info.error(f"its role is {role!r}, neither user nor assistant")
        return self._talk.session()

    def _ask(self, info: Record, parts: list[Record]) -> None:
        content = [item for part in parts for item in _asked(part)]
        if not content:
            return
        texts = [item["text"] for item in content if item["type"] == "text"]
        whole = joined(texts) if len(texts) == len(content) else content
        message: Message = {"role": "user", "content": whole}
        compaction = any(part.data.get("type") == "compaction" for part in parts)
        self._compaction = message if compaction else None
        at = _time(info.record("time"), "created")
        self._talk.hear(message, at, person=not compaction)

    def _answer(self, info: Record, parts: list[Record]) -> None:
        kinds = {part.text("type") for part in parts}
        error = info.record("error").text("name", "")
        if error and (error != "MessageAbortedError" or not kinds & {"text", "tool"}):
            return
        steps = list(_steps(parts))
        for number, step in enumerate(steps):
            self._step(info, step, alone=len(steps) == 1, first=number == 0)
        if info.data.get("summary") is True and self._compaction and steps:
            self._talk.history = [self._compaction, self._talk.history[-1]]

    def _step(self, info: Record, parts: list[Record], *, alone: bool, first: bool) -> None:
        """Take a request, its reply, and the results of the tools that the reply called."""
        times = info.record("time")
        finish = next((part for part in parts if part.data.get("type") == "step-finish"), None)
        tokens = (finish or (info if alone else Record({}, info.where))).record("tokens")
        tools = [part for part in parts if part.data.get("type") == "tool"]
        began = _time(times, "created") if first else self._talk.heard
        ends = [_time(part.record("time"), "end") for part in parts]
        ends += [_time(tool.record("state").record("time"), "start") for tool in tools]
        ended = max((at for at in ends if at is not None), default=None)
        if ended is None and alone:
            ended = _time(times, "completed")
        reply = assistant(
            joined(_texts(parts, "text")),
            [
                call(tool.text("callID"), tool.text("tool"), tool.record("state").data.get("input"))
                for tool in tools
            ],
            joined(_texts(parts, "reasoning")),
        )
        self._talk.model = self._talk.model or info.text("modelID", "")
        cache = tokens.record("cache")
        self._talk.reply(
            reply,
            info,
            began=began,
            ended=ended,
            prompt_tokens=_sum(tokens.count("input"), cache.count("read"), cache.count("write")),
            output_tokens=_sum(tokens.count("output"), tokens.count("reasoning")),
            sent=_instructions(info) + self._sent(began),
        )
        for tool in tools:
            state = tool.record("state")
            call_id, until = tool.text("callID"), state.record("time")
            if (cleared := _time(until, "compacted")) is not None:
                self._cleared[call_id] = cleared
            self._talk.hear(answer(call_id, _result(state)), _time(until, "end"))

    def _sent(self, began: float | None) -> list[Message]:
        """Return the history without the results that had been cleared by then."""
        gone = {name for name, at in self._cleared.items() if began is not None and at <= began}
        return [
            answer(message["tool_call_id"], _CLEARED)
            if message.get("tool_call_id") in gone
            else message
            for message in self._talk.history
        ]


def _instructions(info: Record) -> list[Message]:
    """Return the system prompt, which old versions kept with each reply."""
    texts = [text for text in info.items("system") if isinstance(text, str)]
    return [{"role": "system", "content": joined(texts)}] if texts else []


def _asked(part: Record) -> Iterator[dict[str, Any]]:
    match part.text("type"):
        case "text" if part.data.get("ignored") is not True:
            yield {"type": "text", "text": part.text("text", "")}
        case "file" if (kind := part.text("mime", "")) not in _AS_TEXT:
            url = part.text("url", "")
            if kind.startswith("image/") and url.startswith(("data:", "https://", "http://")):
                yield {"type": "image_url", "image_url": {"url": url}}
            else:
                name = part.text("filename", "file")
                yield {"type": "text", "text": f"[Attached {kind}: {name}]"}
        case "compaction":
            yield {"type": "text", "text": _COMPACTION}
        case "subtask":
            yield {"type": "text", "text": _SUBTASK}


def _steps(parts: list[Record]) -> Iterator[list[Record]]:
    """Return the parts of each request; a message of old versions has several of them."""
    step: list[Record] = []
    for part in parts:
        if part.text("type") == "step-start" and _said(step):
            yield step
            step = []
        step.append(part)
    if _said(step):
        yield step


def _said(parts: list[Record]) -> bool:
    return any(part.data.get("type") in ("text", "reasoning", "tool") for part in parts)


def _texts(parts: list[Record], kind: str) -> Iterator[str]:
    return (part.text("text", "") for part in parts if part.data.get("type") == kind)


def _result(state: Record) -> str:
    match state.text("status", ""):
        case "completed":
            return state.text("output", "")
        case "error":
            return state.text("error", "")
    return _INTERRUPTED


def _time(times: Record, key: str) -> float | None:
    return times.seconds(key, _MILLISECONDS)


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
