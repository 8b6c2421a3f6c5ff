"""A2Perf's table in Markdown, LaTeX and HTML."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser

import pytest
from a2perf_worlds import rollouts, run

from pytest_a2perf.quantities import Quantity
from pytest_a2perf.reports.a2perf.build import tables_of
from pytest_a2perf.reports.a2perf.html import html
from pytest_a2perf.reports.a2perf.latex import latex
from pytest_a2perf.reports.a2perf.markdown import markdown
from pytest_a2perf.reports.a2perf.table import LEGEND, MISSING, Cell, Line, Table

CELLS = (Cell(12.65, 7.79, ("a",)), Cell(18.1, 6.01, (), best=True))
PACE = Table(
    "quadruped",
    "dog_pace",
    "default",
    ("DDPG", "PPO"),
    (
        Line("Application", "Inference", "Returns (100 eps.)", "higher", CELLS),
        Line("Reliability", "Training", "Dispersion Across Runs (IQR)", "lower",
             (Cell(4.3, 1.86), Cell(0.46, 0.17, best=True)), ("b",)),
        Line("Reliability", "Training", "Short Term Risk (CVaR)", "lower", (Cell(9.24), Cell(1.28))),
        Line("Reliability", "Inference", "Risk Across Rollouts (CVaR)", "higher",
             (None, Cell(1.5e-05))),
        Line("System", "Inference", "Inference Time (ms)", "lower", (Cell(0.18, 0.38), None)),
    ),
    (("a", "modelled: x_y & <z>"), ("b", "50 % of 3")),
    ("PPO: 10 seeds",),
)  # fmt: skip


def test_markdown():
    assert markdown([PACE], ["Run 1 of `x`"]) == (
        r"""**quadruped: dog\_pace**

| Category | Phase | Metric | DDPG | PPO |
|---|---|---|---:|---:|
| Application | Inference | Returns (100 eps.) ↑ | 12.65 ± 7.79<sup>a</sup> | **18.10 ± 6.01** |
| Reliability | Training | Dispersion Across Runs (IQR) ↓<sup>b</sup> | 4.30 ± 1.86 | **0.46 ± 0.17** |
|  |  | Short Term Risk (CVaR) ↓ | 9.24 | 1.28 |
|  | Inference | Risk Across Rollouts (CVaR) ↑ | (none) | 1.50e-05 |
| System | Inference | Inference Time (ms) ↓ | 0.18 ± 0.38 | (none) |

- <sup>a</sup> modelled: x\_y \& \<z\>
- <sup>b</sup> 50 % of 3
- PPO: 10 seeds

""".replace("(none)", MISSING)
        + f"{LEGEND}\n\n- Run 1 of \\`x\\`\n"
    )


def test_latex():
    text = latex([PACE], ["Run 1\nof x"])
    assert text.startswith("% needs \\usepackage{booktabs}\n% Run 1 of x\n\n\\begin{table}[htbp]\n")
    rows = text.partition("\\toprule\n")[2].partition("    \\bottomrule")[0]
    assert (
        rows
        == r"""    Category & Phase & Metric & DDPG & PPO \\
    \midrule
    Application & Inference & Returns (100 eps.) $\uparrow$ & $12.65 \pm 7.79$\textsuperscript{a} & $\mathbf{18.10 \pm 6.01}$ \\
    \addlinespace
    Reliability & Training & Dispersion Across Runs (IQR) $\downarrow$\textsuperscript{b} & $4.30 \pm 1.86$ & $\mathbf{0.46 \pm 0.17}$ \\
     &  & Short Term Risk (CVaR) $\downarrow$ & $9.24$ & $1.28$ \\
     & Inference & Risk Across Rollouts (CVaR) $\uparrow$ & -- & $1.50 \times 10^{-5}$ \\
    \addlinespace
    System & Inference & Inference Time (ms) $\downarrow$ & $0.18 \pm 0.38$ & -- \\
"""
    )
    assert r"\caption{quadruped: dog\_pace}" in text
    assert r"\textsuperscript{a}modelled: x\_y \& \textless{}z\textgreater{}." in text
    assert r"50 \% of 3" in text


HOSTILE = "a_b & 5 % \\x {~^} $1 #2 <b>|*`[z](w) \n| --- |"


def hostile():
    records = rollouts(HOSTILE, returns=(1, 1), task=HOSTILE, domain=HOSTILE)
    for record in records:
        record.scenario = HOSTILE
        record.quantities["energy"] = Quantity(1.0, "J", HOSTILE, "modelled")
    return tables_of([run(records)])


def test_latex_holds_together_whatever_things_are_called():
    text = latex(hostile(), [HOSTILE])
    lines = [one for one in text.splitlines() if not one.startswith("%")]
    body = re.sub(r"\\[\\#$%&_{}]", "", "\n".join(lines))
    assert not re.search(r"[#%]", body)
    assert body.count("{") == body.count("}")
    assert body.count("$") % 2 == 0
    assert re.findall(r"\\(\w+)\{?", body).count("begin") == 2
    inside = body.partition("toprule")[2].partition("bottomrule")[0]
    counts = {row.count("&") for row in inside.splitlines() if "&" in row}
    assert counts == {3}


def test_markdown_holds_together_whatever_things_are_called():
    text = markdown(hostile(), [HOSTILE])
    plain = re.sub(r"\\[\\`*_\[\]<>|~&$]", "", text)
    rows = [one for one in plain.splitlines() if one.startswith("|")]
    assert {row.count("|") for row in rows} == {5}
    assert "<b>" not in plain
    assert "[z]" not in plain


class Reader(HTMLParser):
    """Reads a page into its table's rows: (tag, attributes, text) of each cell."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.rows = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "tr" in self.open:
            self.rows[-1][-1][2] += data


def test_html():
    reader = Reader(html([PACE], ["Run 1"]))
    assert not reader.open
    assert not {"script", "img"} & set(reader.tags)
    head, *rows = reader.rows
    assert [(tag, attrs["scope"]) for tag, attrs, _ in head] == [("th", "col")] * 5
    spans = {
        text: (attrs["scope"], int(attrs["rowspan"]))
        for row in rows
        for _, attrs, text in row
        if "rowspan" in attrs and text[0] in "ARS"
    }
    assert spans == {
        "Application": ("rowgroup", 1), "Reliability": ("rowgroup", 3), "System": ("rowgroup", 1),
    }  # fmt: skip
    assert [[text for tag, _, text in row if tag == "td"] for row in rows] == [
        ["12.65 ± 7.79a", "18.10 ± 6.01"], ["4.30 ± 1.86", "0.46 ± 0.17"], ["9.24", "1.28"],
        [MISSING, "1.50e-05"], ["0.18 ± 0.38", MISSING],
    ]  # fmt: skip


def test_html_escapes():
    text = html(hostile(), [HOSTILE])
    assert "<b>" not in text
    assert not Reader(text).open


@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium")
    path = tmp_path / "table.html"
    path.write_text(html([PACE], ["Run 1"]), encoding="utf-8")
    complaints, fetched = [], []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 360, "height": 700})
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("request", lambda request: fetched.append(request.url))
        tab.goto(path.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") == 360
        assert tab.get_by_role("table", name="quadruped: dog_pace").count() == 1
        assert tab.get_by_role("rowheader", name="Reliability").count() == 1
        assert tab.get_by_role("columnheader", name="PPO").count() == 1
        tab.get_by_role("link", name="a").first.click()
        assert tab.url.endswith("#note-0-a")
        browser.close()
    assert (complaints, fetched) == ([], [path.as_uri()])
