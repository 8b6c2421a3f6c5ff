"""Traces of kv-cache-tester: a session each, of requests with names of their blocks.

Texts are made up, see `trajectories.blocks`. A sub-agent becomes a session of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.serving.trajectories.blocks import blocks_of, inputs_of
from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder
from pytest_a2perf.domains.serving.trajectories.form import Form, Record, first_object, records_of
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]

_SIZE = 64


def _detect(_: Path, head: bytes) -> bool:
    requests = first_object(head).get("requests")
    request = requests[0] if isinstance(requests, list) and requests else None
    return isinstance(request, dict) and {"t", "type"} <= request.keys()


def _read(path: Path) -> Iterator[Session]:
    for number, trace in enumerate(records_of(path), 1):
        name = trace.text("id", f"{path.stem}-{number}")
        size = trace.count("block_size") or _SIZE
        scope = "" if trace.text("hash_id_scope", "local") == "global" else name
        yield from _sessions_of(trace, name, "", size, scope)


def _sessions_of(trace: Record, name: str, parent: str, size: int, scope: str) -> Iterator[Session]:
    builder = SessionBuilder(name, source=FORM.name, parent=parent)
    requests: list[Record] = []
    agents: list[Record] = []
    for entry in trace.records("requests"):
        (agents if entry.text("type") == "subagent" else requests).append(entry)
    blocks = [blocks_of(entry, "in", size, scope) for entry in requests]
    end: float | None = None
    for entry, messages in zip(requests, inputs_of(blocks), strict=True):
        builder.model = builder.model or entry.text("model", "")
        begin, waited = entry.seconds("t"), entry.seconds("think_time")
        if waited is None and begin is not None and end is not None:
            waited = begin - end
        builder.pause(waited or 0.0, person="tool_result" not in entry.items("input_types"))
        duration = entry.seconds("api_time")
        builder.turn(
            messages,
            output_tokens=entry.count("out"),
            prompt_tokens=entry.count("in"),
            duration=duration,
        )
        end = None if begin is None else begin + (duration or 0.0)
    if len(builder):
        yield builder.session()
    for number, agent in enumerate(agents, 1):
        agent_name = f"{name}/{agent.text('agent_id', str(number))}"
        yield from _sessions_of(agent, agent_name, name, size, scope)


FORM = Form("weka", _detect, _read)
