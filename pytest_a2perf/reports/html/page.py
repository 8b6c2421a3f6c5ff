"""The HTML report: its text, its plots, and the table of trials that a script draws."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from pytest_a2perf.gates.verdict import Verdict
from pytest_a2perf.metrics.base import Estimate
from pytest_a2perf.reports.html import data, plots
from pytest_a2perf.reports.html.data import Report
from pytest_a2perf.reports.summaries import figures_of
from pytest_a2perf.reports.verdict import format_estimate
from pytest_a2perf.runs.history import Series
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials.plan import PlannedGate

__all__ = ["history_page", "page"]

_ORDER = ("fail", "undecided", "skip", "pass")
_MOST_AT_ONCE = 40
_HEADLINES = {0: "PASS", 1: "FAIL", 5: "NO TRIALS"}


def page(report: Report) -> str:
    """Return the report of a run."""
    sections = [
        ("verdicts", "Verdicts", _verdicts(report)),
        ("scenarios", "Scenarios", "".join(_scenarios(report))),
        ("errors", "Errors", "".join(_errors(report.records))),
        ("history", "History", "".join(_history(data.histories(report)))),
        ("trials", "Trials", _template("trials.html").substitute() if report.records else ""),
        ("provenance", "Provenance", _provenance(report.run)),
    ]
    run = report.run
    commit = str((run.get("git") or {}).get("commit") or "")[:12]
    facts = (run.get("id"), run.get("started"), run.get("host"), commit)
    words = ", ".join(escape(str(fact)) for fact in facts if fact)
    return _document("a2perf report", words, sections, data.trial_table(report.records))


def history_page(series: Sequence[Series]) -> str:
    """Return a page that shows metrics over runs."""
    names = ", ".join(dict.fromkeys(escape(one.metric) for one in series))
    sections = [("history", "History", "".join(_history(series)))]
    return _document("a2perf history", names, sections)


def _document(
    title: str, facts: str, sections: Iterable[tuple[str, str, str]], trials: object = None
) -> str:
    sections = [section for section in sections if section[2]]
    style, script = map(_resource, ("report.css", "report.js"))
    links = "".join(f'<li><a href="#{name}">{heading}</a></li>' for name, heading, _ in sections)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-heading">'
        f'<h2 id="{name}-heading">{heading}</h2>\n{content}</section>\n'
        for name, heading, content in sections
    )
    return _template("report.html").substitute(
        title=title, facts=facts, links=links, body=body, data=_json(trials),
        style=style, script=script, style_hash=_hash(style), script_hash=_hash(script),
    )  # fmt: skip


def _json(content: object) -> str:
    """Return JSON that cannot end its element, whatever a scenario or an error is called."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _resource(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _template(name: str) -> Template:
    return Template(_resource(name))


def _hash(content: str) -> str:
    """Return what a content security policy wants, so that no other script or style can run."""
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


# -- verdicts ----------------------------------------------------------------------------------


def _verdicts(report: Report) -> str:
    status = report.run.get("exit_status")
    headline = "STOPPED" if report.run.get("state") == "stopped" else ""
    headline = headline or _HEADLINES.get(status if isinstance(status, int) else -1, "FAIL")
    if report.problems and headline == "PASS":
        headline = "FAIL"
    names = Counter(verdict.name for _, verdict in report.verdicts.values())
    gates = _counts({name: names[name] for name in ("fail", "undecided", "skip", "pass")}, "gate")
    outcomes = Counter(record.outcome for part in report.records.values() for record in part)
    trials = _counts(dict(outcomes.most_common()), "trial")
    parts = [f'<p class="headline">{_badge(headline)} <span>{gates}; {trials}</span></p>']
    if report.problems:
        items = "".join(f"<li>{escape(problem)}</li>" for problem in report.problems)
        parts.append(f'<ul class="problems" aria-label="Problems">{items}</ul>')
    numbers = {name: number for number, name in enumerate(report.scenarios())}
    judged = sorted(report.verdicts.values(), key=lambda pair: _ORDER.index(pair[1].name))
    rows = [_verdict_row(*pair, numbers[pair[0].scenario_id]) for pair in judged]
    rows += [
        f'<tr><td data-label="Verdict">{_badge("NOT JUDGED")}</td>'
        f'<td data-label="Gate" colspan="3">{escape(nodeid)}</td>'
        '<td data-label="Reason">the run was stopped</td></tr>'
        for nodeid in report.waiting
    ]
    headings = ("Verdict", "Scenario", "Gate", "Value", "Reason")
    parts.append(_table(headings, rows, "Gates, those that failed first"))
    return "".join(parts)


def _counts(counts: Mapping[str, int], noun: str) -> str:
    total = sum(counts.values())
    listed = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items() if n)
    plural = "" if total == 1 else "s"
    return f"{total or 'no'} {noun}{plural}" + (f": {listed}" if listed else "")


