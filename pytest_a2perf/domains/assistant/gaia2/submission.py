"""The folder that is submitted: Parquet for each configuration, a card, statistics; no upload."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest_a2perf
from pytest_a2perf.domains.assistant.gaia2.are import STATUS, are_lines, are_statistics, provider_of
from pytest_a2perf.domains.assistant.gaia2.attempts import Attempt
from pytest_a2perf.domains.assistant.gaia2.groups import STANDARD
from pytest_a2perf.domains.assistant.gaia2.statistics import Report
from pytest_a2perf.domains.assistant.keep import HF
from pytest_a2perf.errors import A2PerfError

__all__ = ["CARD", "OUTPUT", "STATISTICS", "write_submission"]

CARD, STATISTICS, OUTPUT = "README.md", "benchmark_stats.json", "output.jsonl"

_COLUMNS = {
    "scenario_id": "string", "run_number": "int64", "task_id": "string", "score": "float64",
    "status": "string", "data": "string", "run_type": "string", "config": "string",
    "phase_name": "string", "a2a_app_prop": "float64", "has_app_noise": "bool",
    "has_env_noise": "bool", "run_config": "string", "has_exception": "bool",
    "exception_type": "string", "exception_message": "string", "rationale": "string",
}  # fmt: skip
_SPLIT = "validation"
_BATCH = 16


def write_submission(report: Report, folder: Path, runs: Sequence[Path]) -> list[str]:
    """Write the folder of a submission.

    Args:
        report: of the run.
        folder: to write; files of the same names are replaced.
        runs: whose trials left the traces.

    Returns:
        What is missing of a whole submission, in words.

    Raises:
        A2PerfError: pyarrow is not installed, or an attempt stands twice.
        OSError: a file cannot be written.
    """
    _check_unique(report.attempts)
    split = report.facts["split"] or _SPLIT
    parts: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in report.attempts:
        parts[attempt.row].append(attempt)
    traces = {attempt.nodeid: _trace(attempt, runs) for attempt in report.attempts}
    folder.mkdir(parents=True, exist_ok=True)
    for name, attempts in parts.items():
        path = folder / name / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        _write_parquet(path, [(attempt, traces[attempt.nodeid]) for attempt in attempts])
    statistics = are_statistics(report)
    _write(folder / STATISTICS, json.dumps(statistics, indent=2) + "\n")
    _write(folder / OUTPUT, "".join(f"{json.dumps(_line(a))}\n" for a in report.attempts))
    missing = list(_missing(report, traces))
    card = "\n".join(_card(report, statistics, list(parts), split, missing))
    _write(folder / CARD, card + "\n")
    return missing


def _missing(report: Report, traces: dict[str, Path | None]) -> Iterator[str]:
    counts = report.overall.counts
    for status in ("infra", "not_run", "unjudged"):
        if counts[status]:
            yield f"{counts[status]} attempts have no score: {status.replace('_', ' ')}"
    silent = [a for a in report.attempts if a.status != "not_run" and traces[a.nodeid] is None]
    if silent:
        yield f"{len(silent)} attempts have no trace, such as {silent[0].nodeid}"


def _check_unique(attempts: Sequence[Attempt]) -> None:
    first: dict[tuple[str, str, int], Attempt] = {}
    for attempt in attempts:
        known = first.setdefault((attempt.row, attempt.id, attempt.run), attempt)
        if known is not attempt:
            raise A2PerfError(
                f"{known.nodeid} and {attempt.nodeid} are the same attempt of {attempt.row}; "
                "choose one with --scenario, or fewer runs"
            )


def _trace(attempt: Attempt, runs: Sequence[Path]) -> Path | None:
    record = attempt.record
    name = record.context.get("folder") if record is not None else None
    paths = (run / "trials" / str(name) / HF for run in runs if name)
    return next((path for path in paths if path.is_file()), None)


def _row(attempt: Attempt) -> dict[str, Any]:
    """Return a row of the Parquet file, without the trace."""
    facts, outcome = attempt.facts, _outcome(attempt)
    run_config = {
        "agent": facts.get("agent"),
        "model": facts.get("model"),
        "dataset": facts.get("task"),
        "run_number": attempt.run,
        "written_by": f"pytest-a2perf {pytest_a2perf.__version__}",
    }
    return {
        **outcome["metadata"],
        "task_id": attempt.id,
        "score": outcome["score"],
        "config": facts.get("part", attempt.row),
        "phase_name": facts.get("group", STANDARD),
        "a2a_app_prop": float(facts.get("experts", 0.0)),
        "has_app_noise": bool(facts.get("app_noise", False)),
        "has_env_noise": bool(facts.get("world_noise", False)),
        "run_config": json.dumps(run_config),
    }


def _line(attempt: Attempt) -> dict[str, Any]:
    """Return a line of ``output.jsonl``; paths are those in the run's folder."""
    outcome = _outcome(attempt)
    name = attempt.record.context.get("folder") if attempt.record else None
    return {
        "task_id": attempt.id,
        "trace_id": f"trials/{name}/{HF}" if name else None,
        **outcome,
        "config": attempt.facts.get("part", attempt.row),
        "phase_name": attempt.facts.get("group", STANDARD),
    }


