"""OpenAI's chat messages, in the shapes that they are customarily kept in.

* A conversation a row: ``{"messages": [...], "tools": [...]}``. Each reply is a turn.
* A request a row: the same with what only requests have, ``max_tokens`` for one, or with the
  request as ``body``, ``request`` or ``payload`` (so do batches), and perhaps with its
  ``response``. Rows with the same ``session_id`` (or ``conversation_id``, ...) are a session; and
  without one, rows that follow one another and begin alike, each longer than the one before.
* Sessions of requests in one document: ``{"data": [{"session_id": ..., "payloads": [...]}]}``.

Pauses come from ``delay`` (milliseconds, as aiperf has it) or else from a ``timestamp``: a time of
day, seconds since 1970, or, below a thousand million, milliseconds since the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.trajectories.build import (
    SessionBuilder,
    calls_of,
    common,
    usage_of,
)
from pytest_a2perf.domains.serving.trajectories.form import (
    Form,
    Record,
    first_object,
    parse,
    records_of,
)
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]

_BODIES = ("body", "request", "payload")
_MESSAGES = ("messages", "conversations")
_SESSIONS = ("session_id", "conversation_id", "chat_id", "thread_id", "trace_id", "trajectory_id")
_NAMES = (*_SESSIONS, "id", "custom_id", "instance_id", "uuid")
_OF_REQUESTS = {
    *("max_tokens", "max_completion_tokens", "stream", "temperature", "top_p"),
    *("output_length", "response"),
}
_YEAR_2001 = 1e9  # in seconds since 1970


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a file.

    Attributes:
        record: it.
        body: what has the messages: the row, or something in it.
        messages: of it.
        request: whether it is one request, and not a conversation.
    """

    record: Record
    body: Record
    messages: list[Any]
    request: bool

    def continues(self, other: _Row) -> bool:
        """Whether it looks like what came next in the same session."""
        known = len(other.messages)
        if len(self.messages) <= known:
            return False
        if self.request and other.request:  # the last message may be a counter that is replaced
            roles = [_role(message) for message in other.messages]
            known = roles.index("user") + 1 if "user" in roles else known
        return self.messages[:known] == other.messages[:known]


def _detect(_: Path, head: bytes) -> bool:
    first = first_object(head)
    for key in ("data", "payloads"):
        if isinstance(inner := first.get(key), list):
            first = inner[0] if inner and isinstance(inner[0], dict) else {}
    body = _body_of(Record(first, "")).data
    messages = next((body[key] for key in _MESSAGES if key in body), None)
    if isinstance(messages, str):
        return messages.lstrip().startswith("[")
    return isinstance(messages, list) and all(
        isinstance(message, dict) and "from" not in message for message in messages
    )


def _read(path: Path) -> Iterator[Session]:
    for number, rows in enumerate(_sessions_of(path), 1):
        yield _session_of(rows, f"{path.stem}-{number}")


def _sessions_of(path: Path) -> Iterator[list[_Row]]:
    """Return the rows of each session; those with names, whose rows may be mixed, come last."""
    named: dict[str, list[_Row]] = {}
    rows: list[_Row] = []
    for record, name in _records_of(path):
        row = _row_of(record)
        if name:
            named.setdefault(name, []).append(row)
            continue
        if rows and not row.continues(rows[-1]):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows
    yield from named.values()


def _records_of(path: Path) -> Iterator[tuple[Record, str]]:
    """Return rows, and of which session they are, where they say so."""
    for record in records_of(path):
        if "payloads" not in record.data and not isinstance(record.data.get("data"), list):
            yield record, _first_text(record, _SESSIONS)
            continue
        for number, session in enumerate(record.records("data") or [record], 1):
            name = _first_text(session, _SESSIONS) or f"{path.stem}-{number}"
            for payload in session.records("payloads"):
                yield Record(payload.data | {"session_id": name}, payload.where), name


def _row_of(record: Record) -> _Row:
    if record.text("message_mode", "") == "delta":
        raise record.error(
            "'message_mode' is 'delta', which needs live replies: expected the whole messages"
        )
    body = _body_of(record)
    key = next((key for key in _MESSAGES if key in body.data), _MESSAGES[0])
    if isinstance(text := body.data.get(key), str):
        body = Record(body.data | {key: parse(text, f"{body.where}, {key}")}, body.where)
    messages = body.items(key)
    if not messages:
        raise body.error("there are no messages")
    of_request = body is not record or not _OF_REQUESTS.isdisjoint(record.data)
    return _Row(record, body, messages, of_request and _role(messages[-1]) != "assistant")


def _session_of(rows: list[_Row], name: str) -> Session:
    first = rows[0]
    builder = SessionBuilder(_first_text(first.record, _NAMES) or name, source=FORM.name)
    for row in rows:
        builder.model = builder.model or row.body.text("model", "")
        builder.tools = builder.tools or row.body.tools() or row.record.tools()
    with first.record.here():
        if len(rows) == 1 and not first.request:
            builder.conversation(first.messages)
    if not len(builder):
        for before, row, after in zip([None, *rows], rows, [*rows[1:], None], strict=False):
            if before is not None:
                builder.pause(_pause(before, row), person=_role(row.messages[-1]) == "user")
            _add(builder, row, after)
    return builder.session()


def _add(builder: SessionBuilder, row: _Row, after: _Row | None) -> None:
    messages, reply = row.messages, _reply_of(row.record)
    if not row.request and len(messages) > 1 and _role(messages[-1]) == "assistant":
        *messages, reply = messages
    elif not reply and after is not None:
        same = common(messages, after.messages)
        reply = next((new for new in after.messages[same:] if _role(new) == "assistant"), {})
    known = {
        "output_tokens": row.record.count("output_length"),
        **_forced(row.body),
        **usage_of(row.record.data),
        **usage_of(reply),
        **usage_of(_response_of(row.record)),
    }
    with row.record.here():
        builder.turn(messages, calls=calls_of(reply), **known)


def _forced(body: Record) -> dict[str, int | None]:
    """Return the length of the reply, where a request allows but one."""
    most = body.count("max_completion_tokens") or body.count("max_tokens")
    return {"output_tokens": most} if most and body.data.get("ignore_eos") is True else {}


def _pause(before: _Row, row: _Row) -> float:
    delay = row.record.seconds("delay", 0.001)
    if delay is None:
        ended, begun = _moment(before.record), _moment(row.record)
        delay = 0.0 if ended is None or begun is None else begun - ended
    return delay


def _moment(record: Record) -> float | None:
    value = record.data.get("timestamp")
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _YEAR_2001:
        return record.seconds("timestamp", 0.001)
    return record.moment("timestamp")


def _body_of(record: Record) -> Record:
    """Return what has the messages: the row, or the request in it."""
    if any(key in record.data for key in _MESSAGES):
        return record
    for key in _BODIES:
        if isinstance(record.data.get(key), dict):
            return _body_of(record.record(key))
    return record


def _response_of(record: Record) -> Mapping[str, Any]:
    response = record.data.get("response")
    if isinstance(response, dict) and isinstance(response.get("body"), dict):
        response = response["body"]
    return response if isinstance(response, dict) else {}


def _reply_of(record: Record) -> Mapping[str, Any]:
    """Return the message that came back; empty where it is not known."""
    choices = _response_of(record).get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    return message if isinstance(message, dict) else {}


def _first_text(record: Record, keys: tuple[str, ...]) -> str:
    for key in keys:
        value = record.data.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value)
    return ""


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


FORM = Form("openai", _detect, _read)
