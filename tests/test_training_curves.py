"""Learning curves from the files that training code writes."""

from __future__ import annotations

import csv
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.runs.record import Curve, Record
from pytest_a2perf.training.artefacts import ARTEFACT
from pytest_a2perf.training.curves import monitored, read_curves, series_in
from pytest_a2perf.training.log import LOG, CurveLog, logged


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_events(folder, tag, points, *, as_tensors=False):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    folder.mkdir(parents=True, exist_ok=True)
    writer = EventFileWriter(str(folder))
    for step, value in points:
        if as_tensors:
            plugin = SummaryMetadata.PluginData(plugin_name="scalars")
            entry = Summary.Value(
                tag=tag,
                tensor=make_tensor_proto(value),
                metadata=SummaryMetadata(plugin_data=plugin),
            )
        else:
            entry = Summary.Value(tag=tag, simple_value=value)
        writer.add_event(Event(step=step, wall_time=step, summary=Summary(value=[entry])))
    writer.close()


def record(**curves):
    return Record("s", "s[0]", 0, curves=curves)


@pytest.mark.parametrize("as_tensors", [False, True])
def test_tensorboard(tmp_path, as_tensors):
    pytest.importorskip("tensorboard")
    folder = tmp_path / "train" / "summaries"
    write_events(folder, "Metrics/AverageReturn", [(0, 1.5), (10, 2.5)], as_tensors=as_tensors)
    found = record()
    assert not read_curves(found, tmp_path, {})
    assert found.curves["return"] == Curve([0, 10], [1.5, 2.5])


def test_actors_of_tensorboard_are_joined_and_averaged(tmp_path):
    pytest.importorskip("tensorboard")
    for actor in range(2):
        write_events(tmp_path / f"actor_{actor}", "Metrics/AverageReturn", [(5, 1 + actor), (9, 4)])
    assert series_in(tmp_path)["Metrics/AverageReturn"] == Curve([5, 5, 9, 9], [1, 2, 4, 4])


@pytest.mark.slow
def test_long_event_files_are_not_sampled(tmp_path):
    pytest.importorskip("tensorboard")
    write_events(tmp_path, "loss", [(step, step) for step in range(25_000)])
    assert len(series_in(tmp_path)["loss"].step) == 25_000


def test_events_without_tensorboard_are_said(tmp_path, monkeypatch):
    (tmp_path / "events.out.tfevents.1").touch()
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    found = record(**{"return": Curve([1], [2])})
    assert not read_curves(found, tmp_path, {})
    assert "pip install" in found.context["curves"]
    assert "pip install" in read_curves(found, tmp_path, {"loss": "train/loss"})


def test_progress_of_stable_baselines3(tmp_path):
    rows = [
        ["time/total_timesteps", "rollout/ep_rew_mean", "train/loss", "rollout/ep_len_mean"],
        [2048, 20.5, "", 20],
        [4096, 31.0, 0.5, 31],
    ]
    write_rows(tmp_path / "logs" / "progress.csv", rows)
    found = record()
    assert not read_curves(found, tmp_path, {"loss": "train/loss"})
    assert found.curves["return"] == Curve([2048, 4096], [20.5, 31.0])
    assert found.curves["loss"] == Curve([4096], [0.5])


def test_monitors_of_parallel_environments_follow_the_clock(tmp_path):
    for number, (begin, rows) in enumerate(
        [(100.0, [(1, 10, 2.0), (3, 10, 8.0)]), (101.0, [(2, 5, 2.0)])]
    ):
        path = tmp_path / f"{number}.monitor.csv"
        lines = [f'#{{"t_start": {begin}, "env_id": "x"}}', "r,l,t"]
        path.write_text("\n".join([*lines, *(",".join(map(str, row)) for row in rows)]) + "\n")
    expected = Curve([10, 15, 25], [1, 2, 3])
    assert monitored(sorted(tmp_path.glob("*.csv"))) == expected
    found = record()
    read_curves(found, tmp_path, {})
    assert found.curves["return"] == expected


