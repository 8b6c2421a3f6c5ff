"""Exports to other tools, read back by those tools where they can be had."""

from __future__ import annotations

import csv
import html
import json
import math
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.gates.verdict import judge
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.reports.export import estimate_all, run_summary
from pytest_a2perf.reports.exports.benchmark import benchmark_json
from pytest_a2perf.reports.exports.github import append_summary, commands, place
from pytest_a2perf.reports.exports.mlflow_runs import metric_name
from pytest_a2perf.reports.exports.table import trial_columns, write_csv
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Episode, Record
from pytest_a2perf.strategies import record_lists
from pytest_a2perf.trials.plan import PlannedGate

SUITE = """
    [[scenario]]
    name = "good"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 3
    [scenario.gates]
    "return.mean" = ">= 100"

    [[scenario]]
    name = "bad"
    task = "CartPole-v1"
    agent = "agents:wrong"
    seeds = 3
    options = { success = ">= 100" }
    [scenario.gates]
    "return.mean" = { min = 100, max = 600 }
    "success.rate" = { min = 0.5, confidence = 0.95 }
"""
RUN = {
    "id": "20260101-000000-abcdef",
    "state": "complete",
    "started": "2026-01-01T00:00:00+00:00",
    "host": "bench",
    "python": "3.11.7",
    "versions": {"pytest-benchmark": "5.1.0"},
    "git": {"commit": "0123456789abcdef", "branch": "main", "dirty": False},
}


def run_of(records, verdicts=None):
    return {**RUN, **run_summary(records, verdicts or {}, estimate_all(records))}


def gate(metric, *conditions, scenario="s", trials=()):
    parts = [{"operator": op, "limit": limit, "unit": None} for op, limit in conditions]
    return PlannedGate(
        f"{scenario}::{metric}", scenario, metric, {"conditions": parts}, "default", tuple(trials)
    )


def many(count):
    return [
        Record(
            f"s{seed % 10}",
            f"s{seed % 10}[{seed}]",
            seed,
            outcome="success",
            duration=0.5,
            episodes=[Episode(1.0, 1)] * 5,
            quantities={f"meter{i}": Quantity(i, "J", "nvml") for i in range(12)},
        )
        for seed in range(count)
    ]


def by_scenario(records):
    found = {}
    for record in records:
        found.setdefault(record.scenario, []).append(record)
    return found


# -- JUnit ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_junit_properties_are_flat(project, write):
    write(SUITE)
    project.runpytest_subprocess("--a2perf", "--junitxml", "junit.xml")
    cases = {}
    for case in ET.parse(project.path / "junit.xml").iter("testcase"):
        assert case.get("name"), "a test without a name"
        found = [(p.get("name"), p.get("value")) for p in case.iter("property")]
        assert len(dict(found)) == len(found), "a property stands twice"
        assert found, "every trial and every gate has properties"
        for name, value in found:
            assert name.startswith("a2perf.")
            assert value not in ("", "None")
            assert value[0] not in "{[("
        cases[case.get("classname"), case.get("name")] = dict(found)
    assert len(cases) == 9
    trial = cases["scenarios.suite.toml", "bad[1]"]
    assert (trial["a2perf.outcome"], trial["a2perf.seed"]) == ("failure", "1")
    assert (trial["a2perf.attempt"], trial["a2perf.device"]) == ("1", "cpu")
    good = cases["scenarios.suite.toml.good", "return.mean"]
    assert (good["a2perf.verdict"], good["a2perf.limit"]) == ("pass", "100.0")
    low, value, high = (float(good[f"a2perf.{name}"]) for name in ("low", "value", "high"))
    assert 100 < low <= value <= high
    both = cases["scenarios.suite.toml.bad", "return.mean"]
    assert (both["a2perf.limit.min"], both["a2perf.limit.max"]) == ("100.0", "600.0")
    assert cases["scenarios.suite.toml.bad", "success.rate"]["a2perf.limit"] == "0.5"


# -- pytest-benchmark ----------------------------------------------------------------------------


def github_action_benchmark(data):
    """What github-action-benchmark v1 takes out of the file for ``tool: pytest``."""
    return [
        {
            "name": bench["fullname"],
            "value": bench["stats"]["ops"],
            "unit": "iter/sec",
            "range": f"stddev: {bench['stats']['stddev']}",
            "extra": f"mean: {bench['stats']['mean']}\nrounds: {bench['stats']['rounds']}",
        }
        for bench in data["benchmarks"]
    ]


