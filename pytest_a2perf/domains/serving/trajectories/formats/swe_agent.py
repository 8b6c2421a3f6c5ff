"""SWE-agent's ``.traj`` files.

A step says what was sent (``query``, or ``messages`` in 1.0) since that version; before it, the
input is put together from ``history``, where the agent may have left out old observations.
Lengths of replies are not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder
from pytest_a2perf.domains.serving.trajectories.form import (
    Form,
    Record,
    beginning_of,
    parse,
    records_of,
)
from pytest_a2perf.domains.serving.trajectories.formats.chat import (
    answer,
    assistant,
    call_names,
    calls_of,
    content_of,
    joined,
    text_of,
)
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["FORM"]

_NAME = "swe_agent"


def _detect(path: Path, head: bytes) -> bool:
    first = beginning_of(head)
    if not isinstance(first, dict):
        return False
    steps = first.get("trajectory")
    if isinstance(steps, list) and steps and isinstance(steps[0], dict):
        return "observation" in steps[0] or "execution_time" in steps[0]
    return path.suffix == ".traj"


def _read(path: Path) -> Iterator[Session]:
    for document in records_of(path):
        steps = document.records("trajectory")
        said = _said(document)
        inputs = [_sent(step) for step in steps]
        builder = SessionBuilder(path.stem, source=_NAME, model=_model(document))
        for index, step in enumerate(steps):
            sent = inputs[index]
            if sent is None:
                sent, reply = _told(said, index)
            else:
                following = inputs[index + 1] if index + 1 < len(steps) else None
                reply = _last_reply(following or [message for message, _ in said])
            if not sent or not (step.text("response", "") or step.text("action", "")):
                continue  # what the agent itself notes at its end is no request
            seconds = max(0.0, float(step.number("execution_time") or 0.0))
            _turn(builder, step, sent, reply, seconds)
        if not steps:  # a demonstration has a history only
            for index in range(sum(reply for _, reply in said)):
                sent, reply = _told(said, index)
                _turn(builder, document, sent, reply, 0.0)
        if len(builder):
            yield builder.session()


def _turn(
    builder: SessionBuilder, record: Record, sent: list[Message], reply: Message, seconds: float
) -> None:
    try:
        builder.turn(sent, tool_delay=seconds, calls=call_names(reply))
    except TrajectoryError as error:
        raise record.error(str(error)) from None


def _sent(step: Record) -> list[Message] | None:
    """Return what a step sent, or None where its version does not say."""
    for key in ("query", "messages"):
        if key in step.data:
            return [_message(item) for item in step.records(key) if item.data]
    return None


def _said(document: Record) -> list[tuple[Message, bool]]:
    """Return the history of the main agent, and which messages are replies of the run."""
    items = document.records("history")
    names = [item.text("agent", "") for item in items]
    main = next((name for name in names if name), "")
    return [
        (_message(item), item.data.get("role") == "assistant" and not item.data.get("is_demo"))
        for item, name in zip(items, names, strict=True)
        if name in ("", main)
    ]


def _told(said: list[tuple[Message, bool]], index: int) -> tuple[list[Message], Message]:
    """Return the history before the reply of a step, and the reply; empty where there is none."""
    replies = [place for place, (_, reply) in enumerate(said) if reply]
    if index >= len(replies):
        return [], {}
    return [message for message, _ in said[: replies[index]]], said[replies[index]][0]


def _last_reply(messages: list[Message]) -> Message:
    replies = [message for message in messages if message["role"] == "assistant"]
    return replies[-1] if replies else {}


def _message(item: Record) -> Message:
    role = item.text("role")
    if role == "tool":
        ids = item.items("tool_call_ids")
        return answer(
            str(ids[0]) if ids else item.text("tool_call_id", ""), text_of(item, "content")
        )
    if role != "assistant":
        return {"role": role, "content": content_of(item, "content")}
    thoughts = (block.text("thinking", "") for block in item.records("thinking_blocks"))
    return assistant(text_of(item, "content"), calls_of(item), joined(thoughts))


def _model(document: Record) -> str:
    config = document.data.get("replay_config")
    if isinstance(config, str):
        config = parse(config, f"{document.where}, replay_config")
    if not isinstance(config, dict):
        return ""
    model = Record(config, f"{document.where}, replay_config").record("agent").record("model")
    return model.text("name", "") or model.text("model_name", "")


FORM = Form(_NAME, _detect, _read)
