"""Wirelength, density and congestion of placements."""

from __future__ import annotations

import circuit_oracle
import numpy as np
import pytest
from circuit_worlds import placements, real
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.circuit.canvas import Canvas
from pytest_a2perf.domains.circuit.costs import proxy_costs, top_mean
from pytest_a2perf.domains.circuit.formats.plc import read_placement, stated_costs
from pytest_a2perf.domains.circuit.formats.protobuf import read_netlist
from pytest_a2perf.domains.circuit.incremental import Evaluator
from pytest_a2perf.domains.circuit.netlist import Kind, Node, build_netlist
from pytest_a2perf.domains.circuit.placement import Placement, initial_placement


@pytest.fixture(scope="module")
def ariane() -> Placement:
    """The real Ariane core in NanGate45."""
    netlist = read_netlist(real("ariane133_ng45/netlist.pb.txt.gz"))
    return read_placement(real("ariane133_ng45/initial.plc"), netlist)


def test_ariane_costs_what_googles_placer_wrote(ariane):
    stated = stated_costs(real("ariane133_ng45/initial.plc"))
    costs = proxy_costs(ariane)
    assert costs.total_wirelength == pytest.approx(stated["Wirelength"], rel=1e-5)
    assert round(costs.wirelength, 4) == stated["Wirelength cost"] == 0.0497
    assert round(costs.congestion, 4) == stated["Congestion cost"] == 0.7128
    assert round(costs.density, 4) == stated["Density cost"] == 0.6067


def test_ariane_has_pins_past_the_edge(ariane):
    x, _ = ariane.pin_positions()
    assert (x > ariane.canvas.width).any()


def test_golden_values_of_macro_tiles():
    costs = proxy_costs(initial_placement(read_netlist(real("macro_tiles_10x10/netlist.pb.txt"))))
    assert costs.total_wirelength == pytest.approx(5400, rel=1e-12)
    assert costs.wirelength == pytest.approx(0.007745966692414834, abs=1e-9)
    assert costs.congestion == pytest.approx(1.124405186246434, abs=1e-9)
    assert costs.density == pytest.approx(0.3570806661517036, abs=1e-9)
    assert costs.proxy == pytest.approx(costs.wirelength + costs.density + costs.congestion / 2)


def assert_equal(costs, placement):
    total, wirelength = circuit_oracle.wirelength(placement)
    assert costs.total_wirelength == pytest.approx(total, rel=1e-9, abs=1e-6)
    assert costs.wirelength == pytest.approx(wirelength, rel=1e-9, abs=1e-12)
    assert costs.density == pytest.approx(circuit_oracle.density(placement), rel=1e-9, abs=1e-9)
    assert costs.congestion == pytest.approx(
        circuit_oracle.congestion(placement), rel=1e-9, abs=1e-9
    )


@given(placements())
@settings(deadline=None, max_examples=150)
def test_costs_equal_the_straightforward_ones(placement):
    assert_equal(proxy_costs(placement), placement)


@pytest.mark.slow
@given(placements(), st.lists(st.tuples(*[st.floats(-0.2, 1.2)] * 3), max_size=8))
@settings(deadline=None, max_examples=100)
def test_incremental_costs_equal_full_ones(placement, moves):
    evaluator = Evaluator(placement)
    blocks = placement.netlist.blocks.tolist()
    for number, (which, x, y) in enumerate(moves):
        node = blocks[int(abs(which) * 1000) % len(blocks)]
        there = x * placement.canvas.width, y * placement.canvas.height
        evaluator.move(node, *there, number % 8)
        assert (placement.x[node], placement.y[node]) == there
    assert_equal(evaluator.costs(), placement)


def test_incremental_costs_of_ariane_stay_exact(ariane):
    placement = ariane.copy()
    evaluator = Evaluator(placement)
    rng = np.random.default_rng(0)
    for node in rng.choice(placement.netlist.blocks, 300).tolist():
        evaluator.move(node, *rng.uniform(-50, 1500, 2), int(rng.integers(8)))
    quick, full = evaluator.costs(), proxy_costs(placement)
    assert quick.total_wirelength == pytest.approx(full.total_wirelength, rel=1e-9)
    assert quick.density == pytest.approx(full.density, rel=1e-9)
    assert quick.congestion == pytest.approx(full.congestion, rel=1e-9)


def test_trying_places_leaves_the_placement_alone(ariane):
    placement = ariane.copy()
    evaluator = Evaluator(placement)
    before = evaluator.costs()
    macro = int(placement.netlist.hard[3])
    proxies = evaluator.proxies_at(macro, np.array([100.0, 700.0]), np.array([200.0, 900.0]))
    assert placement.x[macro] == ariane.x[macro]
    assert evaluator.costs().proxy == pytest.approx(before.proxy, rel=1e-12)
    for x, y, proxy in zip((100.0, 700.0), (200.0, 900.0), proxies, strict=True):
        evaluator.move(macro, x, y)
        assert proxy == pytest.approx(proxy_costs(placement).proxy, rel=1e-9)


def two_macros(x: float, y: float) -> Placement:
    nodes = [
        Node("a", Kind.HARD_MACRO, (), 5, 5, 2, 2),
        Node("b", Kind.HARD_MACRO, (), x, y, 2, 2),
        Node("a/o", Kind.PIN, ["b/i"], macro="a", weight=3.0),
        Node("b/i", Kind.PIN, macro="b"),
    ]
    return initial_placement(build_netlist(nodes), Canvas(20, 20, columns=4, rows=4, smoothing=0))


def test_a_weight_counts_in_the_wire_and_in_what_it_is_relative_to():
    costs = proxy_costs(two_macros(11, 9))
    assert costs.total_wirelength == 3 * (6 + 4)
    assert costs.wirelength == 10 / 40


def test_a_net_that_leaves_the_canvas_is_not_routed():
    inside, outside = two_macros(19, 5), two_macros(20, 5)
    for placement in (inside, outside):
        placement.width[:] = placement.height[:] = 1e-6  # no macro blocks anything
    assert proxy_costs(inside).congestion > 0.001
    assert proxy_costs(outside).congestion < 1e-6
    assert proxy_costs(outside).total_wirelength == 3 * 15


def test_a_netlist_without_nets_costs_only_density():
    blocks = [Node(name, Kind.SOFT_MACRO, (), 5, 5, 4, 4) for name in ("Grp_a", "Grp_b")]
    placement = initial_placement(build_netlist(blocks), Canvas(10, 10, columns=1, rows=1))
    costs = proxy_costs(placement)
    assert (costs.wirelength, costs.density, costs.congestion) == (0.0, 0.5 * 0.32, 0.0)
    assert Evaluator(placement).costs() == costs


@given(st.lists(st.floats(0, 9), min_size=1, max_size=60), st.floats(0.01, 1))
def test_top_mean(values, share):
    count = max(1, int(len(values) * share))
    expected = sum(sorted(values)[-count:]) / count
    assert top_mean(np.array(values), share) == pytest.approx(expected, abs=1e-12)
