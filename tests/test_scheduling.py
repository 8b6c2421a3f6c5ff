"""Workers, GPUs and crashes under the real pytest-xdist."""

from __future__ import annotations

import json
import os

import pytest
from nvml_library import H100, L4, build, describe

from pytest_a2perf.scheduling.leases import Lease, leases, visible_gpus

TELL = """
    import json, os, pathlib

    VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")

    def tell(when):
        line = [os.environ.get("PYTEST_XDIST_WORKER"), when, *map(os.environ.get, VARIABLES)]
        with open(pathlib.Path(__file__).parent / "told.jsonl", "a") as file:
            file.write(json.dumps(line) + "\\n")
"""


@pytest.fixture
def gpus(project, tmp_path_factory, monkeypatch):
    """Pretend that this machine has the given GPUs; return what workers told afterwards."""
    library = build(tmp_path_factory.mktemp("nvml"))

    def pretend(*devices):
        path = project.path / "gpus.txt"
        path.write_text(describe(*devices))
        monkeypatch.setenv("LD_LIBRARY_PATH", str(library.parent))
        monkeypatch.setenv("NVML_STAND_IN", str(path))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of who runs this test

    project.makepyfile(telling=TELL)
    project.makeconftest("""
        from telling import tell
        if "PYTEST_XDIST_WORKER" in __import__("os").environ:
            tell("conftest")
    """)
    return pretend


@pytest.fixture
def told(project):
    """What each worker told: worker -> set of its (CUDA, HIP) values at import of conftest."""

    def read():
        lines = (project.path / "told.jsonl").read_text().splitlines()
        return {worker: (cuda, hip) for worker, _, cuda, hip in map(json.loads, lines)}

    return read


SPREAD = """
    [[scenario]]
    name = "spread"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 6
    target = "{target}"
"""


@pytest.mark.slow
def test_each_worker_sees_one_gpu_before_conftest_is_imported(project, write, gpus, told, records):
    gpus(H100, L4)
    write(SPREAD.format(target="cuda"))
    result = project.runpytest_subprocess("--a2perf", "-n", "gpu")
    result.assert_outcomes(passed=6)
    assert told() == {"gw0": (H100["uuid"], None), "gw1": (L4["uuid"], None)}
    assert {record.device for record in records()} == {H100["name"], L4["name"]}
    assert {record.context["lease"] for record in records()} == {
        f"CUDA_VISIBLE_DEVICES={device['uuid']}" for device in (H100, L4)
    }


@pytest.mark.slow
def test_a_replaced_worker_keeps_the_gpu_of_the_dead_one(project, gpus, told):
    gpus(H100, L4)
    project.makepyfile("""
        import os, pytest

        @pytest.mark.a2perf(seeds=8, target="L4")
        def test_dies(trial):
            if trial.seed == 3:
                os.abort()
    """)
    result = project.runpytest_subprocess("--a2perf", "-n", "gpu", "-p", "no:faulthandler")
    result.assert_outcomes(passed=7, failed=1)
    devices = told()
    assert len(devices) == 3
    assert devices["gw2"] == devices["gw1"] == (L4["uuid"], None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("visible", "expected"),
    [("1", ["1"]), (f"{L4['uuid']},0", [L4["uuid"], "0"]), ("1,7,0", ["1"])],
)
def test_the_callers_choice_is_respected(project, gpus, told, monkeypatch, visible, expected):
    gpus(H100, L4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    project.makepyfile("def test_a(): pass\ndef test_b(): pass")
    project.runpytest_subprocess("--a2perf", "-n", "gpu").assert_outcomes(passed=2)
    assert [cuda for _, (cuda, _) in sorted(told().items())] == expected


@pytest.mark.slow
def test_several_workers_share_a_gpu_and_those_beyond_see_none(project, gpus, told):
    gpus(H100)
    project.makepyfile(
        "import pytest\n@pytest.mark.parametrize('i', range(9))\ndef test_a(i): pass"
    )
    result = project.runpytest_subprocess("--a2perf", "-n", "3", "--a2perf-workers-per-gpu", "2")
    result.assert_outcomes(passed=9)
    assert [cuda for _, (cuda, _) in sorted(told().items())] == [H100["uuid"], H100["uuid"], ""]


@pytest.mark.slow
def test_gpu_trials_go_to_the_worker_that_has_the_gpu(project, write, gpus, records):
    gpus(L4)
    write(SPREAD.format(target="L4") + SPREAD.format(target="cpu").replace('"spread"', '"other"'))
    project.runpytest_subprocess("--a2perf", "-n", "2").assert_outcomes(passed=12)
    assert {r.worker for r in records() if r.scenario.endswith("spread")} == {"gw0"}


@pytest.mark.slow
def test_the_users_own_environment_for_a_worker_wins(project, gpus, told):
    gpus(H100, L4)
    project.makepyfile("def test_a(): pass")
    project.runpytest_subprocess(
        "--a2perf", "--dist", "load", "--tx", "popen//env:CUDA_VISIBLE_DEVICES=1"
    ).assert_outcomes(passed=1)
    assert told() == {"gw0": ("1", None)}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["-n", "gpu"], "*-n gpu: no GPU is visible here*"),
        (["-n", "2", "--a2perf-workers-per-gpu", "none"], "*expected a number of workers, got 'none'*"),
    ],
)  # fmt: skip
def test_bad_requests_end_at_once(project, option, message):
    project.makepyfile("def test_a(): pass")
    result = project.runpytest_subprocess("--a2perf", *option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_gpu_workers_need_the_plugin(project):
    project.makepyfile("def test_a(): pass")
    result = project.runpytest_subprocess("-n", "gpu")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*-n gpu needs --a2perf*"])


@pytest.mark.slow
def test_a_required_target_that_is_missing_fails(project, write, records):
    write(SPREAD.format(target="cuda, 40 GB"))
    result = project.runpytest_subprocess("--a2perf", "--a2perf-require-target")
    result.assert_outcomes(errors=6)
    assert {record.outcome for record in records()} == {"infra"}


@pytest.mark.slow
def test_a_target_may_ask_for_memory(project, write, gpus):
    gpus({**L4, "memory_total": 24 * 10**9})
    write(SPREAD.format(target="cuda, 20 GB") + SPREAD.format(target="L4, 40 GB").replace('"spread"', '"other"'))  # fmt: skip
    result = project.runpytest_subprocess("--a2perf", "-rs")
    result.assert_outcomes(passed=6, skipped=6)
    result.stdout.fnmatch_lines(["*target 'L4, 40 GB' is not here: the largest device has 24 GB*"])


def test_a_target_that_is_no_amount_of_memory_is_an_error_of_its_line(project, write):
    write(SPREAD.format(target="cuda, much"))
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines(["*suite.toml:8: *expected a target such as*'cuda, much'*"])
    result.stdout.no_fnmatch_line("*expected at least one*")


# -- crashes ---------------------------------------------------------------------------------------

HANGS = """
    [[scenario]]
    name = "hangs"
    task = "CartPole-v1"
    agent = "agents:Stuck"
    timeout = "0.3 s"
    isolate = false

    [[scenario]]
    name = "fine"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 3
"""


@pytest.mark.slow
def test_a_trial_that_hangs_its_worker_is_ended_and_the_rest_goes_on(project, write, records):
    # The alarm must find the agent stuck, however long the trial took to get there.
    project.makeconftest(
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})"
    )
    write(HANGS)
    result = project.runpytest_subprocess("--a2perf", "-n", "2")
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1
    outcomes = {record.nodeid.rpartition("::")[2]: record for record in records()}
    assert outcomes["hangs[0]"].outcome == "timeout"
    assert "its worker was killed" in outcomes["hangs[0]"].error["message"]
    assert len(outcomes) == 4