def _outcome(attempt: Attempt) -> dict[str, Any]:
    record, status = attempt.record, attempt.status
    error = (record.error if record is not None else None) or {}
    broken = status in ("error", "timeout", "infra")
    return {
        "score": None if attempt.success is None else float(attempt.success),
        "metadata": {
            "scenario_id": attempt.id,
            "run_number": attempt.run,
            "status": STATUS[status],
            "has_exception": broken,
            "exception_type": error.get("type") if broken else None,
            "exception_message": error.get("message") if broken else None,
            "rationale": record.context.get("rationale") if record is not None else None,
        },
    }


def _write_parquet(path: Path, rows: Sequence[tuple[Attempt, Path | None]]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise A2PerfError(
            f"{path}: Parquet needs pyarrow: pip install 'pytest-a2perf[parquet]'"
        ) from None
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in _COLUMNS.items()])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), _BATCH):  # traces of Gaia2 are megabytes each
            batch = [
                {**_row(attempt), "data": trace and trace.read_text(encoding="utf-8")}
                for attempt, trace in rows[start : start + _BATCH]
            ]
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))


def _card(
    report: Report, statistics: dict[str, Any], names: list[str], split: str, missing: list[str]
) -> Iterator[str]:
    """Yield the lines of the data set's card."""
    yield "---"
    yield "configs:"
    for name in names:
        yield f"- config_name: {name}"
        yield "  data_files:"
        yield f"  - split: {split}"
        yield f"    path: {name}/{split}-*"
    yield "dataset_info:"
    for name in names:
        yield f"- config_name: {name}"
        yield "  features:"
        for column, kind in _COLUMNS.items():
            yield f"  - name: {column}"
            yield f"    dtype: {kind}"
        yield "  splits:"
        yield f"  - name: {split}"
    yield "---"
    model = report.facts["model"]
    yield ""
    yield "# Gaia2 submission"
    yield ""
    yield f"- Model: {model or 'none'}, provider: {provider_of(model)}"
    yield f"- Agent: {report.facts['agent']}"
    yield f"- Data set: {report.facts['task']}, split {split}"
    yield f"- Attempts at each scenario: {report.tries}"
    yield f"- Made with pytest-a2perf {pytest_a2perf.__version__}: its own worlds and judge"
    yield from (f"- Incomplete: {problem}" for problem in missing)
    yield ""
    yield "## Results"
    yield from are_lines(statistics, report.tries, "markdown")
    yield ""
    yield "## Columns"
    yield ""
    yield "One row is one attempt. `score` is 1, 0 or null (nothing is known of the agent);"
    yield "`data` is the trace, in the format `are_simulation_v1`; `phase_name` is the group."


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
