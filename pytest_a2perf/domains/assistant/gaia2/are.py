"""Figures as Meta's package defines and lays them out, to be compared with its own.

They are its definitions, with these exceptions, where its own mislead: ``Pass^k`` wants all k
attempts, and k is their number; the job's duration is that of the whole; what infrastructure broke
is not counted, and said; the order is fixed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import mean, stdev
from typing import Any, Literal

import pytest_a2perf
from pytest_a2perf.domains.assistant.gaia2.attempts import Attempt, Status
from pytest_a2perf.domains.assistant.gaia2.groups import STANDARD
from pytest_a2perf.domains.assistant.gaia2.statistics import Report

__all__ = ["STATUS", "are_lines", "are_statistics", "provider_of"]

STATUS: dict[Status, str] = {
    "solved": "success", "failed": "failed", "error": "failed", "timeout": "failed",
    "infra": "exception", "not_run": "no_validation", "unjudged": "no_validation",
}  # fmt: skip
"""What Meta's package calls what came of an attempt."""

_VERSION = "3.0"
_COUNTS = {
    "success": "success_runs", "failed": "failed_runs", "exception": "exception_runs",
    "no_validation": "no_validation_runs",
}  # fmt: skip


def are_statistics(report: Report) -> dict[str, Any]:
    """Return what Meta's package writes into ``benchmark_stats.json``."""
    attempts = report.attempts
    rows: dict[str, list[Attempt]] = defaultdict(list)
    for figures in report.rows:
        members = [attempt for attempt in attempts if attempt.row == figures.name]
        rows[_key(members[0])] += members
    per_capability = {
        key: {
            "capability": key,
            **_counts(members),
            **_success("success_rate", [members]),
            **_passed(members, report.tries),
        }
        for key, members in rows.items()
    }
    overall = {
        **_counts(attempts),
        **_passed(attempts, report.tries),
        **_success("macro_success_rate", list(rows.values())),
        **_success("micro_success_rate", [attempts]),
        "job_duration": report.elapsed or 0.0,
    }
    return {
        "metadata": {
            "model": report.facts["model"] or report.facts["agent"] or "unknown",
            "model_provider": provider_of(report.facts["model"]),
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "report_version": _VERSION,
            "written_by": f"pytest-a2perf {pytest_a2perf.__version__}",
        },
        "statistics": {"per_capability": per_capability, "global": overall},
        "run_configurations": [_configuration(members) for members in rows.values()],
    }


def provider_of(model: str) -> str:
    """Return the provider in a model's name, as litellm has it."""
    return model.partition("/")[0] if "/" in model else "unknown"


def are_lines(
    statistics: Mapping[str, Any], tries: int, style: Literal["text", "markdown"] = "text"
) -> Iterator[str]:
    """Yield the report of Meta's package.

    Args:
        statistics: see `are_statistics`.
        tries: attempts at each scenario.
        style: of the headings; in Markdown it begins with the first capability.
    """
    if style == "text":
        yield "=== GAIA2 Validation Report ==="
        yield f"Model: {statistics['metadata']['model']}"
        yield f"Provider: {statistics['metadata']['model_provider']}"
        yield ""
    for key, figures in statistics["statistics"]["per_capability"].items():
        yield from _heading(key.title(), style)
        yield from _scenarios(figures)
        yield _rate("Success rate", figures, "success_rate")
        yield from _passes(figures, tries)
    overall = statistics["statistics"]["global"]
    yield from _heading("Global Summary", style)
    yield from _scenarios(overall)
    yield _rate("Macro success rate", overall, "macro_success_rate")
    yield _rate("Micro success rate", overall, "micro_success_rate")
    yield from _passes(overall, tries)
    yield f"  - Job duration: {overall['job_duration']:.1f} seconds"


def _heading(name: str, style: str) -> Iterator[str]:
    yield ""
    yield f"=== {name} ===" if style == "text" else f"### {name}"
    if style != "text":
        yield ""


