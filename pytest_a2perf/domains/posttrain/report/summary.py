"""The runs of a scenario in the terminal: a few lines each, and what they come to together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.report.text import summary_lines
from pytest_a2perf.runs.record import Record

__all__ = ["summarise"]

_MOST = 8  # runs that are told of one by one


def summarise(scenario_id: str, records: Sequence[Record], runs: Sequence[Path]) -> Iterator[str]:
    """Yield lines on the runs of a scenario.

    Args:
        scenario_id: of the scenario.
        records: of its trials.
        runs: folders that their files may be in.
    """
    told = [record for record in records if "posttrain" in record.context]
    if not told:
        return
    yield f"{scenario_id}:"
    for record in told[:_MOST]:
        folder = record.context["posttrain"]["folder"]
        found = next((run / folder for run in runs if (run / folder).is_dir()), None)
        if found is None:
            yield f"  seed {record.seed}: its files are not here: {folder}"
            continue
        files = RunFiles(found)
        first, *others = summary_lines(files)
        yield f"  seed {record.seed}: {first}"
        yield from (f"  {line}" for line in others)
        yield f"    {files.report.with_suffix('.html')}"
    if len(told) > _MOST:
        yield f"  and {len(told) - _MOST} further runs"
