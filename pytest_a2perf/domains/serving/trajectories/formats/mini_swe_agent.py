"""mini-swe-agent's ``.traj.json`` files, versions 1 and 1.1.

The declaration of its one tool, ``bash``, is not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import Form, Record, beginning_of, records_of
from pytest_a2perf.domains.serving.trajectories.formats.chat import (
    answer,
    assistant,
    call,
    content_of,
    joined,
    reply_of,
    text_of,
)
from pytest_a2perf.domains.serving.trajectories.formats.conversation import Conversation
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["FORM"]

_NAME = "mini_swe_agent"


def _detect(path: Path, head: bytes) -> bool:
    first = beginning_of(head)
    if not isinstance(first, dict) or "trajectory" in first:
        return False
    info, version = first.get("info"), first.get("trajectory_format")
    if isinstance(version, str):
        return version.startswith("mini-swe-agent")
    return path.name.endswith(".traj.json") or (isinstance(info, dict) and "mini_version" in info)


def _read(path: Path) -> Iterator[Session]:
    for document in records_of(path):
        talk = Conversation(path.name.removesuffix(".traj.json"), source=_NAME)
        talk.model = document.record("info").record("config").record("model").text("model_name", "")
        for item in document.records("messages"):
            extra = item.record("extra")
            at = extra.moment("timestamp")
            if item.data.get("object") == "response":
                _reply(talk, item, item, _response(item), at)
            elif item.data.get("type") == "function_call_output":
                talk.hear(answer(item.text("call_id", ""), text_of(item, "output")), at)
            elif (role := item.text("role")) == "assistant":
                _reply(talk, item, extra.record("response"), reply_of(item), at)
            elif role == "tool":
                talk.hear(answer(item.text("tool_call_id", ""), text_of(item, "content")), at)
            elif role != "exit":  # what the agent notes at its end
                person = extra.text("interrupt_type", "") == "UserInterruption"
                message = {"role": role, "content": content_of(item, "content")}
                talk.hear(message, at, person=person)
        if session := talk.session():
            yield session


def _reply(
    talk: Conversation, item: Record, response: Record, message: Message, at: float | None
) -> None:
    usage = response.record("usage")
    talk.reply(
        message,
        item,
        ended=at,
        prompt_tokens=_either(usage, "prompt_tokens", "input_tokens"),
        output_tokens=_either(usage, "completion_tokens", "output_tokens"),
    )


def _either(usage: Record, *keys: str) -> int | None:
    return next((count for key in keys if (count := usage.count(key)) is not None), None)


def _response(item: Record) -> Message:
    """Return a reply of the responses interface."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for output in item.records("output"):
        match output.text("type", ""):
            case "message":
                texts.append(text_of(output, "content"))
            case "reasoning":
                thoughts += (part.text("text", "") for part in output.records("summary"))
            case "function_call":
                calls.append(
                    call(
                        output.text("call_id", "") or output.text("id", ""),
                        output.text("name", ""),
                        output.data.get("arguments"),
                    )
                )
    return assistant(joined(texts), calls, joined(thoughts))


FORM = Form(_NAME, _detect, _read)
