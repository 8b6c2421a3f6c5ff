"""OpenTelemetry spans of calls of models (semantic conventions for generative AI).

A span is a turn; its input is what ``gen_ai.input.messages`` says, so that content must have been
recorded, which instrumentations do only on request. Spans of a conversation (or, without its id,
of a trace) make a session; those of an agent inside of another agent, one of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.serving.trajectories.form import Form, beginning_of, records_of
from pytest_a2perf.domains.serving.trajectories.formats.conversation import Conversation
from pytest_a2perf.domains.serving.trajectories.formats.otel_messages import (
    input_of,
    output_of,
    tools_of,
)
from pytest_a2perf.domains.serving.trajectories.formats.otel_spans import Span, spans_of
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]

_NAME = "otel"
_TOPS = {"resourceSpans", "resource_spans", "resourceLogs", "resource_logs"}
_IDS = {"traceId", "trace_id", "context"}
_MODEL_CALLS = ("chat", "text_completion", "generate_content")
_NO_CONTENT = (
    "the span of a model's call has no gen_ai.input.messages: content is recorded only on "
    "request; record again with OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY and "
    "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental (=true where the instrumentation "
    "is older), or with the option of your instrumentation that captures message content"
)


def _detect(path: Path, head: bytes) -> bool:
    del path
    first = beginning_of(head)
    if isinstance(first, list) and first:
        first = first[0]
    if not isinstance(first, dict):
        return False
    return bool(_TOPS & first.keys()) or (
        bool(_IDS & first.keys()) and bool({"attributes", "start_time", "body"} & first.keys())
    )


def _read(path: Path) -> Iterator[Session]:
    spans = spans_of(records_of(path))
    by_id = {span.id: span for span in spans}
    sessions: dict[str, list[Span]] = defaultdict(list)
    parents: dict[str, str] = {}
    for span in sorted(spans, key=lambda span: span.began or 0.0):
        kind = _kind(span)
        if kind in _MODEL_CALLS or kind == "execute_tool":
            name, parent = _session_of(span, by_id)
            sessions[name].append(span)
            parents[name] = parent
    for name, calls in sessions.items():
        talk = Conversation(name or path.stem, source=_NAME, parent=parents[name])
        for span in calls:
            if _kind(span) == "execute_tool":
                talk.wait(span.ended)
            else:
                _reply(span, talk)
        if session := talk.session():
            yield session


def _reply(span: Span, talk: Conversation) -> None:
    sent = input_of(span)
    if not sent:
        if span.attributes.data.get("error.type") is not None:
            return  # a call that failed may have no content
        raise span.record.error(_NO_CONTENT)
    attributes = span.attributes
    talk.model = (
        talk.model
        or attributes.text("gen_ai.request.model", "")
        or attributes.text("gen_ai.response.model", "")
    )
    talk.tools = talk.tools or tools_of(span)
    # What the request ends with tells what it waited for, with spans of the tools or without.
    talk.wait(None, person=sent[-1]["role"] == "user")
    counts = [
        next((count for key in keys if (count := attributes.count(key)) is not None), None)
        for keys in (
            ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
            ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        )
    ]
    talk.reply(
        output_of(span),
        span.record,
        began=span.began,
        ended=span.ended,
        prompt_tokens=counts[0],
        output_tokens=counts[1],
        sent=sent,
    )


def _kind(span: Span) -> str:
    """Return the name of the operation; what has none and asks a model is a chat."""
    attributes = span.attributes
    asks = attributes.data.get("gen_ai.request.model") is not None
    return attributes.text("gen_ai.operation.name", "chat" if asks else "")


def _session_of(span: Span, by_id: dict[str, Span]) -> tuple[str, str]:
    """Return the ids of the session of a span, and of the session that started it."""
    conversation = ""
    agents: list[Span] = []
    around: Span | None = span
    seen: set[str] = set()
    while around is not None and around.id not in seen:
        seen.add(around.id)
        conversation = conversation or around.attributes.text("gen_ai.conversation.id", "")
        if _kind(around) == "invoke_agent":
            agents.append(around)
        around = by_id.get(around.parent) if around.parent else None
    main = conversation or span.trace
    if len(agents) < 2:
        return main, ""
    outer = f"{main}:{agents[1].id}" if len(agents) > 2 else main
    return f"{main}:{agents[0].id}", outer


FORM = Form(_NAME, _detect, _read)