def test_what_the_agent_logged_wins_unless_another_is_asked_for(tmp_path):
    write_rows(tmp_path / "a.csv", [["step", "return", "eval/mean_reward"], [1, 5, 7]])
    found = record(**{"return": Curve([1], [2])})
    read_curves(found, tmp_path, {})
    assert found.curves["return"].value == [2]
    read_curves(found, tmp_path, {"return": "eval/mean_reward"})
    assert found.curves["return"].value == [7]


def test_a_curve_that_is_not_there_is_named_with_what_is(tmp_path):
    write_rows(tmp_path / "a.csv", [["step", "losses"], [1, 5]])
    problem = read_curves(record(), tmp_path, {"loss": "loss"})
    assert problem == "no curve 'loss' for 'loss'; did you mean 'losses'?; there are losses"


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n1,2\n", b"step,x\nabc,1\n2\n,3\n", b"\xff\xfe\x00junk", b'step,x\n"1,2\n'],
)
def test_files_that_are_no_curves_do_no_harm(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    (tmp_path / "b.monitor.csv").write_bytes(content)
    found = record()
    assert not read_curves(found, tmp_path, {})
    assert not found.curves.get("return", Curve()).step


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(allow_nan=False)), min_size=1))
def test_tables_come_back_in_order_of_their_steps(tmp_path_factory, points):
    folder = tmp_path_factory.mktemp("curves")
    write_rows(folder / "a.csv", [["global_step", "reward"], *points])
    curve = series_in(folder)["reward"]
    assert curve.step == sorted(step for step, _ in points)
    assert sorted(curve.value) == sorted(value for _, value in points)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["return", "a,b", 'quoted "loss"']),
            st.floats(0, 1e12),
            st.floats(allow_nan=False),
        )
    )
)
def test_the_log_comes_back_whole(tmp_path_factory, points):
    folder = tmp_path_factory.mktemp("trial")
    (folder / ARTEFACT).mkdir()
    log = CurveLog(folder / ARTEFACT)
    for point in points:
        log.add(*point)
    found = logged(folder)  # while it is open, as after a kill
    log.close()
    assert sum(len(curve.step) for curve in found.values()) == len(points)
    for name, curve in found.items():
        assert list(zip(curve.step, curve.value, strict=True)) == [
            (step, value) for other, step, value in points if other == name
        ]


def test_half_a_line_of_the_log_is_left_out(tmp_path):
    (tmp_path / ARTEFACT).mkdir()
    (tmp_path / ARTEFACT / LOG).write_text("curve,step,value\nreturn,1.0,2.0\nreturn,2.0")
    assert logged(tmp_path) == {"return": Curve([1.0], [2.0])}
    assert logged(tmp_path / "nowhere") == {}


def test_a_full_disk_does_not_stop_the_training(tmp_path):
    log = CurveLog(tmp_path / "missing")
    log.add("return", 1, 2)  # nothing raised
    assert not (tmp_path / "missing").exists()


def test_a_scenario_reads_them(project, write, records):
    project.makepyfile(
        learner="""
        def train(training):
            with open(training.folder / "progress.csv", "w") as file:
                file.write("total_timesteps,rollout/ep_rew_mean,train/loss\\n1,2,3\\n4,5,6\\n")
        """
    )
    write("""
        [[scenario]]
        name = "learn"
        task = "CartPole-v1"
        phase = "train"
        agent = "learner:train"
        options.curves = {loss = "train/loss"}

        [[scenario]]
        name = "wrong"
        task = "CartPole-v1"
        phase = "train"
        agent = "learner:train"
        options.curves = {loss = "train/lost"}
    """)
    result = project.runpytest("--a2perf")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*options.curves: no curve 'train/lost' for 'loss'; did you mean 'train/loss'?; there a*"]
    )
    right, wrong = records()
    assert right.curves == {"return": Curve([1, 4], [2, 5]), "loss": Curve([1, 4], [3, 6])}
    assert wrong.curves == {"return": Curve([1, 4], [2, 5])}  # nothing recorded is lost
    (path,) = project.path.glob(".a2perf/runs/*/trials/*wrong*/artefact/a2perf.json")
    assert json.loads(path.read_text())["complete"]
