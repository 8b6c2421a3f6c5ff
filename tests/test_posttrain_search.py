"""The library: ranking, inquiries, and a judge that errs."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from hashlib import sha256
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posttrain_solutions import scored, shared_cache, solve, value

from pytest_a2perf.domains.posttrain.nano.io import save
from pytest_a2perf.domains.posttrain.nano.model import NanoLM
from pytest_a2perf.domains.posttrain.tasks import search_data as data
from pytest_a2perf.domains.posttrain.tasks.registry import get_task
from pytest_a2perf.domains.posttrain.tasks.search import ERRORS, judge
from pytest_a2perf.domains.posttrain.tasks.search_world import (
    STEPS,
    Index,
    Inquiry,
    is_right,
    read_world,
    spell,
    write_world,
)

pytestmark = pytest.mark.usefixtures("one_thread")

GROUPS = ("visible", "public", "private")
PEOPLE = data.people("visible", 0)
BY_NAME = {person.name: person for person in PEOPLE}
INDEX = Index(data.documents(PEOPLE))
QUESTIONS = data.questions(PEOPLE, 100, 0)

letters = st.sampled_from("abc")
texts = st.text("abcd", max_size=6)
actions = st.one_of(
    st.sampled_from(data.NAMES).map("?{}".format),
    st.sampled_from(data.TOWNS).map("!{}".format),
    st.text(data.CHARS, max_size=6),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    task = get_task("a2perf/search", {"size": "small"})
    return task, task.materials(shared_cache(tmp_path_factory))


# Ranking


def test_scores_are_those_of_bm25():
    index = Index([("c", "som"), ("d", "s"), ("m", "")])
    # Words, with the title twice: 5, 3 and 2, so 10 / 3 on average; "m" is in two of three.
    idf = math.log(1 + 1.5 / 2.5)
    expected = {
        2: idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 2 / (10 / 3))),
        0: idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 5 / (10 / 3))),
    }
    found = index.search("m")
    assert [number for number, _ in found] == [2, 0]
    assert dict(found) == pytest.approx(expected)
    assert found[0][1] == pytest.approx(0.7282, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(letters, texts), min_size=1, max_size=6), texts)
def test_scores_are_sums_over_words_and_ranks_go_by_them(documents, query):
    bags = [Counter(title + title + text) for title, text in documents]
    mean = fmean(bag.total() for bag in bags)
    expected = {}
    for number, bag in enumerate(bags):
        for word in set(query) & set(bag):
            having = sum(word in other for other in bags)
            idf = math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))
            f, norm = bag[word], 1.2 * (0.25 + 0.75 * bag.total() / mean)
            expected[number] = expected.get(number, 0) + idf * f * 2.2 / (f + norm)
    found = Index(documents).search(query)
    assert dict(found) == pytest.approx(expected)
    assert found == sorted(found, key=lambda item: (-item[1], item[0]))


def test_a_library_without_pages_finds_nothing():
    assert Index([]).search("m") == []


@pytest.mark.parametrize("group", GROUPS)
def test_everybodys_page_is_found_by_the_name(group):
    library = data.people(group, 3)
    index = Index(data.documents(library))
    for number, person in enumerate(library):
        assert index.search(person.name)[0][0] == number


# Inquiries


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("7", ["7"], True),
        ("@7", ["7"], True),  # signs are free
        ("mn", ["n", "m"], True),
        ("n", ["n", "m"], False),
        ("nm7", ["n", "m"], False),
        ("nnm", ["n", "m"], False),
        ("", ["7"], False),
    ],
)
def test_an_answer_is_right_if_it_names_all_that_is_asked_for_and_no_more(answer, expected, right):
    assert is_right(answer, expected) is right


def test_an_inquiry():
    inquiry = Inquiry(Index([("t", "t^z"), ("z", "z@7")]), [("@^t\n", ["7"])])
    assert inquiry.reset(0) == "@^t\n"
    assert inquiry.step("?t") == ("t^z\n", 0.0, False)
    assert inquiry.step("?x") == ("#\n", 0.0, False)
    assert inquiry.step("!@7") == ("", 1.0, True)
    assert (inquiry.searches, inquiry.answer) == (2, "@7")


def test_texts_can_be_spelt():
    assert spell("@^t\n?^z\n") == "town boss t\nsearch boss z\n"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), st.lists(actions, max_size=STEPS + 1))
def test_an_inquiry_is_short_and_pays_for_right_answers_only(number, steps):
    inquiry = Inquiry(INDEX, [(each.text, each.expected) for each in QUESTIONS])
    inquiry.reset(number)
    taken, gain, over = 0, 0.0, False
    for step in steps:
        page, gain, over = inquiry.step(step)
        taken += 1
        assert set(page) <= set(data.CHARS)
        if over:
            break
    assert taken <= STEPS
    assert over == (taken == STEPS or inquiry.answer is not None)
    assert gain == float(is_right(inquiry.answer or "", QUESTIONS[number].expected))


def right(turns, question):
    """Whether the last action answers right, and all pages are as they were written down."""
    inquiry = Inquiry(INDEX, [(question.text, question.expected)])
    assert inquiry.reset(0) == turns[0]
    for number, action in enumerate(turns[1:-1:2]):
        assert inquiry.step(action) == (turns[2 * number + 2], 0.0, False)
    _, gain, over = inquiry.step(turns[-1])
    assert over
    return gain


def test_experts_are_always_right_readers_half_of_the_time_and_the_habits_seldom():
    task, rng = get_task("a2perf/search"), random.Random(0)
    good, fair, bad = [], [], []
    for question in QUESTIONS:
        for manner, gains in ((data.EXPERT, good), (data.READERS, fair), (data.HABITS, bad)):
            turns = data.demonstration(BY_NAME, INDEX, question, rng, manner)
            gains.append(right(turns, question))
            assert max(map(len, turns[1::2])) < task.length
            assert len("".join(turns)) + len(turns) // 2 + 15 < task.context  # room for a mistake
            assert set("".join(turns)) <= set(task.chars)
    assert fmean(good) == 1
    assert fmean(fair) == pytest.approx(0.5, abs=0.15)
    assert 0.15 < fmean(bad) < 0.45


# Data


@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_groups_share_a_page(seed):
    for group in GROUPS:
        library = data.people(group, seed)
        assert "".join(person.name for person in library) == data.NAMES
        assert {data.group_of(person.page) for person in library} == {group}


def test_what_one_library_says_is_wrong_in_another():
    answers = {
        group: {each.text: each.expected for each in data.questions(data.people(group, 0), 200, 0)}
        for group in GROUPS
    }
    for group in GROUPS[1:]:
        both = answers["visible"].keys() & answers[group].keys()
        same = [answers["visible"][text] == answers[group][text] for text in both]
        assert len(same) > 50
        assert fmean(same) < 0.15  # there are ten towns only


def test_a_third_of_the_answers_are_single_and_the_rest_are_sets():
    assert Counter(len(question.expected) for question in QUESTIONS) == {1: 35, 2: 65}
    assert len({question.text for question in QUESTIONS}) == 100


def test_the_data_stay_the_same(tmp_path):
    asked = [(each.text, each.expected) for each in QUESTIONS]
    write_world(tmp_path / "world.json", data.documents(PEOPLE), asked)
    digest = sha256((tmp_path / "world.json").read_bytes()).hexdigest()
    assert digest[:16] == "55e550c17f1292de"
    index, questions = read_world(tmp_path / "world.json")
    assert list(index.documents) == data.documents(PEOPLE)
    assert questions == asked


def test_more_questions_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="larger"):
        data.questions(PEOPLE, 1000, 0)


# The judge


def test_the_judge_errs_as_often_as_stated_either_way_and_by_the_seed():
    for truth in (True, False):
        verdicts = judge([truth] * 10_000, 1)
        assert fmean(verdict != truth for verdict in verdicts) == pytest.approx(ERRORS, abs=0.015)
    assert judge([True] * 100, 1) == judge([True] * 100, 1) != judge([True] * 100, 2)


def test_scores_of_the_same_answers_spread_as_stated():
    task = get_task("a2perf/search")
    answers = [number % 3 == 0 for number in range(task.count("private"))]
    scores = [100 * fmean(judge(answers, seed)) for seed in range(400)]
    assert stdev(scores) == pytest.approx(task.noise, rel=0.15)
    truth = 100 * fmean(answers)
    expected = truth * (1 - 2 * ERRORS) + 100 * ERRORS
    assert fmean(scores) == pytest.approx(expected, abs=0.5)


# The task


def test_a_model_that_has_learnt_nothing_gets_what_the_judge_grants_by_mistake(tmp_path):
    task = get_task("a2perf/search", {"size": "small"})
    save(NanoLM(task.config(), 1), tmp_path / "model")
    task.write_hidden(tmp_path / "public", "public")
    items, extra = task.score(tmp_path / "model", tmp_path, "public", 5)
    assert items == judge([False] * task.count("public"), 5)
    assert extra["unanswered"] > 0.5
    assert extra["average_searches"] < 1
    assert 1 <= extra["average_steps"] <= STEPS


def test_agents_see_demonstrations_rewards_and_a_library_but_no_hidden_name(tmp_path):
    task = get_task("a2perf/search", {"size": "small"})
    task.write_visible(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "demonstrations.jsonl",
        "rewards.json",
    ]
    lines = (tmp_path / "demonstrations.jsonl").read_text().splitlines()
    assert len(lines) == task.preset.demonstrations
    index, questions = read_world(tmp_path / "rewards.json")
    assert not {json.loads(line)["turns"][0] for line in lines} & {text for text, _ in questions}
    assert {data.group_of(page) for _, page in index.documents} == {"visible"}
    assert "{" not in task.description().replace('{"turns"', "")


@pytest.mark.slow
def test_the_base_model_fails_by_not_looking_things_up(small):
    task, materials = small
    answer = scored(task, materials, materials.base)
    assert len(answer["items"]) == 100
    assert value(answer) < 50
    assert answer["extra"]["average_searches"] < 1.8
    assert answer == scored(task, materials, materials.base)
    assert answer != scored(task, materials, materials.base, seed=1)  # judged anew


@pytest.mark.slow
def test_the_reference_solution_improves(small, tmp_path):
    task, materials = small
    # The budget is for a machine as fast as most are.
    submitted = solve(task, materials, tmp_path, cpu=600)
    assert submitted == ["output/sft", "output/own1", "output/own2"]
    base = value(scored(task, materials, materials.base, "private"))
    ours = value(scored(task, materials, tmp_path / submitted[-1], "private"))
    assert ours > base + 20 > base + 5 * task.noise
