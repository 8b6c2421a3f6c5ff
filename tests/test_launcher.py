"""Workers that a command starts, on this machine or through a real sshd."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_a2perf.scheduling.launcher import LaunchSettings

SUITE = """
    [[scenario]]
    name = "spread"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 6
    [scenario.gates]
    "return.mean" = ">= 100"
"""


def launch(project, command, *arguments):
    return project.runpytest_subprocess("--a2perf", "-n", "2", f"--a2perf-launcher={command}", "--a2perf-launch-timeout=5 min", *arguments)  # fmt: skip


@pytest.mark.slow
def test_workers_run_behind_any_command(project, write, records):
    write(SUITE)
    result = launch(project, sys.executable)
    result.assert_outcomes(passed=7)
    assert {record.worker for record in records()} == {"gw0", "gw1"}


@pytest.mark.slow
def test_what_a_command_prints_first_does_no_harm(project, write):
    write(SUITE)
    greeting = project.path / "greeting.sh"
    greeting.write_text(f'#!/bin/sh\necho "Loading modules"\nexec {sys.executable} "$@"\n')
    greeting.chmod(0o755)
    launch(project, greeting).assert_outcomes(passed=7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "messages"),
    [
        ("no-such-command --flag", ["*'no-such-command --flag': it cannot be started: *No such file*"]),
        ("echo garbage", ["*it ended without a worker: it exited with status 0*", "*garbage -u -m*"]),
        ("sh -c 'echo no account >&2; exit 3'", ["*it exited with status 3*", "*no account*"]),
        ("sh -c 'echo queued; sleep 60'", ["*no worker was ready within * s*", "*queued*"]),
        ("sh 'unbalanced", ["*it cannot be started: No closing quotation*"]),
    ],
)  # fmt: skip
def test_a_command_that_starts_no_worker_is_a_clear_error(project, write, command, messages):
    write(SUITE)
    sleep = f"sleep 60.{os.getpid()}"  # not that of the other worker, which may be here as well
    timeout = ["--a2perf-launch-timeout=3 s"] if "queued" in command else []
    result = launch(project, command.replace("sleep 60", sleep), *timeout)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --a2perf-launcher *", *messages[1:]])
    result.stderr.fnmatch_lines(messages[:1])
    until(lambda: not running(sleep))


def test_a_command_ends_though_its_failure_can_no_longer_be_told(tmp_path):
    sleep = f"sleep 61.{os.getpid()}"
    told = tmp_path / "gone" / "failure.txt"
    LaunchSettings(f"sh -c '{sleep}'", "", "", str(told), timeout=0.5).write(
        tmp_path / "settings.json"
    )
    command = [sys.executable, "-m", "pytest_a2perf.scheduling.launcher", "settings.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    until(lambda: not running(sleep))


def wrapper(project):
    """Write a command that can be told from others in the list of processes."""
    path = project.path / "python-of-this-test.sh"
    path.write_text(f'#!/bin/sh\n{sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_command_ends(project, write, records):
    write(SUITE.replace("Right", "Dies").replace("seeds = 6", "seeds = 2"))
    mark = wrapper(project)
    result = launch(project, mark, "-p", "no:faulthandler")
    assert [record.outcome for record in records()] == ["error", "error"]
    assert result.ret == 1
    until(lambda: not running(str(mark)))


@pytest.mark.slow
def test_ctrl_c_ends_the_commands(project, write):
    project.makepyfile(
        slow="import time\nclass Slow:\n    def act(self, observation):\n        time.sleep(60)\n"
    )
    write(SUITE.replace("agents:Right", "slow:Slow"))
    mark = wrapper(project)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--a2perf", "-n2", f"--a2perf-launcher={mark}"],
        cwd=project.path, start_new_session=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: running(str(mark)))
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) == 2
    until(lambda: not running(str(mark)))


def test_a_path_that_would_move_the_rootdir_is_refused(project, write):
    write(SUITE)
    result = project.runpytest_subprocess(
        "--a2perf", "-n", "2", "--a2perf-launcher", sys.executable
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*moves the rootdir*write --a2perf-launcher=*"])


@pytest.mark.slow
def test_an_environment_elsewhere_is_used_whole(
    project, write, records, tmp_path_factory, monkeypatch
):
    """As on another machine: another environment, another root for temporary files, no variables."""
    import venv

    import pytest_a2perf

    home = tmp_path_factory.mktemp("elsewhere")
    venv.create(home / "venv", symlinks=True)
    site = next((home / "venv" / "lib").glob("python*/site-packages"))
    own = Path(pytest.__file__).parent.parent
    (site / "all.pth").write_text(f"{own}\n{Path(pytest_a2perf.__file__).parent.parent}\n")
    command = project.path / "elsewhere.sh"
    command.write_text(
        f'#!/bin/sh\nexec env -i HOME={home} PATH="$PATH" TMPDIR={home} {home}/venv/bin/python "$@"\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k spread")
    project.makepyfile("def test_not_selected(): assert False")
    write(SUITE)
    launch(project, command).assert_outcomes(passed=7)


def test_launcher_and_cluster_exclude_each_other(project):
    result = project.runpytest_subprocess("--a2perf", "--a2perf-launcher=x", "--a2perf-cluster=ray")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*exclude each other*"])


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def running(text):
    """Return the processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if text in command and state != "Z" and "--a2perf-launcher=" not in command:
                found.append(command)
    return found


@pytest.fixture
def sshd(tmp_path):
    """Run an sshd of our own on a loopback port; return the command that reaches it."""
    server = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if server is None or shutil.which("ssh") is None:
        pytest.skip("no OpenSSH server")
    if os.geteuid() != 0:
        pytest.skip("sshd logs in other users only for root")
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/user.pub\nPidFile {tmp_path}/pid\nPermitRootLogin yes\n"
        "UsePAM no\n"
    )
    process = subprocess.Popen(
        [server, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 10).close()
            break
        except OSError:
            time.sleep(0.05)
    options = (
        "-oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oLogLevel=ERROR -oBatchMode=yes"
    )
    yield f"ssh -i {tmp_path}/user -p {port} {options} root@127.0.0.1"
    process.terminate()
    process.wait(60)


@pytest.mark.slow
def test_workers_run_behind_ssh(project, write, records, sshd):
    write(SUITE)
    result = launch(project, f"{sshd} {sys.executable}")
    result.assert_outcomes(passed=7)
    assert len(records()) == 6


@pytest.mark.slow
def test_a_host_that_refuses_is_a_clear_error(project, write, sshd):
    write(SUITE)
    result = launch(project, f"{sshd.replace('root@', 'nobody@')} {sys.executable}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*it exited with status 255*", "*Permission denied*"])
