"""Masks, grids, and what places and improves: forces, coordinate descent, annealing."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from circuit_worlds import placements, real
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_a2perf.domains.circuit.annealing import anneal
from pytest_a2perf.domains.circuit.canvas import Blockage, Canvas, congestion_grid
from pytest_a2perf.domains.circuit.costs import density_map, proxy_costs
from pytest_a2perf.domains.circuit.errors import CircuitError
from pytest_a2perf.domains.circuit.force_directed import Schedule, place_clusters
from pytest_a2perf.domains.circuit.formats.protobuf import read_netlist
from pytest_a2perf.domains.circuit.generate import ariane_like, generate_netlist, toy_macros
from pytest_a2perf.domains.circuit.grid import GridSearch, choose_grid, place_in_order, waste
from pytest_a2perf.domains.circuit.mask import placement_mask
from pytest_a2perf.domains.circuit.netlist import Kind, Node, build_netlist
from pytest_a2perf.domains.circuit.placement import Placement, initial_placement, square_clusters
from pytest_a2perf.domains.circuit.refine import coordinate_descent


def test_the_mask_of_googles_unit_test():
    netlist = read_netlist(real("macro_tiles_10x10/netlist.pb.txt"))
    canvas = Canvas(1200, 1200, columns=20, rows=20, overlap_threshold=2.0, spacing=0.0)
    mask = placement_mask(initial_placement(netlist, canvas), netlist.index("M_R0_C1"))
    expected = np.ones((20, 20), dtype=bool)
    expected[:10, :10] = False
    assert np.array_equal(mask, expected)


def legal(placement: Placement, node: int, x: float, y: float) -> bool:
    """Whether a macro may be centred there, looked at one obstacle after the other."""
    canvas = placement.canvas
    widths, heights = placement.sizes()
    w, h = widths[node], heights[node]
    if min(x - w / 2, y - h / 2, canvas.width - x - w / 2, canvas.height - y - h / 2) < -1e-8:
        return False
    boxes = [(a.left, a.right, a.bottom, a.top, 0.0) for a in canvas.blockages]
    for other in placement.netlist.hard[placement.placed[placement.netlist.hard]]:
        dx, dy = widths[other] / 2, heights[other] / 2
        ox, oy = placement.x[other], placement.y[other]
        boxes.append((ox - dx, ox + dx, oy - dy, oy + dy, canvas.spacing))
    for left, right, bottom, top, spacing in boxes:
        overlap_x = min(x + w / 2, right + spacing) - max(x - w / 2, left - spacing)
        overlap_y = min(y + h / 2, top + spacing) - max(y - h / 2, bottom - spacing)
        if min(overlap_x, overlap_y) > canvas.overlap_threshold + 1e-7:
            return False
    return True


@pytest.mark.slow
@given(placements(), st.data())
@settings(deadline=None, max_examples=100)
def test_masks_are_exact(placement, data):
    hard = placement.netlist.hard
    if not len(hard):
        return
    threshold, spacing = data.draw(st.sampled_from([(0.004, 0.1), (0.004, 0.0), (0.1, 0.3)]))
    placement.canvas = replace(placement.canvas, overlap_threshold=threshold, spacing=spacing)
    # Sizes of this grain put no edge so near to another that rounding decides.
    placement.width, placement.height = placement.width.copy(), placement.height.copy()
    placement.width[hard] = data.draw(st.sampled_from([1.01, 7.03, 13.07]))
    placement.height[hard] = data.draw(st.sampled_from([2.03, 9.01]))
    node = int(hard[0])
    placement.placed[hard] = data.draw(
        st.lists(st.booleans(), min_size=len(hard), max_size=len(hard))
    )
    mask = placement_mask(placement, node)
    for row, column in itertools.product(*map(range, mask.shape)):
        centre = placement.canvas.centre(row * placement.canvas.columns + column)
        assert mask[row, column] == legal(placement, node, *centre), (row, column)


def test_a_macro_as_large_as_the_canvas_fits_in_its_middle_only():
    netlist = build_netlist([Node("m", Kind.HARD_MACRO, (), 0, 0, 30, 30)])
    placement = initial_placement(netlist, Canvas(30, 30, columns=3, rows=3))
    placement.placed[:] = False
    assert placement_mask(placement, 0).sum() == 1
    placement.canvas = Canvas(30, 30, columns=2, rows=2)
    assert not placement_mask(placement, 0).any()


def test_waste_of_a_row_of_macros():
    # Three cells each, of which they share none: their ends would not fit into one cell.
    assert waste(np.array([29.0, 29.0]), 10.0) == pytest.approx((60 - 58) / 60)
    # Their ends of 2 um each share a cell.
    assert waste(np.array([14.0, 14.0]), 10.0) == pytest.approx((50 - 28) / 50)


def test_the_grid_suits_the_macros():
    netlist = generate_netlist(hard=12, soft=20, ports=8, canvas=(200.0, 150.0), seed=1)
    search = GridSearch(least=8, most=24, least_cells=100, most_cells=400)
    canvas = choose_grid(netlist, Canvas(200.0, 150.0), search)
    assert 100 <= canvas.columns * canvas.rows <= 400
    assert 1 / 1.5 <= canvas.cell_width / canvas.cell_height <= 1.5
    width, height = netlist.width[netlist.hard], netlist.height[netlist.hard]
    order = np.argsort(-width * height, kind="stable")
    assert place_in_order(canvas, width[order], height[order]) is not None


def test_macros_that_fit_on_no_grid():
    netlist = build_netlist([Node("m", Kind.HARD_MACRO, (), 0, 0, 30, 30)])
    search = GridSearch(least=2, most=6, least_cells=4, most_cells=36)
    with pytest.raises(CircuitError, match="is the canvas too small"):
        choose_grid(netlist, Canvas(29, 29), search)
    clusters = build_netlist([Node("Grp_0", Kind.SOFT_MACRO, (), 0, 0, 3, 3)])
    with pytest.raises(CircuitError, match="no hard macro"):
        choose_grid(clusters, Canvas(29, 29), search)


def spring(x: float) -> Placement:
    """A cluster between two ports, the right one with twice the weight."""
    nodes = [
        Node("west", Kind.PORT, ["Grp_0/i"], 0, 50),
        Node("east", Kind.PORT, ["Grp_0/i"], 100, 50, weight=2.0),
        Node("Grp_0", Kind.SOFT_MACRO, (), x, 20, 4, 4),
        Node("Grp_0/i", Kind.PIN, macro="Grp_0"),
    ]
    return initial_placement(build_netlist(nodes), Canvas(100, 100))


@pytest.mark.slow
def test_springs_pull_by_weight_times_distance():
    placement = spring(10.0)
    gentle = Schedule(steps=(200,), moves=(10.0,), attract=(0.1,), repel=(0.0,))
    place_clusters(placement, gentle, from_centre=False)
    assert placement.x[2] == pytest.approx(200 / 3, abs=1e-6)
    assert placement.y[2] == pytest.approx(50, abs=1e-6)


def test_ports_may_pull_harder():
    placement = spring(10.0)
    none = Schedule(steps=(50,), moves=(1.0,), attract=(0.1,), repel=(0.0,), ports=0.0)
    place_clusters(placement, none, from_centre=False)
    assert placement.x[2] == 10.0


def test_no_step_is_longer_than_permitted():
    placement = spring(10.0)
    one = Schedule(steps=(1,), moves=(0.05,), attract=(1e9,), repel=(0.0,))
    place_clusters(placement, one, from_centre=False)
    assert np.hypot(placement.x[2] - 10, placement.y[2] - 20) == pytest.approx(5.0)


def test_overlapping_clusters_part():
    nodes = [Node(f"Grp_{n}", Kind.SOFT_MACRO, (), 50, 50, 10, 10) for n in range(6)]
    placement = initial_placement(build_netlist(nodes), Canvas(100, 100, columns=20, rows=20))
    apart = Schedule(steps=(300,), moves=(3.0,), attract=(0.0,), repel=(1.0,))
    place_clusters(placement, apart)
    assert density_map(placement).max() < 1.2
    for one, other in itertools.combinations(range(6), 2):
        dx, dy = placement.x[one] - placement.x[other], placement.y[one] - placement.y[other]
        assert max(abs(dx), abs(dy)) > 8


def test_clusters_leave_blockages():
    netlist = build_netlist([Node("Grp_0", Kind.SOFT_MACRO, (), 50, 50, 10, 10)])
    canvas = Canvas(100, 100, blockages=(Blockage(40, 30, 62, 70),))
    placement = initial_placement(netlist, canvas)
    place_clusters(placement, Schedule(steps=(100,), moves=(1.0,), attract=(0.0,), repel=(1.0,)))
    assert not 37 < placement.x[0] < 65 or not 27 < placement.y[0] < 73


@given(placements(), st.booleans())
@settings(deadline=None, max_examples=30)
def test_forces_keep_everything_inside_and_the_fixed_in_place(placement, macros):
    hard = placement.netlist.hard
    placement.fixed[hard[::2]] = True
    placement.orientations[:] = 0
    before = placement.copy()
    place_clusters(placement, Schedule(steps=(7, 7, 7)), move_macros=macros)
    still = placement.fixed.copy()
    if not macros:
        still[hard] = True
    assert np.array_equal(placement.x[still], before.x[still])
    moved = placement.netlist.clusters
    half = placement.width[moved] / 2
    fits = 2 * half <= placement.canvas.width
    assert (placement.x[moved] >= half - 1e-9)[fits].all()
    assert (placement.x[moved] <= placement.canvas.width - half + 1e-9)[fits].all()
    again = before.copy()
    place_clusters(again, Schedule(steps=(7, 7, 7)), move_macros=macros)
    assert np.array_equal(placement.x, again.x)


def tidy() -> Placement:
    """Six macros side by side on a small canvas, legally."""
    netlist = generate_netlist(hard=6, soft=12, ports=8, canvas=(80.0, 80.0), seed=3)
    canvas = congestion_grid(Canvas(80.0, 80.0, columns=16, rows=16))
    placement = initial_placement(netlist, canvas)
    hard = netlist.hard
    width, height = netlist.width[hard], netlist.height[hard]
    found = place_in_order(canvas, width, height)
    assert found is not None
    placement.x[hard], placement.y[hard] = found
    return placement


def assert_legal(placement: Placement) -> None:
    for node in placement.netlist.hard.tolist():
        placement.placed[node] = False
        assert legal(placement, node, placement.x[node], placement.y[node])
        placement.placed[node] = True


def test_coordinate_descent_improves_and_stays_legal():
    placement = tidy()
    before = proxy_costs(placement).proxy
    cost = coordinate_descent(placement, seed=1)
    assert cost == pytest.approx(proxy_costs(placement).proxy, rel=1e-9)
    assert cost < 0.99 * before
    assert_legal(placement)


def test_coordinate_descent_of_orientations_moves_nothing():
    placement = tidy()
    before = placement.copy()
    cost = coordinate_descent(placement, only_orientations=True)
    assert np.array_equal(placement.x, before.x)
    assert (placement.orientations < 4).all()
    assert (placement.orientations != before.orientations).any()
    assert cost < proxy_costs(before).proxy


def test_fixed_macros_stay():
    placement = tidy()
    hard = placement.netlist.hard
    placement.fixed[hard] = True
    before = placement.copy()
    coordinate_descent(placement)
    assert np.array_equal(placement.x[hard], before.x[hard])
    assert np.array_equal(placement.orientations, before.orientations)


def test_annealing_is_repeatable_legal_and_never_worse():
    placement = tidy()
    placement.canvas = replace(placement.canvas, blockages=(Blockage(70, 70, 80, 80),))
    macros = placement.netlist.hard[1:].tolist()
    start = placement.copy()
    place_clusters(start)
    results = [anneal(placement, macros, rounds=4, steps=300, seed=seed) for seed in (5, 5, 6)]
    assert np.array_equal(results[0].x, results[1].x)
    assert not np.array_equal(results[0].x, results[2].x)
    for result in results:
        assert proxy_costs(result).proxy <= proxy_costs(start).proxy
        assert_legal(result)
        assert result.x[placement.netlist.hard[0]] == placement.x[placement.netlist.hard[0]]
    assert proxy_costs(results[0]).proxy < proxy_costs(start).proxy


def test_turns_by_a_right_angle_are_refused():
    placement = tidy()
    macro = int(placement.netlist.hard[0])
    placement.turn(macro, "FS")
    with pytest.raises(CircuitError, match="cannot be turned by 90°, from FS to W"):
        placement.turn(macro, "W")
    with pytest.raises(CircuitError, match="unknown orientation 'UP'"):
        placement.turn(macro, "UP")


def test_squares_have_the_same_area():
    placement = tidy()
    soft = placement.netlist.clusters
    placement.width, placement.height = placement.width.copy(), placement.height.copy()
    placement.width[soft] *= 4
    area = placement.width[soft] * placement.height[soft]
    square_clusters(placement)
    assert placement.width[soft] == pytest.approx(placement.height[soft])
    assert placement.width[soft] ** 2 == pytest.approx(area)


class TestGenerated:
    def test_the_default_has_the_size_of_a2perfs_ariane(self):
        placement = ariane_like()
        netlist = placement.netlist
        assert (len(netlist.hard), len(netlist.clusters), len(netlist.ports)) == (133, 799, 1231)
        canvas = placement.canvas
        assert (canvas.width, canvas.height) == (356.592, 356.64)
        assert (canvas.columns, canvas.rows) == (35, 33)
        assert netlist.area / (canvas.width * canvas.height) == pytest.approx(0.6, abs=0.001)
        shapes = set(zip(netlist.width[netlist.hard], netlist.height[netlist.hard], strict=True))
        assert len(shapes) == 4

    def test_the_toy_has_the_size_of_a2perfs(self):
        netlist = toy_macros().netlist
        assert (len(netlist.hard), len(netlist.clusters), len(netlist.ports)) == (2, 12, 12)
        assert np.count_nonzero(netlist.kinds == Kind.PIN) == 4

    def test_the_same_arguments_give_the_same_netlist_on_every_machine(self):
        netlist = generate_netlist(hard=5, soft=40, ports=10, canvas=(100.0, 100.0), seed=7)
        again = generate_netlist(hard=5, soft=40, ports=10, canvas=(100.0, 100.0), seed=7)
        other = generate_netlist(hard=5, soft=40, ports=10, canvas=(100.0, 100.0), seed=8)
        assert np.array_equal(netlist.net_nodes, again.net_nodes)
        assert not np.array_equal(netlist.net_nodes, other.net_nodes)
        figures = len(netlist.names), len(netlist.net_weights), int(netlist.net_nodes.sum())
        assert figures == (466, 322, 145218)

    @pytest.mark.parametrize("rent", [0.45, 0.7])
    def test_rents_rule_holds(self, rent):
        netlist = generate_netlist(
            hard=0, soft=1024, ports=0, canvas=(500.0, 500.0), seed=2, rent=rent, terminals=20
        )
        owners = netlist.parents[netlist.net_nodes]
        block = {node: at for at, node in enumerate(netlist.clusters.tolist())}
        owner = np.array([block[node] for node in owners.tolist()])
        sizes, terminals = [], []
        for size in (4, 8, 16, 32, 64, 128):
            cut = []
            for first in range(0, 1024, size):
                inside = (owner >= first) & (owner < first + size)
                some = np.bincount(netlist.net_of_connection, inside) > 0
                others = np.bincount(netlist.net_of_connection, ~inside) > 0
                cut.append(np.count_nonzero(some & others))
            sizes.append(size)
            terminals.append(np.mean(cut))
        slope = np.polyfit(np.log(sizes), np.log(terminals), 1)[0]
        # Nets that join more than two modules count once at each, which flattens the slope.
        assert rent - 0.15 < slope < rent + 0.05

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"hard": 1, "soft": 0}, "two blocks or more"),
            ({"rent": 1.0}, "Rent's exponent"),
            ({"hard_share": 0.9}, "less than the canvas"),
        ],
    )
    def test_numbers_that_make_no_sense(self, settings, message):
        given = {"hard": 2, "soft": 2, "ports": 1, "canvas": (10.0, 10.0), **settings}
        with pytest.raises(CircuitError, match=message):
            generate_netlist(**given)
