"""The marker and the fixtures in tests of one's own."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_a_marked_test_runs_once_for_each_seed_and_is_gated(project, records):
    project.makepyfile("""
        import pytest

        @pytest.mark.a2perf(domain="gym", seeds=3, gates={"return.mean": ">= 100", "latency.p95": "<= 1 s"})
        def test_cartpole(trial, rollout):
            from agents import Right
            rollout("CartPole-v1", agent=Right(), episodes=2)
            assert len(trial.record.episodes) == 2
    """)
    result = project.runpytest_subprocess("--a2perf", "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "*::test_cartpole[[]2[]] PASSED*",
            "*::test_cartpole::return.mean PASSED*",
            "*::test_cartpole::latency.p95 PASSED*",
        ]
    )
    assert [record.seed for record in records()] == [0, 1, 2]
    assert all(record.samples["latency"].count > 100 for record in records())


@pytest.mark.slow
def test_each_combination_of_parameters_is_a_scenario(project, records):
    project.makepyfile("""
        import pytest

        @pytest.mark.parametrize("agent", ["Right", "wrong"])
        @pytest.mark.a2perf(seeds=[4, 5], gates={"return.mean": ">= 100"})
        def test_agent(rollout, agent):
            rollout("CartPole-v1", agent=f"agents:{agent}")
    """)
    result = project.runpytest_subprocess("--a2perf", "-v")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        ["*::test_agent[[]Right[]]::return.mean PASSED*", "*::test_agent[[]wrong[]]::return.mean FAILED*"]
    )  # fmt: skip
    scenarios = {record.scenario.rpartition("::")[2] for record in records()}
    assert scenarios == {"test_agent[Right]", "test_agent[wrong]"}


def test_marked_tests_are_skipped_in_an_ordinary_run(project):
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=3)
        def test_slow(trial):
            assert trial.seed == 99
    """)
    result = project.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*a benchmark: run with --a2perf*"])


@pytest.mark.parametrize("option", [[], ["--a2perf"]])
def test_fixtures_work_without_the_marker(project, option):
    project.makepyfile("""
        def test_decision(latency, energy, memory, reliability, trial):
            with energy, memory:
                for _ in range(50):
                    with latency:
                        block = bytearray(40_000_000) if _ == 10 else None
                        sum(range(2000))
            assert latency.count == 50
            assert 0 < latency.p50 <= latency.p95 <= latency.max < 60
            assert energy.joules > 0
            assert energy.quality in ("measured", "estimated", "modelled")
            assert memory.delta > 30_000_000
            reliability.add(1.0, 2.0, 3.0, 4.0)
            assert reliability.dispersion == 1.5
            assert reliability.risk == 1.0
            assert trial.seed == 0
            assert trial.rng.random() == __import__("numpy").random.default_rng(0).random()
    """)
    project.runpytest_subprocess(*option).assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
def test_async_tests(project, records):
    pytest.importorskip("pytest_asyncio")
    project.makepyfile("""
        import asyncio, pytest

        @pytest.mark.asyncio
        @pytest.mark.a2perf(seeds=2, gates={"latency.p50": ">= 10 ms", "time.wall": "<= 60 s"})
        async def test_stream(trial, latency, energy):
            with energy:
                for _ in range(3):
                    with latency:
                        await asyncio.sleep(0.02)
            trial.report("tokens", 12 + trial.seed)
    """)
    result = project.runpytest_subprocess(
        "--a2perf", "-o", "asyncio_default_fixture_loop_scope=function"
    )
    result.assert_outcomes(passed=4)
    assert [record.reported["tokens"].value for record in records()] == [12, 13]


@pytest.mark.slow
@pytest.mark.usefixtures("all_plugins")
def test_statistics_of_pytest_benchmark_enter_the_record(project, records, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # it turns pytest-benchmark off
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=1, gates={"benchmark.median": "<= 1 s"})
        def test_sum(benchmark):
            benchmark.pedantic(sum, args=(range(1000),), rounds=5)
    """)
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=2)
    (record,) = records()
    assert record.benchmark["rounds"] == 5
    assert 0 < record.benchmark["min"] <= record.benchmark["median"]


@pytest.mark.slow
def test_outcomes_of_test_functions(project, records):
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=1)
        def test_assertion(trial):
            assert False, "not good enough"
        @pytest.mark.a2perf(seeds=1)
        def test_crash(trial):
            raise ValueError("bug")
        @pytest.mark.a2perf(seeds=1)
        def test_skip(trial):
            pytest.skip("not today")
        @pytest.mark.a2perf(seeds=1, timeout="0.3 s")
        def test_hang(trial):
            while True: pass
        @pytest.fixture
        def broken():
            raise OSError("no room")
        @pytest.mark.a2perf(seeds=1)
        def test_setup(trial, broken):
            pass
    """)
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(failed=3, skipped=1, errors=1)
    found = {record.nodeid.partition("::")[2]: record.outcome for record in records()}
    assert found == {
        "test_assertion[0]": "failure",
        "test_crash[0]": "error",
        "test_skip[0]": "not_run",
        "test_hang[0]": "timeout",
        "test_setup[0]": "error",
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sedes=3", "*a2perf(sedes=...): unknown key 'sedes'; did you mean 'seeds'?*"),
        ("3", "*marker a2perf takes keyword arguments only*"),
        ("gates={'return.men': '>= 3'}", "*a2perf(gates.return.men=...): *did you mean*"),
        ("gates={'return.mean': '3'}", "*expected a condition like*"),
    ],
)
def test_a_wrong_marker_is_a_collection_error(project, arguments, message):
    project.makepyfile(f"""
        import pytest
        @pytest.mark.a2perf({arguments})
        def test_x(trial): pass
    """)
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


@pytest.mark.slow
def test_classes_and_methods(project, records):
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=2, gates={"length.mean": ">= 1"})
        class TestAgent:
            def test_one(self, rollout):
                rollout("CartPole-v1", agent="random")
    """)
    result = project.runpytest_subprocess("--a2perf", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*::TestAgent::test_one::length.mean PASSED*"])


@pytest.mark.slow
def test_a_training_curve_feeds_reliability(project):
    project.makepyfile("""
        import pytest
        @pytest.mark.a2perf(seeds=4, phase="inference", gates={
            "reliability.dispersion_across_runs": "<= 100",
            "reliability.long_term_risk": "<= 100",
        })
        def test_learning(trial, reliability):
            steps = range(0, 1000, 10)
            noise = trial.rng.normal(size=100)
            reliability.curve(steps, [step / 10 + n for step, n in zip(steps, noise)])
    """)
    project.runpytest_subprocess("--a2perf").assert_outcomes(passed=6)
