"""The load process: agents in order, rows, stopping, dying, and what goes wrong."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_servers import CLOSE, GOOD, HANG, ScriptedServer, chunked, event, whole

from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.replay.agent import length_of
from pytest_a2perf.domains.serving.replay.chance import (
    arrivals,
    first_turn,
    nonce_of,
    session_of_agent,
    session_of_arrival,
)
from pytest_a2perf.domains.serving.replay.counts import Counts
from pytest_a2perf.domains.serving.replay.plan import COLUMNS, Plan, Status
from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.domains.serving.trajectories.store import write_sessions
from pytest_a2perf.runs.histogram import Histogram

WORKER = (sys.executable, "-P", "-m", "pytest_a2perf.domains.serving.replay.worker")
WAIT = 60.0


def sessions(count=4, turns=3, pause=0.0, tokens=5):
    for number in range(count):
        messages = tuple({"role": "user", "content": f"{number}/{turn}"} for turn in range(turns))
        steps = (Turn(tuple(range(turn + 1)), tokens, pause) for turn in range(turns))
        yield Session(f"s{number}", messages, tuple(steps))


class Worker:
    """A load process, and what it has told so far."""

    def __init__(self, plan):
        self.plan = plan
        data = plan if isinstance(plan, bytes) else json.dumps(plan.to_json()).encode()
        self.process = subprocess.Popen(
            WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.events = []
        self._rest = b""
        self.write(data)

    def write(self, line):
        self.process.stdin.write(line + b"\n")

    def tell(self, **message):
        self.write(json.dumps(message).encode())

    def listen(self):
        """Take in what it tells; return whether there may be more."""
        assert select.select([self.process.stdout], [], [], WAIT)[0], "it says nothing"
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.events += map(json.loads, lines)
        return bool(data)

    def until(self, right):
        """Wait for an event; return it."""
        end = time.monotonic() + WAIT
        while not (found := [one for one in self.events if right(one)]):
            assert time.monotonic() < end
            assert self.listen(), (self.events[-3:], self.process.stderr.read())
        return found[0]

    def start(self):
        self.until(lambda one: one["event"] == "ready")
        self.at = time.monotonic() + 0.05
        self.tell(do="start", at=self.at)

    def stop(self):
        self.tell(do="stop")
        self.until(lambda one: one["event"] == "done")
        assert self.process.wait(WAIT) == 0

    def turns(self, count):
        """Wait until so many turns have ended."""
        self.until(lambda one: one["event"] == "status" and one["turns"] >= count)

    def written(self, right):
        """Wait until what stands in its rows is right."""
        self.until(lambda one: one is self.events[-1] and right(self.rows()))

    @property
    def statuses(self):
        return [one for one in self.events if one["event"] == "status"]

    def rows(self):
        with open(self.plan.rows) as file:  # it may be in the middle of a line
            lines = [json.loads(line) for line in file.read().split("\n")[:-1]]
        return [dict(zip(COLUMNS, row, strict=True)) for row in lines if isinstance(row, list)]

    def counts(self):
        with open(self.plan.rows) as file:
            last = json.loads(file.read().splitlines()[-1])
        return {name: Histogram.from_json(data) for name, data in last.items()}


@contextlib.contextmanager
def working(plan):
    worker = Worker(plan)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()
        for stream in (worker.process.stdin, worker.process.stdout, worker.process.stderr):
            stream.close()


@pytest.fixture
def plan(tmp_path):
    def make(server, workload=None, key_env="", api="chat", **more):
        path = tmp_path / "workload.jsonl"
        write_sessions(path, workload or sessions())
        url = server if isinstance(server, str) else server.url
        endpoint = Endpoint(url, "m", api=api, key_env=key_env)
        more = {"spread": False, "stall": 60.0, **more}
        return Plan(endpoint, str(path), str(tmp_path / "rows.jsonl"), **more)

    return make


@contextlib.contextmanager
def refusing():
    """Hold a port that nobody listens at, lest another process takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


