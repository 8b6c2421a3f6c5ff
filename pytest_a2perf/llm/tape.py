"""A cassette's file: each text once, and calls that refer to them.

A line is a JSON object of one of three kinds. ``{"message": ID, "content": …}`` and
``{"tools": ID, "content": …}`` keep what requests are made of, so that a long conversation is read
from top to bottom and not over and over again. ``{"call": ID, …}`` is a request with its answer.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pytest_a2perf.llm.answer import Answer
from pytest_a2perf.llm.errors import CassetteError
from pytest_a2perf.llm.secrets import redact

__all__ = ["Call", "Request", "Tape", "digest"]

_DIGITS = 16
_ERRORS = "surrogatepass"  # models write halves of characters


def digest(value: Any) -> str:
    """Return an id of what JSON can say: the same for the same content."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class Request:
    """What a model is asked, without keys and addresses.

    Attributes:
        model: its name.
        messages: of the conversation.
        tools: that it may call.
        parameters: all others.
    """

    model: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """A request, by ids of its parts, and perhaps its answer.

    Attributes:
        model: see `Request`.
        parameters: see `Request`.
        tools: id of all tools.
        messages: ids.
        attempt: of the trial at its task.
        occurrence: how often the attempt had asked the same before.
        answer: what was answered.
    """

    model: str
    parameters: Mapping[str, Any]
    tools: str
    messages: tuple[str, ...]
    attempt: int = 0
    occurrence: int = 0
    answer: Answer | None = None

    @property
    def id(self) -> str:
        """The same for the same request."""
        return digest([self.model, self.parameters, self.tools, self.messages])

    @property
    def key(self) -> tuple[str, int, int]:
        """The same for the same request, of the same attempt, for the same time."""
        return self.id, self.attempt, self.occurrence


class Tape:
    """One file of a cassette.

    Args:
        path: of the file, which need not exist.

    Attributes:
        calls: by `Call.key`; of two with the same, the last.
        contents: of messages and tools, by id.

    Raises:
        CassetteError: a line cannot be read; names it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: dict[tuple[str, int, int], Call] = {}
        self.contents: dict[str, Any] = {}
        if path.exists():
            *lines, _ = path.read_bytes().split(b"\n")  # the rest, if any, was never finished
            for number, line in enumerate(lines, 1):
                self._read(line, number)

    def _read(self, line: bytes, number: int) -> None:
        try:
            entry = json.loads(line.decode("utf-8", _ERRORS))
            if "call" not in entry:
                self.contents[entry.get("message") or entry["tools"]] = entry["content"]
                return
            call = Call(
                entry["model"],
                entry["parameters"],
                entry["tools"],
                tuple(entry["messages"]),
                entry["attempt"],
                entry["occurrence"],
                Answer.from_json(entry["answer"]),
            )
            # Not what the parts give: keys that were in them are not any more.
            self.calls[entry["call"], call.attempt, call.occurrence] = call
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CassetteError(
                f"cassette {self.path}, line {number}: {type(error).__name__}: {error}; "
                "record it anew"
            ) from None

    def add(self, request: Request, call: Call, answer: Answer) -> None:
        """Append a call with its answer, and whatever of it the file does not have yet."""
        parts: list[tuple[str, str, Any]] = [("tools", call.tools, request.tools)]
        parts += [
            ("message", name, content)
            for name, content in zip(call.messages, request.messages, strict=True)
        ]
        entries: list[dict[str, Any]] = []
        for kind, name, content in parts:
            if name not in self.contents:
                self.contents[name] = content
                entries.append({kind: name, "content": content})
        entries.append(
            {
                "call": call.id,
                "attempt": call.attempt,
                "occurrence": call.occurrence,
                "answer": answer.to_json(),
                "model": call.model,
                "parameters": call.parameters,
                "tools": call.tools,
                "messages": call.messages,
            }
        )
        self.calls[call.key] = call
        lines = [json.dumps(entry, ensure_ascii=False, default=str) + "\n" for entry in entries]
        _append(self.path, redact("".join(lines)).encode("utf-8", _ERRORS))


def _append(path: Path, data: bytes) -> None:
    """Append all or nothing, whoever else does the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = _end(file)
        file.truncate(end)
        try:
            while data:
                data = data[file.write(data) :]
        except BaseException:
            file.truncate(end)
            raise


def _end(file: BinaryIO) -> int:
    """Return the end of the last line; what follows was left by a writer that was killed."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return size
    file.seek(0)
    return file.read().rfind(b"\n") + 1
