"""Synthetic coding sessions: the published distributions, the same sessions everywhere."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.domains.serving.trajectories.check import check_sessions, problems_of
from pytest_a2perf.domains.serving.trajectories.statistics import statistics_of
from pytest_a2perf.domains.serving.trajectories.store import data_of
from pytest_a2perf.domains.serving.trajectories.synthetic import CONTEXT, coding_sessions
from pytest_a2perf.domains.serving.trajectories.tokens import input_tokens, message_tokens

GOLDEN = "2ee7e631267afa5eb6a0217d8bdfe5cd3cde324939f04b677a0fd899e7d7d4b6"
DIGEST = (
    "import hashlib, json;"
    "from pytest_a2perf.domains.serving.trajectories.store import data_of;"
    "from pytest_a2perf.domains.serving.trajectories.synthetic import coding_sessions;"
    "session = next(coding_sessions(1, 0));"
    "print(hashlib.sha256(json.dumps(data_of(session)).encode()).hexdigest())"
)


def digest(session: Any) -> str:
    return hashlib.sha256(json.dumps(data_of(session)).encode()).hexdigest()


@pytest.fixture(scope="module")
def statistics() -> dict[str, Any]:
    return statistics_of(coding_sessions(250, 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "figure", "low", "high"),
    [
        ("turns", "mean", 34, 42),
        ("turns", "max", 150, 200),
        ("turns", "min", 1, 8),
        ("input_tokens", "min", 5_000, 6_000),
        ("input_tokens", "mean", 25_000, 29_500),
        ("input_tokens", "max", 120_000, CONTEXT),
        ("output_tokens", "median", 130, 170),
        ("output_tokens", "p95", 1_700, 2_300),
        ("output_tokens", "max", 5_000, 8_000),
        ("tool_delay", "min", 0.1, 0.12),
        ("tool_delay", "median", 0.9, 1.15),
        ("tool_delay", "max", 4.5, 5.0),
    ],
)
def test_distributions_are_the_published_ones(
    statistics: dict[str, Any], name: str, figure: str, low: float, high: float
) -> None:
    assert low <= statistics["distributions"][name][figure] <= high


def test_a_cache_could_hold_most_of_it(statistics: dict[str, Any]) -> None:
    # Published corpora of coding agents are at 0.93 to 0.96 and more with long sessions.
    assert 0.93 < statistics["cached_share"] < 0.985


def test_another_seed_has_the_same_distributions() -> None:
    figures = statistics_of(coding_sessions(100, 1))["distributions"]
    assert 22_000 < figures["input_tokens"]["mean"] < 33_000
    assert 125 < figures["output_tokens"]["median"] < 175
    assert 30 < figures["turns"]["mean"] < 46


def test_the_workload_is_the_same_for_everybody() -> None:
    assert digest(next(coding_sessions(1, 0))) == GOLDEN


def test_hashing_of_texts_has_no_part_in_it() -> None:
    for seed in ("1", "2"):
        process = subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        assert process.stdout.strip() == GOLDEN


@given(seed=st.integers(0, 2**32), number=st.integers(0, 10_000), scale=st.floats(0.001, 0.3))
def test_every_session_is_valid_at_every_scale(seed: int, number: int, scale: float) -> None:
    (session,) = coding_sessions(1, seed, scale=scale, first=number)
    assert problems_of(session) == []
    assert all(turn.output_tokens for turn in session.turns)
    assert session.turns[-1].pause == 0


def test_sessions_do_not_depend_on_how_many_are_made() -> None:
    many = list(coding_sessions(5, 3, scale=1 / 16))
    assert list(coding_sessions(2, 3, scale=1 / 16, first=2)) == many[2:4]


def test_seeds_and_sessions_differ_after_what_they_share() -> None:
    one, two = coding_sessions(2, 0, scale=1 / 16)
    (other,) = coding_sessions(1, 1, scale=1 / 16)
    assert one.messages[0] == two.messages[0] == other.messages[0]  # the harness is the same
    assert one.tools == two.tools == other.tools
    assert len({str(session.messages[1]) for session in (one, two, other)}) == 3
    check_sessions([one, two, other], "different seeds")


def test_what_is_shared_by_all_is_most_of_a_first_turn() -> None:
    for session in coding_sessions(5, 0):
        first = input_tokens(session, session.turns[0])
        assert 4_000 < first - message_tokens(session.messages[1]) < 5_300


def test_scaling_shortens_lengths_delays_and_turns() -> None:
    whole = statistics_of(coding_sessions(60, 0))["distributions"]
    part = statistics_of(coding_sessions(60, 0, scale=1 / 16))["distributions"]
    assert part["output_tokens"]["mean"] == pytest.approx(
        whole["output_tokens"]["mean"] / 16, rel=0.4
    )
    assert part["tool_delay"]["median"] == pytest.approx(
        whole["tool_delay"]["median"] / 16, rel=0.3
    )
    assert part["turns"]["mean"] == pytest.approx(whole["turns"]["mean"] / 4, rel=0.2)
    assert part["input_tokens"]["mean"] < whole["input_tokens"]["mean"] / 12


def test_no_input_exceeds_the_context() -> None:
    for session in coding_sessions(20, 0, context=20_000):
        assert max(input_tokens(session, turn) for turn in session.turns) <= 20_000


def test_some_sessions_replace_their_last_message_each_turn() -> None:
    extending = 0
    found = list(coding_sessions(60, 0, scale=1 / 16))
    for session in found:
        before = session.turns[0].messages
        extending += session.turns[1].messages[: len(before)] == before
    assert 0.6 < extending / len(found) < 0.9


def test_tools_take_times_of_their_own() -> None:
    delays: dict[str, list[float]] = {}
    for session in coding_sessions(60, 0, scale=1):
        for turn in session.turns[:-1]:
            if len(turn.calls) == 1:
                delays.setdefault(turn.calls[0], []).append(turn.tool_delay)
    assert np.median(delays["bash"]) > 2 * np.median(delays["read"]) > 2 * 0.25
    assert set(delays) == {"bash", "edit", "grep", "list", "read", "write"}


def test_sessions_come_one_at_a_time() -> None:
    assert len(list(islice(coding_sessions(10**9, 0, scale=0.01), 3))) == 3


@pytest.mark.parametrize("scale", [0, -1, 1.5, float("nan")])
def test_scales_that_mean_nothing_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        next(coding_sessions(1, 0, scale=scale))
