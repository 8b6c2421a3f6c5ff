"""The tasks with a user's model and data, on small stand-ins in the same formats."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import numpy as np
import posttrain_boxes as boxes
import posttrain_own_data as own
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_server import LlmServer
from posttrain_grading_world import World
from pydantic import ValidationError

from pytest_a2perf.domains.posttrain.grading.artefact import relative_path, take, validate
from pytest_a2perf.domains.posttrain.proxy import LlmOptions
from pytest_a2perf.domains.posttrain.tasks import configured_dry_run, humaneval_run
from pytest_a2perf.domains.posttrain.tasks.alpacaeval_rate import length_controlled
from pytest_a2perf.domains.posttrain.tasks.configured_backend import replies
from pytest_a2perf.domains.posttrain.tasks.configured_dry_run import dry_run, main
from pytest_a2perf.domains.posttrain.tasks.configured_options import (
    BackendOptions,
    ConfiguredOptions,
)
from pytest_a2perf.domains.posttrain.tasks.deepsearchqa import _order
from pytest_a2perf.domains.posttrain.tasks.formats import Row, read_rows
from pytest_a2perf.domains.posttrain.tasks.gsm8k import answer_of, is_right
from pytest_a2perf.domains.posttrain.tasks.humaneval import program_of
from pytest_a2perf.domains.posttrain.tasks.humaneval_child import decode, encode
from pytest_a2perf.domains.posttrain.tasks.registry import get_task
from pytest_a2perf.domains.posttrain.tasks.smith import SmithTask
from pytest_a2perf.errors import InfraError, ScenarioError

PLAIN = {"sandbox": "none", "allow_unisolated": True}
PRICES = {"input": 1.0, "output": 2.0}  # so that no table of prices is loaded


def rows_of(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


@pytest.fixture
def gsm8k(tmp_path):
    """Options of a task that is right."""
    return {
        "base_model": str(own.model(tmp_path / "models" / "stand-in", 0.5)),
        "train": str(own.gsm8k(tmp_path / "train.jsonl", 0, 30)),
        "hidden": str(own.gsm8k(tmp_path / "test.jsonl", 100, 40)),
        **own.generate(tmp_path, "So it is TOTAL clips.\n#### TOTAL"),
    }


# -- the whole path ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_gsm8k_from_files_to_a_score(gsm8k, tmp_path):
    boxes.sandbox(name := "bubblewrap")
    task = get_task("gsm8k", gsm8k)
    scores = dry_run(task, tmp_path / "cache", sandbox=name)
    assert {split: len(score.items) for split, score in scores.items()} == {"public": 12, "private": 28}  # fmt: skip
    assert 20 < scores["private"].value < 80


def test_what_agents_and_evaluators_see_of_gsm8k(gsm8k, tmp_path):
    test = rows_of(gsm8k["hidden"])
    with open(gsm8k["train"], "a") as file:  # a leak that nobody has noticed
        file.write(json.dumps(test[3]) + "\n")
    materials = get_task("gsm8k", gsm8k).materials(tmp_path / "cache")
    assert (materials.base_name, materials.base) == ("stand-in", tmp_path / "models" / "stand-in")
    shown = (materials.visible / "train.jsonl").read_text()
    assert len(shown.splitlines()) == 30
    assert not any(row["question"] in shown for row in test)
    hidden = {split: read_rows(materials.hidden / f"{split}.jsonl", Row) for split in ("public", "private")}  # fmt: skip
    questions = {split: {row.question for row in rows} for split, rows in hidden.items()}
    assert questions["public"] | questions["private"] == {row["question"] for row in test}
    assert not questions["public"] & questions["private"]
    assert all("<<" not in row.answer for row in hidden["public"])
    assert "####" in materials.description


def test_splits_do_not_depend_on_the_order_of_the_file(gsm8k):
    def public():
        return {row.question for row in get_task("gsm8k", gsm8k).splits()["public"]}

    before = public()
    own.lines(Path(gsm8k["hidden"]), reversed(rows_of(gsm8k["hidden"])))
    assert public() == before
    gsm8k["seed"] = 1
    assert public() != before


def test_splits_as_upstream_has_them(gsm8k):
    splits = get_task("gsm8k", {**gsm8k, "splits": "upstream"}).splits()
    assert len(splits["public"]) == len(splits["private"]) == 40


def test_files_of_both_splits(gsm8k, tmp_path):
    del gsm8k["hidden"]
    gsm8k |= {"public": str(own.gsm8k(tmp_path / "a.jsonl", 100, 3)), "private": str(own.gsm8k(tmp_path / "b.jsonl", 200, 4))}  # fmt: skip
    splits = get_task("gsm8k", gsm8k).splits()
    assert {split: len(rows) for split, rows in splits.items()} == {"public": 3, "private": 4}


@pytest.mark.parametrize(
    ("rows", "share", "splits"),
    [(34, 0.3, (10, 24)), (30, 0.3, (9, 21)), (80, 0.999, (80, 0)), (20, 0.5, (10, 10))],
)
def test_splits_that_say_nothing_are_refused(gsm8k, tmp_path, rows, share, splits):
    gsm8k |= {"hidden": str(own.gsm8k(tmp_path / "few.jsonl", 100, rows)), "public_share": share}
    task = get_task("gsm8k", gsm8k)
    if min(splits) >= 10:
        assert tuple(map(len, task.splits().values())) == splits
    else:
        told = f"public_share: {share:g} of {rows} rows .* splits of {splits[0]} and {splits[1]},"
        with pytest.raises(ScenarioError, match=told):
            task.check()


def test_materials_change_with_the_data_and_are_found_again(gsm8k, tmp_path):
    task = get_task("gsm8k", gsm8k)
    first = task.materials(tmp_path / "cache")
    assert task.materials(tmp_path / "cache") == first
    own.gsm8k(tmp_path / "test.jsonl", 300, 41)
    assert task.materials(tmp_path / "cache").digest != first.digest
    own.model(tmp_path / "models" / "stand-in", 0.75)
    assert len({task.materials(tmp_path / "cache").digest, first.digest}) == 2


@pytest.mark.slow
def test_gsm8k_by_a_server(gsm8k, tmp_path):
    path = own.script(tmp_path, "serve.py", own.SERVER)
    gsm8k["backend"] = {
        "serve": [sys.executable, str(path), "{artefact}", "{port}"],
        "starting": 60,
    }
    gsm8k["resources"] = [str(path)]
    assert dry_run(get_task("gsm8k", gsm8k), tmp_path / "cache", **PLAIN)["public"].value == 100


@pytest.mark.parametrize(
    ("reply", "message"),
    [("raise", "exit status 1"), ("junk", "line 1: expected"), ("silent", "no reply to request 0")],
)
def test_generators_that_fail_give_no_replies(tmp_path, reply, message):
    options = BackendOptions.model_validate(own.generate(tmp_path, "TOTAL")["backend"])
    text = {"raise": "raise SystemExit(1)", "junk": "print('hello')", "silent": ""}[reply]
    own.script(tmp_path, "generate.py", text)
    with pytest.raises(InfraError, match=message):
        replies(options, own.model(tmp_path / "base", 1.0), ["1 plus 2"], 0)


def test_submissions_of_large_models_are_accepted(gsm8k, tmp_path):
    task = get_task("gsm8k", gsm8k)
    assert task.rules.size > 64 << 20
    own.model(tmp_path / "workspace" / "output" / "v1", 0.9, seed=5)
    taken = take(tmp_path / "workspace", relative_path("output/v1", ("/workspace",)), tmp_path / "copies", task.rules)  # fmt: skip
    validate(taken, task.materials(tmp_path / "cache").base)


@pytest.mark.slow
def test_gsm8k_behind_the_grading_service(gsm8k, tmp_path):
    from pytest_a2perf.domains.posttrain.grading.config import Plan

    task = get_task("gsm8k", gsm8k)
    materials = task.materials(tmp_path / "cache")
    world = World(tmp_path / "world", task="gsm8k", items=12)
    plan = Plan(
        hidden=materials.hidden,
        requests={split: task.evaluator(split, 0) for split in ("public", "private")},
        command=task.command,
        place=task.place(**PLAIN),
    )
    world.config = type(world.config)(**{**{f: getattr(world.config, f) for f in world.config.__slots__}, "plan": plan, "base": materials.base})  # fmt: skip
    own.model(world.workspace / "output" / "v1", 1.0)
    with world.service() as service:
        status, answer = world.submit("output/v1")
        assert (status, answer["score"]) == (200, 100.0)
        service.stop()
        assert service.final().private.value == 100.0


# -- gsm8k ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 72", "72"),
        ("It is 5.\n#### 1,234\nand 7", "1234"),
        ("so 3 + 4 = 7 apples.", "7"),
        ("costs $1,050.50.", "1050.50"),
        ("minus: -3", "-3"),
        ("7\nQuestion: what is 9?", "7"),
        ("the answer is .5", ".5"),
        ("none", None),
        ("#### none, 5 before", "5"),
        ("", None),
    ],
    ids=range(10),
)
def test_numbers_are_found(text, number):
    assert answer_of(text) == (None if number is None else Decimal(number))


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.text())
def test_a_marked_number_is_right_whatever_stands_before(number, text):
    before = text.replace("#", "").replace("Question", "")
    assert is_right(f"{before}\n#### {number:,}", f"#### {number}")
    assert not is_right(f"{before}\n#### {number + 1}", f"#### {number}")


@settings(deadline=None)
@given(st.text())
def test_any_reply_can_be_judged(text):
    assert is_right(text, "#### 123456789012345678901") in (True, False)


# -- humaneval --------------------------------------------------------------------------------------

PROMPT = 'import math\n\n\ndef twice(x):\n    """Twice x."""\n'
TEST = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(0) == 0\n"


def passes(program, prompt=PROMPT, entry_point="twice", test=TEST, seconds=10.0):
    return humaneval_run.passes(prompt, program, entry_point, test, seconds)


@pytest.mark.parametrize(
    "reply",
    [
        "    return 2 * x\n",
        "    return 2 * x\n\n\nprint(twice(1 / 0))\n",
        "```python\ndef twice(x):\n    return math.floor(2 * x)\n```\nIt is twice x.",
        "Sure:\n```\nreturn 2 * x\n```",
        "```python\n    return 2 * x",
        "def twice(x):\n    return x + x",
    ],
    ids=range(6),
)
def test_functions_that_are_right(reply):
    assert passes(program_of(PROMPT, "twice", reply))


CHEATS = {
    "wrong": "return x",
    "no Python": "return return",
    "raises": "raise ValueError(x)",
    "ends with success": "import os; os._exit(0)",
    "ends quietly": "raise SystemExit(0)",
    "loops": "while True: pass",
    "equal to all": "return type('E', (int,), {'__eq__': lambda *_: True})(x)",
    "no value": "return object()",
    "too much": "return 'x' * (2 << 20)",
    "too deep": "y = []\n    for _ in range(100000): y = [y]\n    return y",
    "too much memory": "return len([0] * (1 << 34))",
    "kills itself": "import os, signal; os.kill(os.getpid(), signal.SIGKILL); return 2 * x",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEATS)
def test_functions_that_are_not(name, monkeypatch):
    monkeypatch.setattr(humaneval_run, "_MOST", 1 << 20)
    assert not passes(f"def twice(x):\n    {CHEATS[name]}\n", seconds=1.0) or name.startswith(
        "kills"
    )


def test_what_a_program_prints_says_nothing():
    noisy = "import sys, os\nprint('{\"value\": 4}'); os.write(1, b'[]\\n')\n"
    assert passes(noisy + "def twice(x):\n    print(input.__name__)\n    return 2 * x\n")
    assert not passes(noisy + "def twice(x):\n    return 3 * x\n")


def test_programs_do_not_see_what_is_hidden(tmp_path):
    if not humaneval_run.can_confine():
        pytest.skip("this kernel has no Landlock")
    (tmp_path / "hidden").write_text("4")
    look = f"import pathlib\ndef twice(x):\n    return int(pathlib.Path({str(tmp_path / 'hidden')!r}).read_text()) * x // 2\n"
    assert not passes(look)
    write = f"import pathlib\npathlib.Path({str(tmp_path / 'new')!r}).write_text('')\n"
    assert not passes(write + "def twice(x):\n    return 2 * x\n")
    assert not (tmp_path / "new").exists()


def test_tests_may_use_helpers_of_the_prompt():
    prompt = "def half(x):\n    return x // 2\n\n\n" + PROMPT
    test = "def check(candidate):\n    assert half(candidate(3)) == 3\n"
    assert passes(program_of(prompt, "twice", "    return 2 * x"), prompt, test=test)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.integers(), inner) | st.frozensets(st.integers()),
    max_leaves=10,
)  # fmt: skip


@settings(deadline=None)
@given(values)
def test_plain_values_come_back_as_they_are(value):
    found = decode(json.loads(json.dumps(encode(value))))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.slow
def test_humaneval_from_files_to_a_score(tmp_path):
    options = {
        "base_model": str(own.model(tmp_path / "base", 0.5)),
        "hidden": str(own.humaneval(tmp_path / "HumanEval.jsonl", 12)),
        "splits": "upstream",
        **own.generate(tmp_path, "```python\\ndef add_it(x):\\n    return x + NUMBER\\n```"),
    }
    task = get_task("humaneval", options)
    materials = task.materials(tmp_path / "cache")
    ids = [row["task_id"] for row in rows_of(materials.visible / "train.jsonl")]
    assert ids == [f"HumanEval/{n}" for n in range(6)]
    rows = read_rows(materials.hidden / "public.jsonl", Row)
    assert [row.task_id for row in rows] == [f"HumanEval/{n}" for n in range(6, 12)]
    assert not any(row.canonical_solution for row in rows)
    found = dry_run(task, tmp_path / "cache", **PLAIN)["public"]
    assert 10 < found.value < 90
    assert found.extra["no_python"] == 0
    best = dry_run(task, tmp_path / "cache", artefact=own.model(tmp_path / "best", 1.0), **PLAIN)
    assert best["private"].value == 100


def test_the_first_82_problems_of_humaneval_are_shown(tmp_path):
    path = own.humaneval(tmp_path / "HumanEval.jsonl", 164)
    packed = tmp_path / "HumanEval.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    options = {"base_model": str(own.model(tmp_path / "base", 0.5)), "hidden": str(packed)}
    task = get_task("humaneval", {**options, **own.generate(tmp_path, "x")})
    assert [len(task.visible_rows()), len(task.test_rows())] == [82, 82]
    assert task.test_rows()[0].task_id == "HumanEval/82"


# -- alpacaeval -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_alpacaeval_from_files_to_a_score(tmp_path, monkeypatch):
    boxes.sandbox(name := "bubblewrap")
    monkeypatch.setenv("JUDGE_KEY", "sk-of-the-judge")

    def judge(messages):
        first, second = messages[0]["content"].split("<reply_2>")
        return "1" if "good" in first.split("<reply_1>")[1] else "2" if "good" in second else "1"

    rows = [
        {"instruction": f"Say {n} plus 1", "output": "a reply", "dataset": "x"} for n in range(12)
    ]
    (tmp_path / "eval.json").write_text(json.dumps(rows))
    train = [{"instruction": f"Do {n}", "input": "", "output": "done"} for n in range(5)]
    (tmp_path / "alpaca.json").write_text(json.dumps(train))
    with LlmServer(judge) as server:
        options = {
            "base_model": str(own.model(tmp_path / "base", 0.5)),
            "hidden": str(tmp_path / "eval.json"),
            "train": str(tmp_path / "alpaca.json"),
            "rows": 3,
            "splits": "upstream",
            "judge": {
                "model": "judge-x",
                "repeats": 2,
                "upstream": {
                    "url": server.url,
                    "models": ["judge-x"],
                    "key_env": "JUDGE_KEY",
                    "prices": PRICES,
                },
            },
            **own.generate(tmp_path, "a good reply TOTAL"),
        }
        task = get_task("alpacaeval", options)
        scores = dry_run(task, tmp_path / "cache", sandbox=name)
        assert set(server.keys) == {"Bearer sk-of-the-judge"}
        assert len(server.asked) == 2 * 2 * 12
    assert scores["public"].items == (1.0,) * 12
    assert scores["public"].value > 90
    assert scores["public"].extra["win_rate"] == 100
    assert scores["public"].extra["judge_failures"] == 0
    calls = rows_of(tmp_path / "cache" / "judge-calls.jsonl")
    assert {call["kind"] for call in calls} == {"judge"}  # agents are not charged for it
    assert len(task.materials(tmp_path / "cache").visible.joinpath("train.jsonl").read_text().splitlines()) == 3  # fmt: skip


@pytest.mark.slow
def test_a_judge_that_likes_one_place_makes_a_tie(tmp_path):
    with LlmServer("1") as server:
        options = alpaca(tmp_path, server.url, repeats=2)
        found = dry_run(get_task("alpacaeval", options), tmp_path / "cache", **PLAIN)
    assert set(found["public"].items) == {0.5}
    assert found["public"].value == pytest.approx(50)


@pytest.mark.slow
def test_judgements_that_fail_are_lost_and_too_many_no_score(tmp_path):
    with LlmServer("neither") as server:
        options = alpaca(tmp_path, server.url, failures=1.0)
        found = dry_run(get_task("alpacaeval", options), tmp_path / "cache", **PLAIN)
    assert set(found["public"].items) == {0.0}
    assert found["public"].extra["judge_failures"] == 12
    with LlmServer((400, {})) as server:  # refused, e.g. by a filter
        options = alpaca(tmp_path, server.url, failures=0.05)
        with pytest.raises(InfraError, match="12 of 12 judgements failed"):
            dry_run(get_task("alpacaeval", options), tmp_path / "cache", **PLAIN)


def alpaca(tmp_path, url, **judge):
    rows = [{"instruction": f"Say {n} plus 1", "output": "a reply"} for n in range(12)]
    return {
        "base_model": str(own.model(tmp_path / "base", 0.5)),
        "hidden": str(own.lines(tmp_path / "eval.jsonl", rows)),
        "splits": "upstream",
        "judge": {
            "model": "j",
            "upstream": {"url": url, "models": ["j"], "prices": PRICES},
            **judge,
        },
        **own.generate(tmp_path, "a good reply TOTAL"),
    }


def test_length_alone_wins_nothing():
    rng = random.Random(0)
    lengths = [rng.randrange(50, 400) for _ in range(400)]
    longer = [float(length > 200) for length in lengths]
    assert sum(longer) / 400 > 0.5
    even, _ = length_controlled(longer, lengths, [200] * 400)
    assert abs(even - 0.5) < 0.1
    better = [float(length > 100) for length in lengths]
    assert length_controlled(better, [length + 300 for length in lengths], [200] * 400)[0] < sum(better) / 400  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 5000), st.integers(0, 5000)), min_size=1))  # fmt: skip
def test_win_rates_are_shares_and_symmetric(rows):
    wins, ours, theirs = (list(column) for column in zip(*rows, strict=True))
    rate, error = length_controlled(wins, ours, theirs)
    assert 0 <= rate <= 1
    mirrored = length_controlled([1 - win for win in wins], theirs, ours)
    assert mirrored == pytest.approx((1 - rate, error), abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2), st.integers(1, 1000))
def test_equal_lengths_leave_the_win_rate(wins, length):
    rate, _ = length_controlled(wins, [length] * len(wins), [length] * len(wins))
    assert rate == pytest.approx(sum(wins) / len(wins), abs=0.02)


@pytest.mark.parametrize("longer", [0, 300])
def test_the_error_of_a_win_rate_is_that_of_other_items(longer):
    generator = np.random.default_rng(7)

    def rate():
        ours = generator.normal(1000 + longer, 150, 300)
        wins = generator.random(300) < 1 / (1 + np.exp(-(ours - 1000) / 150))
        return length_controlled(list(wins.astype(float)), list(ours), [1000] * 300)

    rates, errors = zip(*(rate() for _ in range(300)), strict=True)
    assert np.mean(errors) == pytest.approx(np.std(rates), rel=0.15)


# -- by command -------------------------------------------------------------------------------------


def by_command(tmp_path, **options):
    path = own.script(tmp_path, "evaluator.py", own.EVALUATOR)
    return {
        "base_model": str(own.model(tmp_path / "base", 0.5)),
        "evaluator": [sys.executable, str(path)],
        "resources": [str(path)],
        **options,
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", boxes.ISOLATED)
def test_alfworld_by_a_command(tmp_path, name):
    boxes.sandbox(name)
    train = own.games(tmp_path / "json" / "train", 0, 3)
    hidden = own.games(tmp_path / "json" / "valid_unseen", 10, 40)
    task = get_task("alfworld", by_command(tmp_path, train=str(train), hidden=str(hidden)))
    found = dry_run(task, tmp_path / "cache", sandbox=name)
    assert (found["public"].extra["rows"], found["private"].extra["rows"]) == (12, 28)
    assert task.materials(tmp_path / "cache").visible == train
    assert task.splits()["public"][0].type == "pick_and_place_simple"


def test_an_evaluator_gets_device_files_and_gpus(tmp_path, monkeypatch):
    own.gsm8k(tmp_path / "test.jsonl", 0, 10)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    hidden, devices = str(tmp_path / "test.jsonl"), ["/dev/nul*", "/dev/null"]
    options = by_command(tmp_path, hidden=hidden)
    leased = get_task("gsm8k", {**options, "devices": devices}).place()
    assert leased.devices == ("/dev/null",)
    assert leased.env["CUDA_VISIBLE_DEVICES"] == "2,3"
    named = {**options, "devices": devices, "gpus": ["0"]}
    assert get_task("gsm8k", named).place().env["CUDA_VISIBLE_DEVICES"] == "0"
    none = {**options, "devices": ["/dev/nvidia-none*"]}
    with pytest.raises(InfraError, match="no /dev/nvidia-none"):
        get_task("gsm8k", none).place()


def test_games_that_agents_would_see_are_refused(tmp_path):
    own.games(tmp_path / "json" / "train", 0, 3)
    hidden = own.games(tmp_path / "json" / "valid_unseen", 10, 4)
    os.symlink(tmp_path / "json", tmp_path / "data")  # as upstream does
    options = by_command(tmp_path, train=str(tmp_path / "data"), hidden=str(hidden))
    with pytest.raises(ScenarioError, match="agents would see it"):
        get_task("alfworld", options).check()


def test_webshop_by_a_command(tmp_path):
    products = tmp_path / "items_shuffle_1000.json"
    products.write_text(json.dumps([{"asin": "B01", "name": "shirt"}]))
    task = get_task("webshop", by_command(tmp_path, products=str(products)))
    found = dry_run(task, tmp_path / "cache", **PLAIN)
    assert (found["public"].extra["rows"], found["private"].extra["rows"]) == (30, 70)
    assert found["private"].value == 50
    products.write_text("[{}]")
    with pytest.raises(ScenarioError, match="asin"):
        task.check()


def test_deepsearchqa_by_a_command(tmp_path):
    path = own.deepsearchqa(tmp_path / "DSQA-full.csv", 900)
    task = get_task("deepsearchqa", by_command(tmp_path, hidden=str(path)))
    assert [len(task.visible_rows()), len(task.test_rows())] == [100, 200]
    found = dry_run(task, tmp_path / "cache", **PLAIN)
    assert (found["public"].extra["rows"], found["private"].extra["rows"]) == (60, 140)
    assert sorted(_order(900)) == list(range(900))


@pytest.mark.slow
def test_a_folder_of_rl_smith(tmp_path):
    folder = tmp_path / "sums"
    (folder / "data").mkdir(parents=True)
    (folder / "config.yaml").write_text("name: sums\neval_mode: per_sample\ndescription: Add.\nexpose_files: [eval.py]\n")  # fmt: skip
    rows = [{"question": f"{n} plus 2?", "answer": n + 2, "kind": "sum"} for n in range(80)]
    own.lines(folder / "data" / "train.jsonl", rows)
    (folder / "eval.py").write_text(
        "def evaluate(question, model_answer, reference_answer, kind):\n"
        "    return float(kind == 'sum' and model_answer == str(reference_answer))\n"
    )
    options = {"base_model": str(own.model(tmp_path / "base", 1.0)), "folder": str(folder)}
    task = SmithTask({**options, **own.generate(tmp_path, "TOTAL")})
    found = dry_run(task, tmp_path / "cache", **PLAIN)
    materials = task.materials(tmp_path / "cache")
    shown = (materials.visible / "train.jsonl").read_text().splitlines()
    assert len(found["public"].items) + len(found["private"].items) + len(shown) == 80
    assert found["private"].value == 100
    assert (task.name, [path.name for path in task.expose]) == ("smith-sums", ["eval.py"])
    assert "Add." in materials.description
    (folder / "eval.py").write_text("def evaluate(*_, **__): return 7")
    with pytest.raises(InfraError, match="not 0 to 1"):
        dry_run(task, tmp_path / "cache", **PLAIN)
    (folder / "config.yaml").write_text("eval_mode: guess\nexpose_files: [../x]")
    with pytest.raises(ScenarioError) as raised:
        task.check()
    assert "eval_mode: expected one of" in str(raised.value)
    assert "expose_files" in str(raised.value)


# -- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_model": "/no/such/model"}, "base_model: there is no /no/such/model"),
        ({"train": "/no/such/file"}, "train: there is no /no/such/file"),
        ({"hidden": None}, "hidden: give the test data"),
        ({"backend": None}, "give backend, or evaluator"),
        ({"resources": ["/no/such/thing"]}, r"resources\[0\]: there is no"),
        ({"backend": {"generate": ["/no/such/program", "{artefact}"]}}, "no program '/no/such/program'"),
    ],
    ids=range(6),
)  # fmt: skip
def test_what_is_not_there(gsm8k, change, message):
    with pytest.raises(ScenarioError, match=message):
        get_task("gsm8k", {**gsm8k, **change}).check()


def test_several_reasons_are_told_at_once(gsm8k, tmp_path):
    (tmp_path / "empty").mkdir()
    changes = {"base_model": str(tmp_path / "empty"), "train": "/no/such/file"}
    with pytest.raises(ScenarioError) as raised:
        get_task("gsm8k", {**gsm8k, **changes}).check()
    assert "no config.json" in str(raised.value)
    assert "/no/such/file" in str(raised.value)


def test_hidden_data_in_what_agents_see(gsm8k, tmp_path):
    gsm8k["hidden"] = str(own.gsm8k(tmp_path / "models" / "stand-in" / "test.jsonl", 100, 40))
    with pytest.raises(ScenarioError, match="hidden: agents would see it"):
        get_task("gsm8k", gsm8k).check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hiden": "x"}, "hiden"),
        ({"public": "x"}, "go together"),
        ({"public": "x", "private": "y"}, "either hidden"),
        ({"evaluator": ["x"]}, "either backend"),
        ({"backend": {"generate": ["x"]}}, "must name {artefact}"),
        ({"backend": {"url": "http://h/v1"}}, "generate or serve"),
        ({"public_share": 1.0}, "less than 1"),
        ({"prompt": "no question"}, "expected {question}"),
    ],
    ids=range(8),
)
def test_options_that_are_wrong(gsm8k, change, message):
    with pytest.raises(ValidationError, match=message):
        get_task("gsm8k", {**gsm8k, **change})


ROW = '{"question": "q", "answer": "#### 1"}'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", f"{ROW}\n{{", r"x\.jsonl:2: is no JSON"),
        ("x.jsonl", f'{ROW}\n\n{{"question": "q"}}', r"x\.jsonl:3: answer: Field required"),
        ("x.jsonl", '{"question": "q", "answer": "five"}', r"x\.jsonl:1: answer: .*#### "),
        ("x.jsonl", '{"question": 5, "answer": "#### 5"}', r"x\.jsonl:1: question: .*string"),
        ("x.jsonl", "", "has no rows"),
        ("x.jsonl", "[]", r"x\.jsonl:1: "),
        ("x.json", "[\n{,}]", r"x\.json:2: is no JSON"),
        ("x.json", "{}", "expected an array"),
        ("x.json", "[{}]", r"x\.json: row 0: question"),
        ("x.csv", "question,answer\nq,#### 1\nq,\n", r"x\.csv:3: answer"),
        ("x.txt", ROW, r"expected one of \.jsonl"),
        ("x.jsonl.gz", ROW, "cannot be read"),
        ("x.parquet", ROW, "Parquet"),
    ],
    ids=range(13),
)
def test_rows_that_are_wrong_are_named(gsm8k, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ScenarioError, match=message):
        get_task("gsm8k", {**gsm8k, "hidden": str(tmp_path / name)}).check()


def test_rows_of_humaneval_that_are_no_python(tmp_path):
    path = own.humaneval(tmp_path / "h.jsonl", 4)
    rows = rows_of(path)
    rows[2]["test"] = "def check(candidate:"
    own.lines(path, rows)
    options = {"base_model": str(own.model(tmp_path / "base", 0.5)), "hidden": str(path)}
    with pytest.raises(ScenarioError, match=r"h\.jsonl:3: .*test is no Python"):
        get_task("humaneval", {**options, **own.generate(tmp_path, "x")}).check()


# -- the command ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_tells_scores_or_what_is_wrong(gsm8k, tmp_path, capsys):
    def written(options):
        lines = [
            f"{key} = {json.dumps(value)}" for key, value in options.items() if key != "backend"
        ]
        table = [f"{key} = {json.dumps(value)}" for key, value in options["backend"].items()]
        path = tmp_path / "options.toml"
        path.write_text("\n".join([*lines, "[backend]", *table]))
        return str(path)

    assert main("gsm8k", written({**gsm8k, "hidden": "/no/such/file"})) == 1
    assert "there is no /no/such/file" in capsys.readouterr().out
    assert main("gsm9k", written(gsm8k)) == 1
    assert "did you mean 'gsm8k'" in capsys.readouterr().out
    assert main("gsm8k", str(tmp_path / "none.toml")) == 1
    boxes.sandbox("bubblewrap")
    assert main("gsm8k", written(gsm8k)) == 0
    assert "private: " in capsys.readouterr().out


def toml(options, prefix=""):
    tables = {key: value for key, value in options.items() if isinstance(value, dict)}
    plain = [f"{key} = {json.dumps(value)}" for key, value in options.items() if key not in tables]
    return "\n".join(
        [f"[{prefix}]" if prefix else "", *plain]
        + [toml(table, f"{prefix}.{key}".strip(".")) for key, table in tables.items()]
    )


SCENARIO = '[[scenario]]\nname = "{}"\ndomain = "posttrain"\ntask = "{}"\nagent = "copy"\n'
TABLE = "scenario.options.task_options"


@pytest.fixture
def tried(gsm8k, tmp_path, capsys, monkeypatch):
    """Run the command on a file with this text, without an evaluation; return what it prints."""
    ran = []
    monkeypatch.setattr(configured_dry_run, "dry_run", lambda task, _: ran.append(task) or {})
    path = tmp_path / "a.toml"

    def run(text, name=""):
        path.write_text(text)
        status = main("gsm8k", f"{path}{name}")
        told = capsys.readouterr().out.replace(str(path), "a.toml")
        assert (status, len(ran)) == ((1, 0) if told else (0, 1))
        assert told or ran.pop().options.base_model == gsm8k["base_model"]
        return told

    return run


@pytest.mark.parametrize("prefix", ["", "task_options", TABLE])
def test_the_command_takes_the_table_as_it_stands(gsm8k, tried, prefix):
    assert tried(toml(gsm8k, prefix)) == ""
    told = tried(toml({"hiden": "x", **gsm8k, "wall": "long"}, prefix))
    first, second = told.splitlines()
    assert first == "a.toml:2: key 'hiden': unknown key 'hiden'; did you mean 'hidden'?"
    assert re.fullmatch(
        r"a\.toml:\d: key 'wall': expected a value that is a valid number.*", second
    )


def test_the_command_takes_scenario_files(gsm8k, tried):
    one = SCENARIO.format("one", "gsm8k") + toml(gsm8k, TABLE) + "\n"
    two = (
        SCENARIO.format("two", "gsm8k") + toml({**gsm8k, "base_model": "/elsewhere"}, TABLE) + "\n"
    )
    other = SCENARIO.format("other", "humaneval") + toml(gsm8k, TABLE) + "\n"
    assert tried("schema = 1\n" + one) == ""
    assert tried(other + one) == ""
    assert tried(two + one, "::one") == ""
    several = "a.toml: several scenarios have task 'gsm8k' and options.task_options; name one of "
    assert tried(two + one) == f"{several}a.toml::two, a.toml::one\n"
    assert tried(one, "::three").startswith("a.toml: no scenario 'three' has task 'gsm8k'")
    assert tried(other) == "a.toml: no scenario has task 'gsm8k' and options.task_options\n"
    wrong = two + one.replace('train = "', 'trian = "')
    assert tried(wrong, "::one").startswith(f"a.toml:{len(two.splitlines()) + 8}: key 'trian': ")


def test_the_command_tells_how_it_is_used(gsm8k, tmp_path, capsys):
    for arguments in ((), ("gsm8k",), ("--help",)):
        assert main(*arguments) == 2
        assert capsys.readouterr().err.startswith("usage: python -m")
    (tmp_path / "a.toml").write_text("base_model = ")
    assert main("gsm8k", str(tmp_path / "a.toml")) == 1
    assert "a.toml: not valid TOML" in capsys.readouterr().out
    (tmp_path / "a.toml").write_text(toml(gsm8k))
    assert main("a2perf/arithmetic", str(tmp_path / "a.toml")) == 1
    assert "there is nothing to configure" in capsys.readouterr().out


def test_an_evaluator_that_fails_is_quoted(tmp_path):
    hidden = str(own.gsm8k(tmp_path / "test.jsonl", 100, 40))
    options = by_command(tmp_path, hidden=hidden)
    own.script(tmp_path, "evaluator.py", "raise SystemExit('no such GPU')")
    with pytest.raises(InfraError) as raised:
        dry_run(get_task("gsm8k", options), tmp_path / "cache", **PLAIN)
    assert str(raised.value) == "gsm8k: the evaluation failed: exit status 1\nno such GPU"
    own.script(tmp_path, "evaluator.py", "print('junk')")
    with pytest.raises(InfraError, match=r"\nb'junk\\n'$"):
        dry_run(get_task("gsm8k", options), tmp_path / "cache", **PLAIN)


def test_the_evaluator_needs_no_torch(gsm8k, tmp_path):
    task = get_task("gsm8k", gsm8k)
    materials = task.materials(tmp_path / "cache")
    request = {**task.evaluator("public", 1), "artefact": str(materials.base), "hidden": str(materials.hidden)}  # fmt: skip
    code = "import sys, runpy; sys.modules['torch'] = None; runpy.run_module(sys.argv[1], run_name='__main__')"  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, task.command[2]],
        input=json.dumps({**request, "nonce": "n0"}) + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["nonce"], len(answer["items"])) == ("n0", 12)


# -- the documentation ------------------------------------------------------------------------------

DOCS = (Path(__file__).parent.parent / "docs" / "posttrain-tasks.md").read_text()
EXAMPLES = [
    scenario
    for block in re.findall(r"^```toml\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    for scenario in tomllib.loads(block)["scenario"]
]


@pytest.mark.parametrize("scenario", EXAMPLES, ids=[one["name"] for one in EXAMPLES])
def test_examples_of_the_documentation_are_valid(scenario):
    options = scenario["options"]
    if "llm" in options:
        assert LlmOptions.model_validate(options["llm"]).upstreams
    if scenario["task"] == "smith":
        assert SmithTask(options["task_options"]).name == "smith-mbpp"
    elif "task_options" in options:
        task = get_task(scenario["task"], options["task_options"])
        with pytest.raises(ScenarioError, match="base_model: there is no /models"):
            task.check()


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Options of all of them", ConfiguredOptions),
        ("How a model is made to speak", BackendOptions),
        ("Language models of agents", LlmOptions),
    ],
)
def test_tables_of_the_documentation_are_whole(heading, model):
    part = DOCS.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", part, re.MULTILINE)
    named = {name: value for cell, value in rows for name in re.findall(r"`(\w+)`", cell)}
    assert set(named) == set(model.model_fields)
    for name, field in model.model_fields.items():
        if isinstance(field.default, bool | int | float) and "," not in named[name]:
            assert named[name].strip("`") == str(field.default).lower()
