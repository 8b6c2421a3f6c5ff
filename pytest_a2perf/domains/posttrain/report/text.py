"""The report in words: Markdown, and a few lines for the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.report.analyse import analyse
from pytest_a2perf.domains.posttrain.report.data import Compliance, Evidence, Gain, Report, Route
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.units import format_value

__all__ = [
    "activity_rows", "budget_text", "certainty_text", "ended_text", "energy_text", "gain_text",
    "headline", "kept_text", "level_text", "lines_of", "markdown", "metric_text", "plain",
    "printed", "problems_text", "summary_lines",
]  # fmt: skip

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_ENDED = {
    "": "had not ended when this was written",
    "finished": "ended by itself",
    "crashed": "crashed",
    "cpu": "was ended: CPU time used up",
    "wall": "was ended: time used up",
    "memory": "was ended: out of memory",
    "disk": "was ended: disk full",
    "interrupted": "was interrupted",
}


def summary_lines(files: RunFiles) -> list[str]:
    """Return a run in a few lines for the terminal.

    A run that cannot be analysed gets a line that says why; this never fails.
    """
    try:
        return lines_of(analyse(files))
    except Exception as error:  # noqa: BLE001 - whatever the agent's files hold
        expected = isinstance(error, A2PerfError | OSError)
        return [f"no report: {error if expected else repr(error)}"]


def lines_of(report: Report) -> list[str]:
    """Return a report in a few lines for the terminal."""
    run = report.run
    lines = [
        f"{printed(run['task'])}, agent {printed(run['agent'])}: {headline(report)}",
        f"  route: {report.route.label}, {certainty_text(report.route)}",
        f"  {len(report.timeline)} submissions, trajectory: {report.shape}; {_ended(run)}",
    ]
    if report.problems:
        lines.append(f"  {problems_text(report)}, see the end of the report")
    if report.failures:
        lines.append("  what went wrong: " + "; ".join(one.kind for one in report.failures))
    if report.compliance.kept is False:
        lines.append(f"  did not keep to its mode, {report.compliance.mode}")
    return lines


def headline(report: Report) -> str:
    """Return what came of a run, in one sentence."""
    if not report.timeline:
        return "nothing was submitted"
    if report.chosen == 0:
        return "no submission has a score"
    if report.gain is not None:
        verdict = "improved" if report.gain.success else "not improved beyond noise"
        return f"{verdict} on the private split: {gain_text(report.gain)}"
    if report.public_gain is not None:
        return f"public {gain_text(report.public_gain)}; the private split was not measured"
    return "the base model has no score to compare with"


def gain_text(gain: Gain) -> str:
    """Return a gain with its interval, e.g. ``47.0 -> 98.5, +51.5 (+47.1 to +55.9)``."""
    told = f"{gain.base:.1f} -> {gain.chosen:.1f}, {gain.value:+.1f} points"
    if math.isfinite(gain.low) and math.isfinite(gain.high):
        told += f" ({gain.low:+.1f} to {gain.high:+.1f})"
    return told + (f", evaluation noise {gain.noise:.1f}" if gain.noise else "")


def problems_text(report: Report) -> str:
    """Return how much of the records could not be read or was changed."""
    count = len(report.problems)
    return f"records: {count} problem{'' if count == 1 else 's'}"


def level_text(run: Mapping[str, Any]) -> str:
    """Return a task's level and what it stands for; empty where neither is known."""
    if not run["level"]:
        return ""
    stands_for = run["stands_for"]
    own = stands_for in ("", run["task"])
    return str(run["level"]) if own else f"{run['level']}, stands for {printed(stands_for)}"


def metric_text(run: Mapping[str, Any]) -> str:
    """Return what is measured, and its noise; empty where it is not known."""
    return f"{printed(run['metric'])}, noise {run['noise']:g} points" if run["metric"] else ""


def ended_text(run: Mapping[str, Any]) -> str:
    """Return how the agent ended, with its exit status if there is one."""
    return _ended(run) + ("" if run["status"] is None else f", status {run['status']}")


def _ended(run: Mapping[str, Any]) -> str:
    return f"the agent {_ENDED.get(run['ended'], run['ended'])}"


