"""AA-AgentPerf's open data sets for one user: a manifest and a file of turns for each task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder
from pytest_a2perf.domains.serving.trajectories.form import (
    Form,
    Record,
    beginning_of,
    document_of,
    head_of,
    records_of,
)
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]

_MANIFESTS = "manifest*.json"  # one, or one for each architecture, of the same turns
_TURN = {"turn_id", "task_id", "conversation_id", "conversation_idx"}


def _detect(path: Path, head: bytes) -> bool:
    if path.is_dir():
        return _manifest_of(path) is not None
    first = beginning_of(head)
    return _is_manifest(head) or (isinstance(first, dict) and first.keys() >= _TURN)


def _is_manifest(head: bytes) -> bool:
    first = beginning_of(head)
    tasks = first.get("tasks") if isinstance(first, dict) else None
    return (
        isinstance(tasks, list)
        and bool(tasks)
        and isinstance(tasks[0], dict)
        and ({"task_id", "trace"} <= tasks[0].keys())
    )


def _read(path: Path) -> Iterator[Session]:
    path = _manifest_of(path) or path
    if not _is_manifest(head_of(path)):
        yield from _read_turns(path)
        return
    folder = path.parent.resolve()
    for task in Record(document_of(path), str(path)).records("tasks"):
        trace = (folder / task.text("trace")).resolve()
        if not trace.is_relative_to(folder):
            raise task.error(f"trace {task.text('trace')!r} is outside the manifest's folder")
        if not trace.is_file():
            raise task.error(f"trace {task.text('trace')!r} is no file")
        yield from _read_turns(path.parent / trace.relative_to(folder))


def _manifest_of(folder: Path) -> Path | None:
    manifests = sorted(folder.glob(_MANIFESTS))
    return next((path for path in manifests if _is_manifest(head_of(path))), None)


def _read_turns(path: Path) -> Iterator[Session]:
    builders: dict[tuple[str, str], SessionBuilder] = {}
    for row in records_of(path):
        task, conversation = row.text("task_id"), row.text("conversation_id")
        name = task if task == conversation else f"{task}/{conversation}"
        builder = builders.setdefault((task, conversation), SessionBuilder(name, source=FORM.name))
        builder.tools = builder.tools or row.tools()
        wanted, recorded = (
            row.count("target_output_tokens"),
            row.count("recorded_completion_tokens"),
        )
        calls = tuple(call.text("tool_name") for call in row.records("recorded_tool_calls_after"))
        with row.here():
            builder.turn(
                row.items("messages"),
                output_tokens=recorded if wanted is None else wanted,
                tool_delay=row.seconds("simulated_tool_delay_ms_after", 0.001) or 0.0,
                prompt_tokens=row.count("recorded_prompt_tokens"),
                duration=row.seconds("recorded_model_duration_ms", 0.001),
                calls=calls,
            )
    yield from (builder.session() for builder in builders.values())


FORM = Form("agentperf_local", _detect, _read)
