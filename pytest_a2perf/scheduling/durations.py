"""How long trials took in earlier runs, by scenario, kept beside the runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_a2perf.runs.record import Record

__all__ = ["read_durations", "write_durations"]

FILE = "durations.json"


def read_durations(path: Path) -> dict[str, float]:
    """Return mean seconds of a trial by scenario; nothing where there is no (readable) file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(scenario): float(seconds) for scenario, seconds in data.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def write_durations(path: Path, records: Iterable[Record]) -> None:
    """Take the means of this run's trials over; other scenarios keep theirs.

    Raises:
        OSError: the file cannot be written.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if record.duration > 0:
            seconds[record.scenario].append(record.duration)
    means: Mapping[str, float] = {
        scenario: round(sum(values) / len(values), 4) for scenario, values in seconds.items()
    }
    merged = dict(sorted({**read_durations(path), **means}.items()))
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
