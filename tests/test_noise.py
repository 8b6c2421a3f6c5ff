"""The noise guard: calibration, tainted trials, and what is done with them."""

from __future__ import annotations

import pytest

from pytest_a2perf.quantities import Quantity
from pytest_a2perf.runs.merge import merge
from pytest_a2perf.runs.record import Record
from pytest_a2perf.trials import noise

SLOWER = """
    from pytest_a2perf.trials import noise
    times = iter([0.001] * 2 + [{factor} * 0.001] * 1000)
    noise.calibrate = lambda: next(times)
"""
TWO = """
    import pytest

    @pytest.mark.a2perf(seeds=2)
    def test_first(trial):
        trial.episode(1.0, 1)

    @pytest.mark.a2perf(seeds=3, gates={"return.mean": ">= 1"})
    def test_second(trial):
        trial.episode(1.0, 1)
"""


@pytest.fixture
def drifting(project):
    """A project on a machine that is slower from the second scenario on."""

    def make(factor):
        project.makeconftest(SLOWER.format(factor=factor))
        project.makepyfile(test_it=TWO)
        return project

    return make


def test_calibration_takes_a_moment_and_repeats_itself():
    first, second = noise.calibrate(), noise.calibrate()
    assert 1e-5 < first < 0.5
    assert second < 20 * first


@pytest.mark.slow
def test_a_quiet_machine_taints_nothing(drifting, records):
    result = drifting(1.05).runpytest_subprocess("--a2perf")
    result.assert_outcomes(passed=6)
    assert [record.context["drift"] for record in records()] == [0, 0, 0.05, 0.05, 0.05]
    assert not any(noise.is_tainted(record) for record in records())


@pytest.mark.slow
def test_trials_after_a_drift_are_marked_and_counted(drifting, records):
    result = drifting(1.3).runpytest_subprocess("--a2perf")
    result.assert_outcomes(passed=6)
    assert [noise.is_tainted(record) for record in records()] == [False] * 2 + [True] * 3
    result.stdout.fnmatch_lines(
        ["*3 tainted trials are counted: machine 30% slower than at the start*", "*+30% from where it started*"]
    )  # fmt: skip


@pytest.mark.slow
def test_tainted_trials_can_be_left_out(drifting, records):
    result = drifting(1.3).runpytest_subprocess("--a2perf", "--a2perf-tainted=drop")
    result.assert_outcomes(passed=5, failed=1)  # the gate has no trials left
    assert len(records()) == 5  # but nothing recorded is lost
    result.stdout.fnmatch_lines(["*3 tainted trials are left out*"])


@pytest.mark.slow
def test_tainted_trials_can_be_repeated(project, records):
    project.makeconftest("""
        from pytest_a2perf.quantities import Quantity
        from pytest_a2perf.meters.time import TimeMeter

        stop = TimeMeter.stop
        calls = []

        def stop_throttled(self):
            calls.append(1)
            throttled = Quantity(0.5 if len(calls) < 3 else 0.0, "", "nvml-samples")
            return {**stop(self), "gpu.throttled": throttled}

        TimeMeter.stop = stop_throttled
    """)
    project.makepyfile("""
        import pytest

        @pytest.mark.a2perf(seeds=2, gates={"return.mean": "== 1"})
        def test_it(trial):
            trial.episode(1.0, 1)
    """)
    result = project.runpytest_subprocess("--a2perf", "--a2perf-tainted=repeat")
    result.assert_outcomes(passed=3)
    assert [(r.seed, r.attempt, noise.is_tainted(r)) for r in records()] == [
        (0, 1, True),
        (0, 2, True),
        (0, 3, False),
        (1, 1, False),
    ]
    (folder,) = (project.path / ".a2perf" / "runs").iterdir()
    merged = merge([folder])
    assert [(r.seed, r.attempt) for r in merged.records] == [(0, 3), (1, 1)]


@pytest.mark.slow
def test_calibration_can_be_switched_off(drifting, records):
    drifting(2).runpytest_subprocess("--a2perf", "--a2perf-drift=0").assert_outcomes(passed=6)
    assert not any("drift" in record.context for record in records())


def test_throttling_and_sharing_taint():
    guard = noise.NoiseGuard(0.0, "GPU shared by 2 workers")
    record = Record("s", "n", 0, device="NVIDIA L4")
    record.quantities["gpu.throttled"] = Quantity(0.25, "", "nvml-samples")
    guard.mark(record)
    assert record.context["tainted"] == [
        "GPU shared by 2 workers",
        "GPU throttled in 25% of samples",
    ]
    on_cpu = Record("s", "n", 0)
    guard.mark(on_cpu)
    assert not noise.is_tainted(on_cpu)


@pytest.mark.parametrize("option", ["--a2perf-tainted=burn", "--a2perf-drift=much"])
def test_bad_values_are_usage_errors(project, option):
    result = project.runpytest_subprocess("--a2perf", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
