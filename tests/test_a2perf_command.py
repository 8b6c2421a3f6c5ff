"""The command ``table``, and the documents that it writes into."""

from __future__ import annotations

import json
import re
import sys

import pytest
from a2perf_worlds import MACHINE, rollouts, run

from pytest_a2perf.__main__ import main
from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.reports.a2perf.columns import read_run
from pytest_a2perf.reports.a2perf.command import replace_marked
from pytest_a2perf.runs.plan import RunPlan
from pytest_a2perf.runs.store import RunStore

PROVENANCE = {
    "state": "complete",
    "started": "2026-01-01T00:00:00+00:00",
    "host": "secret-host",
    "python": "3.11.7",
    "versions": {"gymnasium": "1.2.3"},
    "memory": 24 * 2**30,
    "gpus": ["H100"],
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "arguments": ["--a2perf", "/home/me/project/dog.toml", "--a2perf-json=/home/me/x.json"],
    **MACHINE,
}


def store(folder, ran, **data):
    path = folder / ".a2perf" / "runs" / ran.id
    kept = RunStore(path)
    kept.write_plan(RunPlan("", {record.nodeid: record.scenario for record in ran.records}, ()))
    for record in ran.records:
        kept.append(record.to_line())
    kept.write_run({"id": ran.id, **PROVENANCE, **data})
    kept.close()
    return path


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A project with two runs that ended and one that did not."""
    monkeypatch.chdir(tmp_path)
    ppo, sac = rollouts("PPO", returns=(5, 1)), rollouts("SAC", returns=(6, 1))
    store(tmp_path, run(ppo, name="run-1"))
    store(tmp_path, run(sac, name="run-2"))
    store(tmp_path, run(ppo[:3], name="run-3"), state="running")
    return tmp_path


def test_the_last_run_that_ended_is_shown(stored, capfd):
    assert main(["table"]) == 0
    out, error = capfd.readouterr()
    assert "| Category | Phase | Metric | SAC |" in out
    assert "Written by: python -m pytest\\_a2perf table\n" in out
    assert (
        "- Run run-2 of 2026-01-01; pytest --a2perf dog.toml --a2perf-json=x.json; "
        "commit 01234567\\*; Python 3.11.7, gymnasium 1.2.3; EPYC x 4, 25.77 GB of memory, H100"
    ) in out
    assert not re.search("home|secret", out)
    assert error == ""


def test_runs_by_name_and_folder(stored, capfd):
    assert main(["table", "run-1", str(stored / ".a2perf/runs/run-2"), "--format", "latex"]) == 0
    out = capfd.readouterr().out
    assert "Category & Phase & Metric & PPO & SAC" in out
    assert main(["table", "run-1", "--definition", "a2perf", "--output", "new/table.html",
                 "--format", "html"]) == 0  # fmt: skip
    assert "by A2Perf&#x27;s own definitions</caption>" in (stored / "new/table.html").read_text()


def test_an_unfinished_run_is_told(stored, capfd):
    assert main(["table", "run-3"]) == 0
    out, error = capfd.readouterr()
    assert "- run run-3 did not come to its end" in out
    assert error == "table: run run-3 did not come to its end\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run-9"], "no run 'run-9' in .a2perf/runs; did you mean 'run-"),
        (["--dir", "elsewhere"], "elsewhere/runs: no run here that came to its end"),
        (["--update", "x.md"], "--update FILE.md goes with --name NAME"),
        (["--name", "x"], "--update FILE.md goes with --name NAME"),
        (["--update", "x.md", "--name", "x", "--format", "html"], "and is Markdown"),
        (["--update", "x.md", "--name", "x"], "x.md"),
        (["--output", "file/x.md"], "file"),
    ],
)
def test_errors(stored, capfd, arguments, message):
    (stored / "file").write_text("")
    assert main(["table", *arguments]) == 1
    out, error = capfd.readouterr()
    assert error.startswith("table: ")
    assert message in error
    assert out == ""


def test_a_run_without_tasks(stored, capfd):
    records = rollouts("PPO", returns=(5, 1))
    for record in records:
        del record.context["task"]
    store(stored, run(records, name="run-4"))
    assert main(["table"]) == 1
    assert "table: run-4: no scenario with a task here" in capfd.readouterr().err


def test_a_broken_run(stored, capfd):
    (stored / ".a2perf/runs/run-1/run.json").write_text("{")
    assert main(["table", "run-1"]) == 1
    assert "run.json: not a run" in capfd.readouterr().err
    with pytest.raises(A2PerfError, match=r"plan\.json: not the plan"):
        read_run(stored)


DOCUMENT = """# Results

<!-- table: one -->
outdated
<!-- end -->

between

<!-- table: two -->
<!-- end -->

after
"""


def test_a_document_is_updated_in_place(stored):
    path = stored / "results.md"
    path.write_text(DOCUMENT, encoding="utf-8")
    for _ in range(2):
        assert main(["table", "--update", "results.md", "--name", "one"]) == 0
    once = path.read_text(encoding="utf-8")
    assert "outdated" not in once
    assert once.count("| Category |") == 1
    assert "table --update results.md --name one" in once
    before, _, rest = once.partition("<!-- table: one -->")
    assert before == "# Results\n\n"
    assert rest.partition("<!-- end -->")[2] == DOCUMENT.partition("<!-- end -->")[2]
    assert main(["table", "run-1", "--update", "results.md", "--name", "two"]) == 0
    both = path.read_text(encoding="utf-8")
    assert both.count("| Category |") == 2
    assert both.endswith("\n<!-- end -->\n\nafter\n")
    assert list(stored.glob(".*draft")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "the marker <!-- table: one --> is missing"),
        ("<!-- table: ones -->\n<!-- end -->\n", "is missing; did you mean 'ones'"),
        ("<!-- table: one -->\n", "has no <!-- end --> after it"),
        ("<!-- end -->\n<!-- table: one -->\n", "has no <!-- end --> after it"),
        ("<!-- table: one -->\n<!-- table: two -->\n<!-- end -->\n", "has no <!-- end -->"),
        ("<!-- table: one -->\n<!-- end -->\n" * 2, "stands twice"),
    ],
)
def test_markers_that_do_not_fit(tmp_path, text, message):
    path = tmp_path / "x.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(A2PerfError, match=re.escape(message)):
        replace_marked(path, "one", "new")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.slow
def test_a_table_of_a_real_run(project, write):
    write("""
        [[scenario]]
        name = "right"
        task = "CartPole-v1"
        agent = "agents:Right"
        algorithm = "Balance"
        seeds = 3
        episodes = 2
        options = { max_steps = 50 }

        [[scenario]]
        name = "wrong"
        task = "CartPole-v1"
        agent = "agents:wrong"
        seeds = 3
        episodes = 2
        options = { max_steps = 50 }
    """)
    assert project.runpytest_subprocess("--a2perf", "scenarios").ret == 0
    result = project.run(sys.executable, "-m", "pytest_a2perf", "table")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "[*][*]gym: CartPole-v1[*][*]",
            "| Category | Phase | Metric | Balance | wrong |",
            "| Application | Inference | Returns (2 eps.) ↑ | [*][*]50.00 ± 0.00[*][*] | *",
            "*| Inference Time (ms) ↓ |*",
        ]
    )
    (folder,) = (project.path / ".a2perf" / "runs").iterdir()
    assert json.loads((folder / "run.json").read_text())["id"] in result.stdout.str()