def texts(request):
    """The session and turn that a request is for, its nonce, and what it sent before."""
    first, *others = (message["content"] for message in request.data["messages"])
    nonce, _, first = first.rpartition("\n")
    return nonce, [first, *others]


def test_agents_go_through_their_sessions_turn_by_turn(plan):
    with ScriptedServer(GOOD) as server, working(plan(server, agents=2)) as worker:
        worker.start()
        for agent in (0, 1):
            worker.written(
                lambda rows, agent=agent: [row["agent"] for row in rows].count(agent) >= 12
            )
        worker.stop()
    rows = worker.rows()
    assert len(rows) == len(server.requests) == worker.statuses[-1]["turns"]
    nonces = {}
    for agent in (0, 1):
        mine = [row for row in rows if row["agent"] == agent]
        assert [row["turn"] for row in mine] == [index % 3 for index in range(len(mine))]
        assert [row["run"] for row in mine] == [index // 3 for index in range(len(mine))]
        assert [row["last_turn"] for row in mine] == [int(row["turn"] == 2) for row in mine]
        for before, after in pairwise(mine):
            assert after["due"] == before["ended"]  # no pause was recorded
            assert after["sent"] >= after["due"]
        assert {row["session"] for row in mine[:12]} == {0, 1, 2, 3}
        assert [row["session"] for row in mine[::3]][:4] == [
            session_of_agent(0, 4, agent, run) for run in range(4)
        ]
        for row in mine:
            nonces[nonce_of(0, "", agent, row["run"])] = row["session"]
    for row in rows:
        assert (row["failure"], row["error"], row["status"], row["finish"]) == ("", "", 200, "stop")
        assert (row["output_tokens"], row["cached_tokens"], row["counted"]) == (3, 40, "server")
        assert row["due"] <= row["sent"] <= row["first"] <= row["last"] <= row["ended"]
        assert (row["wanted_tokens"], row["connecting"]) == (-1, 0)
    for request in server.requests:
        nonce, sent = texts(request)
        assert sent == [f"{nonces[nonce]}/{turn}" for turn in range(len(sent))]
        assert request.data["max_tokens"] == 16_384
    assert len({request.connection for request in server.requests}) == 2
    last = worker.statuses[-1]
    assert (last["active"], last["failed"], last["in_flight"]) == (2, 0, 0)
    assert last["sessions"] == sum(row["last_turn"] for row in rows)
    assert worker.at <= last["since"] <= last["at"]
    assert last["cpu"] > 0
    assert worker.counts()["gaps"].count <= 2 * len(rows)
    assert worker.counts()["lag"].count > 0


@pytest.mark.slow
def test_pauses_ramp_and_first_turns(plan):
    workload = list(sessions(turns=8, pause=0.3))
    load = plan(
        "",
        workload,
        agents=4,
        ramp=0.4,
        spread=True,
        pause_scale=2.0,
        longest_pause=0.25,
        output="recorded",
    )
    with ScriptedServer(GOOD) as server:
        load = Plan.from_json(load.to_json() | {"endpoint": {"url": server.url, "model": "m"}})
        with working(load) as worker:
            worker.start()
            worker.turns(12)
            worker.stop()
    for agent in range(4):
        mine = [row for row in worker.rows() if row["agent"] == agent]
        assert mine[0]["due"] == pytest.approx(worker.at + 0.1 * agent)
        assert mine[0]["turn"] == first_turn(0, agent, 8)
        assert 2 <= mine[0]["turn"] <= 6
        for before, after in pairwise(mine):
            assert after["due"] == pytest.approx(before["ended"] + 0.25)
            assert after["sent"] >= after["due"]
    assert {row["wanted_tokens"] for row in worker.rows()} == {5}
    assert {request.data["max_tokens"] for request in server.requests} == {5}
    assert not any("ignore_eos" in request.data for request in server.requests)


def test_shares_divide_the_agents(plan):
    with ScriptedServer(GOOD) as server:
        seen = []
        for share in (0, 1):
            with working(plan(server, agents=3, share=share, shares=2)) as worker:
                worker.start()
                worker.turns(4)
                worker.stop()
            seen.append({row["agent"] for row in worker.rows()})
            assert worker.statuses[-1]["active"] == len(seen[-1])
    assert seen == [{0, 2}, {1}]


def test_a_share_without_agents_is_done(plan):
    with working(plan("http://127.0.0.1:9/v1", agents=1, share=1, shares=2)) as worker:
        worker.start()
        worker.until(lambda one: one["event"] == "status" and one["since"] > 0)
        worker.stop()
    assert worker.rows() == []


def test_warm_up_is_not_counted(plan):
    load = {"agents": 2, "warmup": 3, "isolate_cache": False}
    with ScriptedServer(GOOD) as server, working(plan(server, **load)) as worker:
        worker.until(lambda one: one["event"] == "ready")
        assert len(server.requests) == 3
        worker.stop()
    assert worker.rows() == []
    assert {request.data["max_tokens"] for request in server.requests} == {16}
    assert all(request.data["messages"][0]["content"].endswith("/0") for request in server.requests)


SAME_FAILURES = {
    "status": whole({"error": "busy"}, 500),
    "refused": chunked([event({"error": "busy"}), event(b"[DONE]")]),
    "malformed": chunked([event(b"busy")]),
    "cut": [CLOSE],
}


@pytest.mark.slow
@pytest.mark.parametrize("failure", [*SAME_FAILURES, "connect"])
def test_after_failures_agents_wait_and_go_on(plan, failure):
    with ScriptedServer(SAME_FAILURES.get(failure, GOOD)) as server, refusing() as refused:
        url = refused if failure == "connect" else server.url
        with working(plan(url)) as worker:
            worker.start()
            worker.turns(2)
            worker.stop()
    first, second = worker.rows()[:2]
    assert (first["failure"], second["failure"]) == (failure, failure)
    assert (first["turn"], second["turn"]) == (0, 1)
    assert second["due"] == pytest.approx(first["ended"] + 1.0)
    assert worker.statuses[-1]["failed"] == len(worker.rows())


def test_a_stall_in_a_stream_is_given_up(plan):
    part = GOOD[: GOOD.index(b" three")]
    with ScriptedServer([part, HANG]) as server, working(plan(server, stall=0.4)) as worker:
        worker.start()
        # A slow server may be given up before it has begun.
        worker.written(lambda rows: rows and rows[-1]["chunks"])
        worker.stop()
    rows = worker.rows()
    assert {row["failure"] for row in rows} == {"stalled"}
    row = next(row for row in rows if row["chunks"])
    assert (row["chunks"], row["counted"]) == (2, "chunks")


@pytest.mark.slow
def test_stopping_waits_for_replies_under_way(plan):
    stopping = threading.Event()

    def slow(request):
        yield GOOD[:-60]
        stopping.wait(WAIT)
        yield GOOD[-60:]

    with ScriptedServer(slow) as server, working(plan(server, agents=2)) as worker:
        worker.start()
        worker.until(lambda one: one["event"] == "status" and one["in_flight"] == 2)
        worker.tell(do="stop")
        told = time.monotonic()
        # By its third status since then it has heard of it.
        worker.until(lambda one: [at["at"] > told for at in worker.statuses].count(True) >= 3)
        stopping.set()
        worker.until(lambda one: one["event"] == "done")
        assert worker.process.wait(WAIT) == 0
    assert len(worker.rows()) == len(server.requests) == 2
    assert {row["failure"] for row in worker.rows()} == {""}


def test_stopping_in_a_long_pause_is_quick(plan):
    workload = list(sessions(pause=500.0))
    load = {"longest_pause": 500.0}
    with ScriptedServer(GOOD) as server, working(plan(server, workload, **load)) as worker:
        worker.start()
        worker.turns(1)
        worker.stop()
    assert len(worker.rows()) == 1


def test_stopping_before_the_start(plan):
    with ScriptedServer(GOOD) as server, working(plan(server)) as worker:
        worker.until(lambda one: one["event"] == "ready")
        worker.stop()
    assert worker.rows() == []
    assert worker.counts()["gaps"].count == 0


@pytest.mark.parametrize("how", ["parent", "signal"])
def test_it_ends_at_once_and_keeps_its_rows(plan, how):
    script = [*[GOOD] * 3, [HANG]]
    with ScriptedServer(*script) as server, working(plan(server)) as worker:
        worker.start()
        worker.written(lambda rows: len(rows) == 3)
        if how == "parent":
            worker.process.stdin.close()
        else:
            worker.process.terminate()
        assert worker.process.wait(WAIT) == 1
    assert len(worker.rows()) == 3


@pytest.mark.slow
def test_an_open_loop_starts_sessions_by_the_clock(plan):
    with ScriptedServer(GOOD) as server, working(plan(server, agents=120, rate=20.0)) as worker:
        worker.start()
        worker.turns(30)
        worker.stop()
    rows = worker.rows()
    times = arrivals(0, 20.0)
    due = [worker.at + next(times) for _ in range(5000)]
    firsts = [row for row in rows if row["turn"] == 0]
    assert len(firsts) >= 10
    for row in firsts:
        assert row["due"] == pytest.approx(due[row["agent"]])
        assert row["session"] == session_of_arrival(0, 4, row["agent"])
        assert row["run"] == 0
    assert worker.statuses[-1]["refused"] == 0


@pytest.mark.slow
def test_an_open_loop_refuses_what_is_too_much(plan):
    load = plan
    with (
        ScriptedServer([HANG]) as server,
        working(load(server, agents=2, rate=50.0, stall=1.0)) as worker,
    ):
        worker.start()
        worker.until(lambda one: one["event"] == "status" and one["refused"] >= 5)
        worker.until(lambda one: one["event"] == "status" and one["in_flight"] == 2)
        worker.stop()
    assert max(one["in_flight"] for one in worker.statuses) == 2
    assert {row["failure"] for row in worker.rows()} == {"stalled"}


def test_keys_reach_the_server_and_nothing_else(plan, monkeypatch):
    monkeypatch.setenv("SERVING_ACCESS", "xyzzy-12345")
    error = whole({"error": "xyzzy-12345 is wrong"}, 401)
    with ScriptedServer(error) as server, working(plan(server, key_env="SERVING_ACCESS")) as worker:
        worker.start()
        worker.turns(1)
        worker.stop()
        told = worker.process.stderr.read()
    assert server.requests[0].headers["authorization"] == "Bearer xyzzy-12345"
    assert worker.rows()[0]["error"] == "HTTP 401: $SERVING_ACCESS is wrong"
    with open(worker.plan.rows, "rb") as file:
        assert b"xyzzy" not in file.read() + told + json.dumps(worker.events).encode()


def error_of(plan):
    with working(plan) as worker:
        message = worker.until(lambda one: one["event"] == "error")["message"]
        assert worker.process.wait(WAIT) == 1
    assert "\n" not in message
    return message


@pytest.mark.slow
def test_what_cannot_work_is_told(plan, tmp_path, monkeypatch):
    monkeypatch.delenv("SERVING_ACCESS", raising=False)
    assert "what is no plan" in error_of(b"{}")
    assert "what is no plan" in error_of(b"hello")
    assert "write it like http://" in error_of(plan("nonsense"))
    assert "SERVING_ACCESS" in error_of(plan("http://h/v1", key_env="SERVING_ACCESS"))
    broken = plan("http://127.0.0.1:9/v1")
    (tmp_path / "workload.jsonl").write_text('{"schema": 1}\n')
    assert "workload.jsonl:1" in error_of(broken)
    (tmp_path / "workload.jsonl").write_text("")
    assert "there is no session" in error_of(broken)
    (tmp_path / "workload.jsonl").unlink()
    assert "No such file" in error_of(broken)


def test_a_session_that_breaks_later_is_told(plan, tmp_path):
    load = plan("http://127.0.0.1:9/v1", list(sessions(count=1)))
    with (tmp_path / "workload.jsonl").open("a") as file:
        file.write("{}\n")
    with ScriptedServer(GOOD) as server:
        load = Plan.from_json(load.to_json() | {"endpoint": {"url": server.url, "model": "m"}})
        seed = next(seed for seed in range(99) if session_of_agent(seed, 2, 0, 0) == 0)
        load = Plan.from_json(load.to_json() | {"seed": seed})
        with working(load) as worker:
            worker.start()
            message = worker.until(lambda one: one["event"] == "error")["message"]
            assert worker.process.wait(WAIT) == 1
    assert "workload.jsonl:2" in message


def test_it_imports_nothing_heavy():
    code = (
        "import sys, pytest_a2perf.domains.serving.replay.worker\n"
        "heavy = {'numpy', 'pydantic', 'scipy', 'pytest', 'litellm', 'tokenizers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 5))
def test_each_agent_runs_all_sessions_and_all_are_run_alike(count, agents, seed):
    for agent in range(agents):
        runs = [session_of_agent(seed, count, agent, run) for run in range(count)]
        assert sorted(runs) == list(range(count))
    for run in range(3):
        used = Counter(session_of_agent(seed, count, agent, run) for agent in range(agents))
        often = [used[session] for session in range(count)]
        assert max(often) - min(often) <= 1
    cycle = [session_of_arrival(seed, count, arrival) for arrival in range(count, 2 * count)]
    assert sorted(cycle) == list(range(count))


def test_nonces_differ_and_repeat_only_with_their_seed():
    of = {
        (s, a, r, n): nonce_of(s, n, a, r)
        for s in (0, 1)
        for a in (0, 1)
        for r in (0, 1)
        for n in "ab"
    }
    assert len(set(of.values())) == len(of)
    assert all(len(one) == 32 and one.isdecimal() for one in of.values())
    assert nonce_of(1, "a", 2, 3) == nonce_of(1, "a", 2, 3)


def test_arrivals_are_a_poisson_process():
    times = arrivals(3, 10.0)
    gaps = np.diff([next(times) for _ in range(20_000)])
    assert gaps.mean() == pytest.approx(0.1, rel=0.03)
    assert gaps.std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("output", "recorded", "expected"),
    [
        ("free", 50, (-1, 100, False)),
        ("recorded", 50, (50, 50, False)),
        ("recorded", 500, (100, 100, False)),
        ("recorded", 0, (1, 1, False)),
        ("recorded", None, (-1, 100, False)),
        ("exact", 50, (50, 50, True)),
        ("exact", None, (-1, 100, False)),
        ("fixed", 50, (7, 7, True)),
    ],
)
def test_lengths(output, recorded, expected):
    load = Plan(Endpoint("", "m"), "", "", output=output, fixed_tokens=7, most_tokens=100)
    assert length_of(load, Turn((0,), recorded)) == expected


@given(st.lists(st.floats(0, 1e4), max_size=50))
def test_counts_are_those_of_the_histogram(samples):
    counts = Counts()
    counts.add(samples[:20])
    counts.add(samples[20:])
    ours, right = Histogram.from_json(counts.to_json()), Histogram.of(samples)
    assert (ours.unit, ours.count) == (right.unit, right.count)
    assert (ours.minimum, ours.maximum) == (right.minimum, right.maximum)
    assert ours.total == pytest.approx(right.total)
    assert ours.total_square == pytest.approx(right.total_square)
    # A sample on the edge of a bucket may fall on either side of it.
    for q in (0.1, 0.5, 0.9):
        assert ours.quantile(q) == pytest.approx(
            right.quantile(q), rel=0.011, abs=1e-11, nan_ok=True
        )


def test_status_has_the_members_of_its_event(plan):
    with ScriptedServer(GOOD) as server, working(plan(server)) as worker:
        worker.start()
        worker.stop()
    names = {name for name in worker.statuses[-1] if name != "event"}
    assert names == set(Status.__slots__)
