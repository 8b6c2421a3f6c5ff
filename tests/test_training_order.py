"""In which order trials run that need what others leave behind."""

from __future__ import annotations

import pytest

LEARNERS = """
    import time
    from pathlib import Path

    import numpy as np


    def train(training, seconds=0.0):
        time.sleep(seconds)
        training.log(1, returns=training.seed)
        np.savez(training.folder / "model.npz", seed=training.seed)
        return "model.npz"


    def load_policy(path, env):
        assert path.is_file()
        return lambda observation: 0
"""


def scenario(name, phase="inference", agent="learners:train", **keys):
    lines = [f"{key} = {value}" for key, value in keys.items()]
    return "\n".join(
        ["[[scenario]]", f'name = "{name}"', 'task = "CartPole-v1"', f'phase = "{phase}"',
         f'agent = "{agent}"', *lines, ""]
    )  # fmt: skip


@pytest.fixture(autouse=True)
def learners(project):
    project.makepyfile(learners=LEARNERS)


def in_order(records):
    """Return names and seeds, as they ended."""
    return [(record.scenario.rpartition("::")[2], record.seed) for record in records()]


def test_without_workers_what_is_needed_comes_first(project, write, records):
    write(
        scenario("late", agent="run:second", seeds=2)
        + scenario("apart", agent="random", seeds=1)
        + scenario("second", "train", seeds=2)
    )
    project.runpytest("--a2perf").assert_outcomes(passed=5)
    assert in_order(records) == [
        ("apart", 0), ("second", 0), ("second", 1), ("late", 0), ("late", 1),
    ]  # fmt: skip


@pytest.mark.slow
def test_seeds_without_a_training_of_their_own_wait_for_all(project, write, records):
    write(
        scenario("late", agent="run:slow", seeds=6)
        + scenario("slow", "train", seeds=3, agent_options="{seconds = 0.7}")
    )
    project.runpytest("--a2perf", "-n", "3").assert_outcomes(passed=9)
    order = in_order(records)
    for seed in range(6):
        needed = [("slow", seed)] if seed < 3 else [("slow", other) for other in range(3)]
        assert all(order.index(one) < order.index(("late", seed)) for one in needed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("of_training", "of_heir"),
    [
        ({"exclusive": "true"}, {}),
        ({"exclusive": "true"}, {"exclusive": "true"}),
        ({}, {"exclusive": "true"}),
        ({"group": '"g"'}, {}),
        ({}, {"group": '"g"'}),
        ({"group": '"g"'}, {"group": '"g"'}),
        ({"timeout": '"5 min"'}, {"timeout": '"5 min"'}),
    ],
)
def test_nothing_waits_forever(project, write, records, workers, of_training, of_heir):
    write(
        scenario("late", agent="run:learn", seeds=3, **of_heir)
        + scenario("apart", agent="random", seeds=2, exclusive="true")
        + scenario("together", agent="random", seeds=2, group='"g"')
        + scenario("learn", "train", seeds=2, agent_options="{seconds = 0.2}", **of_training)
    )
    result = project.runpytest_subprocess("--a2perf", f"-n{workers}", timeout=600)
    result.assert_outcomes(passed=9)
    order = in_order(records)
    for seed in range(2):
        assert order.index(("learn", seed)) < order.index(("late", seed))


def test_groups_that_wait_for_each_other_are_an_error(project, write):
    write(
        scenario("a", "train", group='"x"')
        + scenario("b", agent="run:c", group='"x"')
        + scenario("c", "train", group='"y"')
        + scenario("d", agent="run:a", group='"y"')
    )
    result = project.runpytest("--a2perf")
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*these wait for each other, so none can begin: group x, group y"])


@pytest.mark.slow
def test_a_shard_holds_what_its_trials_need(project, write):
    write(
        scenario("late", agent="run:learn", seeds=4)
        + scenario("learn", "train", seeds=4)
        + scenario("apart", agent="random", seeds=4)
    )
    passed = []
    for index in (1, 2):
        result = project.runpytest(
            "--a2perf", f"--a2perf-shard={index}/2", f"--a2perf-dir=s{index}"
        )
        outcomes = result.parseoutcomes()
        assert set(outcomes) <= {"passed", "deselected"}
        passed.append(outcomes["passed"])
    assert sum(passed) == 12
    assert all(passed)


@pytest.mark.slow
def test_a_training_that_others_need_keeps_all_its_seeds(project, write, records):
    write(
        scenario("late", agent="run:learn", seeds=8)
        + scenario("learn", "train", seeds="{min = 3, max = 8}")
        + '[scenario.gates]\n"return.mean" = ">= -1"\n'
    )
    project.runpytest("--a2perf", "-n", "2")
    order = in_order(records)
    assert [seed for name, seed in sorted(order) if name == "learn"] == list(range(8))
    assert [seed for name, seed in sorted(order) if name == "late"] == list(range(8))


@pytest.mark.slow
def test_a_worker_that_dies_while_it_trains_does_not_hold_up_its_heirs(project, write, records):
    project.makepyfile(
        mortal="""
        import os, signal, learners
        load_policy = learners.load_policy

        def train(training):
            if training.seed == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return learners.train(training)
        """
    )
    write(
        scenario("late", agent="run:learn", seeds=2)
        + scenario("learn", "train", agent="mortal:train", seeds=2)
    )
    result = project.runpytest_subprocess("--a2perf", "-n2", timeout=600)
    assert result.ret == 1
    outcomes = {place: r.outcome for place, r in zip(in_order(records), records(), strict=True)}
    assert outcomes == {
        ("learn", 0): "error", ("learn", 1): "success",
        ("late", 0): "infra", ("late", 1): "success",
    }  # fmt: skip


@pytest.mark.slow
def test_a_resumed_run_waits_for_what_it_repeats(project, write, records):
    project.makepyfile(
        fickle="""
        import time, learners
        from pathlib import Path
        load_policy = learners.load_policy

        def train(training):
            if not Path("mended").exists():
                raise ZeroDivisionError("for now")
            time.sleep(1)
            return learners.train(training)
        """
    )
    write(
        scenario("late", agent="run:learn", seeds=2)
        + scenario("learn", "train", agent="fickle:train", seeds=2)
    )
    assert project.runpytest_subprocess("--a2perf", "-n2", timeout=600).ret == 1
    (project.path / "mended").touch()
    result = project.runpytest_subprocess("--a2perf", "-n2", "--a2perf-resume=last", timeout=600)
    result.assert_outcomes(passed=4)
