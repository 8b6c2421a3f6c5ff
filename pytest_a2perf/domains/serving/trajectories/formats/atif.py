"""Trajectories in the Agent Trajectory Interchange Format (Harbor), ATIF 1.x.

Steps tell when a reply was complete, not when the tools were: a delay after a reply with tools
reaches to the next reply, and is too long by what that one took.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.serving.trajectories.form import Form, Record, beginning_of, records_of
from pytest_a2perf.domains.serving.trajectories.formats.chat import (
    answer,
    assistant,
    call,
    content_of,
    text_of,
)
from pytest_a2perf.domains.serving.trajectories.formats.conversation import Conversation
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["FORM"]

_NAME = "atif"
_VERSION = "ATIF-v1."


def _detect(path: Path, head: bytes) -> bool:
    del path
    first = beginning_of(head)
    if not isinstance(first, dict):
        return False
    version = first.get("schema_version")
    return isinstance(version, str) and version.startswith("ATIF-")


def _read(path: Path) -> Iterator[Session]:
    for document in records_of(path):
        yield from _sessions(document, path.stem, "")


def _sessions(document: Record, name: str, parent: str) -> Iterator[Session]:
    version = document.text("schema_version", "")
    if version and not version.startswith(_VERSION):
        raise document.error(f"its version is {version!r}: only {_VERSION}* can be read")
    session_id = document.text("trajectory_id", "") or document.text("session_id", "") or name
    talk = Conversation(session_id, source=_NAME, parent=parent)
    agent = document.record("agent")
    talk.model = agent.text("model_name", "")
    talk.tools = [tool.data for tool in agent.records("tool_definitions")]
    for step in document.records("steps"):
        _take(step, talk)
    if session := talk.session():
        yield session
    for number, child in enumerate(document.records("subagent_trajectories"), 1):
        yield from _sessions(child, f"{session_id}-{number}", session_id)


def _take(step: Record, talk: Conversation) -> None:
    at = step.moment("timestamp")
    source = step.text("source")
    if source == "agent":
        _reply(step, talk, at)
    elif source in ("system", "user"):
        message = {"role": source, "content": content_of(step, "message")}
        talk.hear(message, at, person=source == "user")
    else:
        raise step.error(f"its source is {source!r}, not one of agent, system, user")
    for result in step.record("observation").records("results"):
        # Its time is that of the reply, so that the delay ends with the next step.
        talk.hear(_result(result))


def _reply(step: Record, talk: Conversation, at: float | None) -> None:
    calls = [
        call(raw.text("tool_call_id"), raw.text("function_name"), raw.data.get("arguments"))
        for raw in step.records("tool_calls")
    ]
    message = assistant(text_of(step, "message"), calls, step.text("reasoning_content", ""))
    asked = step.count("llm_call_count")
    if step.data.get("is_copied_context") is True or asked == 0:
        talk.history.append(message)
        return
    # The lengths of several replies in one step are only known together.
    metrics = Record({}, step.where) if (asked or 1) > 1 else step.record("metrics")
    talk.reply(
        message,
        step,
        began=at if talk.heard is None else None,
        ended=at,
        prompt_tokens=metrics.count("prompt_tokens"),
        output_tokens=metrics.count("completion_tokens"),
    )


def _result(result: Record) -> Message:
    text = text_of(result, "content")
    if call_id := result.text("source_call_id", ""):
        return answer(call_id, text)
    return {"role": "user", "content": text}


FORM = Form(_NAME, _detect, _read)
