"""The floorplanning environments, their agents and the domain's scenarios."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from circuit_worlds import real
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import pytest_a2perf.envs  # noqa: F401 - registers the environments
from pytest_a2perf.domains.circuit.agents import (
    AnnealingAgent,
    ByAreaAgent,
    GreedyAgent,
    RandomLegalAgent,
)
from pytest_a2perf.domains.circuit.costs import proxy_costs
from pytest_a2perf.domains.circuit.environment import ILLEGAL, INFEASIBLE, CircuitEnv
from pytest_a2perf.domains.circuit.errors import CircuitError, IllegalActionError
from pytest_a2perf.domains.circuit.formats.plc import read_placement, write_placement
from pytest_a2perf.domains.circuit.formats.protobuf import write_netlist
from pytest_a2perf.domains.circuit.generate import generate_netlist, toy_macros
from pytest_a2perf.domains.circuit.netlist import Kind, Node, build_netlist
from pytest_a2perf.errors import AgentError, InfraError

KERNELS = "pytest_a2perf.domains.circuit.kernels"
TOY = "a2perf/CircuitTraining-ToyMacro-v0"
ARIANE = "a2perf/CircuitTraining-Ariane-v0"


@pytest.fixture(autouse=True, scope="module")
def compiled():
    """Have numba import all it needs: pytester would forget that, and it works only once."""
    CircuitEnv("toy")


def play(env, agent, seed=0):
    agent.reset(seed)
    observation, info = env.reset(seed=seed)
    total, steps, over = 0.0, 0, False
    while not over:
        assert observation["mask"].any()
        observation, reward, terminated, truncated, info = env.step(agent.act(observation))
        total, steps, over = total + reward, steps + 1, terminated or truncated
    return total, steps, info


@pytest.mark.parametrize("name", [TOY, ARIANE])
@pytest.mark.parametrize("static", [False, True])
def test_gymnasium_finds_nothing_wrong(name, static):
    env = gymnasium.make(name, output_all_features=static, render_mode="rgb_array")
    check_env(env.unwrapped)


def test_spaces_are_those_that_a2perf_documents():
    env = gymnasium.make(ARIANE)
    assert env.action_space == gymnasium.spaces.Discrete(128 * 128)
    shapes = {key: (space.shape, space.dtype) for key, space in env.observation_space.items()}
    assert shapes == {
        "locations_x": ((3500,), np.float32),
        "locations_y": ((3500,), np.float32),
        "is_node_placed": ((3500,), np.int32),
        "current_node": ((1,), np.int32),
        "fake_net_heatmap": ((16384,), np.float32),
        "mask": ((16384,), np.int32),
        "netlist_index": ((1,), np.int32),
    }
    static = gymnasium.make(ARIANE, output_all_features=True).observation_space
    assert len(static.spaces) == 7 + 19
    assert static["sparse_adj_i"].shape == (42000,)


def test_an_episode_places_each_macro_once_and_ends_with_its_cost():
    env = CircuitEnv("ariane")
    total, steps, info = play(env, RandomLegalAgent(env), seed=3)
    assert steps == 133
    costs = proxy_costs(env.placement)
    assert total == -costs.proxy == -(costs.wirelength + costs.density + 0.5 * costs.congestion)
    assert info == {
        "wirelength": costs.wirelength,
        "density": costs.density,
        "congestion": costs.congestion,
        "is_success": True,
    }
    with pytest.raises(CircuitError, match="call reset"):
        env.step(0)


def test_costs_are_unknown_until_the_end():
    env = CircuitEnv("toy")
    observation, info = env.reset()
    _, reward, terminated, truncated, later = env.step(int(np.argmax(observation["mask"])))
    assert info == later == {"wirelength": -1.0, "congestion": -1.0, "density": -1.0}
    assert (reward, terminated, truncated) == (0.0, False, False)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_episode():
    one, other = CircuitEnv("ariane"), CircuitEnv("ariane")
    first = play(one, RandomLegalAgent(one), seed=5)
    assert first == play(other, RandomLegalAgent(other), seed=5)
    assert first == play(one, RandomLegalAgent(one), seed=5)
    assert first != play(one, RandomLegalAgent(one), seed=6)


def test_a_time_limit_truncates():
    env = gymnasium.make(ARIANE, max_episode_steps=3)
    observation, _ = env.reset(seed=0)
    for step in range(3):
        observation, reward, terminated, truncated, _ = env.step(
            int(np.argmax(observation["mask"]))
        )
        assert (reward, terminated, truncated) == (0.0, False, step == 2)


def test_actions_mean_the_middle_of_the_padded_grid():
    env = CircuitEnv("toy")
    observation, _ = env.reset()
    mask = observation["mask"].reshape(128, 128)
    rows, columns = np.nonzero(mask)
    assert rows.min() >= 59
    assert rows.max() < 69
    assert columns.min() >= 54
    assert columns.max() < 74
    for cell in range(200):
        assert env.observer.cell_of(env.observer.action_of(cell)) == cell
    assert env.observer.cell_of(0) is None
    action = int(np.flatnonzero(observation["mask"])[7])
    env.step(action)
    macro = env.order[0]
    centre = env.placement.canvas.centre(env.observer.cell_of(action))
    assert (env.placement.x[macro], env.placement.y[macro]) == centre


def test_observations_follow_the_placement():
    env = CircuitEnv("toy")
    before, _ = env.reset()
    action = int(np.argmax(before["mask"]))
    after = env.step(action)[0]
    macro = env.order[0]
    at = env.observer.positions[macro]
    assert before["current_node"].tolist() == [at]
    assert (before["is_node_placed"][at], after["is_node_placed"][at]) == (0, 1)
    assert after["locations_x"][at] == pytest.approx(env.placement.x[macro] / 300, rel=1e-6)
    assert after["locations_y"][at] == pytest.approx(env.placement.y[macro] / 300, rel=1e-6)
    assert not np.shares_memory(before["locations_x"], after["locations_x"])
    again, _ = env.reset()
    for key, values in before.items():
        assert np.array_equal(values, again[key])


@pytest.mark.parametrize("action", [0, 128 * 128 - 1])
def test_masked_actions_are_penalised_or_raise(action):
    env = CircuitEnv("toy")
    env.reset()
    _, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated) == (ILLEGAL, True, False)
    assert info["illegal_action"]
    assert info["is_success"] is False
    env = CircuitEnv("toy", masked_action="raise")
    env.reset()
    with pytest.raises(
        IllegalActionError, match=rf"action {action} is masked: 'left' does not fit"
    ):
        env.step(action)
    # Nothing has happened: the episode goes on.
    env.step(int(np.argmax(env.observer.pad(env.mask, np.int32))))


def crowded(tmp_path):
    """Two macros, each of which fits alone."""
    nodes = [Node(f"m{n}", Kind.HARD_MACRO, (), 50, 50, 60, 60) for n in range(2)]
    write_netlist(build_netlist(nodes, canvas=(100.0, 100.0)), tmp_path / "x.pb.txt")
    (tmp_path / "x.plc").write_text("# Columns : 10  Rows : 10\n0 50 50 N 0\n1 50 50 N 0\n")
    return CircuitEnv(tmp_path / "x.pb.txt", init_placement=tmp_path / "x.plc")


def test_a_macro_without_a_place_ends_the_episode_with_its_own_observation(tmp_path):
    env = crowded(tmp_path)
    observation, _ = env.reset()
    observation, reward, terminated, truncated, info = env.step(int(np.argmax(observation["mask"])))
    assert (reward, terminated, truncated) == (INFEASIBLE, True, False)
    assert info["infeasible"]
    assert info["is_success"] is False
    assert observation["is_node_placed"].sum() == 1
    assert not observation["mask"].any()


def test_fixed_macros_are_obstacles(tmp_path):
    placement = toy_macros().copy()
    placement.fixed[placement.netlist.index("left")] = True
    write_netlist(placement.netlist, tmp_path / "x.pb.txt")
    write_placement(placement, tmp_path / "x.plc")
    env = CircuitEnv(tmp_path / "x.pb.txt", init_placement=tmp_path / "x.plc")
    observation, _ = env.reset()
    assert env.order == [placement.netlist.index("right")]
    mask = observation["mask"].reshape(128, 128)[59:69, 54:74]
    assert not mask[:, 2:8].any()  # its neighbour reaches from 35 to 65 um, and it is 30 um wide
    assert mask[:, 1].any()
    _, steps, _ = play(env, RandomLegalAgent(env))
    assert steps == 1
    assert env.placement.x[placement.netlist.index("left")] == 50


@pytest.mark.slow
def test_a_users_netlist_gets_a_grid_that_suits_it(tmp_path):
    netlist = generate_netlist(hard=20, soft=30, ports=8, canvas=(80.0, 60.0), seed=4)
    write_netlist(netlist, tmp_path / "x.pb.txt")
    env = gymnasium.make("a2perf/CircuitTraining-v0", netlist=tmp_path / "x.pb.txt").unwrapped
    canvas = env.placement.canvas
    assert (canvas.width, canvas.height) == (80.0, 60.0)
    assert canvas.columns * canvas.rows >= 500
    assert play(env, ByAreaAgent(env))[1] == 20


def test_the_real_ariane_runs():
    env = gymnasium.make(
        "a2perf/CircuitTraining-v0",
        netlist=real("ariane133_ng45/netlist.pb.txt.gz"),
        init_placement=real("ariane133_ng45/initial.plc"),
    )
    total, steps, info = play(env, ByAreaAgent(env))
    assert steps == 133
    assert info["is_success"]
    assert -1.1 < total < -0.95


def test_upstreams_fake_net_heatmap(tmp_path):
    # Circuit Training's unit test: three columns, two rows, padded to three by three.
    nodes = [
        Node("P0", Kind.PORT, (), 0.0, 100.0),
        Node("P1", Kind.PORT, (), 150.0, 200.0),
        Node("M0", Kind.HARD_MACRO, (), 0, 0, 120, 120),
        Node("M1", Kind.HARD_MACRO, (), 0, 0, 80, 40),
    ]
    write_netlist(build_netlist(nodes), tmp_path / "x.pb.txt")
    (tmp_path / "x.plc").write_text(
        "# Columns : 3  Rows : 2\n# Width : 300  Height : 200\n0 0 100 - 0\n1 150 200 - 0\n"
    )
    env = CircuitEnv(
        tmp_path / "x.pb.txt",
        init_placement=tmp_path / "x.plc",
        fake_nets={("P1", "M0"): 0.1, ("M0", "M1"): 0.2},
        max_grid_size=3,
        max_num_nodes=6,
    )
    observation = env.observer.observe(2, None)
    expected = [0.0, 0.292893, 0.0, 0.292893, 1.0, 0.292893, 0.0, 0.0, 0.0]
    assert observation["fake_net_heatmap"] == pytest.approx(expected, abs=1e-5)
    assert observation["is_node_placed"].tolist() == [0, 0, 1, 1, 0, 0]
    assert observation["locations_x"][2:4] == pytest.approx([0.0, 150 / 500])
    assert observation["locations_y"][2:4] == pytest.approx([200 / 500, 200 / 500])


def test_static_features_describe_the_graph():
    env = CircuitEnv("toy", output_all_features=True)
    seen, _ = env.reset()
    assert seen["node_types"][:2].tolist() == [1, 1]
    ports = int((seen["node_types"] == 3).sum())
    assert seen["normalized_num_port_clusters"] == pytest.approx([ports / 3500])
    assert seen["macros_w"][:3] == pytest.approx([30 / 300, 30 / 300, 0])
    assert seen["grid_cols"] == pytest.approx([20 / 128])
    count = int(np.count_nonzero(seen["sparse_adj_weight"]))
    edges = set(
        zip(
            seen["sparse_adj_i"][:count].tolist(),
            seen["sparse_adj_j"][:count].tolist(),
            strict=True,
        )
    )
    assert all(i < j for i, j in edges)
    assert seen["edge_counts"].sum() == 2 * count


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"netlist": "arianne"},
            "there is no netlist 'arianne': give a path, or one of 'ariane', 'toy'",
        ),
        ({"netlist": __file__}, "is no .pb.txt, .pb.txt.gz or .aux file"),
        (
            {"std_cell_placer_mode": "dreamplace"},
            "std_cell_placer_mode is 'dreamplace'; known: 'fd'",
        ),
        ({"node_order": "any"}, "node_order is 'any'; known: 'descending_size_macro_first'"),
        ({"netlist_index": 1}, "netlist_index is 1; known: 0"),
        ({"is_eval": True}, "is_eval writes a placement: give output_plc_file"),
        ({"init_placement": "x.plc"}, "init_placement is for files"),
        (
            {"max_grid_size": 8},
            "a grid of 20 by 10 cells exceeds the limit of 8; give max_grid_size",
        ),
        ({"max_num_nodes": 3}, "exceed the limit of 3; give max_num_nodes"),
        ({"fake_nets": {("left", "in_0"): 1.0}}, "'in_0' is neither a macro nor a port"),
        ({"fake_nets": {("left", "rigth"): 1.0}}, "the netlist has no node 'rigth'"),
    ],
)
def test_options_that_make_no_sense(settings, message):
    with pytest.raises(CircuitError) as caught:
        CircuitEnv(**{"netlist": "toy", **settings})
    assert message in str(caught.value)


def test_placements_are_written_and_only_the_best_if_asked(tmp_path):
    path = tmp_path / "out" / "best.plc"
    env = CircuitEnv("toy", is_eval=True, output_plc_file=path, save_best_cost=True)
    totals = [play(env, RandomLegalAgent(env), seed)[0] for seed in range(6)]
    written = read_placement(path, env.placement.netlist)
    assert f"{-max(totals):.4f}" == f"{proxy_costs(written).proxy:.4f}"


@pytest.mark.slow
def test_orientations_are_refined_if_asked(tmp_path):
    plain, tuned = (
        CircuitEnv("ariane"),
        CircuitEnv("ariane", cd_finetune=True, is_eval=True, output_plc_file=tmp_path / "a.plc"),
    )
    one = play(plain, RandomLegalAgent(plain), 1)[0]
    other = play(tuned, RandomLegalAgent(tuned), 1)[0]
    assert other > one
    assert (tuned.placement.orientations != 0).any()
    assert (tmp_path / "ppo_cd_placement.plc").exists()


@pytest.mark.slow
def test_random_orders_follow_the_global_seed():
    orders = [CircuitEnv("ariane", node_order="random", global_seed=n).order for n in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    env = CircuitEnv("ariane")
    areas = (env.placement.width * env.placement.height)[env.order]
    assert (np.diff(areas) <= 0).all()


def test_without_numba_the_message_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(KERNELS)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(InfraError, match=r"pip install 'pytest-a2perf\[circuit\]'"):
        CircuitEnv("toy")


def test_users_may_price_placements_themselves():
    env = CircuitEnv("toy", cost_info_fn=lambda placement: (7.0, {"nets": len(placement.x)}))
    total, _, info = play(env, RandomLegalAgent(env))
    assert total == -7.0
    assert info["nets"] == len(env.placement.x)


def test_the_picture_shows_macros_nets_and_congestion():
    env = CircuitEnv("ariane", render_mode="rgb_array")
    env.reset()
    empty = env.render()
    play(env, ByAreaAgent(env))
    full = env.render()
    assert empty.shape == full.shape == (600, 800, 3)
    assert full.dtype == np.uint8
    blue = full[..., 2].astype(int) - full[..., 0] > 25
    assert blue.mean() > 0.05
    assert not (empty[..., 2].astype(int) - empty[..., 0] > 25).any()
    assert CircuitEnv("toy").render() is None


class TestAgents:
    @pytest.mark.slow
    def test_each_is_better_than_the_next(self):
        env = CircuitEnv("ariane")
        random = np.mean([play(env, RandomLegalAgent(env), seed)[0] for seed in range(3)])
        greedy = play(env, GreedyAgent(env))[0]
        annealed = play(env, AnnealingAgent(env, rounds=16, steps=1000))[0]
        assert -greedy < 0.92 * -random
        assert -annealed < 0.975 * -greedy

    @pytest.mark.slow
    @pytest.mark.parametrize("make", [RandomLegalAgent, GreedyAgent, ByAreaAgent, AnnealingAgent])
    def test_all_finish_the_toy_and_repeat_themselves(self, make):
        env = CircuitEnv("toy")
        agent = make(env)
        first = play(env, agent, seed=2)
        assert first[2]["is_success"]
        assert first == play(env, agent, seed=2)

    def test_other_environments_are_refused(self):
        with pytest.raises(AgentError, match="this agent places macros"):
            GreedyAgent(gymnasium.make("CartPole-v1"))

    def test_annealing_says_where_it_failed(self, tmp_path):
        env = crowded(tmp_path)
        env.reset()
        with pytest.raises(AgentError, match="found no place for macro 'm1'"):
            AnnealingAgent(env).act({})


@given(st.integers(0, 2**31))
@settings(deadline=None, max_examples=25)
def test_legal_actions_never_overlap(seed):
    env = CircuitEnv("toy")
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    over = False
    while not over:
        legal = np.flatnonzero(observation["mask"])
        observation, _, over, _, _ = env.step(int(rng.choice(legal)))
    left, right = env.order
    gap_x = abs(env.placement.x[left] - env.placement.x[right]) - 30
    gap_y = abs(env.placement.y[left] - env.placement.y[right]) - 40
    assert max(gap_x, gap_y) >= 0.1 - 0.004 - 1e-6


SCENARIO = """
[[scenario]]
name = "toy"
domain = "circuit"
task = "a2perf/CircuitTraining-ToyMacro-v0"
agent = "{agent}"
seeds = 2
episodes = 3
options = {{ {options} }}
[scenario.gates]
"success.rate" = ">= 90 %"
"reported.proxy_cost.mean" = "<= 1.5"
"""


def test_a_scenario_reports_costs_and_is_marked(project, write):
    write(SCENARIO.format(agent="circuit-random", options=""))
    result = project.runpytest("--a2perf", "-m", "circuit")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*reported.congestion.mean*", "*reported.wirelength.mean*"])


def test_a_scenario_whose_agent_places_illegally_fails(project, write):
    write(SCENARIO.format(agent="random", options=""))
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*FAIL*success.rate >= 0.9*got 0*"])


def test_a_scenario_with_a_wrong_netlist_says_so(project, write):
    text = SCENARIO.format(agent="circuit-random", options='env = { netlist = "none.pb.txt" }')
    write(text)
    result = project.runpytest("--a2perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*there is no netlist 'none.pb.txt'*"])