def certainty_text(route: Route) -> str:
    """Return how surely a route is known."""
    return {
        "seen": "seen to run", "code": "by its code alone", "guess": "a guess",
    }[route.certainty]  # fmt: skip


def kept_text(compliance: Compliance) -> str:
    """Return whether an agent kept to its mode."""
    return {True: "kept to", False: "not kept to", None: "not known"}[compliance.kept]


def printed(value: Any) -> str:
    """Return text of the agent's without what could steer a terminal or hide in a page."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))


def markdown(report: Report) -> str:
    """Return the report as Markdown; what the agent wrote stands in code spans and blocks."""
    return "\n".join(_sections(report)).rstrip() + "\n"


def _sections(report: Report) -> Iterator[str]:
    run = report.run
    yield f"# {_code(run['task'])} by {_code(run['agent'])}\n"
    yield f"{headline(report)[:1].upper()}{headline(report)[1:]}.\n"
    if not run.get("isolated", True):
        yield "**This run was not isolated: its agent could reach everything.**\n"
    if report.problems:
        there = "[Problems of the records](#problems-of-the-records)"
        told = problems_text(report)
        yield f"**{told[:1].upper()}{told[1:]}**, see {there}.\n"
    yield from _facts(report)
    yield from _timeline(report)
    yield "## Route\n"
    yield f"Of the run: {report.route.label}, {certainty_text(report.route)}.\n"
    yield from _evidence(report.route.evidence)
    yield ""
    if report.best_route is not None:
        best = report.best_route
        known = certainty_text(best)
        yield f"Best route, of submission {report.chosen}: {best.label}, {known}.\n"
    kept = kept_text(report.compliance)
    yield f"Mode `{report.compliance.mode}`: {kept}.\n"
    yield from _evidence(report.compliance.evidence)
    yield "\n## What went wrong\n"
    for failure in report.failures:
        upstream = f" (`{failure.upstream}`)" if failure.upstream else ""
        yield f"### {failure.kind}{upstream}\n"
        yield from _evidence(failure.evidence)
        yield ""
    if not report.failures:
        yield "Nothing that the rules know of.\n"
    yield from _activities(report)
    yield "## Process metrics\n"
    names = dict.fromkeys([*report.process, *report.corrected])
    rows = [
        (f"`{name}`", plain(report.process.get(name)), plain(report.corrected.get(name)))
        for name in names
    ]
    yield _table(("metric", "as upstream", "corrected"), rows)
    yield from _claims(report)
    yield from _diffs(report)
    if report.problems:
        yield "## Problems of the records\n"
        yield from (f"- {_code(problem)}" for problem in report.problems)


def _facts(report: Report) -> Iterator[str]:
    run = report.run
    rows = [
        ("level", level_text(run)),
        ("metric", metric_text(run)),
        ("mode, seed", f"{run['mode']}, {run['seed']}"),
        ("driver", _code(run["driver"]) if run["driver"] else "none"),
        ("sandbox", _code(run["sandbox"]["name"]) if "name" in run["sandbox"] else ""),
        ("budget", budget_text(run["budget"])),
        ("time", f"{format_value(run['seconds'], 's')}; with evaluations {run['clock']:.0f} s"),
        ("CPU time", format_value(run["cpu"], "s")),
        ("ended", ended_text(run)),
    ]
    if report.energy:
        rows.append(("energy", energy_text(report.energy)))
    if run["tokens"] or run["dollars"] is not None:
        rows.append(("tokens, dollars", f"{plain(run['tokens'])}; {plain(run['dollars'])}"))
    for name, gain in (("private", report.gain), ("public", report.public_gain)):
        if gain is not None:
            rows.append((f"{name} gain", gain_text(gain)))
    if report.overfit is not None:
        rows.append(("public - private gain", f"{report.overfit:+.1f} points"))
    yield _table(("what", "value"), [row for row in rows if row[1]])
    if run["events"]:
        yield "Events:\n"
        yield from (f"- {second:.0f} s: {_code(event)}" for second, event in run["events"])
        yield ""


def _timeline(report: Report) -> Iterator[str]:
    yield "## Submissions\n"
    if not report.timeline:
        yield "None.\n"
        return
    rows = [
        (
            f"{entry.number}{' (best)' if entry.best else ''}",
            f"{entry.at:.1f}",
            f"{entry.cpu:.1f}",
            entry.status if not entry.reason else f"{entry.status}: {_code(entry.reason)}",
            "" if entry.public is None else f"{entry.public:.2f}",
            "" if entry.private is None else f"{entry.private:.2f}",
            entry.route.label,
            _code(entry.path),
            f"`{entry.artefact[:10]}`" if entry.artefact else "",
            f"`{entry.commit[:10]}`" if entry.commit else "",
        )
        for entry in report.timeline
    ]
    heads = (
        "no.",
        "s",
        "CPU s",
        "status",
        "public",
        "private",
        "route",
        "path",
        "artefact",
        "commit",
    )
    yield _table(heads, rows)
    yield f"Trajectory: {report.shape}.\n"


def _activities(report: Report) -> Iterator[str]:
    yield "## Time and energy\n"
    rows = activity_rows(report)
    yield _table(("activity", "time", "CPU time", "energy"), rows) if rows else "No samples.\n"


def _claims(report: Report) -> Iterator[str]:
    if not report.claims:
        return
    yield "## What the agent says\n"
    yield "These are its own words; they count for nothing.\n"
    agrees = {True: "agrees", False: "**does not agree**", None: "cannot be checked"}
    rows = [
        (_code(one.where), one.field, _code(one.claimed), one.found, agrees[one.agrees])
        for one in report.claims
    ]
    yield _table(("where", "what", "claimed", "found", ""), rows)


def _diffs(report: Report) -> Iterator[str]:
    changed = [entry for entry in report.timeline if entry.diff]
    if changed:
        yield "## Code between submissions\n"
    for entry in changed:
        yield f"### Before submission {entry.number}\n"
        ticks = max((len(run) for run in re.findall(r"`+", entry.diff)), default=0)
        fence = "`" * max(3, ticks + 1)
        text = "\n".join(map(printed, entry.diff.splitlines()))
        yield f"{fence}diff\n{text}\n{fence}\n"


def _evidence(evidence: Iterable[Evidence]) -> Iterator[str]:
    for one in evidence:
        quote = f": {_code(one.quote)}" if one.quote else ""
        yield f"- {_code(one.where)}: {_plain(one.what)}{quote}"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|#])", r"\\\1", printed(text))


def _code(value: Any) -> str:
    """Return a code span that holds any text, on one line, also in a table."""
    text = " ".join(printed(value).split()).replace("|", "\N{BROKEN BAR}")[:300]
    ticks = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (ticks + 1)
    return f"{fence} {text} {fence}" if ticks else f"`{text or ' '}`"


def plain(value: Any) -> str:
    """Return a value as people read it: four digits, nothing for what is not known."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(plain(part) for part in value[:50])
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(part)}" for key, part in value.items())
    return "" if value is None else str(value)


def budget_text(budget: Mapping[str, Any]) -> str:
    """Return a budget with units; what is not limited is left out."""
    units = {"cpu": "s", "wall": "s", "memory": "B", "disk": "B"}
    return ", ".join(
        f"{name} {format_value(value, units.get(name, ''))}"
        for name, value in budget.items()
        if value is not None
    )


def activity_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Return name, time, CPU time and energy of each activity; no energy where none is known."""
    return [
        (
            one.name,
            format_value(one.seconds, "s"),
            format_value(one.cpu, "s"),
            format_value(one.joules, "J") if math.isfinite(one.joules) else "",
        )
        for one in report.activities
    ]


def energy_text(energy: Mapping[str, Any]) -> str:
    """Return an energy with its parts, source and quality."""
    parts = [
        f"{'' if name == 'joules' else f'{name} '}{format_value(energy[name], 'J')}"
        for name in ("joules", "cpu", "gpu")
        if isinstance(energy.get(name), int | float)
    ]
    told = [*dict.fromkeys(parts), str(energy.get("source", "?")), str(energy.get("quality", "?"))]
    return ", ".join(told)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