def _scenarios(figures: Mapping[str, Any]) -> Iterator[str]:
    total, exceptions = figures["total_runs"], figures["exception_runs"]
    yield f"  - Scenarios: {figures['total_scenarios']} unique ({total} total runs)"
    if figures["validated_runs"] < total:
        yield f"    • Validated runs (counted in success rate): {figures['validated_runs']}"
    if figures["no_validation_runs"]:
        yield f"    • No validation runs (not counted): {figures['no_validation_runs']}"
    if exceptions:
        yield f"    • Exception runs (infrastructure, not counted): {exceptions}"


def _rate(label: str, figures: Mapping[str, Any], name: str) -> str:
    value, sem, std = (figures[f"{name}{suffix}"] for suffix in ("", "_sem", "_std"))
    return f"  - {label}: {value:.1f}% ± {sem:.1f}% (STD: {std:.1f}%)"


def _passes(figures: Mapping[str, Any], tries: int) -> Iterator[str]:
    for sign, name in (("@", "pass_at_k"), ("^", "pass_k")):
        share = figures[f"{name}_percent"]
        yield f"  - Pass{sign}{tries}: {figures[name]} scenarios ({share:.1f}%)"
    seconds, deviation = figures["avg_run_duration"], figures["avg_run_duration_std"]
    yield f"  - Average run duration: {seconds:.1f}s (STD: {deviation:.1f}s)"


def _key(attempt: Attempt) -> str:
    part, group = attempt.facts.get("part", attempt.row), attempt.facts.get("group", STANDARD)
    return part if group == STANDARD else f"{part}_{group}"


def _counts(attempts: Sequence[Attempt]) -> dict[str, int]:
    statuses = [STATUS[attempt.status] for attempt in attempts]
    return {
        "total_runs": len(attempts),
        "validated_runs": sum(attempt.success is not None for attempt in attempts),
        **{name: statuses.count(status) for status, name in _COUNTS.items()},
    }


def _passed(attempts: Sequence[Attempt], tries: int) -> dict[str, Any]:
    cases: dict[tuple[str, str], list[bool]] = {}
    for attempt in attempts:
        found = cases.setdefault((attempt.row, attempt.id), [])
        if attempt.success is not None:
            found.append(attempt.success)
    some = sum(any(found) for found in cases.values())
    every = sum(len(found) == tries and all(found) for found in cases.values())
    durations = [
        record.duration
        for attempt in attempts
        if (record := attempt.record) is not None
        and record.outcome != "not_run"
        and not record.context.get("cached")
    ]
    return {
        "pass_at_k": some,
        "pass_at_k_percent": 100 * some / len(cases),
        "pass_k": every,
        "pass_k_percent": 100 * every / len(cases),
        "total_scenarios": len(cases),
        "avg_run_duration": mean(durations or [0.0]),
        "avg_run_duration_std": stdev(durations) if len(durations) > 1 else 0.0,
    }


def _success(name: str, groups: Sequence[Sequence[Attempt]]) -> dict[str, float]:
    """Return the mean of the groups' rates, and its spread over the attempts' numbers."""
    by_run: dict[int, list[float]] = defaultdict(list)
    rates = []
    for group in groups:
        judged = [attempt for attempt in group if attempt.success is not None]
        if judged:
            rates.append(_percent(judged))
        for run in {attempt.run for attempt in judged}:
            by_run[run].append(_percent([one for one in judged if one.run == run]))
    scores = [mean(found) for found in by_run.values()]
    deviation = stdev(scores) if len(scores) > 1 else 0.0
    return {
        name: mean(rates or [0.0]),
        f"{name}_std": deviation,
        f"{name}_sem": deviation / math.sqrt(len(scores) or 1),
    }


def _percent(judged: Sequence[Attempt]) -> float:
    return 100 * mean(bool(attempt.success) for attempt in judged)


def _configuration(attempts: Sequence[Attempt]) -> dict[str, Any]:
    facts = attempts[0].facts
    return {
        "phase_name": facts.get("group", STANDARD),
        "config": facts.get("part", attempts[0].row),
        "a2a_app_prop": facts.get("experts", 0.0),
        "has_tool_augmentation": facts.get("app_noise", False),
        "has_env_events": facts.get("world_noise", False),
        **_counts(attempts),
    }
