"""The report as a page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib import resources
from typing import Any

from pytest_a2perf.domains.posttrain.report.data import Evidence, Report
from pytest_a2perf.domains.posttrain.report.figures import resource_figures, trajectory
from pytest_a2perf.domains.posttrain.report.text import (
    activity_rows,
    budget_text,
    certainty_text,
    ended_text,
    energy_text,
    gain_text,
    headline,
    kept_text,
    level_text,
    metric_text,
    plain,
    printed,
    problems_text,
)

__all__ = ["page"]


def page(report: Report) -> str:
    """Return the report as HTML, in the style of the plugin's own; it has no script at all."""
    style = resources.files("pytest_a2perf.reports.html").joinpath("report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    title = f"{_text(report.run['task'])} by {_text(report.run['agent'])}"
    sections = [
        ("scores", "Scores", "".join(_scores(report))),
        ("submissions", "Submissions", _submissions(report)),
        ("route", "Route", "".join(_route(report))),
        ("failures", "What went wrong", "".join(_failures(report))),
        ("resources", "Time and energy", "".join(_resources(report))),
        ("process", "Process metrics", _process(report)),
        ("claims", "What the agent says", _claims(report)),
        ("code", "Code between submissions", "".join(_diffs(report))),
        ("problems", "Problems of the records", _list(report.problems)),
    ]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<li><a href="#{name}">{head}</a></li>' for name, head, _ in sections)
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-heading">'
        f'<h2 id="{name}-heading">{head}</h2>\n{content}</section>\n'
        for name, head, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>{style}</style>\n'
        f'</head>\n<body>\n<header>\n<h1>{title}</h1>\n<nav aria-label="Sections"><ul>{links}</ul>'
        f'</nav>\n</header>\n<main id="main">\n{body}</main>\n</body>\n</html>\n'
    )


def _text(value: Any) -> str:
    return escape(printed(value))


def _scores(report: Report) -> Iterator[str]:
    run = report.run
    good = report.gain is not None and report.gain.success
    badge = "IMPROVED" if good else "NOT IMPROVED"
    kind = "pass" if good else "fail"
    yield (
        f'<p class="headline"><span class="badge {kind}">{badge}</span> '
        f"<span>{_text(headline(report))}</span></p>"
    )
    if not run.get("isolated", True):
        yield '<p class="problems">This run was not isolated: its agent could reach everything.</p>'
    if report.problems:
        told = problems_text(report)
        yield f'<p class="problems"><a href="#problems">{told[:1].upper()}{told[1:]}</a></p>'
    yield f'<div class="figures">{trajectory(report)}</div>'
    facts = [
        ("Private", gain_text(report.gain) if report.gain is not None else "not measured"),
        ("Public", gain_text(report.public_gain) if report.public_gain is not None else "none"),
        ("Trajectory", report.shape),
        ("Level", level_text(run)),
        ("Metric", metric_text(run)),
        ("Mode, seed", f"{run['mode']}, {run['seed']}"),
        ("Driver", run["driver"] or "none"),
        ("Sandbox", ", ".join(f"{key}: {value}" for key, value in run["sandbox"].items())),
        ("Budget", budget_text(run["budget"])),
        ("Ended", ended_text(run)),
    ]
    if run["tokens"] or run["dollars"] is not None:
        facts.append(("Tokens, dollars", f"{plain(run['tokens'])}; {plain(run['dollars'])}"))
    if report.overfit is not None:
        facts.insert(2, ("Public - private", f"{report.overfit:+.1f} points"))
    rows = (
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
        for name, value in facts
        if value
    )
    yield f"<dl>{''.join(rows)}</dl>"
    yield _list([f"{second:.0f} s: {event}" for second, event in run["events"]])


def _submissions(report: Report) -> str:
    heads = (
        "No.",
        "Second",
        "CPU s",
        "Status",
        "Public",
        "Private",
        "Route",
        "Path",
        "Artefact",
        "Commit",
    )
    rows = [
        (
            f"{entry.number}{' (best)' if entry.best else ''}",
            f"{entry.at:.1f}",
            f"{entry.cpu:.1f}",
            f"{entry.status}{': ' if entry.reason else ''}{entry.reason[:200]}",
            "" if entry.public is None else f"{entry.public:.2f}",
            "" if entry.private is None else f"{entry.private:.2f}",
            entry.route.label,
            entry.path[:120],
            entry.artefact[:12],
            entry.commit[:12],
        )
        for entry in report.timeline
    ]
    return _table(heads, rows, "All submissions, in order") if rows else "<p>None.</p>"


def _route(report: Report) -> Iterator[str]:
    known = certainty_text(report.route)
    yield f"<p>Of the run: <b>{_text(report.route.label)}</b>, {known}.</p>"
    yield _evidence(report.route.evidence)
    if report.best_route is not None:
        yield f"<p>Best route, of submission {report.chosen}: {_text(report.best_route.label)}.</p>"
    kept = kept_text(report.compliance)
    yield f"<p>Mode {_text(report.compliance.mode)}: {kept}.</p>"
    yield _evidence(report.compliance.evidence)


def _failures(report: Report) -> Iterator[str]:
    for failure in report.failures:
        upstream = f" <small>{_text(failure.upstream)}</small>" if failure.upstream else ""
        yield f"<h3>{_text(failure.kind)}{upstream}</h3>{_evidence(failure.evidence)}"
    if not report.failures:
        yield "<p>Nothing that the rules know of.</p>"


def _resources(report: Report) -> Iterator[str]:
    if rows := activity_rows(report):
        yield _table(("Activity", "Time", "CPU time", "Energy"), rows, "By activity")
    if report.energy:
        yield f"<p>Energy: {_text(energy_text(report.energy))}</p>"
    yield f'<div class="figures">{"".join(resource_figures(report))}</div>'


def _process(report: Report) -> str:
    rows = [
        (name, plain(report.process.get(name)), plain(report.corrected.get(name)))
        for name in dict.fromkeys([*report.process, *report.corrected])
    ]
    return _table(("Metric", "As upstream", "Corrected"), rows, "By both definitions")


def _claims(report: Report) -> str:
    agrees = {True: "agrees", False: "does not agree", None: "cannot be checked"}
    rows = [
        (one.where, one.field, one.claimed, one.found, agrees[one.agrees]) for one in report.claims
    ]
    heads = ("Where", "What", "Claimed", "Found", "Check")
    return _table(heads, rows, "Claims of the agent; they count for nothing") if rows else ""


def _diffs(report: Report) -> Iterator[str]:
    for entry in report.timeline:
        if entry.diff:
            changed = ", ".join(entry.changed[:8]) + (", ..." if len(entry.changed) > 8 else "")
            text = "\n".join(map(printed, entry.diff.splitlines()))
            yield (
                f"<details><summary>Before submission {entry.number}: {_text(changed)}</summary>"
                f"<pre>{escape(text)}</pre></details>"
            )


def _evidence(evidence: Iterable[Evidence]) -> str:
    items = [
        f"<li>{_text(one.where)}: {_text(one.what)}"
        + (f" <code>{_text(one.quote)}</code>" if one.quote else "")
        + "</li>"
        for one in evidence
    ]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{name}">{_text(cell)}</td>'
            for name, cell in zip(heads, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