@pytest.mark.slow
def test_a_record_that_is_lost_fails_the_run(project, write):
    write(SPREAD.format(target="cpu"))
    project.makeconftest("""
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_logreport(report):
            if report.nodeid.endswith("[3]"):
                vars(report).pop("a2perf_record", None)
    """)
    result = project.runpytest_subprocess("--a2perf", "-n", "2")
    result.assert_outcomes(passed=6)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 items left no result: *spread[[]3[]]*"])


@pytest.mark.slow
def test_exclusive_trials_do_not_overlap_with_anything(project, records):
    project.makepyfile("""
        import time, pytest

        @pytest.mark.a2perf(seeds=4)
        def test_busy(trial):
            trial.note(begin=time.monotonic()); time.sleep(0.1); trial.note(end=time.monotonic())

        @pytest.mark.a2perf(seeds=3, exclusive=True)
        def test_quiet(trial):
            trial.note(begin=time.monotonic()); time.sleep(0.1); trial.note(end=time.monotonic())
    """)
    project.runpytest_subprocess("--a2perf", "-n", "3").assert_outcomes(passed=7)
    spans = [(r.context["begin"], r.context["end"], "quiet" in r.nodeid) for r in records()]
    for begin, end, quiet in spans:
        others = [span for span in spans if span[0] != begin]
        assert not quiet or all(other[1] <= begin or end <= other[0] for other in others)


@pytest.mark.slow
def test_durations_are_remembered_for_the_next_run(project, write):
    write(SPREAD.format(target="cpu"))
    result = project.runpytest_subprocess("--a2perf")
    result.assert_outcomes(passed=6)
    means = json.loads((project.path / ".a2perf" / "durations.json").read_text())
    assert list(means) == ["scenarios/suite.toml::spread"]
    assert 0 < 6 * means["scenarios/suite.toml::spread"] < result.duration


# -- the parts -------------------------------------------------------------------------------------


def test_leases_go_round_and_the_rest_get_none():
    two = [Lease("V", "0"), Lease("V", "1")]
    assert leases(2, 1, two) == two
    assert leases(4, 2, two) == [*two, *two]
    assert leases(1, 1, two) == two[:1]
    assert leases(3, 1, two) == [*two, Lease("V", "")]
    assert leases(2, 1, []) == [None, None]


def test_amd_devices_are_counted_in_the_kernels_topology(tmp_path):
    for node, simd in enumerate((0, 304, 304)):
        (tmp_path / str(node)).mkdir()
        (tmp_path / str(node) / "properties").write_text(f"cpu_cores_count 0\nsimd_count {simd}\n")
    assert visible_gpus({}, tmp_path) == [Lease("HIP_VISIBLE_DEVICES", str(i)) for i in range(2)]
    assert visible_gpus({"HIP_VISIBLE_DEVICES": "1"}, tmp_path) == [
        Lease("HIP_VISIBLE_DEVICES", "1")
    ]
    assert visible_gpus({"ROCR_VISIBLE_DEVICES": "1"}, tmp_path) == [
        Lease("HIP_VISIBLE_DEVICES", "0")
    ]


@pytest.mark.skipif("CUDA_VISIBLE_DEVICES" in os.environ, reason="GPUs are hidden or chosen")
def test_a_machine_without_gpus_has_no_leases(tmp_path):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == []
