"""A level of load: its requests, its processes, and what it says of itself."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from serving_loads import ENDLESS, RULES, alive, level, plan

from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.replay.level import ClientCheck
from pytest_a2perf.domains.serving.replay.options import LoadOptions
from pytest_a2perf.domains.serving.replay.processes import LoadError
from pytest_a2perf.domains.serving.replay.rows import Rows
from pytest_a2perf.domains.serving.replay.run import _Run, run_level
from pytest_a2perf.domains.serving.server.launch import reference_server
from pytest_a2perf.domains.serving.system.power import PowerReading
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.domains.serving.trajectories.store import write_sessions
from pytest_a2perf.errors import InfraError, TrialTimeout
from pytest_a2perf.trials.deadline import deadline


@pytest.fixture
def ends(monkeypatch):
    """Let the trial's time end so many seconds after its processes got ready."""

    def set_end(seconds, spare=3.0):
        begin = _Run.start

        def start(run):
            begin(run)
            run._deadline = time.monotonic() + seconds

        monkeypatch.setattr(_Run, "start", start)
        monkeypatch.setattr("pytest_a2perf.domains.serving.replay.run._SPARE", spare)

    return set_end


def written(folder):
    """All rows of a level, those outside of its window as well."""
    lines = [
        json.loads(line)
        for file in folder.glob("rows-*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    return Rows.of([entry for entry in lines if isinstance(entry, list)])


def until_gone(folder):
    """Wait for processes that were killed: the kernel may take its time."""
    for _ in range(1200):
        if not alive(folder):
            return
        time.sleep(0.05)
    raise AssertionError(alive(folder))


# -- whole levels


@pytest.mark.parametrize("processes", [1, 3])
def test_a_level_has_the_requests_that_were_due_in_its_window(tmp_path, processes):
    got = level(tmp_path, processes=processes)
    assert got.lacks == ""
    assert got.seconds >= RULES.steady
    assert len(got.rows) >= RULES.requests
    assert got.rows["due"].min() >= got.begin
    assert got.rows["due"].max() < got.end
    assert set(got.rows["agent"]) == {0, 1, 2, 3}
    assert got.client.processes == processes
    assert got.gaps.count == 100 * processes
    assert alive(tmp_path) == []
    rows = written(tmp_path)
    inside = (rows["due"] >= got.begin) & (rows["due"] < got.end)
    assert np.count_nonzero(inside) == len(got.rows)
    ended = (rows["ended"] >= got.begin) & (rows["ended"] < got.end)
    assert np.count_nonzero(ended & (rows["last_turn"] == 1)) == got.sessions > 0


@pytest.mark.slow
def test_requests_that_are_slow_count_though_they_end_after_the_window(tmp_path):
    got = level(tmp_path, load=plan(slow=8, slow_time=1.0))
    late = got.rows["ended"] > got.end
    assert late.any()
    assert got.rows["ended"].max() - got.rows["due"].max() < 5.0


def test_an_agent_that_never_begins_leaves_the_window_empty(tmp_path):
    got = level(tmp_path, replace(RULES, longest=0.5), plan(silent=1))
    assert len(got.rows) == got.sessions == 0
    assert got.lacks == "only 3 of 4 agents became active"
    json.dumps(got.to_json(), allow_nan=False)


@pytest.mark.slow
def test_a_level_that_lacks_sessions_ends_and_says_so(tmp_path):
    rules = replace(RULES, sessions=5, per_agent=100.0, longest=0.8)
    got = level(tmp_path, rules)
    assert got.lacks == f"{got.sessions} of 400 sessions"
    assert got.seconds >= 0.8


@pytest.mark.slow
def test_the_trials_time_ends_a_level(tmp_path, ends):
    ends(32.0, spare=30.0)
    got = level(tmp_path, ENDLESS)
    assert got.lacks.startswith("the trial's time was up: ")
    assert "cut off" not in got.lacks
    assert len(got.rows)


@pytest.mark.slow
def test_what_is_under_way_when_the_trials_time_ends_is_told(tmp_path, ends):
    ends(3.5)
    got = level(tmp_path, ENDLESS, plan(slow=3, slow_time=60.0))
    assert "4 requests under way were cut off at the end of the trial's time" in got.lacks
    assert alive(tmp_path) == []


@pytest.mark.slow
def test_a_hopeless_level_ends_early_and_never_passes(tmp_path):
    seen = []

    def hopeless(rows):
        seen.append(rows)
        return "all fail" if rows.failed.all() and len(rows) else ""

    got = level(tmp_path, ENDLESS, plan(fail="status"), hopeless=hopeless)
    assert got.lacks == "ended early: all fail"
    assert got.to_json()["failed"] == {"status": len(got.rows)}
    assert got.to_json()["ttft"]["p50"] is None
    assert all((rows["due"] >= got.begin).all() for rows in seen)


def test_an_endpoint_that_went_away_is_nobodys_fault(tmp_path):
    with pytest.raises(LoadError, match="the endpoint went away: broken") as caught:
        level(tmp_path, load=plan(fail="connect"))
    assert len(caught.value.rows)


def test_progress_is_told_stage_by_stage(tmp_path):
    told = []

    def seen(rows):
        steady = any(one.stage == "steady" and one.lacks and one.requests for one in told)
        return "it was told" if steady else ""

    got = level(tmp_path, ENDLESS, progress=told.append, hopeless=seen)
    assert got.lacks == "ended early: it was told"
    assert [told[0].stage, told[-1].stage] == ["starting", "draining"]


def test_power_and_engine_are_asked_for_the_window(tmp_path):
    asked = []

    class Source:
        def over(self, begin, end):
            asked.append((begin, end))
            return self.reading

    power, engine = Source(), Source()
    power.reading = PowerReading(
        math.nan, 5.0, "nvml", "measured", "accelerator board", tainted=("throttled",)
    )
    engine.reading = {"kv_usage_max": 0.5}
    got = level(tmp_path, power=power, engine=engine)
    assert asked == [(got.begin, got.end)] * 2
    assert "throttled" in got.tainted
    record = json.loads(json.dumps(got.to_json(), allow_nan=False))
    assert record["engine"] == {"kv_usage_max": 0.5}
    assert "watts" not in record["power"]
    assert record["power"]["joules"] == 5.0


@pytest.mark.slow
def test_a_folder_that_was_used_before_does_not_mix_levels(tmp_path):
    first, second = level(tmp_path), level(tmp_path)
    assert second.rows["due"].min() > first.rows["ended"].max()


def test_a_record_of_a_level_is_compact(tmp_path):
    record = level(tmp_path, load=plan(time=0.02, ttft=0.005, tokens=11)).to_json()
    assert record["ttft"]["p95"] == pytest.approx(0.005, rel=1e-4)
    assert record["turn"]["p5"] == pytest.approx(0.02, rel=1e-4)
    assert record["output_speed"]["p25"] == pytest.approx(10 / 0.015, rel=1e-4)
    assert record["tokens"]["output"] == 11 * record["requests"]
    assert record["tokens"]["cache_hits"] == 0.9
    assert record["counted"] == {"server": record["requests"]}
    assert record["itl"]["mean"] == pytest.approx(0.001)
    assert (record["profile"], record["official"]) == ("test", False)
    assert len(json.dumps(record)) < 2000


def test_a_busy_machine_taints_a_level_but_is_no_limit(tmp_path):
    got = level(tmp_path, check=ClientCheck(idle=1.1))
    assert got.client.limited == ""
    assert any("machine that makes load was idle for only" in text for text in got.tainted)


def test_tokens_that_nobody_counted_taint_a_level(tmp_path):
    got = level(tmp_path, load=plan(counted="chunks"))
    assert any(f"{len(got.rows)} of {len(got.rows)} replies" in text for text in got.tainted)


# -- processes that break


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("kill", "load process 1 was killed by SIGKILL, perhaps by the kernel for want of memory"),
        ("leave", "load process 1 ended with status 3 before it was done; rows-1.log ends with:\nout of ideas"),
        ("garbage", r"load process 1 sent what is no event: b'Segmentation fault'"),
        ("error", "load process 1 cannot go on: no tokenizer at nowhere/tokenizer.json"),
        ("rubbish", ": not a row of a load process: 3 columns instead of 24"),
    ],
)  # fmt: skip
def test_a_process_that_breaks_is_told_and_its_rows_are_kept(tmp_path, then, words):
    load = plan(after=10, then=then)
    with pytest.raises(LoadError) as caught:
        level(tmp_path, ENDLESS, load, processes=2)
    assert words in str(caught.value)
    assert isinstance(caught.value, InfraError)
    assert len(caught.value.rows) >= 10
    assert alive(tmp_path) == []


@pytest.mark.slow
def test_a_process_that_never_gets_ready_ends_with_the_trials_time(tmp_path):
    load = plan(first="hang")
    with pytest.raises(InfraError, match="load processes 0, 1 were not ready in time"):
        level(tmp_path, load=load, processes=2, deadline=time.monotonic() + 1)
    assert alive(tmp_path) == []


@pytest.mark.slow
def test_a_process_that_does_not_stop_is_ended(tmp_path, ends):
    ends(2.0, spare=1.0)
    got = level(tmp_path, load=plan(deaf=1))
    assert "were cut off" in got.lacks
    assert alive(tmp_path) == []


@pytest.mark.slow
def test_no_process_outlives_a_trial_whose_time_is_up(tmp_path):
    with pytest.raises(TrialTimeout), deadline(1.5, 1.5):
        level(tmp_path, ENDLESS, processes=2)
    until_gone(tmp_path)


def test_a_wait_that_is_cut_short_leaves_no_process(tmp_path, monkeypatch):
    wait = subprocess.Popen.wait
    cut = []

    def once(process, timeout=None):
        if not cut:
            cut.append(process)
            raise TrialTimeout("again")
        return wait(process, timeout)

    def end(progress):
        if progress.stage == "steady":
            monkeypatch.setattr(subprocess.Popen, "wait", once)
            raise TrialTimeout("first")

    with pytest.raises(TrialTimeout, match="again"):
        level(tmp_path, ENDLESS, processes=3, progress=end)
    until_gone(tmp_path)
    wait(cut[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_no_process_outlives_the_one_that_started_it(tmp_path, number):
    code = f"""if True:
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        import serving_loads as t
        from pathlib import Path
        t.level(Path({str(tmp_path)!r}), t.ENDLESS, progress=lambda p: print(p.stage, flush=True))
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as trial:  # fmt: skip
        killer = threading.Timer(120, trial.kill)
        killer.start()
        assert any("steady" in line for line in trial.stdout)
        assert alive(tmp_path)
        trial.send_signal(number)
        trial.wait()
        killer.cancel()
    until_gone(tmp_path)


# -- with the real load process


def workload(folder, turns=3):
    texts = [{"role": "system", "content": "You write code."}]
    texts += [{"role": "user", "content": f"Step {number}."} for number in range(turns)]
    steps = tuple(
        Turn(tuple(range(number + 2)), output_tokens=8, tool_delay=0.01) for number in range(turns)
    )
    path = folder / "sessions.jsonl"
    write_sessions(path, [Session(f"s{number}", tuple(texts), steps) for number in range(5)])
    return str(path)


def real(folder, url, rules=RULES, agents=4, **more):
    load = LoadOptions(output="exact", stall="30 s", longest="60 s")
    made = load.plan(Endpoint(url, "reference"), workload(folder), agents=agents, seed=7)
    return run_level(made, rules, folder=folder, **more)


@pytest.mark.slow
def test_a_real_level_agrees_with_what_the_server_says(tmp_path):
    with reference_server(ttft=0.03, itl=0.002, cache=100_000) as server:
        got = real(tmp_path, server.url, processes=2)
        truth = server.requests()
    assert got.lacks == ""
    assert not got.rows.failed.any()
    assert got.rows.ttft.min() >= 0.03
    assert set(got.rows["output_tokens"]) == {8.0}
    # A process that was held up may have none in the window.
    assert set(written(tmp_path)["agent"]) == {0.0, 1.0, 2.0, 3.0}
    assert got.client.cpu_per_chunk > 0
    assert got.client.lag_max > 0
    assert got.gaps.count > 0
    assert len(truth) >= len(got.rows)
    record = json.loads(json.dumps(got.to_json(), allow_nan=False))
    assert record["counted"] == {"server": len(got.rows)}
    assert record["finish"] == {"length": len(got.rows)}


@pytest.mark.slow
def test_an_open_loop_counts_the_sessions_that_it_refused(tmp_path):
    load = replace(
        LoadOptions(output="exact").plan(Endpoint("", "reference"), workload(tmp_path), seed=7),
        agents=2, rate=40.0,
    )  # fmt: skip
    with reference_server(ttft=0.2, itl=0.001) as server:
        load = replace(load, endpoint=Endpoint(server.url, "reference"))
        got = run_level(load, RULES, folder=tmp_path)
    assert got.lacks == ""
    assert got.rate == 40.0
    assert got.refused > 0


@pytest.mark.slow
def test_a_server_that_dies_leaves_failures_and_no_process(tmp_path):
    with reference_server(ttft=0.02, itl=0.002) as server:

        def die(progress):
            if progress.stage == "steady":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(server.pid, signal.SIGKILL)

        def hopeless(rows):
            return "it died" if rows.failed.any() else ""

        try:
            got = real(tmp_path, server.url, ENDLESS, progress=die, hopeless=hopeless)
        except LoadError as error:
            assert "the endpoint went away" in str(error)  # noqa: PT017 - either may happen
        else:
            assert got.rows.failed.any()
    assert alive(tmp_path) == []


@pytest.mark.slow
def test_a_real_process_that_is_killed_is_told_and_its_rows_are_kept(tmp_path):
    killed = []

    def kill(progress):
        if progress.requests >= 10 and not killed:
            killed.append(alive(tmp_path)[0])
            os.kill(killed[0], signal.SIGKILL)

    with reference_server(ttft=0.02, itl=0.002) as server:
        with pytest.raises(LoadError, match="was killed by SIGKILL") as caught:
            real(tmp_path, server.url, ENDLESS, processes=2, progress=kill)
        assert len(caught.value.rows) > 0
    assert alive(tmp_path) == []