@pytest.mark.slow
def test_pytest_benchmark_compares_two_runs(project, write):
    write(SUITE)
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=4)
        def test_plain(trial):
            trial.report("odd", float("nan"))
    """)
    for name in ("one", "two"):
        project.runpytest_subprocess("--a2perf", f"--a2perf-benchmark-json=out/{name}.json")
    command = [Path(sys.executable).with_name("pytest-benchmark"), "compare"]
    done = subprocess.run(
        [*command, "out/one.json", "out/two.json", "--csv=out/table.csv"],
        cwd=project.path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "benchmark 'decision latency': 4 tests" in done.stdout
    assert "benchmark 'trial wall time': 2 tests" in done.stdout
    assert "good (one)" in done.stdout
    assert "good (two)" in done.stdout
    with (project.path / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    data = json.loads((project.path / "out" / "one.json").read_text())
    benchmarks = {bench["name"]: bench for bench in data["benchmarks"]}
    good = benchmarks["good"]
    assert good["fullname"] == "scenarios/suite.toml::good"
    assert good["extra_info"]["time"] == "decision latency"
    assert good["extra_info"]["round"] == "decision"
    assert good["extra_info"]["return.mean"] > 100
    p95 = good["extra_info"]["latency.p95 [s]"]
    assert 0.98 * good["stats"]["q3"] <= p95 <= 1.02 * good["stats"]["max"]
    assert good["extra_info"]["gate return.mean"] == "pass"
    assert all(isinstance(v, str | int | float) for v in good["extra_info"].values())
    assert benchmarks["test_plain"]["extra_info"]["round"] == "trial"
    assert benchmarks["test_plain"]["stats"]["rounds"] == 4
    for entry in github_action_benchmark(data):
        assert entry["value"] > 0
    done = subprocess.run(
        [*command, "--between=mean,ops", "out/one.json", "out/two.json"],
        cwd=project.path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "ERROR" not in done.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
def test_it_has_the_keys_of_a_real_file(project, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # pytest-benchmark does nothing there
    project.makepyfile("def test_it(benchmark): benchmark.pedantic(sum, ([1],), rounds=3)")
    project.runpytest_subprocess("--benchmark-json=real.json")
    real = json.loads((project.path / "real.json").read_text())
    record = Record("s", "s[0]", 0, outcome="success", duration=0.5)
    ours = benchmark_json(run_of({"s": [record]}), {"s": [record]})
    assert ours.keys() == real.keys()
    assert ours["commit_info"].keys() >= {"id", "time", "author_time", "dirty", "project", "branch"}
    assert ours["machine_info"].keys() == real["machine_info"].keys()
    assert ours["benchmarks"][0].keys() == real["benchmarks"][0].keys()
    stats = real["benchmarks"][0]["stats"].keys() - {"data"}
    assert ours["benchmarks"][0]["stats"].keys() == stats
    assert ours["benchmarks"][0]["extra_info"]["time"] == "trial duration"


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50))
def test_statistics_are_those_of_pytest_benchmark(values):
    from pytest_benchmark.stats import Stats

    records = {
        "trials": [Record("s", f"s[{i}]", i, outcome="success", duration=v) for i, v in enumerate(values)],
        "samples": [Record("s", "s[0]", 0, outcome="success", samples={"latency": Histogram.of(values)})],
    }  # fmt: skip
    real = Stats()
    real.data = values
    for kind, found in records.items():
        (bench,) = benchmark_json(run_of({}), {"s": found})["benchmarks"]
        ours = bench["stats"]
        for name in ("min", "max", "mean", "total", "rounds", "ops"):
            assert ours[name] == pytest.approx(getattr(real, name), rel=1e-9), (kind, name)
        assert ours["stddev"] == pytest.approx(real.stddev, rel=1e-3, abs=1e-4 * max(values))
        tolerance = 1e-9 if kind == "trials" else 0.006
        for name, q in (("q1", 0.25), ("median", 0.5), ("q3", 0.75)):
            expected = np.quantile(values, q)
            assert ours[name] == pytest.approx(expected, rel=tolerance), (kind, name)
        assert ours["min"] <= ours["ld15iqr"] <= ours["hd15iqr"] <= ours["max"]


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_row_for_each_trial(project, workers):
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=3)
        def test_a(trial):
            trial.episode(trial.seed, 1)
            trial.episode(trial.seed + 1, 1)
            trial.report("cost", 0.25, "USD")
            if trial.seed == 2:
                raise ValueError('a "quoted",\\nbroken message')
        @pytest.mark.a2perf
        def test_b(trial):
            trial.report("cost", float("nan"), "J")
    """)
    pq = pytest.importorskip("pyarrow.parquet")
    result = project.runpytest_subprocess(
        "--a2perf", "-n", workers, "--a2perf-csv=out/t.csv", "--a2perf-parquet=out/t.parquet"
    )
    assert result.ret == 1
    with (project.path / "out" / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["0", "1", "2", "0"]
    assert [row["outcome"] for row in rows] == ["success", "success", "error", "success"]
    assert rows[1]["return.mean"] == "1.5"
    assert rows[1]["episodes"] == "2"
    assert rows[2]["error"] == "ValueError"
    assert float(rows[0]["duration [s]"]) > 0
    assert float(rows[0]["memory.peak [B]"]) > 1e6
    assert [row["reported.cost [USD]"] for row in rows] == ["0.25", "0.25", "0.25", ""]
    assert [row["reported.cost [J]"] for row in rows] == ["", "", "", "nan"]
    assert {row["worker"][:2] for row in rows} == {"ma" if workers == "0" else "gw"}
    table = pq.read_table(project.path / "out" / "t.parquet")
    assert table.column_names == list(rows[0])
    types = {field.name: str(field.type) for field in table.schema}
    assert types["scenario"] == "string"
    assert types["seed"] == types["episodes"] == "int64"
    assert types["reported.cost [USD]"] == types["duration [s]"] == "double"
    assert table.column("reported.cost [USD]").to_pylist() == [0.25, 0.25, 0.25, None]
    assert table.column("return.mean").to_pylist() == [0.5, 1.5, 2.5, None]


def test_ten_thousand_trials_take_no_time(tmp_path):
    pytest.importorskip("pyarrow")
    from pytest_a2perf.reports.exports.table import write_parquet

    start = time.process_time()
    records = by_scenario(many(10_000))
    made = time.process_time() - start  # half a second, or what this machine needs for it
    for write in (write_csv, write_parquet):
        start = time.process_time()
        write(tmp_path / "table", records)
        assert time.process_time() - start < 2 + 4 * made


@pytest.mark.slow
@settings(deadline=None)
@given(record_lists())
def test_any_records_have_columns_of_one_length(records):
    columns = trial_columns(by_scenario(records))
    assert {len(column) for column in columns.values()} == {len(records)}


@pytest.mark.slow
def test_parquet_without_pyarrow_is_told_at_once(project, write, monkeypatch):
    write(SUITE)
    project.makeconftest("import sys; sys.modules['pyarrow'] = sys.modules['mlflow'] = None")
    for option, extra in (("--a2perf-parquet=t", "parquet"), ("--a2perf-mlflow=file:m", "mlflow")):
        result = project.runpytest_subprocess("--a2perf", option)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*pip install 'pytest-a2perf?{extra}?'*"])


@pytest.mark.slow
def test_files_that_cannot_be_written_fail_the_run_and_cost_nothing(project, write, records):
    pytest.importorskip("pyarrow")
    write(SUITE)
    names = ("benchmark-json", "csv", "parquet")
    options = [f"--a2perf-{name}=/dev/null/{name}" for name in names]
    result = project.runpytest_subprocess("--a2perf", "-k", "good", *options)
    assert result.ret == 1
    result.assert_outcomes(passed=4)
    for name in names:
        result.stdout.fnmatch_lines([f"a2perf: --a2perf-{name}: /dev/null/{name}: File exists"])
    assert len(records()) == 3


@pytest.mark.slow
def test_a_publisher_that_fails_does_not_cost_the_run(project, write, run_json):
    write(SUITE)
    project.makeconftest("def pytest_a2perf_publish(run): raise ConnectionError('no network')")
    result = project.runpytest_subprocess("--a2perf", "-k", "good")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["a2perf: publishing the run failed: ConnectionError*no network*"])
    assert run_json()["state"] == "complete"


