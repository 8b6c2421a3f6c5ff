"""When a window is over, whether the client was the limit, and what scenarios say of both."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from serving_loads import RULES, plan, row

from pytest_a2perf.domains.serving.client.endpoint import Endpoint
from pytest_a2perf.domains.serving.replay.level import ClientCheck
from pytest_a2perf.domains.serving.replay.options import ClientOptions, LoadOptions, WindowOptions
from pytest_a2perf.domains.serving.replay.plan import Plan, Status
from pytest_a2perf.domains.serving.replay.profiles import PROFILES, is_official
from pytest_a2perf.domains.serving.replay.rowfile import RowFile
from pytest_a2perf.domains.serving.replay.rows import Rows
from pytest_a2perf.domains.serving.replay.selfcheck import Usage, check_client
from pytest_a2perf.domains.serving.replay.summary import percentile
from pytest_a2perf.domains.serving.replay.window import Window
from pytest_a2perf.domains.serving.slo.tiers import Limit
from pytest_a2perf.errors import InfraError
from pytest_a2perf.runs.histogram import Histogram

# -- the window, without processes


def test_the_window_begins_once_every_process_has_all_of_its_agents():
    window = Window(replace(RULES, settle=30.0), plan(), 100.0)
    window.add([row(due=131.0, ended=132.0), row(due=142.0, ended=143.0)])
    window.follow([Status(active=2, since=101.0), None])
    window.follow([Status(active=2, since=101.0), Status(active=1)])
    assert window.begin is None
    assert window.lacks(200.0) == "only 3 of 4 agents became active"
    window.follow([Status(active=2, since=101.0), Status(active=2, since=111.0)])
    assert window.begin == 141.0
    assert window.requests == 1


def test_an_open_loop_has_no_agents_to_wait_for():
    rules = replace(RULES, per_agent=3.0)
    window = Window(rules, replace(plan(agents=100), rate=2.0), 100.0)
    window.follow([None])
    assert window.begin == 100.1
    window.add([row(due=101.0, ended=102.0)] * 10)
    assert window.lacks(103.0) == ""


def test_rows_that_come_in_late_count_if_they_ended_before_the_window_did():
    window = Window(replace(RULES, sessions=2, requests=1), plan(agents=1), 100.0)
    window.follow([Status(active=1, since=101.0)])
    window.add([row(due=102.0, ended=103.0, last_turn=1)])
    assert window.lacks(110.0) == "1 of 2 sessions"
    window.end = 110.0
    window.add([row(due=104.0, ended=110.5, last_turn=1)])
    assert window.lacks(110.0) == "1 of 2 sessions"
    window.add([row(due=104.0, ended=109.5, last_turn=1)])
    assert window.lacks(110.0) == ""


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 20), st.booleans()), max_size=40),
    st.integers(0, 40),
    st.floats(0, 40),
)
def test_what_counts_does_not_depend_on_when_the_window_is_found(requests, cut, settle):
    window = Window(replace(RULES, settle=settle), plan(agents=1), 0.0)
    rows = [row(due=due, ended=due + took, last_turn=int(last)) for due, took, last in requests]
    window.add(rows[:cut])
    window.follow([Status(active=1, since=1.0)])
    window.add(rows[cut:])
    assert window.requests == sum(due >= 1.0 + settle for due, _, _ in requests)
    assert window.sessions == sum(
        due + took >= 1.0 + settle and last for due, took, last in requests
    )
    assert window.slowest == pytest.approx(
        max((took for _, took, _ in requests), default=0.0), abs=1e-9
    )
    assert (window.lacks(1.0 + settle + RULES.steady + 1e-6) == "") == (
        window.requests >= RULES.requests
    )


@given(st.lists(st.one_of(st.floats(0, 1e9), st.just(math.inf)), min_size=1), st.floats(0, 100))
def test_percentiles_are_numpys_and_bear_infinite_values(values, q):
    got = percentile(np.array([*values, math.nan]), q)
    if math.inf not in values:
        assert got == pytest.approx(np.percentile(values, q), rel=1e-9, abs=1e-9)
    else:
        assert not math.isnan(got)
        assert got >= min(values)


def test_rows_are_read_while_they_are_written(tmp_path):
    file = RowFile(tmp_path / "rows.jsonl")
    assert file.read() == []
    line = json.dumps(row(due=1.0)).encode() + b"\n"
    with file.path.open("wb", buffering=0) as writing:
        writing.write(line + line[:20])
        assert len(file.read()) == 1
        writing.write(line[20:])
        assert len(file.read()) == 1
        assert file.read() == []
        writing.write(line + b"[]\n" + line)
        assert len(file.read()) == 1
        for _ in range(2):
            with pytest.raises(InfraError, match=r"rows.jsonl:4: .* 0 columns instead of 24"):
                file.read()


# -- options


def test_profiles_say_whether_they_are_the_published_one():
    published = plan(longest_pause=60.0)
    assert [is_official(rules, published) for rules in PROFILES.values()] == [True, False, False]
    stricter = WindowOptions(profile="publication", steady="20 min").rules()
    assert is_official(stricter, published)
    assert stricter.name == "publication (changed: steady)"
    weaker = WindowOptions(profile="publication", sessions=29).rules()
    assert not is_official(weaker, published)
    for change in (
        {"rate": 1.0}, {"output": "exact"}, {"isolate_cache": False}, {"pause_scale": 0.5},
        {"longest_pause": 1.0},
    ):  # fmt: skip
        assert not is_official(stricter, replace(published, **change)), change
    assert WindowOptions(profile="quick").rules() == PROFILES["quick"]
    assert WindowOptions(profile="quick").rules(fewest=90).requests == 90
    assert WindowOptions(profile="ci", requests=7).rules().requests == 7


@pytest.mark.parametrize(
    "options",
    [
        {"output": "fixed"},
        {"fixed_tokens": 5},
        {"output": "fixed", "fixed_tokens": 50, "most_tokens": 10},
        {"stall": 0},
        {"pause_scale": -1},
        {"processes": 0},
        {"processes": "many"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_load_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError):
        LoadOptions(**options)


def test_what_is_asked_of_a_client_is_written_as_shares_and_times():
    assert ClientOptions().check() == ClientCheck()
    check = ClientOptions(share="10 %", finest="5 ms").check()
    assert (check.share, check.finest) == (0.1, 0.005)


def test_load_options_become_a_plan():
    options = LoadOptions(output="fixed", fixed_tokens=64, stall="10 s", ramp="2 s")
    made = options.plan(Endpoint("http://127.0.0.1:1/v1", "m"), "sessions.jsonl", agents=7, seed=3)
    assert (made.output, made.fixed_tokens, made.stall, made.ramp) == ("fixed", 64, 10.0, 2.0)
    assert (made.agents, made.seed, made.workload) == (7, 3, "sessions.jsonl")
    assert Plan.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_processes_follow_agents_and_chunks_up_to_the_cores():
    cores = len(os.sched_getaffinity(0))
    auto = LoadOptions()
    assert auto.process_count(1) == auto.process_count(500) == 1
    assert auto.process_count(501) == min(2, cores)
    assert auto.process_count(10, chunk_rate=1e6) == min(10, cores)
    assert LoadOptions(processes=4).process_count(100) == 4
    assert LoadOptions(processes=4).process_count(2) == 2


# -- the client


def rows_of(count=100, *, late=0.0, ttft=0.2, took=1.0, tokens=101):
    return Rows.of(
        [
            row(due=n, sent=n + late, first=n + late + ttft, last=n + late + ttft + took,
                ended=n + late + ttft + took, output_tokens=tokens)
            for n in range(count)
        ]
    )  # fmt: skip


def limited(rows, lag=0.0001, cores=(0.2,), idle=0.5, limits=(), **check):
    return check_client(
        rows, 1000.0, Histogram.of([lag] * 100), Usage(cores, 0.012, idle), limits=limits,
        check=ClientCheck(**check),
    )  # fmt: skip


TTFT = Limit("ttft", 95, 0.21)
SPEED = Limit("output_speed", 25, 99.0)


def test_a_client_with_time_to_spare_is_no_limit():
    client = limited(rows_of(), limits=(TTFT, SPEED))
    assert client.limited == ""
    assert client.cpu_per_chunk == pytest.approx(12e-6)
    assert client.lag_p99 == pytest.approx(0.0001, rel=0.01)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"rows": rows_of(late=0.02)}, "ttft: the client sent late by 20 ms"),
        ({"rows": rows_of(), "lag": 0.02}, "read late by 20"),
        ({"rows": rows_of(), "cores": (0.1, 0.9)}, "load process 1 used 90% of a core"),
        ({"rows": rows_of(late=0.02), "idle": 0.01}, "the machine was idle for only 1% of the time"),
        ({"rows": rows_of(), "lag": 0.06, "limits": (SPEED,)}, "too much beside 99 tok/s"),
        ({"rows": rows_of(late=0.02), "limits": (TTFT,)}, "too much beside 210 ms"),
    ],
)  # fmt: skip
def test_a_client_that_was_the_limit_says_why(case, words):
    assert words in limited(**case).limited


def test_an_error_that_cannot_change_the_verdict_is_no_limit():
    late = rows_of(late=0.02)
    assert limited(late, limits=(Limit("ttft", 95, 10.0),)).limited == ""
    assert limited(late, limits=(Limit("ttft", 95, 0.1),)).limited == ""
    assert limited(rows_of(), lag=0.06, limits=(Limit("output_speed", 25, 20.0),)).limited == ""


def test_a_busy_machine_alone_is_no_limit():
    assert limited(rows_of(), idle=0.0).limited == ""


def test_what_is_asked_of_a_client_can_be_changed():
    assert limited(rows_of(late=0.02), share=0.2).limited == ""
    assert limited(rows_of(late=0.02), finest=0.03).limited == ""
    assert limited(rows_of(), cores=(0.9,), busiest=0.95).limited == ""


def test_a_client_without_any_reply_is_judged_all_the_same():
    assert limited(Rows.of([])).limited == ""
    failed = Rows.of([row(due=1.0, sent=1.0, failure="connect")] * 5)
    assert limited(failed, limits=(TTFT, SPEED)).limited == ""
