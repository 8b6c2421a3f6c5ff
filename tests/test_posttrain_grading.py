"""The grading service of the domain posttrain: logs, artefacts, quotas, evaluation, improvement."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posttrain_grading_world import ITEMS, World, safetensors, weights

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading import channel
from pytest_a2perf.domains.posttrain.grading.admission import Admission
from pytest_a2perf.domains.posttrain.grading.artefact import (
    digest_of,
    relative_path,
    take,
    validate,
)
from pytest_a2perf.domains.posttrain.grading.book import Book, Taken
from pytest_a2perf.domains.posttrain.grading.client import GradingService
from pytest_a2perf.domains.posttrain.grading.clock import Clock
from pytest_a2perf.domains.posttrain.grading.config import Config, Place
from pytest_a2perf.domains.posttrain.grading.evaluation import (
    EvaluationError,
    Evaluator,
    read_result,
    score_of,
)
from pytest_a2perf.domains.posttrain.grading.improvement import improvement
from pytest_a2perf.domains.posttrain.grading.log import Head, Log, LogError, read, read_submissions
from pytest_a2perf.domains.posttrain.grading.refusal import Refused
from pytest_a2perf.domains.posttrain.grading.repeats import measure
from pytest_a2perf.domains.posttrain.grading.sockets import connect, listen
from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.grading.task_service import TaskService
from pytest_a2perf.domains.posttrain.grading.tensors import read_tensors, same_weights
from pytest_a2perf.domains.posttrain.sandbox import choose
from pytest_a2perf.domains.posttrain.sandbox.ladder import probe
from pytest_a2perf.domains.posttrain.sandbox.spec import Limits, Mount
from pytest_a2perf.errors import InfraError


def submission(number=1, share=0.5, **more):
    items = tuple([1.0] * round(share * 10) + [0.0] * (10 - round(share * 10)))
    return Submission(
        number,
        1.0,
        2.0,
        "output/a",
        "d" * 64,
        10,
        "scored",
        public=score_of(items, 0.1, {}),
        **more,
    )


class TestLog:
    @given(
        st.lists(
            st.dictionaries(st.text(max_size=5), st.integers() | st.text(), max_size=3), max_size=5
        )
    )
    @settings(max_examples=20, deadline=None)
    def test_what_is_appended_is_read(self, tmp_path_factory, entries):
        path = tmp_path_factory.mktemp("log") / "log.jsonl"
        entries = [{**entry, "n": n} for n, entry in enumerate(entries)]
        for entry in entries:  # each by a process of its own, as it were
            log = Log(path)
            log.append(
                {name: value for name, value in entry.items() if name not in ("previous", "hash")}
            )
            log.close()
        reading = read(path)
        assert [entry["n"] for entry in reading.entries] == list(range(len(entries)))
        assert reading.head.lines == len(entries)

    @pytest.fixture
    def three(self, tmp_path):
        log = Log(tmp_path / "log.jsonl")
        for n in range(3):
            log.append({"n": n, "text": "abc"})
        log.close()
        return log

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def test_no_byte_can_be_changed(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("log") / "log.jsonl"
        log = Log(path)
        for n in range(3):
            log.append({"n": n, "text": "abc"})
        head = log.head
        log.close()
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
        path.write_bytes(content)
        with pytest.raises(LogError, match=r"log\.jsonl:"):
            read(path, head)

    def test_a_line_that_is_taken_out_is_missed(self, three):
        lines = three.path.read_bytes().splitlines(keepends=True)
        three.path.write_bytes(lines[0] + lines[2])
        with pytest.raises(LogError, match=r"log\.jsonl:2: does not follow"):
            read(three.path)

    def test_lines_cut_off_are_missed_by_who_knows_the_head(self, three):
        lines = three.path.read_bytes().splitlines(keepends=True)
        three.path.write_bytes(b"".join(lines[:2]))
        assert read(three.path).head.lines == 2
        with pytest.raises(LogError, match="shortened"):
            read(three.path, three.head)

    def test_a_log_written_anew_is_found_out_by_who_knows_the_head(self, three):
        three.path.unlink()
        log = Log(three.path)
        for n in range(4):
            log.append({"n": n, "text": "better"})
        log.close()
        with pytest.raises(LogError, match="rewritten"):
            read(three.path, three.head)

    def test_a_torn_line_is_set_aside_and_writing_goes_on(self, three):
        with three.path.open("ab") as file:
            file.write(b'{"n": 3, "te')
        assert len(read(three.path).entries) == 3
        log = Log(three.path)
        log.append({"n": 3})
        log.close()
        assert [entry["n"] for entry in read(three.path).entries] == [0, 1, 2, 3]
        assert three.path.with_suffix(".torn").read_bytes() == b'{"n": 3, "te\n'

    def test_a_line_that_lacks_only_its_end_is_kept(self, three):
        three.path.write_bytes(three.path.read_bytes()[:-1])
        log = Log(three.path)
        assert log.head == three.head
        log.close()
        assert read(three.path).head == three.head

    def test_a_disk_that_refuses_leaves_the_log_as_it_was(self, three, monkeypatch):
        before = three.path.read_bytes()
        log = Log(three.path)
        real = os.pwrite

        def full(file, data, place):
            real(file, data[:5], place)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            log.append({"n": 3})
        monkeypatch.undo()
        assert three.path.read_bytes() == before
        log.append({"n": 4})
        log.close()
        assert read(three.path).entries[-1] == {"n": 4}

    def test_submissions_by_number_the_last_line_counts(self, tmp_path):
        log = Log(tmp_path / "log.jsonl")
        for one in (
            submission(2),
            submission(1),
            replace(submission(2), private=Score(3.0, 1.0, (0.5,))),
        ):
            log.append(one.to_json())
        log.close()
        found = read_submissions(log.path)
        assert [one.number for one in found] == [1, 2]
        assert found[1].private == Score(3.0, 1.0, (0.5,))
        assert found[0] == submission(1)


class TestTensors:
    def write(self, folder, **files):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        for name, tensors in files.items():
            (folder / f"{name}.safetensors").write_bytes(safetensors(tensors))
        return {
            name: tensor
            for path in sorted(folder.glob("*.safetensors"))
            for name, tensor in read_tensors(path).items()
        }

    def test_reads_what_the_library_writes(self, tmp_path):
        library = pytest.importorskip("safetensors.numpy")
        arrays = {
            "b": np.arange(6, dtype="<f4").reshape(2, 3),
            "a": np.zeros(0, "<i8"),
            "s": np.array(1.5),
        }
        library.save_file(arrays, tmp_path / "m.safetensors", {"format": "pt"})
        found = read_tensors(tmp_path / "m.safetensors")
        assert {name: (one.dtype, one.count) for name, one in found.items()} == {
            "b": ("F32", 6),
            "a": ("I64", 0),
            "s": ("F64", 1),
        }
        raw = (tmp_path / "m.safetensors").read_bytes()
        assert raw[found["b"].offset :][:24] == arrays["b"].tobytes()

    @given(st.data())
    @settings(max_examples=80, deadline=None)
    def test_a_damaged_file_is_refused_or_means_something(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("t") / "m.safetensors"
        raw = bytearray(safetensors(weights(0.5)))
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
        path.write_bytes(raw)
        try:
            tensors = read_tensors(path)
        except Refused:
            return
        assert all(0 < one.offset <= len(raw) for one in tensors.values())

    @pytest.mark.parametrize(
        ("header", "why"),
        [
            ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}} | {"x": 1}, "needs dtype"),
            ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "do not match"),
            ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, "natural"),
            ({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, "natural"),
            ({"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, "dtype"),
            ({"a": {"dtype": "F32", "shape": [1 << 60], "data_offsets": [0, 4]}}, "natural"),
            ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "gap"),
            ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
              "b": {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]}}, "overlaps"),
            ({"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}, "header says"),
            ({"a": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}, "header says"),
            ([], "no table"),
        ],
    )  # fmt: skip
    def test_a_header_that_lies_is_refused(self, tmp_path, header, why):
        text = json.dumps(header).encode()
        (tmp_path / "m.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"1234")
        with pytest.raises(Refused, match=why):
            read_tensors(tmp_path / "m.safetensors")

    @pytest.mark.parametrize(
        "raw", [b"", b"1234567", b"\xff" * 64, (1 << 62).to_bytes(8, "little") + b"{}",
                (8).to_bytes(8, "little") + b'{"a":NaN', (100_000).to_bytes(8, "little") + b"[" * 100_000,
                (17).to_bytes(8, "little") + b'{"a":{}, "a":{}} '],
    )  # fmt: skip
    def test_what_has_no_header_is_refused(self, tmp_path, raw):
        (tmp_path / "m.safetensors").write_bytes(raw)
        with pytest.raises(Refused, match="no safetensors file"):
            read_tensors(tmp_path / "m.safetensors")

    def test_the_base_model_is_known_in_any_form(self, tmp_path):
        values = np.random.default_rng(0).normal(size=(3, 70)).astype("<f4")
        other = np.arange(7, dtype="<f4")
        base = self.write(tmp_path / "base", m={
            "w": ("F32", [3, 70], values.tobytes()), "u": ("F32", [7], other.tobytes()),
        })  # fmt: skip

        def as_bfloat(array):
            import struct

            def one(value):
                bits = struct.unpack("<I", struct.pack("<f", value))[0]
                return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).to_bytes(2, "little")

            return b"".join(map(one, array.ravel().tolist()))

        forms = {
            "order": {"m": {"u": ("F32", [7], other.tobytes()), "w": ("F32", [3, 70], values.tobytes())}},
            "sharded": {"a": {"u": ("F32", [7], other.tobytes())}, "b": {"w": ("F32", [3, 70], values.tobytes())}},
            "renamed": {"m": {"x.w": ("F32", [3, 70], values.tobytes()), "x.u": ("F32", [7], other.tobytes())}},
            "flat": {"m": {"w": ("F32", [210], values.tobytes()), "u": ("F32", [7], other.tobytes())}},
            "double": {"m": {"w": ("F64", [3, 70], values.astype("<f8").tobytes()), "u": ("F32", [7], other.tobytes())}},
            "half": {"m": {"w": ("F16", [3, 70], values.astype("<f2").tobytes()), "u": ("F16", [7], other.astype("<f2").tobytes())}},
            "bfloat": {"m": {"w": ("BF16", [3, 70], as_bfloat(values)), "u": ("BF16", [7], as_bfloat(other))}},
            "twice": {"m": {"w": ("F32", [3, 70], values.tobytes()), "u": ("F32", [7], other.tobytes()),
                            "tied": ("F32", [3, 70], values.tobytes())}},
        }  # fmt: skip
        for name, files in forms.items():
            assert same_weights(self.write(tmp_path / name, **files), base), name
        changed = values.copy()
        changed[2, 69] += 0.01
        for name, tensor in {
            "changed": ("F32", [3, 70], changed.tobytes()),
            "changed-half": ("F16", [3, 70], changed.astype("<f2").tobytes()),
            "integers": ("I32", [3, 70], values.tobytes()),
            "smaller": ("F32", [3, 69], values[:, :69].tobytes()),
        }.items():
            ours = self.write(tmp_path / name, m={"w": tensor, "u": ("F32", [7], other.tobytes())})
            assert not same_weights(ours, base), name
        assert not same_weights({}, base)


class TestPaths:
    @given(st.text(alphabet="ab./\\\n\0 é\ud800", max_size=20))
    @settings(max_examples=300, deadline=None)
    def test_no_path_leads_out(self, text):
        try:
            path = relative_path(text, ("/workspace", "/host/run/workspace"))
        except Refused:
            return
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert str(path).isprintable()

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("output/v1", "output/v1"), ("/workspace/output/v1/", "output/v1"), ("./output//v1", "output/v1"),
            ("/host/run/workspace/output/v1", "output/v1"), ("output/../output/v1", "output/v1"),
        ],
    )  # fmt: skip
    def test_what_agents_write(self, given, expected):
        assert str(relative_path(given, ("/workspace", "/host/run/workspace"))) == expected

    @pytest.mark.parametrize(
        "given", [None, 3, "", ".", "/workspace", "x" * 5000, ["a"], {"a": 1}, "/workspaces/a"]
    )
    def test_what_is_no_path(self, given):
        with pytest.raises(Refused, match="model_path"):
            relative_path(given, ("/workspace",))


class TestArtefacts:
    def test_a_copy_has_the_digest_of_the_original(self, tmp_path):
        world = World(tmp_path)
        world.model("a", 0.7)
        (world.workspace / "output/a/sub").mkdir()
        (world.workspace / "output/a/sub/vocab.txt").write_text("x")
        artefact = take(world.workspace, relative_path("output/a", ()), tmp_path / "kept")
        assert (artefact.digest, artefact.size) == digest_of(world.workspace / "output/a")
        assert (artefact.digest, artefact.size) == digest_of(artefact.folder)
        assert artefact.folder.stat().st_mode & 0o222 == 0
        validate(artefact, world.base)
        again = take(world.workspace, relative_path("output/a", ()), tmp_path / "kept")
        assert again == artefact
        assert [path.name for path in (tmp_path / "kept").iterdir()] == [artefact.digest]

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("config.json", "[]", "must be a JSON object"),
            ("config.json", "{", "is not JSON"),
            ("config.json", "[" * 100_000, "is not JSON"),
            ("config.json", '{"auto_map": {"AutoModel": "x--m.M"}}', "never run"),
            ("adapter_config.json", "{}", "merge it"),
            ("model.safetensors.index.json", "{}", "weight_map"),
            ("model.safetensors.index.json", '{"weight_map": {"w": "../../base/model.safetensors"}}', "not submitted"),
            ("model.safetensors.index.json", '{"weight_map": {"w": "other.safetensors"}}', "not submitted"),
            ("more.safetensors", "junk", "no safetensors"),
        ],
    )  # fmt: skip
    def test_what_is_no_model(self, tmp_path, name, text, why):
        world = World(tmp_path)
        world.model("a", 0.7)
        (world.workspace / "output/a" / name).write_text(text)
        artefact = take(world.workspace, relative_path("output/a", ()), tmp_path / "kept")
        with pytest.raises(Refused, match=why):
            validate(artefact, world.base)

    @pytest.mark.parametrize("gone", ["config.json", "model.safetensors"])
    def test_a_model_needs_both(self, tmp_path, gone):
        world = World(tmp_path)
        world.model("a", 0.7)
        (world.workspace / "output/a" / gone).unlink()
        artefact = take(world.workspace, relative_path("output/a", ()), tmp_path / "kept")
        with pytest.raises(Refused, match=r"has no (config\.json|weights)"):
            validate(artefact, None)


class TestBook:
    def test_an_interrupted_one_is_known_and_counts(self, tmp_path):
        files = RunFiles(tmp_path)
        book = Book(files)
        one, two = book.next_number(), book.next_number()
        for number in (one, two):
            book.take(Taken(number, 1.0, 1.0, "a", "d", 3, "", 0.0))
        book.add(submission(one))
        book.close()
        again = Book(files)
        assert (set(again.submissions), set(again.taken), again.used()) == ({1}, {2}, 2)
        assert again.next_number() == 3
        again.close()

    def test_the_best_is_the_first_of_equal_ones(self, tmp_path):
        book = Book(RunFiles(tmp_path))
        assert book.best() is None
        for number, share in enumerate((0.2, 0.7, 0.7, 0.1), 1):
            book.add(submission(number, share))
        assert book.best().number == 2
        book.close()


class TestAdmission:
    def config(self, tmp_path, **more):
        return replace(World(tmp_path).config, **more)

    def test_the_quota_counts_places_that_are_reserved(self, tmp_path):
        admission = Admission(self.config(tmp_path, submissions=3))
        admission.enter(1, 0, None)
        admission.enter(1, 0, None)
        with pytest.raises(Refused, match="all 3") as refused:
            admission.enter(1, 0, None)
        assert (refused.value.status, refused.value.retry) == (429, None)

    def test_cooling_down(self, tmp_path):
        admission = Admission(self.config(tmp_path, cool_down=10.0))
        with pytest.raises(Refused, match="cooling down") as refused:
            admission.enter(1, 0, 4.0)
        assert (refused.value.status, refused.value.retry) == (429, 6.0)
        admission.enter(1, 0, 10.0)
        with pytest.raises(Refused, match="one submission at a time"):
            admission.enter(1, 0, 10.0)

    def test_a_full_queue_and_the_rate(self, tmp_path):
        admission = Admission(self.config(tmp_path, queue=2, per_minute=2))
        with pytest.raises(Refused) as refused:
            admission.enter(0, 3, None)
        assert refused.value.status == 503
        admission.enter(0, 2, None)
        with pytest.raises(Refused, match="a minute") as refused:
            admission.enter(0, 0, None)
        assert 0 < refused.value.retry <= 60


class TestClock:
    def test_it_stands_still_once_for_all_and_only_so_long(self):
        told = []
        clock = Clock(time.monotonic() - 100, 20.0, 30.0, lambda *state: told.append(state))
        assert 79 < clock.at < 95
        with clock.standing(), clock.standing():
            before = clock.at
            time.sleep(0.05)
            assert clock.at == pytest.approx(before, abs=1e-6)
        assert [since is None for _, since in told] == [False, True]
        long = Clock(time.monotonic() - 100, 90.0, 30.0)
        assert long.paused == 30.0
        assert long.at > 69


class TestEvaluation:
    def evaluate(self, world, name="a", items=ITEMS):
        return Evaluator(world.config.plan).evaluate(
            world.workspace / "output" / name, "public", 3, items=items
        )

    @pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
    def test_it_sees_one_split_and_nothing_of_the_hosts_environment(
        self, tmp_path, monkeypatch, name
    ):
        if not probe(name).works:
            pytest.skip(probe(name).why)
        monkeypatch.setenv("SECRET_KEY", "x")
        world = World(tmp_path, place={"sandbox": name, "allow_unisolated": False})
        world.model("a", 0.7)
        score = self.evaluate(world)
        assert (score.value, len(score.items)) == (70.0, ITEMS)
        assert score.extra["answers"] == ["the public answers"]
        assert "SECRET_KEY" not in score.extra["env"]
        hidden = world.hidden / "private.json"
        plan = replace(world.config.plan, command=("cat", str(hidden), "/hidden/private.json"))
        with pytest.raises(EvaluationError) as failed:
            Evaluator(plan).evaluate(world.base, "public", 3)
        assert "private answers" not in str(failed.value) + failed.value.detail

    @pytest.mark.parametrize(
        ("behave", "why"),
        [
            ({"behave": "crash"}, "exit status 1"),
            ({"behave": "silent"}, "no single result"),
        ],
    )
    def test_what_gives_no_score(self, tmp_path, behave, why):
        world = World(tmp_path)
        world.model("a", 1.0, **behave)
        with pytest.raises(EvaluationError, match=why) as failed:
            self.evaluate(world)
        assert "hidden answer" not in str(failed.value)

    @pytest.mark.parametrize(
        ("result", "why"),
        [
            ({"items": [2]}, "not as agreed"),
            ({"items": []}, "not as agreed"),
            ({"items": [1.0, "1"]}, "not as agreed"),
            ({"items": [1.0]}, "not as agreed"),
            ({"items": [float("nan"), 1.0]}, "not as agreed"),
            ({"items": [0.5, 0.5], "extra": {"value": 101}}, "not as agreed"),
            ({"items": [0.5, 0.5], "extra": {"value": "1"}}, "not as agreed"),
            ({"items": [0.5, 0.5], "extra": {"error": float("inf")}}, "not as agreed"),
            ({"items": [0.5, 0.5], "extra": []}, "not as agreed"),
            ({"items": "11"}, "not as agreed"),
            ({"nonce": "guess", "items": [1, 1]}, "no result"),
            ([1, 1], "no result"),
        ],
    )
    def test_what_is_no_result(self, result, why):
        with pytest.raises(ValueError, match=why):
            read_result(json.dumps(result).encode(), "the nonce", 2, 0.0)

    @pytest.mark.parametrize(
        "text",
        [
            '{"items": [1, 1], "extra": {}}',
            '{"items": [1, 1], "nonce": "guess"}',
            '{"items": [1, 1]}\n{"items": [1, 1]}',
            '\x1b[2J\r{"items": [1',
        ],
    )
    def test_only_the_line_with_the_nonce_counts(self, text):
        result = json.dumps({"items": [0, 1], "nonce": "the nonce", "extra": {"value": 7.5}})
        for output in (f"{text}\n{result}\n", f"{result}\n{text}"):
            score = read_result(output.encode(), "the nonce", 2, 0.0)
            assert (score.value, score.items) == (7.5, (0.0, 1.0))
        with pytest.raises(ValueError, match="no single result"):
            read_result(f"{result}\n{result}".encode(), "the nonce", 2, 0.0)

    @pytest.mark.slow
    def test_time_is_limited(self, tmp_path):
        world = World(tmp_path, place={"limits": Limits(wall=5.0)})
        world.model("a", 1.0, behave="hang")
        with pytest.raises(EvaluationError, match="its limit of wall"):
            self.evaluate(world)

    @pytest.mark.parametrize("name", ["bubblewrap", "landlock", "none"])
    def test_it_can_import_this_package(self, tmp_path, name):
        if not probe(name).works:
            pytest.skip(probe(name).why)
        world = World(tmp_path, place={"sandbox": name})
        program = "import pytest_a2perf.domains.posttrain.errors; print('{\"items\": [1]}')"
        plan = replace(world.config.plan, command=(sys.executable, "-c", program))
        assert Evaluator(plan).evaluate(world.base, "public", 0).items == (1.0,)

    @pytest.mark.parametrize(
        ("ending", "why"),
        [("time.sleep(0.3); sys.exit(3)", "exit status 3"), ("time.sleep(60)", "did not end")],
    )
    def test_a_program_may_take_its_time_to_end_but_not_all(
        self, tmp_path, monkeypatch, ending, why
    ):
        if "60" in ending:
            monkeypatch.setattr(channel, "_ENDING", 0.2)
        world = World(tmp_path)
        program = f"import os, sys, time; os.close(1); {ending}"
        plan = replace(world.config.plan, command=(sys.executable, "-c", program))
        with pytest.raises(EvaluationError, match=why):
            Evaluator(plan).evaluate(world.base, "public", 0)

    def test_repeats_are_averaged(self, tmp_path):
        world = World(tmp_path)
        world.model("a", 0.6, behave="no nonce")
        score = measure(world.config.plan, world.workspace / "output/a", "private", 2)
        assert (score.value, score.extra["repeats"], len(score.items)) == (
            60.0,
            [60.0, 60.0],
            ITEMS,
        )
        assert score.extra["answers"] == ["the private answers"]

    def test_the_one_that_comes_along_is_the_default(self, tmp_path):
        world = World(tmp_path)
        evaluator = Evaluator(replace(world.config.plan, command=()))
        assert evaluator._command[1:] == ("-m", "pytest_a2perf.domains.posttrain.evaluate")

    def test_a_missing_sandbox_or_split_is_nobodys_fault(self, tmp_path):
        world = World(tmp_path, place={"allow_unisolated": False})
        with pytest.raises(InfraError, match="none"):
            Evaluator(world.config.plan).evaluate(world.base, "public", 0)
        (world.hidden / "public.json").unlink()
        with pytest.raises(InfraError, match="public"):
            Evaluator(world.config.plan).evaluate(world.base, "public", 0)


class TestImprovement:
    def score(self, items, **extra):
        return score_of(list(items), 0.0, extra)

    def test_pairs_make_it_precise(self):
        rng = np.random.default_rng(0)
        base = (rng.random(300) < 0.5).astype(float)
        ours = np.where(rng.random(300) < 0.2, 1.0, base)
        result = improvement(self.score(base), self.score(ours))
        assert result.value == pytest.approx(100 * (ours - base).mean())
        assert result.low < result.value < result.high
        assert result.success
        shuffled = improvement(self.score(base), self.score(rng.permutation(ours)))
        assert shuffled.high - shuffled.low > 1.5 * (result.high - result.low)

    def test_no_difference_is_no_success(self):
        same = self.score([1.0, 0.0] * 50)
        result = improvement(same, same)
        assert (result.value, result.low, result.high, result.success) == (0.0, 0.0, 0.0, False)

    def test_a_judges_noise_widens_it_and_repeats_narrow_it(self):
        base, ours = self.score([0.0] * 90 + [1.0] * 10), self.score([0.0] * 80 + [1.0] * 20)
        plain = improvement(base, ours)
        noisy = improvement(base, ours, noise=5.0)
        assert plain.success
        assert not noisy.success
        repeated = improvement(
            self.score(base.items, repeats=[10.0] * 25),
            self.score(ours.items, repeats=[20.0] * 25),
            noise=5.0,
        )
        assert repeated.success
        assert plain.high - plain.low < repeated.high - repeated.low < noisy.high - noisy.low

    def test_values_that_are_no_means_move_the_interval(self):
        base, ours = (
            self.score([0.4, 0.6] * 20, value=30.0),
            self.score([0.5, 0.8] * 20, value=50.0),
        )
        result = improvement(base, ours)
        assert result.value == 20.0
        assert result.low < 20.0 < result.high

    def test_what_cannot_be_paired(self):
        with pytest.raises(ValueError, match="paired"):
            improvement(self.score([1.0, 0.0]), self.score([1.0]))
        assert not improvement(self.score([0.0]), self.score([1.0])).success

    @given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0, 10))
    @settings(max_examples=20, deadline=None)
    def test_the_interval_holds_the_value(self, items, noise):
        base = self.score([0.5] * len(items))
        result = improvement(base, self.score(items), noise)
        assert result.low <= result.value + 1e-9
        assert result.value <= result.high + 1e-9


class TestTaskService:
    PROGRAM = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["request"].get("crash"):
        sys.exit(1)
    if asked["request"].get("bad"):
        answer = {"error": "no such prompt"}
    else:
        answer = {"echo": asked["request"], "left": asked["left"], "calls": asked["request"].get("calls", 1)}
    print(json.dumps(answer), flush=True)
"""

    @pytest.fixture
    def service(self, tmp_path):
        script = tmp_path / "judge.py"
        script.write_text(self.PROGRAM)
        place = Place(
            sandbox="none", allow_unisolated=True, mounts=(Mount(script, "/run/judge.py"),)
        )

        def make(calls=None):
            command = (sys.executable, "/run/judge.py")
            return TaskService(place, command, calls, tmp_path / "calls.jsonl", lambda: (1.0, 2.0))

        return make

    def test_calls_are_passed_on_counted_and_logged(self, service, tmp_path):
        judge = service(calls=4)
        assert judge.call("judge", {"x": 1}) == {
            "echo": {"x": 1},
            "left": 4,
            "calls": 1,
            "remaining_calls": 3,
        }
        assert judge.call("judge", {"calls": 2})["remaining_calls"] == 1
        with pytest.raises(Refused, match="no such prompt") as refused:
            judge.call("judge", {"bad": True})
        assert refused.value.status == 400
        with pytest.raises(Refused, match="all 4 calls") as refused:
            judge.call("judge", {})
        assert refused.value.status == 429
        judge.close()
        lines = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
        assert [(line["service"], line["calls"], line["failed"]) for line in lines] == [
            ("judge", 1, False), ("judge", 2, False), ("judge", 1, True),
        ]  # fmt: skip
        with (tmp_path / "calls.jsonl").open("a") as log:  # others' lines, junk, and a torn one
            log.write('{"kind": "llm", "calls": 9}\n[]\n' + "[" * 9999 + '\n{"kind": "serv')
        again = service(calls=4)
        assert again.left == 0
        again.close()

    @pytest.mark.parametrize(("quota", "limit"), [(9, "_FREE"), (None, "_MOST")])
    def test_the_log_of_calls_that_no_quota_ends_has_an_end(
        self, service, tmp_path, monkeypatch, quota, limit
    ):
        monkeypatch.setattr(f"pytest_a2perf.domains.posttrain.grading.task_service.{limit}", 3)
        cost = 0 if quota else 1
        judge = service(quota)
        for _ in range(3):
            judge.call("judge", {"calls": cost})
        judge.close()
        again = service(quota)  # what an earlier process wrote counts
        for _ in range(4):
            again.call("judge", {"calls": cost})
        again.call("judge", {"calls": 1 - cost})
        again.close()
        lines = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
        assert [line["calls"] for line in lines] == [cost] * 4 + [1 - cost]
        assert ["such calls: further" in line["answer"] for line in lines] == [False] * 3 + [
            True,
            False,
        ]

    def test_a_request_that_is_too_deep(self, service):
        judge = service()
        deep = {}
        for _ in range(2000):
            deep = {"a": deep}
        with pytest.raises(Refused, match="too deep"):
            judge.call("judge", deep)
        assert judge.call("judge", {"x": 1})["echo"] == {"x": 1}
        judge.close()

    def test_a_crash_costs_nothing_and_it_comes_back(self, service):
        judge = service(calls=2)
        with pytest.raises(Refused, match="broke") as refused:
            judge.call("judge", {"crash": True})
        assert refused.value.status == 503
        assert judge.call("judge", {})["remaining_calls"] == 1
        judge.close()


