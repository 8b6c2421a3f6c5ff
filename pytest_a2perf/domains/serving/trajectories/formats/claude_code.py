"""Session logs of Claude Code: ``projects/*/*.jsonl`` in its folder.

Each line names the line before it, so that what a request sent is the way back from its reply:
where a person went back and asked again, that is not all lines before it, and a compaction starts
a way of its own. A reply may be spread over several lines with the same message id, and the
results of calls made at once hang on different ones of them. Sub-agents (side chains) become
sessions of their own, wherever they stand. System prompt, tools and what is cut out of old tool
results on the way are not recorded: recorded input lengths are greater than those of the messages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import Form, Record, beginning_of, records_of
from pytest_a2perf.domains.serving.trajectories.formats.chat import (
    answer,
    assistant,
    call,
    content_of,
    joined,
    paired,
    text_of,
)
from pytest_a2perf.domains.serving.trajectories.formats.conversation import Conversation
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["FORM"]

_NAME = "claude_code"


@dataclass(slots=True)
class _Line:
    """A line of a log: a part of a reply, something said to the model, or neither."""

    record: Record
    number: int
    uuid: str
    parent: str
    kind: str
    at: float | None = None
    reply: str = ""  # id of the reply that it is a part of
    said: Message | None = None
    answers: list[Message] = field(default_factory=list)
    person: bool = False


def _detect(path: Path, head: bytes) -> bool:
    del path
    first = beginning_of(head)
    if not isinstance(first, dict):
        return False
    named = isinstance(first.get("type"), str) and bool({"sessionId", "leafUuid"} & first.keys())
    return "parentUuid" in first or named or first.get("type") == "file-history-snapshot"


def _read(path: Path) -> Iterator[Session]:
    threads: dict[str, list[_Line]] = defaultdict(list)
    owner: dict[str, str] = {}
    before = ""
    for number, record in enumerate(records_of(path)):
        if record.data.get("uuid") is None and not isinstance(record.data.get("message"), dict):
            continue
        line = _line(record, number, before)
        before = line.uuid
        side = record.data.get("isSidechain") is True
        agent = record.text("agentId", "") or owner.get(line.parent, "") or line.uuid
        thread = agent if side else ""
        owner[line.uuid] = thread
        threads[thread].append(line)
    for thread, lines in threads.items():
        name, parent = path.stem, ""
        if thread:
            parent = lines[0].record.text("sessionId", path.stem)
            name = f"{parent}:{thread}"
        if session := _Thread(lines).session(name, parent):
            yield session


def _line(record: Record, number: int, before: str) -> _Line:
    uuid = record.text("uuid", f"line {number}")
    parent = record.text("parentUuid", "") if "parentUuid" in record.data else before
    line = _Line(record, number, uuid, parent, record.text("type", ""))
    line.at = record.moment("timestamp")
    message = record.record("message")
    if line.kind == "assistant" and not record.data.get("isApiErrorMessage"):
        if message.text("model", "") != "<synthetic>":
            line.reply = message.text("id", "") or uuid
    elif line.kind == "user":
        _hear(line, message)
    return line


def _hear(line: _Line, message: Record) -> None:
    """Take apart what was said to the model: results of tools, and the rest."""
    rest = message.data.get("content")
    if isinstance(rest, list):
        rest = []
        for block in message.records("content"):
            if block.data.get("type") == "tool_result":
                call_id = block.text("tool_use_id")
                line.answers.append(answer(call_id, text_of(block, "content")))
            else:
                rest.append(block.data)
    if rest:
        content = content_of(Record({"content": rest}, message.where), "content")
        line.said = {"role": "user", "content": content}
        hidden = ("isMeta", "isCompactSummary", "isSidechain")
        line.person = not any(line.record.data.get(key) for key in hidden)


class _Thread:
    """The lines of one agent, in the order of the file."""

    def __init__(self, lines: list[_Line]) -> None:
        self._order = lines
        self._lines = {line.uuid: line for line in lines}
        self._replies: dict[str, list[_Line]] = defaultdict(list)
        self._answers: dict[str, tuple[int, Message]] = {}
        for line in lines:
            if line.reply:
                self._replies[line.reply].append(line)
            for message in line.answers:
                self._answers.setdefault(message["tool_call_id"], (line.number, message))
        self._messages = {name: _reply(parts) for name, parts in self._replies.items()}
        self._way: list[str] = []
        self._places: dict[str, int] = {}

    def session(self, name: str, parent: str) -> Session | None:
        """Return the session, or None where nothing was replied."""
        talk = Conversation(name, source=_NAME, parent=parent)
        for line in self._order:
            if line.said or line.answers:
                talk.wait(line.at, person=line.person)
            parts = self._replies[line.reply] if line.reply else []
            if not parts or parts[0] is not line:
                continue
            self._go_to(line.parent)
            talk.history = self._sent(line)
            if talk.history:
                message = line.record.record("message")
                talk.model = talk.model or message.text("model", "")
                prompt_tokens, output_tokens = _lengths(parts)
                talk.reply(
                    self._messages[line.reply],
                    line.record,
                    ended=parts[-1].at,
                    prompt_tokens=prompt_tokens,
                    output_tokens=output_tokens,
                )
        return talk.session()

    def _go_to(self, uuid: str) -> None:
        """Make the way from the first line to one; mostly it goes on where the last one ended."""
        steps: dict[str, None] = {}
        while uuid in self._lines and uuid not in self._places and uuid not in steps:
            steps[uuid] = None
            uuid = self._lines[uuid].parent
        kept = self._places.get(uuid, -1) + 1
        for gone in self._way[kept:]:
            del self._places[gone]
        self._way[kept:] = reversed(steps)
        self._places.update({step: place for place, step in enumerate(self._way[kept:], kept)})

    def _sent(self, reply: _Line) -> list[Message]:
        """Return what was said on the way before a reply."""
        sent = []
        told = {reply.reply}
        for line in map(self._lines.__getitem__, self._way):
            if line.reply and line.reply not in told:
                told.add(line.reply)
                message = self._messages[line.reply]
                sent.append(message)
                for made in message.get("tool_calls", ()):
                    number, result = self._answers.get(made["id"], (reply.number, {}))
                    if number < reply.number:
                        sent.append(result)
            elif line.said:
                sent.append(line.said)
        return paired(sent)


def _reply(parts: list[_Line]) -> Message:
    """Return a reply from its lines; what is in two of them counts once."""
    texts: dict[str, None] = {}
    thoughts: dict[str, None] = {}
    calls: dict[str, dict[str, Any]] = {}
    for part in parts:
        message = part.record.record("message")
        if isinstance(message.data.get("content"), str):
            texts[message.text("content")] = None
            continue
        for block in message.records("content"):
            match block.text("type", ""):
                case "text":
                    texts[block.text("text", "")] = None
                case "thinking":
                    thoughts[block.text("thinking", "")] = None
                case "tool_use":
                    call_id = block.text("id")
                    calls[call_id] = call(call_id, block.text("name"), block.data.get("input"))
    return assistant(joined(texts), list(calls.values()), joined(thoughts))


def _lengths(parts: list[_Line]) -> tuple[int | None, int | None]:
    """Return the lengths of input and reply; early lines may not know the reply's yet."""
    usages = [part.record.record("message").record("usage") for part in parts]
    keys = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    inputs = [count for key in keys if (count := usages[-1].count(key)) is not None]
    outputs = [count for usage in usages if (count := usage.count("output_tokens")) is not None]
    return sum(inputs) if inputs else None, max(outputs, default=None)


FORM = Form(_NAME, _detect, _read)
