"""Records, the store, and a full disk."""

from __future__ import annotations

import json
import math
import os
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_a2perf.errors import A2PerfError
from pytest_a2perf.quantities import Quantity, worst_quality
from pytest_a2perf.runs.histogram import Histogram
from pytest_a2perf.runs.record import Record
from pytest_a2perf.runs.store import RunStore, find_run, read_records
from pytest_a2perf.strategies import records


@given(records())
def test_a_record_survives_its_line(record):
    line = record.to_line()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert Record.from_line(line) == record
    assert (record.error is None) == (record.outcome == "success")


def test_numpy_scalars_do_not_get_into_a_line():
    record = Record("s", "n", 1)
    record.context = {"a": np.float32(1.5), "b": np.arange(3), "c": np.int64(4), "d": {1}}
    data = json.loads(record.to_line())
    assert data["context"] == {"a": 1.5, "b": [0, 1, 2], "c": 4, "d": "{1}"}


def test_a_record_of_ten_thousand_steps_is_small():
    rng = np.random.default_rng(0)
    record = Record("scenarios/a.toml::a", "scenarios/a.toml::a[0]", 0)
    record.samples["latency"] = Histogram.of(rng.lognormal(-9, 0.5, size=10_000))
    assert len(record.to_line()) <= 4096


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"x": 1}', '{"scenario": "a"'])
def test_half_lines_are_not_records(line):
    with pytest.raises(ValueError):
        Record.from_line(line)


def test_the_store_appends_and_reads_back(tmp_path):
    folder = tmp_path / "runs" / "one"
    store = RunStore(folder)
    records = [Record("s", f"n{i}", i) for i in range(3)]
    for record in records:
        store.append(record.to_line())
    assert list(read_records(folder)) == records
    assert store.close() is None
    assert (tmp_path / ".gitignore").read_text() == "*\n"


@given(cut=st.integers(1, 60))
def test_a_line_that_was_cut_off_costs_only_itself(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("run") / "runs" / "one"
    store = RunStore(folder)
    store.append(Record("s", "n0", 0).to_line())
    store.append(Record("s", "n1", 1).to_line())
    store.close()
    path = folder / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    again = RunStore(folder)
    again.append(Record("s", "n2", 2).to_line())
    again.close()
    assert [record.nodeid for record in read_records(folder)] == ["n0", "n2"] or cut == 1


def test_runs_are_found_by_name(tmp_path):
    for name in ("20260101-a", "20260102-b"):
        RunStore(tmp_path / "runs" / name).close()
    runs = tmp_path / "runs"
    assert find_run(runs, "last").name == "20260102-b"
    assert find_run(runs, "20260101-a").name == "20260101-a"
    assert find_run(tmp_path / "nowhere", str(runs / "20260101-a")).name == "20260101-a"
    with pytest.raises(A2PerfError, match="did you mean '20260101-a'"):
        find_run(runs, "20260101-")


def test_the_worst_quality_counts():
    assert worst_quality(["measured", "modelled", "estimated"]) == "modelled"
    assert worst_quality([]) == "measured"
    assert math.isnan(Quantity.from_json({"value": math.nan}).value)


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_nothing(tiny_disk, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    store = RunStore(tiny_disk / "runs" / "one")
    records = [Record("s", f"n{i}", i, context={"x": "y" * 2000}) for i in range(60)]
    for record in records:
        store.append(record.to_line())
    assert "No space left" in store.problem
    warning = store.close()
    elsewhere = next(word for word in warning.split() if "a2perf-records-" in word)
    kept = list(read_records(tiny_disk / "runs" / "one"))
    with open(elsewhere) as file:
        kept += [Record.from_line(line) for line in file]
    assert kept == records


def test_a_disk_that_has_room_again_takes_what_was_kept(tiny_disk):
    ballast = tiny_disk / "ballast"
    store = RunStore(tiny_disk / "runs" / "one")
    ballast.write_bytes(b"x" * 40_000)
    records = [Record("s", f"n{i}", i, context={"x": "y" * 1000}) for i in range(30)]
    for record in records[:20]:
        store.append(record.to_line())
    assert store.problem
    ballast.unlink()
    for record in records[20:]:
        store.append(record.to_line())
    assert store.close() is not None
    assert list(read_records(tiny_disk / "runs" / "one")) == records


@pytest.mark.slow
def test_a_run_on_a_full_disk_says_so_and_fails(project, write, tiny_disk):
    write("""
        [[scenario]]
        name = "many"
        task = "CartPole-v1"
        seeds = 60
    """)
    (tiny_disk / "ballast").write_bytes(b"x" * 30_000)
    result = project.runpytest_subprocess("--a2perf", "--a2perf-dir", str(tiny_disk / "a2perf"))
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*a2perf: the run could not be stored: *No space left*instead*"])


def test_a_folder_that_cannot_be_made_is_a_usage_error(project, write):
    write("[[scenario]]\nname = 'a'\ntask = 'CartPole-v1'")
    (project.path / "file").touch()
    result = project.runpytest_subprocess("--a2perf", "--a2perf-dir", "file")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot keep the run in *file/runs/*"])
