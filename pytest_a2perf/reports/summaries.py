"""What domains have to say of a finished run, beside the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_a2perf.domains.base import Domain, HasFigures, HasSummary
from pytest_a2perf.domains.registry import domain_names, get_domain
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.runs.record import Record

__all__ = ["figures_of", "summarise_run"]


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
    for scenario_id in sorted(records):
        domains = _domains_of(records[scenario_id])
        for domain in (one for one in domains if isinstance(one, HasSummary)):
            try:
                lines += [*domain.summarise(scenario_id, records[scenario_id], run, sources), ""]
            except Exception as error:  # noqa: BLE001 - whatever it is must not cost the run
                what = str(error) if isinstance(error, A2PerfError) else repr(error)
                failures.append(f"{scenario_id}: the summary failed: {what}")
    return lines, failures


def figures_of(scenario_id: str, records: Sequence[Record]) -> list[str]:
    """Have the domains draw their own figures of a scenario, see `HasFigures`."""
    domains = (one for one in _domains_of(records) if isinstance(one, HasFigures))
    return [figure for domain in domains for figure in domain.figures(scenario_id, records)]


def _domains_of(records: Sequence[Record]) -> list[Domain]:
    # A trial that took its worker with it says nothing of its domain.
    known = domain_names()
    return [get_domain(name) for name in sorted({r.domain for r in records}) if name in known]
