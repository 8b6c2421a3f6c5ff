"""The shop: what it sells, what a purchase is worth; what agents see of it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from hashlib import sha256
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posttrain_solutions import scored, shared_cache, solve, value

from pytest_a2perf.domains.posttrain.nano.io import save
from pytest_a2perf.domains.posttrain.nano.model import NanoLM
from pytest_a2perf.domains.posttrain.tasks import shop_data as data
from pytest_a2perf.domains.posttrain.tasks.registry import get_task
from pytest_a2perf.domains.posttrain.tasks.shop_world import (
    ATTRIBUTES,
    COLOURS,
    HITS,
    KINDS,
    SIZES,
    STEPS,
    WORDS,
    Goal,
    Product,
    Shop,
    Visit,
    read_world,
    reward,
    spell,
    write_world,
)

pytestmark = pytest.mark.usefixtures("one_thread")

GROUPS = ("visible", "public", "private")
PRODUCTS = data.catalogue("visible", 0)
SHOP = Shop(PRODUCTS)
GOALS = data.goals(PRODUCTS, 200, 0)
SOCK = Product("S", ("w", "t"), ("r", "g"), ("M", "N"), 3)
GOAL = Goal("S", ("t", "w"), "g", "N", 4)

words = st.sampled_from([*KINDS, *ATTRIBUTES])
actions = st.one_of(
    st.lists(words, max_size=3).map(lambda found: f"?{''.join(found)}"),
    st.sampled_from([*"abc+-!", *COLOURS, *SIZES]),
    st.text(data.CHARS, max_size=8),
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    task = get_task("a2perf/shop", {"size": "small"})
    return task, task.materials(shared_cache(tmp_path_factory))


def visit(*steps, shop=None, goal=GOAL):
    """Pages and rewards of a visit, and whether it is over."""
    environment = Visit(shop or Shop([SOCK]), [goal])
    environment.reset(0)
    return [environment.step(step) for step in steps]


# Rewards


@pytest.mark.parametrize(
    ("changes", "chosen", "expected"),
    [
        ({}, ("g", "N"), 1.0),
        ({}, ("g", "."), 0.8),
        ({}, ("r", "M"), 0.6),
        ({"price": 4}, ("g", "N"), 0.8),  # below the limit, not at it
        ({"attributes": ("w", "d")}, ("g", "N"), 0.8),
        ({"attributes": ("s", "d"), "price": 9}, (".", "."), 0.0),
        ({"attributes": ("s", "d")}, (".", "N"), 0.4),
        ({"kind": "L"}, ("g", "N"), 0.0),  # of another kind, it is worth nothing
    ],
)
def test_a_purchase_is_worth_the_share_of_what_matches(changes, chosen, expected):
    assert reward(GOAL, replace(SOCK, **changes), chosen) == pytest.approx(expected)


def test_a_visit_from_search_to_purchase():
    assert Visit(Shop([SOCK]), [GOAL]).reset(0) == "twS,gN<4\n"
    assert visit("?tS", "a", "N", "g", "!") == [
        ("awtS3\n", 0.0, False),
        ("rg,MN\n", 0.0, False),
        (".N\n", 0.0, False),
        ("gN\n", 0.0, False),
        ("$\n", 1.0, True),
    ]


@pytest.mark.parametrize(
    "steps",
    [
        ("!",),
        ("a",),
        ("?S", "b"),
        ("?S", "!"),
        ("?S", "+"),
        ("?S", "a", "y"),  # not on offer
        ("?S", "a", "-", "r"),
        ("?S", "a", "rM"),
        ("?L",),
        ("",),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_bought(steps):
    assert visit(*steps)[-1] == ("#\n", 0.0, False)


def test_options_are_forgotten_when_another_page_is_opened():
    assert visit("?S", "a", "g", "-", "a", "!")[-1] == ("$\n", pytest.approx(0.6), True)


def test_results_have_pages():
    pages = [page.strip().split(",") for page, _, _ in visit("?S", "+", "+", shop=SHOP)]
    assert [len(page) for page in pages] == [HITS] * 3
    assert len({hit[1:] for page in pages for hit in page}) > HITS


def test_every_word_has_a_character_and_can_be_spelt():
    assert len(WORDS) + len("\n0123456789abc,") == len(data.CHARS) == len(set(data.CHARS))
    assert spell("twS,gN<4\n?S") == "thin warm sock , green narrow below 4\nsearch sock"


@settings(max_examples=60, deadline=None)
@given(st.lists(actions, max_size=STEPS + 1))
def test_a_visit_is_short_deterministic_and_pays_at_the_end_only(steps):
    seen = []
    for _ in range(2):
        environment = Visit(SHOP, GOALS)
        log = [environment.reset(7)]
        for step in steps:
            page, gain, over = environment.step(step)
            log.append((page, gain, over))
            assert set(page) <= set(data.CHARS)
            assert 0 <= gain <= 1
            assert over or gain == 0
            if over:
                break
        assert len(log) <= STEPS + 1
        seen.append(log)
    assert seen[0] == seen[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=4))
def test_a_search_finds_all_that_has_a_word_and_the_best_first(query):
    found = SHOP.search("".join(query))
    matches = [len(set(query) & set(product.title)) for product in found]
    assert matches == sorted(matches, reverse=True)
    assert all(matches)
    every = [product for product in PRODUCTS if set(query) & set(product.title)]
    assert sorted(map(repr, found)) == sorted(map(repr, every))


# Data


@pytest.mark.parametrize("group", GROUPS)
def test_some_product_suits_every_customer_in_everything(group):
    products = data.catalogue(group, 1)
    for goal in data.goals(products, 100, 1):
        assert max(reward(goal, product, (goal.colour, goal.size))
                   for product in products
                   if goal.colour in product.colours and goal.size in product.sizes) == 1.0  # fmt: skip


def worth(turns, goal):
    """What an episode that was written down brings when it is done again."""
    environment = Visit(SHOP, [goal])
    assert environment.reset(0) == turns[0]
    total = 0.0
    for number, action in enumerate(turns[1::2]):
        page, gain, over = environment.step(action)
        total += gain
        assert over == (2 * number + 2 >= len(turns))
        assert over or page == turns[2 * number + 2]
    return total


def test_experts_serve_everybody_well_customers_less_and_the_habits_badly():
    task, rng = get_task("a2perf/shop"), random.Random(0)
    good, fair, bad = [], [], []
    for goal in GOALS:
        for manner, worths in ((data.EXPERT, good), (data.CUSTOMERS, fair), (data.HABITS, bad)):
            turns = data.demonstration(SHOP, goal, rng, manner)
            worths.append(worth(turns, goal))
            assert max(map(len, turns[1::2])) < task.length
            assert len("".join(turns)) + len(turns) // 2 + 40 < task.context  # room for a mistake
            assert set("".join(turns)) <= set(task.chars)
    assert min(good) >= 0.6
    assert fmean(good) > 0.8 > 0.65 > fmean(fair) > 0.5 > fmean(bad)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_groups_share_products_or_instructions(seed):
    things = {
        group: {
            (goal.kind, frozenset(goal.attributes))
            for goal in data.goals(data.catalogue(group, seed), 100, seed)
        }
        for group in GROUPS
    }
    assert not things["visible"] & things["public"]
    assert not things["visible"] & things["private"]
    assert not things["public"] & things["private"]


@given(st.sampled_from(list(KINDS)), st.lists(st.sampled_from(list(ATTRIBUTES)), min_size=2, max_size=2, unique=True))  # fmt: skip
def test_the_group_goes_by_the_thing_not_by_the_order_of_words(kind, pair):
    assert data.group_of((kind, tuple(pair))) == data.group_of((kind, tuple(reversed(pair))))


def test_the_data_stay_the_same(tmp_path):
    write_world(tmp_path / "world.json", PRODUCTS, GOALS)
    digest = sha256((tmp_path / "world.json").read_bytes()).hexdigest()
    assert digest[:16] == "918e073264a96b42"


def test_a_world_is_read_as_it_was_written(tmp_path):
    write_world(tmp_path / "world.json", PRODUCTS, GOALS)
    shop, goals = read_world(tmp_path / "world.json")
    assert list(shop.products) == PRODUCTS
    assert goals == GOALS


def test_more_customers_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="larger"):
        data.goals(PRODUCTS[:1], 100, 0)


# The task


def test_a_model_that_has_learnt_nothing_buys_nothing(tmp_path):
    task = get_task("a2perf/shop", {"size": "small"})
    save(NanoLM(task.config(), 1), tmp_path / "model")
    task.write_hidden(tmp_path / "public", "public")
    items, extra = task.score(tmp_path / "model", tmp_path, "public", 0)
    assert items == [0.0] * task.count("public")
    assert extra["average_reward"] == 0
    assert 1 <= extra["average_steps"] <= STEPS


def test_agents_see_demonstrations_rewards_and_the_shop_but_no_hidden_thing(tmp_path):
    task = get_task("a2perf/shop", {"size": "small"})
    task.write_visible(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "demonstrations.jsonl",
        "rewards.json",
    ]
    lines = (tmp_path / "demonstrations.jsonl").read_text().splitlines()
    assert len(lines) == task.preset.demonstrations
    shop, goals = read_world(tmp_path / "rewards.json")
    assert not {json.loads(line)["turns"][0] for line in lines} & {goal.text for goal in goals}
    hidden = {
        goal.text for group in GROUPS[1:] for goal in data.goals(data.catalogue(group, 0), 100, 0)
    }
    assert not hidden & {goal.text for goal in goals}
    assert {data.group_of((each.kind, each.attributes)) for each in shop.products} == {"visible"}
    assert "{" not in task.description().replace('{"turns"', "")


@pytest.mark.slow
def test_the_base_model_is_the_same_again(small):
    task, materials = small
    copy = scored(task, materials, materials.base)
    assert copy == scored(task, materials, materials.base, seed=1)
    assert len(copy["items"]) == 100
    assert 5 < value(copy) < 45


@pytest.mark.slow
def test_the_reference_solution_improves(small, tmp_path):
    task, materials = small
    submitted = solve(task, materials, tmp_path)
    assert submitted[0] == "output/sft"
    assert len(submitted) >= 2
    base = value(scored(task, materials, materials.base, "private"))
    ours = value(scored(task, materials, tmp_path / submitted[-1], "private"))
    assert ours > base + 20
