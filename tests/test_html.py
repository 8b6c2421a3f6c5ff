"""The HTML report: what is in it, and that it works in a browser."""

from __future__ import annotations

import json
import re
import shutil
import sys
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings

from pytest_a2perf.metrics.base import Estimate
from pytest_a2perf.reports.export import estimate_all, run_summary
from pytest_a2perf.reports.html.data import Report, spreads
from pytest_a2perf.reports.html.page import page
from pytest_a2perf.reports.html.plots import Spread, spread
from pytest_a2perf.runs.record import Curve, Episode, Record
from pytest_a2perf.strategies import record_lists
from pytest_a2perf.trials.plan import PlannedGate

SUITE = """
    [[scenario]]
    name = "good"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 4
    [scenario.gates]
    "return.mean" = ">= 100"

    [[scenario]]
    name = "bad"
    task = "CartPole-v1"
    agent = "agents:wrong"
    seeds = 4
    [scenario.gates]
    "return.mean" = { min = 100, max = 600 }
    "energy.per_episode" = { max = "20 J", quality = "measured" }
"""
HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
TESTS = f"""
import math
import pytest

@pytest.mark.a2perf(seeds=60)
def test_training(trial):
    for step in range(0, 1000, 100):
        trial.curve("return", step, step + trial.seed)
    trial.report("odd", math.nan)
    if trial.seed == 17:
        raise ValueError({HOSTILE!r})

@pytest.mark.parametrize("word", ["<script>window.hacked=1</script>"])
@pytest.mark.a2perf(seeds=1)
def test_word(trial, word):
    trial.episode(float("nan"), 1)
"""
_pages: dict[str, str] = {}


@pytest.fixture
def report(project, write):
    """The report of a run with all that a run can have."""
    path = project.path / "report.html"
    if not _pages:
        write(SUITE)
        project.makepyfile(TESTS)
        arguments = ("--a2perf", "-p", "no:cacheprovider", "scenarios", "--a2perf-html", path)
        for _ in range(2):  # the second has a history
            result = project.runpytest_subprocess(*arguments, *project.path.glob("test_*.py"))
            assert result.ret == 1
        _pages["report"] = path.read_text("utf-8")
    path.write_text(_pages["report"], "utf-8")
    return path


# -- what is in it -----------------------------------------------------------------------------


@pytest.mark.slow
def test_verdicts_come_first(report):
    text = report.read_text("utf-8")
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert headings == ["Verdicts", "Scenarios", "Errors", "History", "Trials", "Provenance"]
    verdicts = text[text.index('id="verdicts"') : text.index('id="scenarios"')]
    assert (
        "FAIL</strong> <span>3 gates: 1 fail, 1 skip, 1 pass; 69 trials: 68 success, 1 error"
        in (verdicts)
    )
    words = re.findall(r'<td [^>]*><strong class="badge [a-z]+">([A-Z]+)<', verdicts)
    assert words == ["FAIL", "SKIP", "PASS"]
    assert "limit &gt;= 100" in text
    assert "return in training" in text
    for name in ("latency", "energy", "power", "memory.peak"):
        assert f"<figcaption>{name}" in text


def test_a_run_without_trials(project):
    result = project.runpytest_subprocess("--a2perf", "--a2perf-html", "out/report.html")
    assert result.ret == 5
    text = (project.path / "out" / "report.html").read_text("utf-8")
    assert "NO TRIALS</strong> <span>no gates; no trials" in text


