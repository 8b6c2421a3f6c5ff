"""From a run's folder to its report, by rules alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.submission import Submission
from pytest_a2perf.domains.posttrain.report.activity import activities_of
from pytest_a2perf.domains.posttrain.report.claims import claims_of
from pytest_a2perf.domains.posttrain.report.data import Entry, Gain, Report
from pytest_a2perf.domains.posttrain.report.failures import Findings, failures_of
from pytest_a2perf.domains.posttrain.report.gain import gain_of
from pytest_a2perf.domains.posttrain.report.process import corrected, shape_of, upstream
from pytest_a2perf.domains.posttrain.report.read import Run, read_run
from pytest_a2perf.domains.posttrain.report.routes import Routes, compliance_of

__all__ = ["analyse"]

_DIFF = 20_000
_DIFFS = 1_000_000
_SAMPLES = 400
_OURS = ("run_meta.json", "scores.json")
"""Files of the workspace that the harness writes anew, so that a change of them says nothing."""
_OF_A_FILE = re.compile(r"^(?=diff --git )", re.MULTILINE)
_TEXTS = (".py", ".sh", ".bash", ".yaml", ".yml", ".md", ".jsonl")


def analyse(files: RunFiles) -> Report:
    """Analyse a run, finished or not.

    Args:
        files: its folder.

    Raises:
        A2PerfError: the folder holds no run.
    """
    run = read_run(files)
    routes = Routes(run)
    chosen = _chosen(run.submissions)
    timeline = _timeline(run, routes, chosen)
    route = routes.of_run([entry.route for entry in timeline])
    base_public, base_private, noise = run.base_public, run.base_private, run.info.noise
    gain: Gain | None = None
    public: Gain | None = None
    if chosen is not None and chosen.public is not None and base_public is not None:
        public = gain_of(base_public, chosen.public, noise)
    if chosen is not None and chosen.private is not None and base_private is not None:
        gain = gain_of(base_private, chosen.private, noise)
    head = run.revisions.head()
    texts = run.revisions.texts(head, _TEXTS) | run.agent
    shape = shape_of(run.submissions, noise)
    findings = Findings(
        run, timeline, gain or public, public, route, shape, routes.code(head), texts
    )
    base = None if base_public is None else base_public.value
    return Report(
        run=_about(run),
        timeline=tuple(timeline),
        chosen=0 if chosen is None else chosen.number,
        gain=gain,
        public_gain=public,
        overfit=public.value - gain.value if public is not None and gain is not None else None,
        route=route,
        best_route=next((entry.route for entry in timeline if entry.best), None),
        compliance=compliance_of(run.info.mode, [*(entry.route for entry in timeline), route]),
        process=upstream(run.submissions, base_public, run.info),
        corrected=corrected(run.submissions, base_public, run.info),
        shape=shape,
        failures=failures_of(findings),
        activities=activities_of(run),
        energy=dict(run.info.energy or {}),
        claims=claims_of(texts, timeline, base, route),
        problems=tuple(run.problems),
        samples=tuple(_thinned(run.samples)),
    )


def _chosen(submissions: Sequence[Submission]) -> Submission | None:
    """Return the submission that counts: the best by its public score, of equal ones the first."""
    best: Submission | None = None
    for one in submissions:
        better = best is None or best.public is None
        if one.public is not None and (
            better or (best and best.public and one.public.value > best.public.value)
        ):
            best = one
    return best


def _timeline(run: Run, routes: Routes, chosen: Submission | None) -> list[Entry]:
    entries: list[Entry] = []
    before: Submission | None = None
    left = _DIFFS
    for one in run.submissions:
        earlier = run.info.revision if before is None else before.commit
        diff = "" if one.commit == earlier else _diff(run, earlier, one.commit)
        diff = diff if len(diff) <= left else ""
        left -= len(diff)
        public, private = one.public, one.private
        entries.append(
            Entry(
                number=one.number,
                at=one.at,
                clock=one.clock,
                cpu=one.cpu,
                path=one.path,
                status=one.status,
                reason=one.reason,
                artefact=one.artefact,
                size=one.size,
                commit=one.commit,
                repeated=one.repeated,
                public=None if public is None else public.value,
                public_error=None if public is None else public.error,
                private=None if private is None else private.value,
                seconds=0.0 if public is None else public.seconds,
                route=routes.of(one, before),
                changed=_changed(run, earlier, one.commit),
                diff=diff,
                best=one is chosen,
            )
        )
        before = one if one.commit else before
    return entries


def _changed(run: Run, before: str, after: str) -> tuple[str, ...]:
    old, new = run.revisions.files(before), run.revisions.files(after)
    paths = (path for path in {*old, *new} if old.get(path) != new.get(path))
    theirs = (path for path in paths if path not in _OURS and not path.startswith(".a2perf-"))
    return tuple(sorted(theirs))[:200]


def _diff(run: Run, before: str, after: str) -> str:
    parts = _OF_A_FILE.split(run.revisions.diff(before, after, _DIFF))
    ours = tuple(f"diff --git a/{name} b/{name}\n" for name in _OURS)
    return "".join(part for part in parts if not part.startswith(ours))


def _about(run: Run) -> dict[str, Any]:
    """Return what the run was, without the items of scores: they are many, and stand elsewhere."""
    data = asdict(run.info)
    for name in ("base_public", "base_private"):
        if data[name]:
            data[name] = {key: data[name][key] for key in data[name] if key != "items"}
    return data


def _thinned(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    every = max(1, -(-len(samples) // _SAMPLES))
    kept = list(samples[::every])
    if samples and kept[-1] is not samples[-1]:
        kept.append(samples[-1])
    return kept
