"""One row for each trial, as CSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.record import Record

__all__ = ["trial_columns", "write_csv", "write_parquet"]

Column = Sequence[str | None] | Sequence[int | None] | Sequence[float | None]
Records = Mapping[str, Sequence[Record]]

_TEXT: dict[str, Callable[[Record], str]] = {
    "scenario": lambda record: record.scenario,
    "case": lambda record: record.case,
    "outcome": lambda record: record.outcome,
    "error": lambda record: (record.error or {}).get("type", ""),
    "device": lambda record: record.device,
    "host": lambda record: record.host,
    "worker": lambda record: record.worker,
    "started": lambda record: record.started,
    "nodeid": lambda record: record.nodeid,
}
_INTEGERS: dict[str, Callable[[Record], int]] = {
    "seed": lambda record: record.seed,
    "attempt": lambda record: record.attempt,
    "episodes": lambda record: len(record.episodes),
}
_ORDER = (
    "scenario", "case", "seed", "attempt", "outcome", "error", "device", "host", "worker",
    "started", "nodeid", "duration [s]", "episodes", "return.mean",
)  # fmt: skip


def trial_columns(records: Records) -> dict[str, Column]:
    """Return the columns by header: what every trial has, then its readings, then reported values.

    A header has the unit, as in ``energy [J]``. What a trial does not have is None.
    """
    trials = [
        record
        for name in sorted(records)
        for record in sorted(records[name], key=lambda r: (r.case, r.seed, r.nodeid, r.attempt))
    ]
    columns: dict[str, Column] = {}
    columns |= {name: [get(trial) for trial in trials] for name, get in _TEXT.items()}
    columns |= {name: [get(trial) for trial in trials] for name, get in _INTEGERS.items()}
    columns["duration [s]"] = [float(trial.duration) for trial in trials]
    columns["return.mean"] = [_mean_return(trial) for trial in trials]
    columns = {name: columns[name] for name in _ORDER}
    columns |= _quantities("", [trial.quantities for trial in trials])
    return columns | _quantities("reported.", [trial.reported for trial in trials])


def _mean_return(record: Record) -> float | None:
    totals = [float(episode.total) for episode in record.episodes]
    return sum(totals) / len(totals) if totals else None


def _quantities(prefix: str, rows: Sequence[Mapping[str, Quantity]]) -> dict[str, Column]:
    found = sorted({(name, quantity.unit) for row in rows for name, quantity in row.items()})
    columns: dict[str, list[float | None]] = {
        f"{prefix}{name} [{unit}]" if unit else f"{prefix}{name}": [None] * len(rows)
        for name, unit in found
    }
    headers = dict(zip(found, columns, strict=True))
    for number, row in enumerate(rows):
        for name, quantity in row.items():
            columns[headers[name, quantity.unit]][number] = float(quantity.value)
    return dict(columns)


def write_csv(path: Path, records: Records) -> None:
    """Write it as CSV (RFC 4180, UTF-8); what a trial does not have is an empty field.

    Raises:
        OSError: the file cannot be written.
    """
    columns = trial_columns(records)
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_parquet(path: Path, records: Records) -> None:
    """Write it as Parquet, typed: text, 64-bit integers and floats, null where there is nothing.

    Raises:
        A2PerfError: pyarrow cannot store it.
        OSError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = trial_columns(records)
    types = dict.fromkeys(columns, pa.float64())
    types |= dict.fromkeys(_TEXT, pa.string()) | dict.fromkeys(_INTEGERS, pa.int64())
    schema = pa.schema([(name, types[name]) for name in columns])
    try:
        pq.write_table(pa.table(columns, schema=schema), str(path))
    except (pa.ArrowException, UnicodeError) as error:
        raise A2PerfError(f"{path}: {error}") from None
