"""The strategies draw what is valid; and what is valid, the package copes with."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces as gym
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.gym.domain import GymDomain
from pytest_a2perf.errors import AgentFailure, UnsupportedSampleError
from pytest_a2perf.metrics.base import Estimate, Request
from pytest_a2perf.metrics.registry import catalogue, report_metrics, resolve
from pytest_a2perf.runs.record import Curve, Episode, Record
from pytest_a2perf.runs.store import RunStore, read_records
from pytest_a2perf.scenarios.load import check_scenario, load_scenarios
from pytest_a2perf.scenarios.models import Scenario
from pytest_a2perf.strategies import (
    actions,
    curves,
    episodes,
    gates,
    histograms,
    observations,
    quantities,
    readings,
    record_lists,
    records,
    scenario_tables,
    scenarios,
    spaces,
    trials,
)

few = settings(max_examples=15, deadline=None)
some = settings(max_examples=40, deadline=None)


def one(strategy, condition=lambda _: True):
    """Draw one that meets a condition, without looking for the simplest."""
    enough = settings(phases=[Phase.generate], database=None, max_examples=10_000)
    return find(strategy, condition, settings=enough)


# -- observations and actions ---------------------------------------------------------------------


@some
@given(spaces(), st.data(), st.sampled_from([1.0, 1e6, None]))
def test_every_observation_is_in_its_space(space, data, magnitude):
    assert space.contains(data.draw(observations(space, magnitude=magnitude)))


EVEN = np.array([-1.0, -np.inf, -0.0, 1e9], np.float32), np.array([1.0, np.inf, 0.0, np.inf], np.float32)  # fmt: skip
SPACES = [
    gym.Box(*EVEN),
    gym.Box(-np.inf, -1e9, (2,), np.float64),
    gym.Box(-np.inf, 7, (3,), np.int32),
    gym.Box(0, 255, (210, 160, 3), np.uint8),
    gym.Box(-np.inf, np.inf, (2, 2), np.float16),
    gym.Box(0, 1, (3,), bool),
    gym.Box(0, 1, (0,), np.float32),
    gym.Box(-2, 3, ()),
    gym.Box(np.iinfo(np.int64).min, 2**63 - 2, (2,), np.int64),
    gym.Discrete(3, start=-5),
    gym.Discrete(200, dtype=np.int16),
    gym.MultiDiscrete([[2, 3], [1, 7]], start=[[-1, 0], [5, 9]]),
    gym.MultiBinary([2, 3]),
    gym.Text(4, min_length=0, charset="ab"),
    gym.Dict(a=gym.Discrete(2), b=gym.Dict(c=gym.Box(0, 1))),
    gym.Tuple([gym.Discrete(2), gym.Text(3)]),
    gym.OneOf([gym.Discrete(2), gym.Box(0, 1, (2,))]),
    gym.Sequence(gym.Box(0, 1, (2,))),
    gym.Sequence(gym.Discrete(3), stack=True),
    gym.Graph(gym.Box(0, 1, (2,)), gym.Discrete(3)),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
@few
@given(st.data())
def test_observations_of_each_kind_of_space(space, data):
    drawn = data.draw(observations(space))
    assert space.contains(drawn)
    if isinstance(space, gym.Box | gym.MultiDiscrete | gym.MultiBinary):
        assert (drawn.dtype, drawn.shape) == (space.dtype, space.shape)
        assert drawn.flags.writeable


def test_spaces_of_other_classes_are_sampled_and_left_alone():
    class Even(gymnasium.Space):
        def sample(self, mask=None, probability=None):
            return 2 * int(self.np_random.integers(100))

    space = Even(seed=3)
    assert one(observations(space), lambda number: number > 20) % 2 == 0
    assert space.sample() == Even(seed=3).sample()


def test_the_ends_of_a_space_are_drawn():
    unbounded = gym.Box(-np.inf, np.inf, (1,))
    assert one(observations(unbounded), lambda x: x[0] > 9e5)[0] <= 1e6
    assert one(observations(unbounded, magnitude=None), lambda x: x[0] > 1e38).dtype == np.float32
    assert one(observations(gym.Discrete(3, start=7)), lambda x: x == 9)


@few
@given(observations("CartPole-v1"), actions("Pendulum-v1"))
def test_spaces_of_an_environment_named_by_its_id(observation, action):
    assert observation.shape == (4,)
    assert -2 <= action[0] <= 2


def test_spaces_of_an_environment():
    env = gymnasium.make("MountainCar-v0")
    assert one(observations(env), env.observation_space.contains).shape == (2,)
    assert one(actions(env), env.action_space.contains) == 0
    env.close()


# -- records --------------------------------------------------------------------------------------


@few
@given(record_lists(1, 5, outcome=st.just("success")))
def test_the_trials_of_a_scenario_have_it_in_common(drawn):
    assert 1 <= len(drawn) <= 5
    for name in ("scenario", "domain", "phase", "digest"):
        assert len({getattr(record, name) for record in drawn}) == 1
    assert len({record.seed for record in drawn}) == len({r.nodeid for r in drawn}) == len(drawn)
    limits = {r.samples["latency"].limit for r in drawn if "latency" in r.samples}
    assert len(limits) <= 1
    assert {record.outcome for record in drawn} == {"success"}


def test_what_is_given_replaces_what_is_drawn():
    tokens = st.fixed_dictionaries({"tokens": quantities("", st.integers(0, 9))})
    record = one(records(reported=tokens, nodeid=st.just("x")))
    assert (list(record.reported), record.reported["tokens"].unit, record.nodeid) == (["tokens"], "", "x")  # fmt: skip
    assert one(episodes(total=st.just(3.0))).total == 3
    assert one(curves(min_size=4, values=st.just(1))).value == [1.0] * 4
    assert one(histograms("B", limit=2.0), lambda h: h.over_limit).unit == "B"
    assert set(one(readings(["energy", "time.wall"]))) == {"energy", "time.wall"}
    with pytest.raises(TypeError, match="rewards"):
        one(records(rewards=st.just(1)))


@few
@given(record_lists())
def test_a_run_for_a_publish_hook(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("run") / "runs" / "one"
    store = RunStore(folder)
    for record in drawn:
        store.append(record.to_line())
    assert store.close() is None
    assert list(read_records(folder)) == drawn


NAMES = [*(metric.name for metric in catalogue()), "sample.tokens.p90", "sample.tokens.mean", "sample.tokens.std", "latency.p99.9",
         "return.cvar25", "reported.a.mean", "success.pass@2", "memory.peak.iqm",
         "reliability.short_term_risk.normalized"]  # fmt: skip
requests = st.builds(
    Request,
    confidence=st.sampled_from([0.2, 0.9, 0.95, 0.999]),
    definition=st.sampled_from(["default", "a2perf"]),
    exact=st.booleans(),
)
numbers = st.floats() | st.floats(-1e3, 1e3)
wild = record_lists(
    episodes=st.lists(episodes(total=numbers), max_size=4),
    curves=st.fixed_dictionaries({"return": curves(max_size=14, values=numbers)}),
    samples=st.fixed_dictionaries(
        {}, optional={"tokens": histograms("", values=st.floats(0, allow_infinity=False))}
    ),
    quantities=st.fixed_dictionaries(
        {}, optional={"energy": quantities("J", numbers), "time.wall": quantities("s", numbers)}
    ),
)


def check(name, drawn, request):
    try:
        estimate = resolve(name).estimate(drawn, request)
    except UnsupportedSampleError:
        return
    assert isinstance(estimate.value, float)
    assert 0 < estimate.n <= len(drawn)
    assert estimate.has_interval == (estimate.method != "none")
    if estimate.has_interval:
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate == resolve(name).estimate(drawn, request)


@some
@given(record_lists(), st.lists(st.sampled_from(NAMES), min_size=5, max_size=5), requests)
def test_a_metric_gives_an_estimate_or_says_why_not(drawn, names, request):
    for name in names:
        check(name, drawn, request)


@some
@given(wild, st.lists(st.sampled_from(NAMES), min_size=5, max_size=5), requests)
def test_a_metric_copes_with_numbers_that_are_none_and_huge_ones(drawn, names, request):
    for name in names:
        check(name, drawn, request)


@pytest.mark.parametrize("name", ["return.mean", "return.std", "return.cvar", "generalization.sum"])
def test_returns_beyond_what_floats_can_square_give_no_warning(name):
    totals = [1e200, -1e200, 1e308, 1e308, -np.inf]
    drawn = [
        Record("s", f"s[{i}]", i, outcome="success", episodes=[Episode(total, 1)])
        for i, total in enumerate(totals)
    ]
    check(name, drawn, Request())


def test_a_curve_that_rises_without_end_has_no_range():
    drawn = [
        Record(
            "s",
            f"s[{i}]",
            i,
            outcome="success",
            curves={"return": Curve([0.0, 1.0, 2.0], [0.0, np.inf, np.inf])},
        )
        for i in range(3)
    ]
    with pytest.raises(UnsupportedSampleError, match="not a finite number"):
        resolve("reliability.long_term_risk.normalized").estimate(drawn, Request())


@few
@given(record_lists())
def test_what_is_worth_showing_has_a_value(drawn):
    for name in report_metrics(drawn):
        assert isinstance(resolve(name).estimate(drawn, Request()), Estimate)


# -- scenarios ------------------------------------------------------------------------------------


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    # TOML's strings are JSON's, but for the control character 127
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@pytest.mark.slow
@some
@given(tables=st.lists(scenario_tables(), min_size=1, max_size=3, unique_by=lambda t: t["name"]))
def test_every_scenario_loads_from_its_file(tmp_path_factory, tables):
    path = tmp_path_factory.mktemp("files") / "drawn.toml"
    text, lines = "schema = 1\n", []
    for table in tables:
        lines.append(text.count("\n") + 1)
        text += "[[scenario]]\n"
        text += "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items())
    path.write_text(text, encoding="utf-8", newline="\n")
    loaded = load_scenarios(path)
    assert loaded == [
        (Scenario.model_validate(table), line) for table, line in zip(tables, lines, strict=True)
    ]


def test_scenarios_of_a_domain_of_ones_own():
    drawn = one(scenarios(domain=st.just("mine"), task=st.just("t")))
    assert (drawn.domain, drawn.task, drawn.phase, drawn.options) == ("mine", "t", "inference", {})
    several = one(scenarios(phase=st.just("generalization")))
    assert several.options["tasks"]
    assert not list(check_scenario(several))
    assert set(one(gates(["return.mean", "energy"]), lambda g: len(g) == 2)) == {"return.mean", "energy"}  # fmt: skip


short = scenarios(
    phase=st.just("inference"),
    agent=st.just("random"),
    agent_options=st.just({}),
    episodes=st.integers(1, 3),
    options=st.fixed_dictionaries(
        {"max_steps": st.integers(1, 9)},
        optional={"success": st.just(">= 5"), "num_envs": st.integers(1, 3)},
    ),
)


@few
@given(trials(short, root=Path("/")))
def test_trials_run_a_domain_without_pytest(trial):
    try:
        GymDomain().run(trial)
    except AgentFailure:
        assert not all(episode.success for episode in trial.record.episodes)
    assert len(trial.record.episodes) == trial.scenario.episodes
    assert all(e.length <= trial.scenario.options["max_steps"] for e in trial.record.episodes)
    assert Record.from_line(trial.close().to_line()) == trial.record


def test_each_trial_has_a_folder_of_its_own():
    folders = {one(trials()).folder for _ in range(2)}
    assert len(folders) == 2
    assert all(folder.is_dir() for folder in folders)
