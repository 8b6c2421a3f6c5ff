"""Tasks of one reply: their data, how they are judged, how they are made, and that they are learnt."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posttrain_solutions import scored, shared_cache, solve, value
from pydantic import ValidationError

from pytest_a2perf.domains.posttrain import evaluate
from pytest_a2perf.domains.posttrain.tasks import arithmetic_data, programs_data
from pytest_a2perf.domains.posttrain.tasks.arithmetic import ArithmeticTask
from pytest_a2perf.domains.posttrain.tasks.arithmetic_rules import answer_of, is_right
from pytest_a2perf.domains.posttrain.tasks.cache import cached, key_of
from pytest_a2perf.domains.posttrain.tasks.nano_task import read_lines
from pytest_a2perf.domains.posttrain.tasks.programs import ProgramsTask
from pytest_a2perf.domains.posttrain.tasks.programs_stack import ProgramError, passes, run
from pytest_a2perf.domains.posttrain.tasks.registry import get_task, task_names
from pytest_a2perf.errors import InfraError, UnknownNameError

TASKS = {"arithmetic": ArithmeticTask, "programs": ProgramsTask}
GROUPS = ("visible", "public", "private")


# Data


def digest(rows):
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        ("arithmetic", ["609cdbabb7be7e58", "35abaccf3268f066", "84e6afd09a05c8a4"]),
        ("programs", ["18ff5e5b3c7d6199", "ff572defd2be939c", "69740b6548b4b7f1"]),
    ],
)
def test_data_are_what_they_were(name, golden):
    task = TASKS[name]()
    assert [digest(task.items(group, 50, 0)) for group in GROUPS] == golden


@given(st.sampled_from("+-"), st.integers(10, 99), st.integers(10, 99), st.lists(st.integers(0, 9)))
def test_sums_are_in_one_group_in_either_order(sign, a, b, seeds):
    del seeds
    group = arithmetic_data.group_of((sign, a, b))
    assert group in GROUPS
    if sign == "+":
        assert arithmetic_data.group_of((sign, b, a)) == group


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(sorted(TASKS)))
def test_what_is_hidden_is_never_visible(seed, name):
    task = TASKS[name]({"seed": seed})
    data = {"arithmetic": arithmetic_data, "programs": programs_data}[name]
    for group in GROUPS:
        for item in task.items(group, 20, seed):
            assert data.group_of(meaning(name, item["prompt"])) == group
            assert task.passes(item, item["reply"])
            assert not task.passes(item, "?")


def meaning(name, prompt):
    """What a prompt asks for, whatever its wording."""
    if name == "programs":
        return tuple(prompt.rstrip(":").split(", "))
    words = prompt.rstrip(":").split()
    return "+" if words[4] in arithmetic_data.GAINS else "-", int(words[2]), int(words[5])


@pytest.mark.parametrize("name", sorted(TASKS))
def test_visible_and_hidden_files_have_no_problem_in_common(name, tmp_path):
    task = TASKS[name]()
    task.write_visible(tmp_path)
    for split in ("public", "private"):
        task.write_hidden(tmp_path / split, split)
    found = {path.stem: read_lines(path) for path in tmp_path.iterdir()}
    assert sorted(found) == ["demonstrations", "private", "public", "rewards"]
    asked = [meaning(name, row["prompt"]) for rows in found.values() for row in rows]
    assert len(set(asked)) == len(asked)
    assert len(found["public"]) == task.preset.public
    assert len(found["private"]) == task.preset.private
    assert all("reply" not in row for stem in ("public", "rewards") for row in found[stem])


def test_there_are_no_more_problems_than_there_are():
    with pytest.raises(ValueError, match="larger than population"):
        arithmetic_data.problems("public", 10_000, 0)


# Judging


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("68", "68"),
        ("it is 68", "68"),
        ("68 pens", ""),
        ("", ""),
        ("68.", ""),
        ("168", "168"),
        ("-68", "68"),
        ("٦٨", ""),
    ],
)
def test_the_answer_is_the_number_at_the_end(reply, number):
    assert answer_of(reply) == number


def test_a_longer_number_is_another_one():
    assert is_right("= 68", "68")
    assert not is_right("168", "68")
    assert not is_right("", "68")


@pytest.mark.parametrize(
    ("program", "argument", "result"),
    [
        ("3+", 4, 7),
        ("3-", 4, 1),
        ("3s-", 4, -1),
        ("d*", -5, 25),
        ("3+2*d*", 1, 64),
        ("", 9, 9),
        ("12", 9, 2),
    ],
)
def test_programs_compute(program, argument, result):
    assert run(program, argument) == result


@pytest.mark.parametrize(
    "program", ["+", "+3", "s", "0", "?", "x", "1" * 65, "d" * 20, "d*" * 8, "3+\n"]
)
def test_what_is_no_program_is_refused(program):
    with pytest.raises(ProgramError):
        run(program, 99)
    assert not passes(program, [(99, 99)])


@given(st.text("123456789+-*ds?", max_size=80), st.integers(-100, 100))
def test_every_text_ends_within_limits(program, argument):
    with contextlib.suppress(ProgramError):
        assert abs(run(program, argument)) <= 10**12


@given(st.sampled_from(programs_data.STEPS), st.integers(-50, 50))
def test_a_step_is_done_by_its_piece_of_program(step, x):
    words = {"add": x.__add__, "sub": x.__sub__, "mul": x.__mul__}
    expected = {"twice": 2 * x, "power": x * x}.get(step)
    if expected is None:
        expected = words[step[:3]](int(step[4]))
    assert run(programs_data.word_of(step), x) == expected


# Making


def test_the_cache_makes_once_and_gives_the_rest_what_it_made(tmp_path):
    made, found = [], []

    def make(folder):
        made.append(folder)
        time.sleep(0.3)
        (folder / "file").write_text("text")

    threads = [
        threading.Thread(target=lambda: found.append(cached(tmp_path, "a", "key", make)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1
    assert len(found) == 4
    assert len(set(found)) == 1
    assert (found[0][0] / "file").read_text() == "text"


def test_what_was_damaged_is_made_again(tmp_path):
    def make(folder):
        (folder / "file").write_text("text")

    folder, value = cached(tmp_path, "a", "key", make)
    (folder / "file").write_text("other")
    assert cached(tmp_path, "a", "key", make) == (folder, value)
    assert (folder / "file").read_text() == "text"


def test_what_fails_leaves_nothing_behind(tmp_path):
    def fail(folder):
        (folder / "file").write_text("half")
        raise InfraError("no power")

    with pytest.raises(InfraError, match="no power"):
        cached(tmp_path, "a", "key", fail)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["key.lock"]


def test_nobody_waits_for_ever(tmp_path):
    def make(folder):
        with pytest.raises(InfraError, match="another process has held"):
            cached(tmp_path, "a", "key", make, patience=0.1)

    cached(tmp_path, "a", "key", make)


def test_another_text_or_option_has_another_key(tmp_path):
    source = tmp_path / "code.py"
    source.write_text("1")
    keys = [key_of({"seed": 0}, [source]), key_of({"seed": 1}, [source])]
    source.write_text("2")
    keys.append(key_of({"seed": 0}, [source]))
    assert len(set(keys)) == 3


def test_tasks_have_names():
    assert {"a2perf/arithmetic", "a2perf/programs"} <= set(task_names())
    for name in ("a2perf/arithmetic", "a2perf/programs"):
        task = get_task(name, {"size": "small"})
        assert (task.name, task.level, task.noise) == (name, 1, 0.0)
        assert task.budget.cpu == 10
        request = task.evaluator("private", 7)
        assert json.loads(json.dumps(request)) == request
        assert (request["task"], request["split"], request["seed"]) == (name, "private", 7)
    with pytest.raises(UnknownNameError, match="did you mean 'a2perf/programs'"):
        get_task("a2perf/program")
    with pytest.raises(ValidationError, match="sise"):
        get_task("a2perf/programs", {"sise": "small"})


# Evaluation


@pytest.mark.usefixtures("one_thread")
def test_a_model_is_scored_by_what_it_replies(tmp_path):
    """One that says 50 always, is right where 50 is the answer."""
    from pytest_a2perf.domains.posttrain.nano.io import save
    from pytest_a2perf.domains.posttrain.nano.model import NanoLM
    from pytest_a2perf.domains.posttrain.nano.sft import SftOptions, sft

    task = ArithmeticTask()
    model = NanoLM(task.config())
    prompts = [item["prompt"] for item in task.items("visible", 64, 0)]
    sft(model, [(prompt, "50") for prompt in prompts], SftOptions(steps=40, rate=5e-3))
    save(model, tmp_path / "model")
    task.write_hidden(tmp_path / "private", "private")
    request = {
        **task.evaluator("private", 1),
        "artefact": str(tmp_path / "model"),
        "hidden": str(tmp_path),
    }
    answer = evaluate.evaluate(request)
    wanted = [item["answer"] for item in read_lines(tmp_path / "private.jsonl")]
    assert answer["items"] == [float(number == "50") for number in wanted]
    assert sum(answer["items"]) == 7
    assert answer["extra"] == {"mean_length": 2.0}


def ask(request):
    return subprocess.run(
        [sys.executable, "-m", "pytest_a2perf.domains.posttrain.evaluate"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.slow
def test_the_evaluator_says_why_it_refuses(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    request = get_task("a2perf/programs").evaluator("public", 0)
    (tmp_path / "public.jsonl").write_text('{"prompt": "add 1, add 1, add 1:", "tests": []}\n')
    request = {**request, "artefact": str(tmp_path), "hidden": str(tmp_path), "nonce": "abc"}
    done = ask(request)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == {"error": "config.json: architecture must be 'nano-lm'", "nonce": "abc"}


# Making, and learning


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_reference_solution_gains_a_lot(tmp_path, tmp_path_factory):
    """The one of the other task does so in the smoke suite."""
    task = ProgramsTask({"size": "small"})
    cache = shared_cache(tmp_path_factory)
    materials = task.materials(cache)
    submitted = solve(task, materials, tmp_path / "agent")
    assert len(submitted) >= 2
    base = value(scored(task, materials, materials.base, "private"))
    ours = value(scored(task, materials, tmp_path / "agent" / submitted[-1], "private"))
    assert ours > base + 10
    assert task.materials(cache) == materials  # found again
    assert "a2perf-programs" in {path.name for path in cache.iterdir()}
    assert {path.name for path in materials.base.iterdir()} == {"config.json", "model.safetensors"}
    assert {path.stem for path in materials.hidden.iterdir()} == {"public", "private"}
    assert (materials.toolkit / "nano/grpo.py").is_file()
    assert {path.name for path in task.tools} < {path.name for path in materials.toolkit.iterdir()}
