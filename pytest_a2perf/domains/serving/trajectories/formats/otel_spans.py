"""OpenTelemetry spans, in whatever way they were written: OTLP's JSON, or an object for each.

The latter are what ``to_json`` of the SDK's spans gives: attributes as an object, ids in a
``context``, and times in ISO 8601 or nanoseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import Record

__all__ = ["Event", "Span", "spans_of"]

_NANO = 1e-9


@dataclass(slots=True)
class Event:
    """Something that happened in a span: of the span itself, or a log record that names it."""

    name: str
    attributes: Record
    body: Record


@dataclass(slots=True)
class Span:
    """A span; times in seconds.

    Attributes:
        record: it, for errors.
        trace: id of its trace.
        id: its own.
        parent: id of the span around it, or empty.
        attributes: by name, as plain JSON.
        began: when it started.
        ended: when it ended.
        events: in order.
    """

    record: Record
    trace: str
    id: str
    parent: str
    attributes: Record
    began: float | None
    ended: float | None
    events: list[Event] = field(default_factory=list)


def spans_of(records: Iterable[Record]) -> list[Span]:
    """Return the spans of a file, with the log records that belong to them.

    Raises:
        TrajectoryError: something is not as it should be.
    """
    spans: list[Span] = []
    logs: list[tuple[str, Event]] = []
    for record in records:
        for resource in _either(record, "resourceSpans", "resource_spans"):
            for scope in _either(resource, "scopeSpans", "scope_spans"):
                spans += map(_span, scope.records("spans"))
        for resource in _either(record, "resourceLogs", "resource_logs"):
            for scope in _either(resource, "scopeLogs", "scope_logs"):
                logs += map(_log, _either(scope, "logRecords", "log_records"))
        if {"name", "attributes"} <= record.data.keys():
            spans.append(_span(record))
        elif "body" in record.data and {"traceId", "trace_id"} & record.data.keys():
            logs.append(_log(record))
    by_id = {span.id: span for span in spans}
    for span_id, event in logs:
        if span_id in by_id:
            by_id[span_id].events.append(event)
    return spans


def _span(record: Record) -> Span:
    context = record.record("context")
    return Span(
        record=record,
        trace=_id(record, "traceId", "trace_id") or _id(context, "trace_id", "traceId"),
        id=_id(record, "spanId", "span_id") or _id(context, "span_id", "spanId"),
        parent=_id(record, "parentSpanId", "parent_span_id", "parentId", "parent_id"),
        attributes=_attributes(record),
        began=_time(record, "startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime"),
        ended=_time(record, "endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime"),
        events=[_event(event) for event in record.records("events")],
    )


def _event(record: Record) -> Event:
    return Event(record.text("name", ""), _attributes(record), Record({}, record.where))


def _log(record: Record) -> tuple[str, Event]:
    attributes = _attributes(record)
    body = plain(record.data.get("body"))
    name = (
        record.text("eventName", "")
        or record.text("event_name", "")
        or attributes.text("event.name", "")
    )
    said = Record(body if isinstance(body, dict) else {}, record.where)
    return _id(record, "spanId", "span_id"), Event(name, attributes, said)


def _attributes(record: Record) -> Record:
    where = f"{record.where}, attributes"
    if isinstance(record.data.get("attributes"), dict):
        return Record(
            {key: plain(value) for key, value in record.record("attributes").data.items()}, where
        )
    pairs = record.records("attributes")
    return Record({pair.text("key"): plain(pair.data.get("value")) for pair in pairs}, where)


def plain(value: Any) -> Any:
    """Return a value of OTLP's JSON, such as ``{"stringValue": "x"}``, as plain JSON."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((kind, inner),) = value.items()
    match kind:
        case "stringValue" | "boolValue" | "doubleValue" | "bytesValue":
            return inner
        case "intValue":
            return int(inner) if isinstance(inner, str) and inner.lstrip("-").isdecimal() else inner
        case "arrayValue" if isinstance(inner, dict) and isinstance(inner.get("values", []), list):
            return [plain(item) for item in inner.get("values", [])]
        case "kvlistValue" if isinstance(inner, dict) and isinstance(inner.get("values", []), list):
            pairs = [pair for pair in inner.get("values", []) if isinstance(pair, dict)]
            return {str(pair.get("key")): plain(pair.get("value")) for pair in pairs}
    return value


def _either(record: Record, *keys: str) -> list[Record]:
    return next((record.records(key) for key in keys if key in record.data), [])


def _id(record: Record, *keys: str) -> str:
    text = next((text for key in keys if (text := record.text(key, ""))), "")
    return text.removeprefix("0x").lower()


def _time(record: Record, *keys: str) -> float | None:
    key = next((key for key in keys if record.data.get(key) is not None), "")
    return record.moment(key)
