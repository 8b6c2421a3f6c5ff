"""Tiers, and what the requests of a level say of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from serving_levels import rows_of

from pytest_a2perf.domains.serving.slo.decide import decide, least_requests, pooled
from pytest_a2perf.domains.serving.slo.options import SearchOptions, TierOptions, tiers_of
from pytest_a2perf.domains.serving.slo.tiers import (
    Limit,
    Tier,
    find_tier,
    find_tiers,
    published_tiers,
    source_of,
)
from pytest_a2perf.errors import UnknownNameError

SPEED = Limit("output_speed", 25, 20.0)
TTFT = Limit("ttft", 95, 10.0)

# -- tiers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "limits"),
    [
        ("aa-2026-06/deepseek-v4-pro", [(20, 10), (60, 5), (180, 3)]),
        ("aa-2026-06/gpt-oss-120b", [(100, 5), (250, 3), (500, 2), (2000, 1)]),
        ("aa-2026-03/deepseek-v3.2", [(30, 15), (100, 15), (300, 15)]),
        ("nvidia-2026/deepseek-v4-pro", [(30, 10), (100, 5), (300, 3)]),
    ],
)
def test_the_published_tiers(prefix, limits):
    tiers = find_tiers(prefix)
    assert [tier.name for tier in tiers] == [f"tier{n + 1}" for n in range(len(limits))]
    for number, (tier, (speed, ttft)) in enumerate(zip(tiers, limits, strict=True), 1):
        assert tier.limits == (Limit("output_speed", 25, speed), Limit("ttft", 95, ttft))
        assert find_tier(f"{prefix}/{number}") == tier
        assert f"{tier.revision}/{tier.model}" == prefix
        assert "https://" in source_of(tier)


def test_every_published_tier_is_known_by_its_id():
    tiers = published_tiers()
    assert len(tiers) == 13
    assert tiers_of(tiers) == tuple(tiers.values())
    text = tiers["aa-2026-06/gpt-oss-120b/4"].text()
    assert text == "P25 output_speed >= 2000 tok/s, P95 ttft <= 1 s, failed <= 1 %"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("aa-2026-06/gpt-oss-120b/5", "aa-2026-06/gpt-oss-120b/"),
        ("aa-2026-06/gpt-oss120b", "aa-2026-06/gpt-oss-120b"),
        ("aa-2026-06/gpt", "aa-2026-06/gpt-oss-120b"),
    ],
)
def test_the_nearest_tier_is_offered(wrong, right):
    with pytest.raises(UnknownNameError, match="did you mean") as error:
        find_tiers(wrong)
    assert right in str(error.value)
    with pytest.raises(UnknownNameError):
        find_tier(wrong)


@pytest.mark.parametrize("wrong", ["", "/", "gpt-4"])
def test_other_unknown_tiers(wrong):
    with pytest.raises(UnknownNameError):
        find_tiers(wrong)


def test_own_tiers():
    data = {
        "name": "chat",
        "output_speed": "20 tok/s",
        "ttft": {"percentile": 99, "limit": "1500 ms"},
        "turn": 30,
        "error_rate": "2 %",
    }
    (tier,) = tiers_of([TierOptions.model_validate(data)])
    limits = (SPEED, Limit("ttft", 99, 1.5), Limit("turn", 95, 30.0))
    assert tier == Tier("chat", limits, 0.02)
    assert source_of(tier) == ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"name": "x"}, "limits nothing"),
        ({"name": "x", "ttft": "20 tok/s"}, "'s'"),
        ({"name": "x", "output_speed": "2 s"}, "tok/s"),
        ({"name": "x", "output_speed": 0}, "greater than 0"),
        ({"name": "x", "ttft": {"percentile": 100, "limit": 1}}, "less than 100"),
        ({"name": "a b", "ttft": 1}, "letters"),
        ({"name": "x", "ttft": 1, "error_rate": "200 %"}, "less than or equal to 1"),
        ({"name": "x", "tftt": 1}, "tftt"),
    ],
)
def test_broken_tiers(data, words):
    with pytest.raises(ValidationError, match=words):
        TierOptions.model_validate(data)


@pytest.mark.parametrize(
    "data",
    [
        {"tolerance": 0}, {"tolerance": "1.5"}, {"tolerance": "100 %"}, {"tolerance": "2 s"},
        {"tolerance": "few"}, {"start": 8, "most": 4}, {"repeats": -1}, {"confidence": 0.5},
        {"longest": 0},
    ],
    ids=str,
)  # fmt: skip
def test_broken_searches(data):
    with pytest.raises(ValidationError):
        SearchOptions.model_validate(data)


def test_tolerances():
    assert SearchOptions().gap(1000) == 1
    assert SearchOptions(tolerance=4).gap(3) == 4
    assert [SearchOptions(tolerance="5 %").gap(n) for n in (0, 10, 40, 100)] == [1, 1, 2, 5]


# -- decisions ------------------------------------------------------------------------------------


def says(rows, *limits, confidence=0.95, error_rate=0.01):
    return decide(rows, Tier("t", limits, error_rate), confidence)


@pytest.mark.parametrize(("limit", "least"), [(TTFT, 59), (SPEED, 11)])
def test_the_least_requests_that_can_meet_a_limit(limit, least):
    assert least_requests(limit, 0.95) == least
    good = {"speed": [30.0] * least, "ttft": [1.0] * least}
    assert says(rows_of(**good), limit).says == "met"
    few = says(rows_of(**{name: values[1:] for name, values in good.items()}), limit)
    assert few.says == "unsure"
    assert few.point
    assert f"takes {least} independent requests at 95 %" in few.note


def test_few_requests_are_enough_to_miss():
    assert says(rows_of(ttft=[11.0, 12.0, 13.0]), TTFT).says == "missed"


def test_levels_are_met_missed_or_left_open():
    rng = np.random.default_rng(0)
    ttft = rng.lognormal(0, 0.3, 500)
    edge = float(np.percentile(ttft, 95))
    for factor, expected in ((1.2, "met"), (1.0, "unsure"), (0.8, "missed")):
        decision = says(rows_of(ttft=ttft), Limit("ttft", 95, factor * edge))
        assert decision.says == expected
        part = decision.parts[0]
        assert part.value == pytest.approx(edge)
        assert part.low < part.value < part.high
        assert decision.point is (factor >= 1)


def test_any_missed_limit_misses_the_tier():
    rows = rows_of(speed=[30.0] * 100, ttft=[11.0] * 100)
    decision = says(rows, SPEED, TTFT)
    assert decision.says == "missed"
    assert [part.says for part in decision.parts] == ["met", "missed", "met"]
    assert decision.parts[1].text() == "P95 ttft 11 s"
    assert says(rows_of(speed=[30.0] * 30, ttft=[1.0] * 30), SPEED, TTFT).says == "unsure"


def test_failed_requests_miss_every_limit():
    rows = rows_of(speed=[30.0] * 200, failed=range(30))
    decision = says(rows, SPEED, TTFT, error_rate=1.0)
    assert [part.says for part in decision.parts] == ["met", "missed", "met"]
    assert decision.parts[1].value == math.inf
    none = says(rows_of(speed=[30.0] * 20, failed=range(20)), SPEED, TTFT)
    assert none.says == "missed"
    assert none.parts[0].value == 0
    assert none.parts[2].text() == "100 % failed"
    assert none.to_json()["parts"][1]["value"] is None


@pytest.mark.parametrize(
    ("requests", "failed", "expected"),
    [(100, 1, "met"), (100, 2, "unsure"), (1000, 30, "missed"), (10, 0, "met")],
)
def test_error_rates(requests, failed, expected):
    decision = says(rows_of(ttft=[1.0] * requests, failed=range(failed)))
    assert decision.says == expected
    assert decision.point is (expected == "met")


def test_replies_in_one_piece_tell_no_speed():
    rows = rows_of(speed=[30.0] * 60 + [math.nan] * 40)
    decision = says(rows, SPEED, TTFT)
    assert decision.says == "met"
    assert decision.note == "40 of 100 requests tell no output_speed"
    silent = says(rows_of(speed=[math.nan] * 100), SPEED)
    assert (silent.says, silent.point) == ("unsure", False)


def test_no_requests_say_nothing():
    decision = says(pooled([]), SPEED, TTFT)
    assert (decision.says, decision.point, decision.requests) == ("unsure", False, 0)


def test_requests_of_a_session_are_worth_less_than_others():
    # Every session is slow or fast as a whole: 20 sessions say what 20 requests say.
    speed = np.repeat([15.0] * 3 + [30.0] * 17, 50)
    agent = np.repeat(np.arange(20), 50)
    assert says(rows_of(speed=speed), SPEED).says == "met"
    assert says(rows_of(speed=speed, agent=agent), SPEED).says == "unsure"


def test_sessions_that_are_alike_inside_cost_little():
    rng = np.random.default_rng(1)
    rows = rows_of(ttft=rng.lognormal(0, 0.3, 600), agent=np.repeat(np.arange(30), 20))
    assert says(rows, Limit("ttft", 95, 2.2)).says == "met"


def test_repeats_are_other_sessions():
    speed = np.repeat([15.0] * 2 + [30.0] * 8, 10)
    agent = np.repeat(np.arange(10), 10)
    part = rows_of(speed=speed, agent=agent)
    assert says(part, SPEED).says == "unsure"
    joined = pooled([part] * 40)
    assert len(joined) == 4000
    assert len(set(zip(joined["agent"], joined["run"], strict=True))) == 400
    assert says(joined, SPEED).says == "met"
    assert set(part["run"]) == {0.0}


@settings(deadline=None)
@given(
    st.lists(st.floats(0.1, 100) | st.just(math.inf), min_size=1, max_size=120),
    st.sampled_from([5, 25, 50, 95]),
    st.floats(0.1, 100),
    st.integers(1, 10),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_decisions_agree_with_their_intervals(values, percentile, limit, clusters, confidence):
    failed = [place for place, value in enumerate(values) if math.isinf(value)]
    finite = [1.0 if math.isinf(value) else value for value in values]
    agent = np.arange(len(values)) % clusters
    rows = rows_of(speed=finite, ttft=finite, agent=agent, failed=failed)
    order = ("missed", "unsure", "met")
    for measure in ("ttft", "output_speed"):
        bound = Limit(measure, percentile, limit)
        decision = says(rows, bound, confidence=confidence, error_rate=1.0)
        part = decision.parts[0]
        assert part.low <= part.value <= part.high
        ends = {bound.holds(part.low), bound.holds(part.high)}
        assert part.says == ("unsure" if len(ends) == 2 else "met" if ends == {True} else "missed")
        assert decision.says == part.says
        assert decision.point or part.says != "met"
        assert not (decision.point and part.says == "missed")
        # A looser limit is never said to be worse.
        looser = Limit(measure, percentile, limit * (0.5 if bound.higher else 2))
        again = says(rows, looser, confidence=confidence, error_rate=1.0)
        assert order.index(again.says) >= order.index(decision.says)
        finite_values = getattr(rows, measure)
        if np.isfinite(finite_values).all():
            assert part.value == pytest.approx(np.percentile(finite_values, percentile))


@pytest.mark.parametrize("alike", [0.0, 0.5])
def test_wrong_decisions_are_as_rare_as_promised(alike):
    # The limit is the true percentile, where a decision either way is wrong by a hair.
    rng = np.random.default_rng(2)
    limit = Limit("ttft", 95, math.exp(0.3 * 1.6448536))
    owner = np.repeat(np.arange(40), 12)
    said = []
    for _ in range(400):
        noise = math.sqrt(alike) * rng.normal(size=40)[owner]
        noise = noise + math.sqrt(1 - alike) * rng.normal(size=owner.size)
        said.append(says(rows_of(ttft=np.exp(0.3 * noise), agent=owner), limit).says)
    assert said.count("met") / 400 < 0.08
    assert said.count("missed") / 400 < 0.08
    assert 0 < said.count("unsure") < 400
