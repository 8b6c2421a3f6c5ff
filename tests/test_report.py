"""The report on the terminal, the JSON file, and live progress."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

SUITE = """
    [[scenario]]
    name = "a-scenario-with-quite-a-long-name"
    task = "CartPole-v1"
    agent = "agents:Right"
    seeds = 5
    episodes = 5
    [scenario.gates]
    "return.mean" = ">= 100"
    "return.cvar" = { min = 480, confidence = 0.95 }
    "energy.per_episode" = { max = "20 J", quality = "measured" }
"""


@pytest.mark.slow
def test_the_table_has_groups_intervals_units_and_sources(project, write):
    write(SUITE)
    result = project.runpytest_subprocess("--a2perf")
    result.stdout.fnmatch_lines(
        [
            "=* a2perf: 1 scenario, 5 trials =*",
            "scenarios/suite.toml::a-scenario-with-quite-a-long-name",
            "  5 trials on cpu: 5 success",
            "  application",
            "    return.mean *",
            "  system",
            "    latency.p95 * ?s",
            "    memory.peak *MB",
            "    energy* ?J*modelled",
            "  reliability",
            "  gates",
            "    PASS      return.mean >= 100 *got *",
            "    SKIP      energy.per_episode <= 20 J *",
            "              only modelled here (cpu-time-model*",
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_it_fits_eighty_columns_in_any_encoding(project, write, monkeypatch, encoding):
    write(SUITE)
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("COLUMNS", "80")
    result = project.runpytest_subprocess("--a2perf")
    assert result.ret in (0, 1)
    start = next(i for i, line in enumerate(result.outlines) if "a2perf: 1 scenario" in line)
    end = next(i for i, line in enumerate(result.outlines) if i > start and "=====" in line)
    report = result.outlines[start:end]
    assert max(len(line) for line in report) <= 80
    assert ("±" in "".join(report)) == (encoding == "utf-8")


@pytest.mark.slow
def test_quiet_runs_show_gates_only(project, write):
    write(SUITE)
    result = project.runpytest_subprocess("--a2perf", "-q")
    result.stdout.fnmatch_lines(["*PASS      return.mean*"])
    result.stdout.no_fnmatch_line("*latency.p95*")


@pytest.mark.slow
def test_the_json_file_holds_the_run(project, write):
    write(SUITE)
    project.runpytest_subprocess("--a2perf", "--a2perf-json", "out/run.json")
    data = json.loads((project.path / "out" / "run.json").read_text())
    assert data["schema"] == 1
    assert data["state"] == "complete"
    assert data["versions"]["pytest"] == pytest.__version__
    assert len(data["trials"]) == 5
    (scenario,) = data["scenarios"].values()
    assert scenario["outcomes"] == {"success": 5}
    assert scenario["gates"]["return.mean"]["verdict"] == "pass"
    assert scenario["metrics"]["latency.p95"]["unit"] == "s"


@pytest.mark.slow
def test_a_json_file_that_cannot_be_written_fails_the_run(project, write):
    write(SUITE)
    result = project.runpytest_subprocess("--a2perf", "--a2perf-json=/dev/full")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*--a2perf-json: /dev/full: No space left on device*"])


def run_on_a_terminal(path, *arguments):
    """Run pytest on a pseudo-terminal and return all that it wrote."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=path,
        stdin=child,
        stdout=child,
        stderr=child,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        close_fds=True,
    )
    os.close(child)
    written = b""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if select.select([parent], [], [], 0.2)[0]:
            try:
                chunk = os.read(parent, 65536)
            except OSError:
                break
            if not chunk:
                break
            written += chunk
        elif process.poll() is not None:
            break
    process.wait(timeout=60)
    os.close(parent)
    return written.decode()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["-n", "2"]])
@pytest.mark.parametrize("isolate", ["true", "false"])
def test_long_trials_show_progress_on_a_terminal(project, write, arguments, isolate):
    project.makepyfile(
        slow="""
        import time
        class Slow:
            def act(self, observation):
                time.sleep(0.02)
                return 0
        """
    )
    write(f"""
        [[scenario]]
        name = "long"
        task = "CartPole-v1"
        agent = "slow:Slow"
        episodes = 14
        isolate = {isolate}
    """)
    text = run_on_a_terminal(project.path, "--a2perf", *arguments)
    assert re.search(r"suite.toml::long\[0\] episode \d+/14, return", text)
    assert "1 passed" in text
    plain = project.runpytest_subprocess("--a2perf")
    assert "long[0] episode" not in plain.stdout.str()