@pytest.mark.slow
def test_settings_from_the_ini_file(project, write):
    write(SUITE)
    project.makeini("[pytest]\na2perf = true\na2perf_csv = t.csv\na2perf_benchmark_json = b.json\n")
    project.runpytest_subprocess("-k", "good").assert_outcomes(passed=4)
    assert (project.path / "t.csv").exists()
    assert (project.path / "b.json").exists()


# -- GitHub --------------------------------------------------------------------------------------


@pytest.fixture
def actions(project, monkeypatch):
    """Pretend to be a job of GitHub Actions; return the file of its summary."""
    summary = project.path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path))
    return summary


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_summary_and_annotations(project, write, actions, workers):
    path = write(SUITE)
    result = project.runpytest_subprocess("--a2perf", "-n", workers)
    line = path.read_text().split("\n").index('"return.mean" = { min = 100, max = 600 }') + 1
    found = [out for out in result.outlines if out.startswith("::")]
    assert len(found) == 2
    assert found[0].startswith(
        "::error title=return.mean of scenarios/suite.toml%3A%3Abad%3A fail,"
        f"file=scenarios/suite.toml,line={line}::return.mean of scenarios/suite.toml::bad%0A"
    )
    assert f"line={line + 1}::" in found[1]
    assert "success.rate" in found[1]
    text = html.unescape(actions.read_text())
    assert text.startswith("before\n## a2perf: 1 fail, 1 undecided, 1 pass\n")
    assert text.index("❌ fail | scenarios/suite.toml::bad") < text.index("✅ pass")
    assert "### scenarios/suite.toml::good" in text
    assert "| latency.p95 |" in text
    assert "±" in text
    assert "of 1 episodes not solved" in text