@pytest.mark.slow
def test_the_ini_twin_and_a_path_that_cannot_be_written(project, write):
    write(SUITE.partition('[[scenario]]\n    name = "bad"')[0])
    project.makeini("[pytest]\na2perf_html = file/report.html")
    (project.path / "file").write_text("")
    result = project.runpytest_subprocess("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["a2perf: --a2perf-html: *report.html: *"])


@pytest.mark.slow
def test_merged_runs(project, write):
    write(SUITE)
    for index in (1, 2):
        arguments = ("--a2perf", "--a2perf-shard", f"{index}/2", "--a2perf-dir", f"part{index}")
        assert project.runpytest_subprocess(*arguments).ret == 0
    command = (sys.executable, "-m", "pytest_a2perf", "merge", "part1", "part2")
    assert project.run(*command, "--a2perf-html", "merged.html").ret == 1
    assert "3 gates: 1 fail, 1 skip, 1 pass; 8 trials" in (project.path / "merged.html").read_text(
        "utf-8"
    )


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(record_lists(max_size=6))
def test_any_records(records):
    trials = {record.scenario: [] for record in records}
    for record in records:
        trials[record.scenario].append(record)
    run = {
        "id": "x",
        "state": "complete",
        "exit_status": 0,
        **run_summary(trials, {}, estimate_all(trials)),
    }
    text = page(Report(run, trials, {}))
    text.encode("utf-8", "replace")
    assert not re.search(r'="[^"]*\b(nan|inf)\b[^"<>]*"/>', text)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert json.loads(data[1])["count"] == len(records)


def test_values_that_no_axis_can_hold():
    values = [float("nan"), float("inf"), -1e308, 1e308, 5.0]
    assert "n = 1<" in spread(Spread("x", "", "", values, [(">=", float("inf"))]))
    assert spread(Spread("x", "", "", values[:4])) == ""
    record = Record("s", "s[0]", 0, episodes=[Episode(v, 1) for v in values], duration=1e308)
    record.curves = {"a": Curve([0, 1, 2], values[:3]), "b": Curve([], []), "c": Curve([1], [2])}
    assert page(Report({}, {"s": [record]}, {}))


def test_the_baseline_is_shown():
    gate = PlannedGate("s::m", "s", "return.mean", {"conditions": []}, "default", ())
    estimate = Estimate(5.0, low=4.0, high=6.0)
    data = {
        "unit": "", "value": 5.0, "low": 4.0, "high": 6.0,
        "baseline": {"value": 7.0, "low": None, "high": 7.5, "n": 3, "source": "run"},
        "baseline_values": [6.5, None, 7.5],
    }  # fmt: skip
    verdict = SimpleNamespace(name="fail", estimate=estimate, to_json=lambda: data)
    (found,) = spreads(Report({}, {}, {"s::m": (gate, verdict)}), "s")
    assert found.baseline[0] == 7.0
    assert found.baseline_values == [6.5, 7.5]
    assert "baseline 7" in spread(found)
    assert spread(found).count("hollow") == 2


# -- in a browser ------------------------------------------------------------------------------

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def show(browser, report):
    """Open the report; in the end, nothing may have been fetched, run or complained of."""
    pages, seen = [], []

    def show(path=report, **settings):
        tab = browser.new_page(**settings)
        tab.on("console", lambda message: seen.append(message.text))
        tab.on("pageerror", lambda error: seen.append(str(error)))
        tab.on("request", lambda request: seen.append(request.url))
        tab.on("dialog", lambda dialog: seen.append(dialog.message))
        tab.goto(path.as_uri())
        pages.append(tab)
        return tab

    yield show
    for tab in pages:
        assert tab.evaluate("window.hacked") is None
        tab.close()
    assert seen == [report.as_uri()] * len(pages)


def column(tab, title):
    return tab.locator(f'#trial-table td[data-label="{title}"]').all_inner_texts()


@pytest.mark.slow
def test_sorting_by_a_click(show):
    tab = show()
    assert tab.locator("#trial-table tbody tr").count() == 50
    head = tab.get_by_role("columnheader", name="Seed")
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    seeds = [int(seed) for seed in column(tab, "Seed")]
    assert seeds == sorted(seeds)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(tab, "Seed")[0] == "59"
    tab.get_by_role("columnheader", name="Return").get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert column(tab, "Return")[0] != ""  # what has no value comes last


@pytest.mark.slow
def test_filters(show):
    tab = show()
    tab.locator("#filter-outcome").select_option("error")
    assert column(tab, "Outcome") == ["ERROR"]
    assert "window.hacked" in column(tab, "Message")[0]
    assert tab.get_by_role("status").inner_text() == "1 to 1 of 1 trials (69 in all)"
    tab.locator("#filter-outcome").select_option("")
    tab.locator("#filter-text").fill("SUITE.toml good")
    assert set(column(tab, "Scenario")) == {"scenarios/suite.toml::good"}
    tab.locator("#filter-text").fill("no such trial")
    assert tab.get_by_role("status").inner_text() == "0 trials (69 in all)"


@pytest.mark.slow
def test_the_keyboard_reaches_everything(show):
    tab = show()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the report"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    tab.locator("#filter-outcome").focus()
    tab.keyboard.press("Tab")  # the table, which scrolls
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Outcome"
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert tab.evaluate(outline) == "solid"
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    tab.keyboard.press("Space")
    assert column(tab, "Seed")[0] == "59"
    tab.locator("#page-next").focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#page-number").inner_text() == "Page 2 of 2"
    assert tab.evaluate("document.activeElement.id") == "page-next"
    tab.locator("summary").first.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("details").first.get_attribute("open") is not None


CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    let back = element;
    while (back.parentElement && rgb(getComputedStyle(back).backgroundColor)[3] === 0) {
      back = back.parentElement;
    }
    const front = element instanceof SVGElement ? style.fill : style.color;
    const pair = [light(rgb(front)), light(rgb(getComputedStyle(back).backgroundColor))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) low.push(`${element.className} ${element.textContent} ${ratio}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours(show, scheme):
    tab = show(color_scheme=scheme)
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    assert tab.evaluate(CONTRAST) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 800, 1200])
def test_nothing_is_wider_than_the_screen(show, width):
    tab = show(viewport={"width": width, "height": 740})
    for details in tab.locator("details").all():
        details.evaluate("details => details.open = true")
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    if width == 360:  # cards have no headings to click
        tab.get_by_label("Sort by").select_option(label="Seed, descending")
        assert column(tab, "Seed")[0] == "59"


@pytest.mark.slow
def test_many_scenarios_are_drawn_when_they_are_seen(show, report):
    names = [f"s{number:02}{HOSTILE}<!--" for number in range(50)]
    records = {
        name: [
            Record(name, f"{name}[{n}]", n, outcome="success", episodes=[Episode(n, 1)])
            for n in (0, 1)
        ]
        for name in names
    }
    run = {"exit_status": 0, **run_summary(records, {}, estimate_all(records))}
    report.write_text(page(Report(run, records, {})), "utf-8")
    tab = show()
    articles = tab.locator("article")
    assert articles.count() == 50
    assert articles.last.locator("svg").count() == 0
    articles.last.scroll_into_view_if_needed()
    articles.last.locator("svg").first.wait_for()


@pytest.mark.slow
def test_it_works_without_motion_and_without_scripts(show, browser, report):
    tab = show(reduced_motion="reduce")
    assert tab.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(report.as_uri())
    assert "needs JavaScript" in tab.locator("#trials").inner_text()
    context.close()