def _verdict_row(gate: PlannedGate, verdict: Verdict, number: int) -> str:
    value = "" if verdict.estimate is None else format_estimate(verdict.estimate)
    name = gate.scenario_id.rpartition("::")[2]
    cells = (
        ("Verdict", _badge(verdict.name.upper())),
        ("Scenario", f'<a href="#scenario-{number}">{escape(name)}</a>'),
        ("Gate", escape(f"{gate.metric} {verdict.condition}")),
        ("Value", escape(value)),
        ("Reason", escape(verdict.reason)),
    )
    return _row(cells)


def _row(cells: Iterable[tuple[str, str]]) -> str:
    inner = "".join(f'<td role="cell" data-label="{label}">{cell}</td>' for label, cell in cells)
    return f'<tr role="row">{inner}</tr>\n'


def _table(headings: Sequence[str], rows: Sequence[str], caption: str) -> str:
    if not rows:
        return ""
    head = "".join(f'<th role="columnheader" scope="col">{name}</th>' for name in headings)
    # The roles outlive that narrow screens show each row as a card.
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0">'
        f'<table role="table"><caption>{caption}</caption><thead role="rowgroup">'
        f'<tr role="row">{head}</tr></thead><tbody role="rowgroup">\n{"".join(rows)}</tbody>'
        "</table></div>\n"
    )


def _badge(word: str) -> str:
    kind = word.lower().replace(" ", "-")
    return f'<strong class="badge {kind}">{word}</strong>'


# -- scenarios ---------------------------------------------------------------------------------


def _scenarios(report: Report) -> Iterator[str]:
    """Yield each scenario; where there are many, their plots are text until they are seen."""
    defer = len(report.scenarios()) > _MOST_AT_ONCE
    for number, scenario in enumerate(report.scenarios()):
        records = report.records.get(scenario, ())
        figures = list(figures_of(scenario, records))
        figures += [plots.spread(spread) for spread in data.spreads(report, scenario)]
        figures += [plots.curves(*curve) for curve in data.learning(records)]
        figures += [plots.latencies(*sample) for sample in data.samples(records)]
        figures += [plots.over_time(*reading) for reading in data.meters(records)]
        outcomes = Counter(record.outcome for record in records)
        devices = sorted({record.device for record in records if record.device})
        where = f" on {escape(', '.join(devices))}" if devices else ""
        summary = _counts(dict(outcomes.most_common()), "trial")
        metrics = report.run.get("scenarios", {}).get(scenario, {}).get("metrics", {})
        plotted = f'<div class="figures">{"".join(figures)}</div>\n{_metrics(metrics)}'
        if defer:
            # Nothing in it ends the element: "<" is a tag of ours, all other text is escaped.
            plotted = f'<div class="late"><script type="text/plain">{plotted}</script></div>'
        yield (
            f'<article aria-labelledby="scenario-{number}">'
            f'<h3 id="scenario-{number}">{escape(scenario)}</h3>\n<p>{summary}{where}</p>\n'
            f"{plotted}</article>\n"
        )


def _metrics(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, found in metrics.items():
        known = {key: found[key] for key in Estimate.__slots__ if found.get(key) is not None}
        estimate = Estimate(**known)
        quality = f"{estimate.quality}: {estimate.source}" if estimate.source else ""
        texts = (name, format_estimate(estimate), str(estimate.n), quality, estimate.note)
        headings = ("Metric", "Value", "n", "Source", "Note")
        rows.append(_row(zip(headings, map(escape, texts), strict=True)))
    table = _table(("Metric", "Value", "n", "Source", "Note"), rows, "With 95 % intervals")
    return f"<details><summary>All metrics</summary>{table}</details>\n" if table else ""


def _errors(records: Mapping[str, Sequence[Record]]) -> Iterator[str]:
    for failure in data.failures(records):
        count = len(failure.trials)
        first = ", ".join(failure.trials[:3]) + (", ..." if count > 3 else "")
        words = ": ".join(part for part in (failure.kind, failure.message[:300]) if part)
        trace = f"<pre>{escape(failure.traceback)}</pre>" if failure.traceback else ""
        yield (
            f"<details><summary>{_badge(failure.outcome.replace('_', ' ').upper())} "
            f"{count} x {escape(words)}</summary><p>{escape(first)}</p>{trace}</details>\n"
        )


def _history(series: Iterable[Series]) -> Iterator[str]:
    scenario = None
    for one in series:
        if one.scenario != scenario:
            if scenario is not None:
                yield "</div>\n"
            scenario = one.scenario
            yield f'<h3>{escape(scenario)}</h3>\n<div class="figures">'
        yield plots.history(one)
    if scenario is not None:
        yield "</div>\n"


def _provenance(run: Mapping[str, Any]) -> str:
    skipped = ("schema", "scenarios")
    items = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(_words(value))}</dd></div>\n"
        for name, value in run.items()
        if name not in skipped and value not in (None, "", [], {})
    )
    return f"<dl>{items}</dl>"


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
