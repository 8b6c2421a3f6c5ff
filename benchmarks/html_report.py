"""The HTML report of 10,000 trials: writing it, its size, and until it can be used in Chromium."""

from __future__ import annotations

import shutil
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from common import project, report

from pytest_a2perf.gates.verdict import judge
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.reports.export import estimate_all, run_summary
from pytest_a2perf.reports.html.data import Report
from pytest_a2perf.reports.html.page import page
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Curve, Episode, Record
from pytest_a2perf.trials.plan import PlannedGate

ROUNDS = 7
SCENARIOS, SEEDS = 10, 1000
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
GATES = {"return.mean": (">=", 475.0), "latency.p95": ("<=", 0.033), "memory.peak": ("<=", 1e9)}
INTERACTIVE = """() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
SORT_AND_FILTER = """() => {
  const started = performance.now();
  document.querySelector("#trial-table th:nth-child(4) button").click();
  const text = document.getElementById("filter-text");
  text.value = "walk-3";
  text.dispatchEvent(new Event("input"));
  document.querySelector("#trial-table").getBoundingClientRect();
  return performance.now() - started;
}"""


def record(scenario: str, seed: int, rng: np.random.Generator) -> Record:
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seed * 3)
    failed = seed % 97 == 0
    steps = np.arange(0, 1000, 50)
    return Record(
        scenario,
        f"{scenario}[{seed}]",
        seed,
        outcome="error" if failed else "success",
        error={"type": "ValueError", "message": f"seed {seed}", "traceback": ""}
        if failed
        else None,
        started=started.isoformat(timespec="milliseconds"),
        duration=float(rng.gamma(2)),
        host="bench",
        episodes=[Episode(float(total), 500) for total in rng.normal(480, 10, 5)],
        samples={"latency": Histogram.of(rng.lognormal(-5, 0.4, 500), limit=0.033)},
        quantities={
            "energy": Quantity(float(rng.gamma(9)), "J", "rapl", window=2.0),
            "memory.peak": Quantity(float(rng.normal(7e7, 1e6)), "B", "vmhwm"),
        },
        curves={
            "return": Curve(steps.tolist(), [float(s * 0.4 + rng.normal(0, 20)) for s in steps])
        },
    )


def make() -> Report:
    rng = np.random.default_rng(0)
    records = {}
    verdicts = {}
    for number in range(SCENARIOS):
        scenario = f"scenarios/many.toml::walk-{number}"
        records[scenario] = [record(scenario, seed, rng) for seed in range(SEEDS)]
        trials = tuple(r.nodeid for r in records[scenario])
        for metric, (operator, limit) in GATES.items():
            spec = {"conditions": [{"operator": operator, "limit": limit}]}
            gate = PlannedGate(f"{scenario}::{metric}", scenario, metric, spec, "default", trials)
            verdicts[gate.nodeid] = (gate, judge(gate, records[scenario]))
    run = {"id": "synthetic", "state": "complete", "exit_status": 1}
    return Report(run | run_summary(records, verdicts, estimate_all(records)), records, verdicts)


def in_browser(path: Path) -> tuple[list[float], list[float]]:
    """Return milliseconds until the page can be used, and for a sort and a filter."""
    from playwright.sync_api import sync_playwright

    ready, used = [], []
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for _ in range(ROUNDS):
            tab = browser.new_page()
            tab.goto(path.as_uri())
            ready.append(tab.evaluate(INTERACTIVE))
            used.append(tab.evaluate(SORT_AND_FILTER))
            tab.close()
        browser.close()
    return ready, used


def main() -> list[dict[str, object]]:
    run = make()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        text = page(run)
        times.append(time.perf_counter() - started)
    path = project({"report.html": text}) / "report.html"
    what = f"{SCENARIOS} scenarios of {SEEDS} trials, {len(GATES)} gates each"
    size = path.stat().st_size / 1e6
    results = [
        report("write the HTML report", statistics.median(times), "s", "none", what),
        report("size of the HTML report", size, "MB", "none", "10,000 trials"),
    ]
    if shutil.which("chromium") is None:
        return results
    ready, used = in_browser(path)
    detail = (
        f"Chromium, from navigation to the second frame, the slowest of {ROUNDS}: "
        f"{max(ready) / 1e3:.2f} s; sorting and filtering take {statistics.median(used):.0f} ms"
    )
    figure = statistics.median(ready) / 1e3
    return [*results, report("HTML report until interactive", figure, "s", "<= 1", detail)]


if __name__ == "__main__":
    main()
