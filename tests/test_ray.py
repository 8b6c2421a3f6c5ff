"""Workers in the actors of a real Ray cluster of two nodes on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import psutil
import pytest
from test_launcher import SUITE

pytestmark = pytest.mark.slow
pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    yield cluster
    cluster.shutdown()


@pytest.fixture
def second_node(cluster):
    """A node that a test may lose."""
    node = cluster.add_node(num_cpus=2, num_gpus=2)
    cluster.wait_for_nodes()
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


@pytest.fixture
def in_cluster(project, cluster, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def run(*arguments):
        return project.runpytest_subprocess("--a2perf", "--a2perf-cluster=ray", *arguments)

    return run


def test_workers_run_in_actors_on_the_shipped_working_tree(project, write, records, in_cluster, second_node):  # fmt: skip
    write(SUITE)
    project.makepyfile("""
        import os, pytest
        from pathlib import Path

        @pytest.mark.a2perf(seeds=4)
        def test_place(trial):
            trial.note(folder=str(Path.cwd()), gpus=os.environ.get("CUDA_VISIBLE_DEVICES"))
    """)
    result = in_cluster("-n", "2", "--a2perf-worker-gpus", "1")
    result.assert_outcomes(passed=11)
    places = [record.context for record in records() if "folder" in record.context]
    assert all("working_dir_files" in place["folder"] for place in places)
    assert {place["gpus"] for place in places} <= {"0", "1"}
    until(lambda: not actors(in_cluster))


def test_a_node_that_dies_is_survived(project, records, in_cluster, cluster, second_node):
    started = project.path / "started"
    started.mkdir()
    project.makepyfile(f"""
        import os, time, pytest
        from pathlib import Path

        @pytest.mark.a2perf(seeds=6)
        def test_waits(trial):
            started = Path({str(started)!r})
            (started / str(os.getpid())).touch()
            while not (started / "go on").exists():
                time.sleep(0.05)
    """)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--a2perf", "-n2", "--a2perf-cluster=ray"],
        cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    until(lambda: len(list(started.iterdir())) == 2)
    workers = [psutil.Process(int(file.name)) for file in started.iterdir()]
    cluster.remove_node(second_node, allow_graceful=False)
    until(lambda: not all(is_alive(worker) for worker in workers))
    cluster.add_node(num_cpus=2)
    (started / "go on").touch()
    output = process.communicate(timeout=300)[0]
    outcomes = [record.outcome for record in records()]
    assert sorted(record.seed for record in records()) == list(range(6)), output
    assert outcomes.count("error") in (1, 2)  # what ran on the dead node
    assert outcomes.count("success") == 6 - outcomes.count("error")
    assert process.returncode == 1
    assert "replacing crashed worker" in output


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def workers():
    """Find the workers below this process; another one's tests may launch some as well."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "pytest_a2perf.scheduling.prelude" in process.cmdline():
                found.append(process)
    return found


def is_alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # just now
        return False


def test_ctrl_c_leaves_no_actors(project, write, in_cluster, second_node):
    started = project.path / "started"
    project.makepyfile(f"""
        import time, pytest
        from pathlib import Path

        @pytest.mark.a2perf(seeds=40)
        def test_slow(trial):
            Path({str(started)!r}).touch()
            time.sleep(5)
    """)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--a2perf", "-n2", "--a2perf-cluster=ray"],
        cwd=project.path, start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: started.exists() and len(workers()) >= 2)
    ours = workers()
    os.killpg(process.pid, 2)
    assert process.wait(120) == 2
    until(lambda: not any(is_alive(worker) for worker in ours))
    until(lambda: not workers())
    until(lambda: not actors(in_cluster))


def test_a_request_that_nothing_can_meet_says_what_is_free(write, in_cluster):
    write(SUITE)
    result = in_cluster("-n", "1", "--a2perf-worker-gpus", "7", "--a2perf-launch-timeout", "8 s")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no node had 1 CPU and 7 GPU free within 8 s; free: CPU *"])


@pytest.mark.parametrize("address", ["ray://127.0.0.1:1", "ray://no-such-host.invalid:10001"])
def test_a_cluster_that_cannot_be_reached_is_a_clear_error(project, write, address):
    write(SUITE)
    result = project.runpytest_subprocess("--a2perf", "-n1", f"--a2perf-cluster={address}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--a2perf-cluster {address}: *cannot be reached*"])


def test_an_address_in_the_environment_is_checked_too(project, write, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    write(SUITE)
    result = project.runpytest_subprocess("--a2perf", "-n1", "--a2perf-cluster=ray")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--a2perf-cluster ray: 127.0.0.1:1 cannot be reached*"])


def test_something_else_than_ray_is_refused(project):
    result = project.runpytest_subprocess("--a2perf", "-n1", "--a2perf-cluster=dask://here")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*expected ray or ray://HOST:PORT, got 'dask://here'*"])


def actors(in_cluster):
    """Ask the cluster for actors that are alive."""
    code = (
        "import ray, logging\n"
        "ray.init(address='auto', logging_level=logging.ERROR, log_to_driver=False)\n"
        "from ray._private.state import actors\n"
        "print('ALIVE', sum(actor['State'] == 'ALIVE' for actor in actors().values()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.rpartition("ALIVE")[2])