@pytest.mark.slow
def test_github_can_be_switched_off(project, write, actions):
    write(SUITE)
    result = project.runpytest_subprocess("--a2perf", "--a2perf-no-github")
    result.stdout.no_fnmatch_line("::*")
    assert actions.read_text() == "before\n"


@pytest.mark.slow
def test_ordinary_runs_write_no_summary(project, actions):
    project.makepyfile("def test_it(): pass")
    for option in ((), ("--a2perf",)):
        project.runpytest_subprocess(*option).assert_outcomes(passed=1)
    assert actions.read_text() == "before\n"


@pytest.mark.slow
def test_a_summary_that_cannot_be_written_is_a_problem(project, write, actions, monkeypatch):
    write(SUITE)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/dev/full")
    result = project.runpytest_subprocess("--a2perf", "-k", "good")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["a2perf: GITHUB_STEP_SUMMARY: /dev/full: No space left*"])
    result.stdout.fnmatch_lines(["::error title=a2perf::GITHUB_STEP_SUMMARY: /dev/full*"])


@pytest.mark.slow
def test_merge_exports_too(project, write, actions):
    write(SUITE)
    for index in (1, 2):
        project.runpytest_subprocess("--a2perf", f"--a2perf-shard={index}/2", "--a2perf-no-github")
    runs = str(project.path / ".a2perf" / "runs")
    done = subprocess.run(
        [sys.executable, "-m", "pytest_a2perf", "merge", runs, "--a2perf-csv=t.csv", "--a2perf-benchmark-json=b.json"],
        cwd=project.path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count("::error title=") == 2
    assert "1 fail, 1 undecided, 1 pass" in actions.read_text()
    assert len((project.path / "t.csv").read_text().splitlines()) == 7
    assert len(json.loads((project.path / "b.json").read_text())["benchmarks"]) == 2


HOSTILE = "50 % of it: a, b\r\n::error::x | `c` <img src=x onerror=y> [z](http://z)"


def verdict_of(value, records=None):
    records = records or [
        Record("a,b:c.toml::s", f"s[{i}]", i, outcome="success", episodes=[Episode(value, 1)])
        for i in range(3)
    ]
    plan = gate("return.mean", (">=", 10.0), scenario="a,b:c.toml::s")
    return {plan.nodeid: (plan, judge(plan, records))}


def test_commands_are_escaped(pytestconfig):
    verdicts = verdict_of(1.0)
    ((key, (plan, verdict)),) = verdicts.items()
    verdicts = {key: (plan, replace(verdict, name="undecided", reason=HOSTILE))}
    error, *rest = list(commands(pytestconfig, verdicts, [], undecided="fail"))
    assert rest == []
    assert error.startswith("::error title=return.mean of a%2Cb%3Ac.toml%3A%3As%3A undecided::")
    assert "50 %25 of it: a, b%0D%0A::error::x" in error
    (warning,) = commands(pytestconfig, verdicts, [], undecided="warn")
    assert warning.startswith("::warning ")
    assert list(commands(pytestconfig, verdict_of(11.0), [], undecided="fail")) == []


def test_the_summary_is_escaped_and_cut(tmp_path):
    broken = Record("s", "s[0]", 0, outcome="error")
    broken.error = {"type": "E", "message": HOSTILE.replace("\r\n", " "), "traceback": ""}
    records = {"s": [broken]}
    path = tmp_path / "summary.md"
    append_summary(path, run_of(records), {}, records, [HOSTILE])
    text = path.read_text()
    assert "<img" not in text
    assert "[z]" not in text
    assert "`" not in text
    assert text.startswith("## a2perf: incomplete\n")
    plan, verdict = next(iter(verdict_of(1.0).values()))
    many = {
        f"g{i}": (replace(plan, nodeid=f"g{i}"), replace(verdict, reason="x" * 200))
        for i in range(9000)
    }
    append_summary(path, run_of(records), many, records, [])
    assert 890_000 < path.stat().st_size < 1 << 20
    assert (
        path.read_text()
        .rstrip()
        .endswith("GitHub takes no more. The terminal report has all of it.*")
    )


def test_where_a_gate_stands(tmp_path, monkeypatch):
    root = tmp_path / "repository" / "part"
    root.mkdir(parents=True)
    (root / "test_x.py").write_text("import pytest\n\n\ndef test_other(): ...\n\n@pytest.mark.a2perf\nasync def test_it(): ...\n")  # fmt: skip
    (root / "s.toml").write_text(
        '[[scenario]]\nname = "one"\n[[scenario]]\nname = "two"\ngates."return.mean" = ">= 1"\n'
    )
    assert place(root, gate("return.mean", scenario="s.toml::two")) == ("s.toml", 5)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repository"))
    assert place(root, gate("m", scenario="test_x.py::test_it[a]")) == ("part/test_x.py", 7)
    assert place(root, gate("m", scenario="s.toml::gone")) == ("part/s.toml", 1)
    assert place(root, gate("m", scenario="../../suite.toml::x")) is None
    assert place(root, gate("m", scenario="missing.toml::x")) is None


# -- MLflow --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_a_run_in_mlflow_for_each_scenario(project, write, run_json, monkeypatch, store):
    pytest.importorskip("mlflow")
    if store == "sqlite":
        pytest.importorskip("sqlalchemy")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    write(SUITE)
    uri = f"file:{project.path}/store" if store == "file" else f"sqlite:///{project.path}/m.db"
    result = project.runpytest_subprocess(
        "--a2perf", f"--a2perf-mlflow={uri}", "--a2perf-mlflow-experiment=agents"
    )
    result.assert_outcomes(passed=4, failed=2)
    script = """
        import json, sys
        from mlflow.tracking import MlflowClient
        client = MlflowClient(sys.argv[1])
        runs = client.search_runs([client.get_experiment_by_name("agents").experiment_id])
        print(json.dumps([
            {
                "name": run.info.run_name, "status": run.info.status, "params": run.data.params,
                "metrics": run.data.metrics, "tags": run.data.tags,
                "files": [file.path for file in client.list_artifacts(run.info.run_id)],
                "bytes": len(open(client.download_artifacts(run.info.run_id, "run.json")).read()),
            }
            for run in runs
        ]))
    """
    path = project.makepyfile(read_back=script)
    done = subprocess.run(
        [sys.executable, path, uri], cwd=project.path, capture_output=True, text=True, check=True
    )
    runs = {run["name"]: run for run in json.loads(done.stdout.splitlines()[-1])}
    bad = runs.pop("scenarios/suite.toml::bad")
    good = runs.pop("scenarios/suite.toml::good")
    assert runs == {}
    assert good["status"] == bad["status"] == "FINISHED"
    assert good["params"]["agent"] == "agents:Right"
    assert good["params"]["device"] == "cpu"
    assert len(good["params"]["digest"]) == 16
    estimate = run_json()["scenarios"]["scenarios/suite.toml::good"]["metrics"]["return.mean"]
    for name, end in (("", "value"), (".low", "low"), (".high", "high")):
        assert good["metrics"][f"return.mean{name}"] == estimate[end]
    assert all(math.isfinite(value) for value in good["metrics"].values())
    assert (good["tags"]["a2perf.verdict"], bad["tags"]["a2perf.verdict"]) == ("pass", "fail")
    assert bad["tags"]["a2perf.gate.return.mean"] == "fail"
    assert bad["files"] == ["run.json"]
    assert bad["bytes"] > 1000


@pytest.mark.slow
def test_an_mlflow_that_does_not_answer_does_not_cost_the_run(project, write, records, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write(SUITE)
    result = project.runpytest_subprocess(
        "--a2perf", "-k", "good", "--a2perf-mlflow=http://127.0.0.1:9"
    )
    assert result.ret == 1
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["a2perf: --a2perf-mlflow http://127.0.0.1:9: *"])
    assert len(records()) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("latency.p95", "latency.p95"),
        ("success.pass@3", "success.pass_at_3"),
        ("success.pass^3", "success.pass_all_3"),
        ("reported.Größe/x y", "reported.Gr__e_x_y"),
        ("..", "_"),
    ],
)
def test_metric_names(name, expected):
    assert metric_name(name) == expected
