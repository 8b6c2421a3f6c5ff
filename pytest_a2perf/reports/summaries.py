"""What domains have to say of a finished run, beside the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_a2perf.domains.base import HasSummary
from pytest_a2perf.domains.registry import domain_names, get_domain
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.record import Record

__all__ = ["summarise_run"]


def summarise_run(
    records: Mapping[str, Sequence[Record]], run: Path, sources: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """Have the domains sum up their scenarios, see `HasSummary`.

    Args:
        records: by scenario.
        run: the run's folder.
        sources: the runs whose trials these are.

    Returns:
        Their lines, and what went wrong.
    """
    lines: list[str] = []
    failures: list[str] = []
    known = domain_names()
    for scenario_id in sorted(records):
        # A trial that took its worker with it says nothing of its domain.
        names = {record.domain for record in records[scenario_id]}
        domains = [get_domain(name) for name in sorted(names) if name in known]
        for domain in (one for one in domains if isinstance(one, HasSummary)):
            try:
                lines += [*domain.summarise(scenario_id, records[scenario_id], run, sources), ""]
            except Exception as error:  # noqa: BLE001 - whatever it is must not cost the run
                what = str(error) if isinstance(error, A2PerfError) else repr(error)
                failures.append(f"{scenario_id}: the summary failed: {what}")
    return lines, failures
