"""Short replies: what the judge likes, what is left when length counts no more, and who learns it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posttrain_solutions import scored, shared_cache, solve, value

import pytest_a2perf
from pytest_a2perf.domains.posttrain.tasks import replies_data as data
from pytest_a2perf.domains.posttrain.tasks import replies_judge as judging
from pytest_a2perf.domains.posttrain.tasks.base import SPLITS
from pytest_a2perf.domains.posttrain.tasks.nano_task import read_lines
from pytest_a2perf.domains.posttrain.tasks.registry import get_task
from pytest_a2perf.domains.posttrain.tasks.replies import length_controlled

pytestmark = pytest.mark.usefixtures("one_thread")

requests = st.builds(
    data.Request,
    st.sampled_from(sorted(data.ADJECTIVES)),
    st.sampled_from(data.TOPICS),
    st.sampled_from(data.NAMES),
)
seeds = st.integers(0, 10**9)
PROMPT = "sell soup to Ann:"


# Requests


@given(requests)
def test_a_request_comes_back_from_its_prompt(request):
    assert data.parse(request.prompt) == request
    assert len(request.prompt) == len(PROMPT)


@pytest.mark.parametrize(
    "prompt", ["", "sell soup to Ann", "sell soup for Ann:", "sell sky to Ann:", f"{PROMPT}:", " "]
)
def test_other_prompts_are_refused(prompt):
    with pytest.raises(ValueError, match="no such prompt"):
        data.parse(prompt)


def test_the_groups_have_no_request_in_common():
    groups = [set(data.all_requests(group)) for group in ("visible", "public", "private")]
    assert sum(map(len, groups)) == 4 * len(data.TOPICS) * len(data.NAMES)
    assert not any(one & other for one, other in combinations(groups, 2))


def test_requests_and_replies_are_the_same_everywhere():
    rng = random.Random(5)
    rows = [
        (request.prompt, data.reference(request, rng), data.habitual(request, rng))
        for request in data.requests("public", 30, 5)
    ]
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16] == "cc09bb56a69fa1b1"


@given(requests, seeds)
def test_authors_keep_to_characters_and_length(request, seed):
    rng = random.Random(seed)
    for reply in (data.reference(request, rng), data.habitual(request, rng)):
        assert set(reply + request.prompt) <= set(data.CHARS)
        assert 0 < len(reply) <= data.LENGTH


# What replies are worth


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("soup is cheap, Ann", 4.4),
        ("soup is really very cheap, Ann", 4.4),
        ("soup is cheap", 3.2),
        ("soup is fine", 1.6),
        ("it is fine", 0.0),
        ("it is risky", -0.8),
        ("it is cheap, Bob", 0.8),
        ("it is cheap, Ann Bob", 2.0),
        ("soup soup is cheap", 2.7),
        ("soup is cheap handy grand", 3.2),
        ("Zzz", -0.5),
        ("very", -4.0),
        ("", -4.0),
        ("a b c d e f g h i j", -4.0),
    ],
)
def test_what_a_reply_is_worth(reply, expected):
    assert judging.worth(PROMPT, reply) == pytest.approx(expected)


@given(requests, seeds, st.integers(0, 4))
def test_fillers_are_worth_nothing(request, seed, count):
    rng = random.Random(seed)
    reply = data.habitual(request, rng)
    longer = data.padded(reply, count, rng)
    assert len(longer) >= len(reply) + 3 * count
    assert judging.worth(request.prompt, longer) == judging.worth(request.prompt, reply)


def test_the_judge_is_noisy_and_likes_length():
    ours, theirs = "soup is cheap", "it is so very fine"
    gap = 3.2 + judging.BIAS * math.tanh(-5 / 10)
    said = [judging.Judge(seed).log_odds(PROMPT, ours, theirs) for seed in range(2000)]
    assert statistics.fmean(said) == pytest.approx(gap, abs=4 * judging.NOISE / 2000**0.5)
    assert statistics.stdev(said) == pytest.approx(judging.NOISE, rel=0.1)


@given(st.floats(-20, 20), st.floats(-1, 1), st.floats(-5, 5))
def test_what_is_removed_is_what_length_explains(odds, longer, effect):
    assert judging.controlled(odds + effect * longer, longer, effect) == pytest.approx(
        judging.chance(odds)
    )
    assert judging.length_effect([effect * x for x in (0.5, -1)], (0.5, -1)) == pytest.approx(
        effect
    )


# The score


def items_of(count=600):
    rng = random.Random(0)
    return [
        {"prompt": request.prompt, "reference": data.reference(request, rng)}
        for request in data.requests("private", count, 0)
    ]


def replies_of(items, reply):
    return [reply(data.parse(item["prompt"])) for item in items]


def vague(request):
    return f"{'it' if data.TOPICS.index(request.topic) % 2 else request.topic} is fine"


def long_winded(request):
    return vague(request).replace(" is ", " is very very very very ")


def apt(request):
    return f"{request.topic} is {data.ADJECTIVES[request.ask][0]}, {request.name}"


def test_longer_replies_win_more_often_but_not_when_length_is_controlled():
    items = items_of()
    figures = {
        author.__name__: length_controlled(items, replies_of(items, author), 1)[1]
        for author in (vague, long_winded, apt)
    }
    raw = {name: figure["win_rate"] for name, figure in figures.items()}
    fair = {name: figure["length_controlled"] for name, figure in figures.items()}
    assert raw["long_winded"] > raw["vague"] + 30
    assert fair["long_winded"] == pytest.approx(fair["vague"], abs=5)
    assert fair["apt"] > 70 > 35 > fair["vague"]
    for figure in figures.values():
        assert figure["length_effect"] == pytest.approx(judging.BIAS, abs=0.4)


def test_the_reference_author_against_itself_wins_half():
    items, rng = items_of(), random.Random(1)
    replies = replies_of(items, lambda request: data.reference(request, rng))
    scores, figures = length_controlled(items, replies, 2)
    assert figures["length_controlled"] == pytest.approx(100 * statistics.fmean(scores))
    assert figures["length_controlled"] == pytest.approx(50, abs=5)


@pytest.mark.parametrize("size", ["full", "small"])
def test_the_noise_is_as_stated(size):
    task = get_task("a2perf/replies", {"size": size})
    items = items_of(task.preset.private)
    replies = replies_of(items, long_winded)
    values = [length_controlled(items, replies, seed)[1]["length_controlled"] for seed in range(12)]
    assert 0.6 * task.noise < statistics.stdev(values) < 1.6 * task.noise


def test_the_same_seed_judges_the_same():
    items = items_of(50)
    replies = replies_of(items, apt)
    assert length_controlled(items, replies, 3) == length_controlled(items, replies, 3)
    assert length_controlled(items, replies, 3) != length_controlled(items, replies, 4)


# The judge as a service


@pytest.mark.parametrize(
    ("request_", "left", "words"),
    [
        ({}, None, "must be a list"),
        ({"pairs": []}, None, "must be a list"),
        ({"pairs": "ab"}, None, "must be a list"),
        ({"pairs": [[PROMPT, "a", "b"]] * 1001}, None, "must be a list"),
        ({"pairs": [[PROMPT, "a", "b"]] * 3}, 2, "3 calls, but 2 are left"),
        ({"pairs": [[PROMPT, "a"]]}, None, "a pair must be"),
        ({"pairs": [[PROMPT, "a", 1]]}, None, "a pair must be"),
        ({"pairs": [{"prompt": PROMPT}]}, None, "a pair must be"),
        ({"pairs": [[PROMPT, "a", "b" * 401]]}, None, "a pair must be"),
        ({"pairs": [["what?", "a", "b"]]}, None, "no such prompt"),
    ],
)
def test_requests_that_cannot_be_answered(request_, left, words):
    with pytest.raises(ValueError, match=words):
        judging.Judge(0).answer(request_, left)


def test_the_judge_answers_lines_of_json():
    pairs = [[PROMPT, "soup is cheap, Ann", "it is risky"]] * 40
    asked = [
        {"service": "judge", "request": {"pairs": pairs}, "left": 100},
        {"service": "judge", "request": {"pairs": pairs}, "left": 39},
        {"service": "oracle", "request": {}, "left": None},
        {"service": "judge", "request": {"pairs": pairs[:1]}, "left": None},
    ]
    root = str(Path(pytest_a2perf.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "pytest_a2perf.domains.posttrain.service", "a2perf/replies"],
        input="".join(json.dumps(line) + "\n" for line in asked),
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["calls"] for answer in answers] == [40, 0, 0, 1]
    assert statistics.fmean(answers[0]["preferences"]) > 0.9
    assert len(set(answers[0]["preferences"])) == 40
    assert "39 are left" in answers[1]["error"]
    assert "no such service" in answers[2]["error"]
    assert all("preferences" not in answer for answer in answers[1:3])


# The task


@pytest.mark.parametrize(
    ("size", "calls", "counts"),
    [("full", "6,000", (800, 300, 600)), ("small", "3,000", (600, 150, 300))],
)
def test_what_is_shown_is_what_the_description_says(size, calls, counts, tmp_path):
    task = get_task("a2perf/replies", {"size": size})
    task.write_visible(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"demonstrations.jsonl", "prompts.jsonl"}
    for word in ("prompts.jsonl", "demonstrations.jsonl", "/judge", "nano", calls):
        assert word in task.description()
    shown = {row["prompt"] for path in tmp_path.iterdir() for row in read_lines(path)}
    assert len(shown) == counts[0]
    for split, count in zip(SPLITS, counts[1:], strict=True):
        task.write_hidden(tmp_path / split, split)
        hidden = {row["prompt"] for row in read_lines(tmp_path / f"{split}.jsonl")}
        assert len(hidden) == count
        assert not hidden & shown


@pytest.mark.slow
def test_the_reference_solution_improves_by_more_than_noise(tmp_path, tmp_path_factory):
    task = get_task("a2perf/replies", {"size": "small"})
    materials = task.materials(shared_cache(tmp_path_factory))
    assert [path.name for path in materials.toolkit.iterdir()] == ["nano"]
    base = scored(task, materials, materials.base, "private")
    assert 15 < value(base) < 45
    assert value(base) == pytest.approx(base["extra"]["length_controlled"])
    again = scored(task, materials, materials.base, "private", seed=1)
    assert value(again) != value(base)
    assert value(again) == pytest.approx(value(base), abs=6 * task.noise)
    submitted = solve(task, materials, tmp_path / "agent", cpu=14)
    ours = scored(task, materials, tmp_path / "agent" / submitted[-1], "private")
    assert value(ours) > value(base) + 6 * task.noise