class TestConfig:
    def test_what_is_written_is_read(self, tmp_path):
        config = World(tmp_path, services=("judge",), submissions=3, gpus=("0",)).config
        assert Config.from_json(config.to_json()) == config


class TestService:
    @pytest.mark.slow
    def test_a_submission_from_beginning_to_end(self, tmp_path):
        world = World(tmp_path, submissions=3)
        world.model("a", 0.8)
        world.model("b", 0.3)
        asked = []

        def moment(message):
            asked.append(message)
            return 12.5, "c0ffee" if message else ""

        with world.service(moment) as service:
            status, health, _ = world.ask("GET", "/health")
            assert (status, health["status"], health["remaining_submissions"]) == (200, "ok", 3)
            assert world.ask("GET", "/best")[1] == {"best": None}
            status, answer = world.submit("output/a")
            assert status == 200
            assert {name: answer[name] for name in ("submission_id", "model_path", "score", "baseline_score")} == {
                "submission_id": 1, "model_path": "output/a", "score": 80.0, "baseline_score": 50.0,
            }  # fmt: skip
            assert (
                answer["improvement"],
                answer["best"]["score"],
                answer["total_submissions"],
            ) == (30.0, 80.0, 1)
            assert answer["elapsed_seconds"] > 0
            assert answer["timestamp"].startswith("20")
            status, second = world.submit("/workspace/output/b", wait=False)
            assert (status, second["status"]) == (202, "running")
            while (found := world.ask("GET", "/submission/2"))[0] == 202:
                time.sleep(0.02)
            assert (found[1]["score"], found[1]["best"]["submission_id"]) == (30.0, 1)
            assert [one["score"] for one in world.ask("GET", "/history")[1]["submissions"]] == [
                80.0,
                30.0,
            ]
            clock = world.ask("GET", "/time")[1]
            assert clock["remaining"] == pytest.approx(1000 - clock["elapsed"])
            assert clock["cpu_used"] == 12.5
            assert 0 < clock["paused"] <= service.paused
            assert world.ask("GET", "/submission/9")[0] == 404
            with pytest.raises(InfraError, match="still runs"):
                service.final()
        assert asked == ["submission 1: output/a", "submission 2: output/b", ""]
        assert json.loads((world.workspace / "scores.json").read_text())[0]["score"] == 80.0
        done = service.final(2)
        assert (done.number, done.private.value, done.commit, done.cpu) == (1, 80.0, "c0ffee", 12.5)
        assert [one.private and one.private.value for one in service.submissions()] == [80.0, None]
        assert service.baseline("private").value == 50.0
        assert not (world.root / "socket/grader.sock").exists()

    def test_whose_fault_a_failure_is(self, tmp_path):
        world = World(tmp_path, submissions=5)
        crash, refuse = (
            world.model("crash", 0.8, behave="crash"),
            world.model("refuse", 0.9, behave="refuse"),
        )
        with world.service() as service:
            status, answer = world.submit(crash)
            assert (status, answer["status"], answer["score"], answer["improvement"]) == (
                200,
                "failed",
                0.0,
                None,
            )
            assert "exit status 1" in answer["error"]
            assert answer["remaining_submissions"] == 4
            status, answer = world.submit(refuse)
            assert (status, answer["error"], answer["remaining_submissions"]) == (
                400,
                "no such architecture",
                4,
            )
        assert service.best() is None
        assert service.final() is None
        assert [kind for _, kind, _ in service.notes] == ["evaluation failed", "evaluation failed"]

    @pytest.mark.slow
    def test_a_broken_grader_is_not_the_agents_fault(self, tmp_path):
        world = World(tmp_path, submissions=2)
        (tmp_path / "evaluator.py").write_text("raise SystemExit(3)")
        path = world.model("a", 0.8)
        with world.service() as service:
            status, answer = world.submit(path)
            assert (status, answer["status"], answer["remaining_submissions"]) == (
                503,
                "rejected",
                2,
            )
        assert "grader broken" in {kind for _, kind, _ in service.notes}

    @pytest.mark.slow
    def test_who_does_not_wait_is_evaluated_all_the_same(self, tmp_path):
        world = World(tmp_path)
        gate = tmp_path / "gate"
        path = world.model("a", 0.8, behave="gate", gate=str(gate))
        with world.service() as service:
            with connect(world.root / "socket", 60.0) as link:
                body = json.dumps({"model_path": path}).encode()
                head = f"POST /submit HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
                link.sendall(head.encode() + body)
                while not service.paused:
                    time.sleep(0.02)
            before = None
            while service.paused != before:  # the clock goes on once nobody waits
                before = service.paused
                time.sleep(0.3)
            gate.touch()
            while world.ask("GET", "/submission/1")[0] == 202:
                time.sleep(0.02)
        assert service.best().public.value == 80.0

    @pytest.mark.slow
    def test_the_queue_is_in_order_and_stops_with_the_service(self, tmp_path):
        world = World(tmp_path, queue=2)
        gate = tmp_path / "gate"
        paths = [
            world.model(f"m{n}", 0.5, seed=n + 2, behave="gate", gate=str(gate)) for n in range(4)
        ]
        with world.service() as service:
            answers = [world.submit(path, wait=False) for path in paths]
            assert [status for status, _ in answers] == [202, 202, 202, 503]
            assert [answer["queue_position"] for _, answer in answers[:3]] == [0, 1, 2]
            pid = service.pid
        assert not os.path.exists(f"/proc/{pid}")
        assert service.submissions() == []
        assert set(Book(world.service_files()).taken) == {1, 2, 3}

    @pytest.mark.slow
    def test_copies_that_nothing_needs_go(self, tmp_path):
        world = World(tmp_path, keep=0)
        world.write(world.workspace / "output/d", weights(0.5))
        with world.service() as service:
            for name, share in (("a", 0.7), ("b", 0.8), ("c", 0.6)):
                world.submit(world.model(name, share))
            world.submit("output/d")
        kept = [path.name for path in (world.root / "grading/artefacts").iterdir()]
        assert kept == [service.best().artefact]
        assert service.final().private.value == 80.0

    def test_it_says_why_it_does_not_start(self, tmp_path):
        world = World(tmp_path)
        files = RunFiles(world.root)
        files.grading.mkdir()
        files.submissions.write_text('{"number": 1}\n')
        service = GradingService(world.config)
        with pytest.raises(InfraError, match=r"submissions\.jsonl:1"):
            service.start()

    @pytest.mark.slow
    def test_it_ends_with_the_harness(self, tmp_path):
        world = World(tmp_path)
        code = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from pytest_a2perf.domains.posttrain.grading.client import GradingService\n"
            "from pytest_a2perf.domains.posttrain.grading.config import Config\n"
            "service = GradingService(Config.from_json(Path(sys.argv[1]).read_text()))\n"
            "service.start()\n"
            "print(service.pid, service._temporary, flush=True)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        config = tmp_path / "config.json"
        config.write_text(world.config.to_json())
        ended = subprocess.run(
            [sys.executable, "-c", code, str(config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL
        pid, temporary = ended.stdout.split()
        until = time.monotonic() + 60
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
            time.sleep(0.02)
        assert not os.path.exists(f"/proc/{pid}")
        assert not os.path.exists(temporary)

    def test_a_service_of_the_task(self, tmp_path):
        script = tmp_path / "judge.py"
        script.write_text(TestTaskService.PROGRAM)
        world = World(
            tmp_path,
            place={"mounts": (Mount(script, "/run/judge.py"),)},
            services=("judge",),
            service=(sys.executable, "/run/judge.py"),
            calls=2,
        )
        with world.service():
            status, answer, _ = world.ask("POST", "/judge", {"x": 1})
            assert (status, answer["echo"], answer["remaining_calls"]) == (200, {"x": 1}, 1)
            assert world.ask("POST", "/search", {})[0] == 404
            assert world.ask("GET", "/health")[1]["remaining_calls"] == 1
            threads = [
                threading.Thread(target=world.ask, args=("POST", "/judge", {"x": n}))
                for n in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert world.ask("POST", "/judge", {})[0] == 429
        assert len((world.root / "calls.jsonl").read_text().splitlines()) == 2


def test_the_sandbox_is_there():
    assert choose("none", allow_unisolated=True).isolated is False


def test_a_socket_may_lie_deeper_than_its_address_may_be_long(tmp_path):
    folder = tmp_path / ("x" * 120) / "socket"
    for _ in range(2):  # an old one is replaced
        with listen(folder) as listener, connect(folder, 10) as link:
            link.sendall(b"x")
            with listener.accept()[0] as accepted:
                assert accepted.recv(1) == b"x"


def test_a_head_starts_at_nothing(tmp_path):
    assert read(tmp_path / "absent.jsonl").head == Head()
