"""What an agent may try against the grading service, and that nothing is gained by it.

The agent here has the whole workspace and the socket; what a sandbox keeps from it besides is
tested with the sandboxes.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from posttrain_grading_world import ITEMS, World, safetensors, weights

from pytest_a2perf.domains.posttrain.agents.usage import spent_by
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading import artefact
from pytest_a2perf.domains.posttrain.grading.artefact import (
    Rules,
    digest_of,
    relative_path,
    take,
    validate,
)
from pytest_a2perf.domains.posttrain.grading.copies import write_copy
from pytest_a2perf.domains.posttrain.grading.evaluation import EvaluationError, Evaluator
from pytest_a2perf.domains.posttrain.grading.log import LogError
from pytest_a2perf.domains.posttrain.grading.refusal import Refused
from pytest_a2perf.domains.posttrain.grading.server import Server
from pytest_a2perf.domains.posttrain.grading.sockets import connect, listen
from pytest_a2perf.domains.posttrain.sandbox import choose
from pytest_a2perf.domains.posttrain.sandbox.ladder import probe
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Limits, Mount


class Attacked:
    """A world whose service runs, with one honest submission of 60 points."""

    def __init__(self, world, service):
        self.world = world
        self.service = service
        self.honest = world.submit(world.model("honest", 0.6))[1]

    def check(self):
        """Nothing is gained: the honest score is the best, and the service lives."""
        assert self.world.ask("GET", "/health")[0] == 200
        assert self.service.restarts == 0
        best = self.service.best()
        assert (best.number, best.public.value) == (1, 60.0)
        assert {one.number for one in self.service.submissions() if one.public} == {1}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("attacked"), submissions=1)
    (world.folder / "secret").mkdir()
    World.write(world.folder / "secret/model", weights(1.0))
    with world.service() as service:
        attacked = Attacked(world, service)
        # The quota is used up; attacks on other things need a place, so they are free of it.
        yield attacked


@pytest.fixture
def attacked(running):
    yield running
    running.check()


def copied(world, path, **rules):
    return take(world.workspace, relative_path(path, ()), world.folder / "kept", Rules(**rules))


# -- the four forgeries that upstream accepts ---------------------------------------------------


def test_the_baseline_cannot_be_set(attacked):
    world = attacked.world
    assert world.ask("POST", "/set_baseline", {"score": -1000})[0] == 403
    assert world.ask("POST", "//set_baseline/?x=1", {"score": -1000})[0] == 403
    assert world.ask("GET", "/health")[1]["baseline_score"] == 50.0
    assert [kind for _, kind, _ in attacked.service.notes].count("tampering") == 1
    assert attacked.honest["improvement"] == pytest.approx(10.0)


def test_scores_that_are_written_into_the_copy_count_nowhere(attacked):
    world = attacked.world
    forged = {"submission_id": 99, "model_path": "output/a", "score": 100.0, "status": "scored"}
    (world.workspace / "scores.json").write_text(json.dumps([forged]))
    assert world.ask("GET", "/best")[1]["best"]["score"] == 60.0
    assert len(world.ask("GET", "/history")[1]["submissions"]) == len(
        attacked.service.submissions()
    )


@pytest.mark.slow
def test_changed_weights_never_have_a_stale_score(tmp_path):
    world = World(tmp_path)
    path = world.model("a", 0.9)
    file = world.workspace / path / "model.safetensors"
    good, then = file.read_bytes(), file.stat()
    with world.service() as service:
        assert world.submit(path)[1]["score"] == 90.0
        file.write_bytes(safetensors(weights(0.2)))
        os.utime(file, ns=(then.st_atime_ns, then.st_mtime_ns))
        assert file.stat().st_size == then.st_size
        worse = world.submit(path)[1]
        assert (worse["score"], worse.get("repeated")) == (20.0, None)
        file.write_bytes(good)
        again = world.submit(path)[1]
        assert (again["score"], again["repeated"]) == (90.0, 1)
        shutil.copytree(world.workspace / path, world.workspace / "output/b")
        assert world.submit("output/b")[1]["repeated"] == 1
        # After the score has been given, too: what was scored is what is measured in the end.
        file.write_bytes(safetensors(weights(1.0)))
    assert service.final().private.value == 90.0


def test_the_base_model_is_no_submission(tmp_path):
    world = World(tmp_path)
    tensors = weights(0.5)
    wide = {
        name: ("F64", shape, np.frombuffer(data, "<f4").astype("<f8").tobytes())
        for name, (_, shape, data) in tensors.items()
    }
    world.write(world.workspace / "output/copy", tensors)
    world.write(
        world.workspace / "output/order", dict(reversed(tensors.items())), {"temperature": 0}
    )
    world.write(world.workspace / "output/wide", wide)
    with world.service() as service:
        for path in (
            "models/base",
            "output/../models/base",
            "output/copy",
            "output/order",
            "output/wide",
        ):
            status, answer = world.submit(path)
            assert (status, answer["status"]) == (409, "rejected"), path
            assert "base model" in answer["error"]
    assert service.best() is None


# -- reading what is hidden ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "..", "../hidden", "output/../../hidden", "/etc", "/workspace/../etc", "/proc/self/root", "/proc/1/cwd",
        "//etc", "\0", "output/\0/../../hidden", "output/a\nb", "output/\ud800", "output/\u202ea", "~", "output/..",
        "../run/grading/artefacts", "file:///etc", "x" * 4097, "a/" * 2000 + "a",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_workspace(attacked, path):
    assert attacked.world.submit(path)[0] in (400, 429)


def test_no_link_is_followed(tmp_path):
    world = World(tmp_path)
    hidden = world.write(tmp_path / "elsewhere", weights(1.0))
    output = world.workspace / "output"
    (output / "folder").symlink_to(hidden)
    (output / "through").symlink_to("/proc/self/root")
    world.model("file", 0.7)
    (output / "file/tokenizer.json").symlink_to(world.hidden / "private.json")
    world.model("up", 0.7)
    (output / "up/config.json").unlink()
    (output / "up/config.json").symlink_to("../file/config.json")
    world.model("hard", 0.7)
    os.link(world.hidden / "private.json", output / "hard/tokenizer.json")
    for path in (
        "output/folder",
        f"output/through/{hidden}",
        "output/file",
        "output/up",
        "output/hard",
    ):
        with pytest.raises(Refused, match=r"link"):
            copied(world, path)
    assert not any((tmp_path / "kept").iterdir())


def test_no_special_file_is_opened(tmp_path):
    world = World(tmp_path)
    output = world.workspace / "output"
    for name in ("fifo", "socket"):
        world.model(name, 0.7)
    os.mkfifo(output / "fifo/tokenizer.json")
    with socket.socket(socket.AF_UNIX) as listener:
        cwd = os.open(output / "socket", os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{cwd}/tokenizer.json")
        os.close(cwd)
    os.mkfifo(output / "pipe")
    for path in ("output/fifo", "output/socket", "output/pipe"):
        with pytest.raises(Refused, match="a device, a pipe or a socket"):
            copied(world, path)


def test_swapping_folders_and_files_while_they_are_copied_leads_nowhere(tmp_path):
    world = World(tmp_path)
    hidden = world.write(tmp_path / "elsewhere", weights(1.0))
    path = world.model("a", 0.3)
    allowed = {digest_of(world.workspace / path)[0]}
    a, link, file = (
        world.workspace / path,
        world.workspace / "link",
        world.workspace / path / "config.json",
    )
    link.symlink_to(hidden)
    (world.workspace / "config").symlink_to(hidden / "config.json")
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            with contextlib.suppress(OSError):
                a.rename(world.workspace / "aside")
                link.rename(a)
                a.rename(link)
                (world.workspace / "aside").rename(a)
            with contextlib.suppress(OSError):
                file.rename(world.workspace / "aside.json")
                (world.workspace / "config").rename(file)
                file.rename(world.workspace / "config")
                (world.workspace / "aside.json").rename(file)

    thread = threading.Thread(target=swap)
    thread.start()
    taken, refused = set(), 0
    try:
        begun = time.monotonic()
        while (seconds := time.monotonic() - begun) < 0.7 or (not refused and seconds < 60):
            try:
                taken.add(copied(world, path).digest)
            except Refused:
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert refused
    # Without config.json for a moment it is another artefact, but never one with hidden files.
    kept = {
        name: sorted(entry.name for entry in (tmp_path / "kept" / name).iterdir())
        for name in taken - allowed
    }
    assert all(names == ["model.safetensors"] for names in kept.values())
    assert not any(entry.name.startswith(".draft") for entry in (tmp_path / "kept").iterdir())


def test_a_file_that_is_being_written_is_refused_or_consistent(tmp_path):
    world = World(tmp_path)
    path = world.model("a", 0.3)
    file = world.workspace / path / "notes.txt"
    file.write_bytes(b"x" * 3_000_000)
    stop = threading.Event()

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            with file.open("r+b") as opened:
                opened.write(str(n).encode() * 100)

    thread = threading.Thread(target=write)
    thread.start()
    refused = 0
    try:
        for number in range(500):
            if number >= 20 and refused:
                break
            try:
                artefact = copied(world, path)
            except Refused:
                refused += 1
            else:
                assert digest_of(artefact.folder) == (artefact.digest, artefact.size)
    finally:
        stop.set()
        thread.join()
    assert refused


@pytest.mark.slow
def test_answers_and_errors_tell_nothing_of_hidden_data(tmp_path):
    world = World(tmp_path)
    seen = []
    with world.service() as service:
        seen += [
            world.submit(world.model("a", 0.8)),
            world.submit(world.model("b", 0.8, behave="crash")),
        ]
        seen += [world.ask("GET", f"/{name}")[1] for name in ("health", "time", "history", "best")]
        seen += [world.ask("GET", "/submission/1")[1]]
    service.final()
    text = json.dumps(seen) + (world.workspace / "scores.json").read_text()
    for secret in ("answer", "private", "items", "seed", "nonce", "extra", str(tmp_path)):
        assert secret not in text, secret
    assert "private" not in (world.root / "grading/service.json").read_text()


def test_the_evaluators_environment_is_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    world = World(tmp_path)
    world.model("a", 0.8)
    score = Evaluator(world.config.plan).evaluate(world.workspace / "output/a", "public", 1)
    assert "OPENAI_API_KEY" not in score.extra["env"]


# -- the log, and others' scores ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "hard", "folder", "pipe", "dangling"])
def test_nothing_is_written_through_what_is_planted(tmp_path, kind):
    world = World(tmp_path)
    log = world.root / "grading/submissions.jsonl"
    log.parent.mkdir()
    log.write_text("the log")
    planted = world.workspace / "scores.json"
    if kind == "link":
        planted.symlink_to(log)
    elif kind == "hard":
        os.link(log, planted)
    elif kind == "folder":
        (planted / "x").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(planted)
    else:
        planted.symlink_to(tmp_path / "new")
    assert write_copy(world.workspace, "scores.json", "[1]\n") is (kind != "folder")
    assert log.read_text() == "the log"
    assert not (tmp_path / "new").exists()
    assert [path.name for path in world.workspace.iterdir() if path.name.startswith(".")] == []
    if kind != "folder":
        assert planted.read_text() == "[1]\n"
        assert not planted.is_symlink()


def test_a_full_or_missing_workspace_is_the_agents_affair(tmp_path):
    world = World(tmp_path)
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from pytest_a2perf.domains.posttrain.grading.copies import write_copy\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "sys.exit(write_copy(Path(sys.argv[1]), 'scores.json', 'x' * 1000))\n"
    )
    # What is over the limit fails as on a full disk.
    ended = subprocess.run(
        [sys.executable, "-c", code, str(world.workspace)], timeout=60, check=False
    )
    assert ended.returncode == 0
    assert sorted(path.name for path in world.workspace.iterdir()) == ["code", "models", "output"]
    shutil.rmtree(world.workspace)
    assert not write_copy(world.workspace, "scores.json", "x")
    world.workspace.symlink_to(tmp_path)
    assert not write_copy(world.workspace, "scores.json", "x")


@pytest.mark.slow
def test_a_workspace_that_is_gone_ends_nothing(tmp_path):
    world = World(tmp_path)
    path = world.model("a", 0.8)
    with world.service() as service:
        assert world.submit(path)[1]["score"] == 80.0
        shutil.rmtree(world.workspace)
        assert world.submit(path)[0] == 400
        world.workspace.symlink_to(world.base.parent)
        assert world.submit("base")[0] == 400
    assert service.best().public.value == 80.0
    assert service.final().private.value == 80.0


@pytest.mark.slow
def test_a_log_that_is_rewritten_or_shortened_is_found_out(tmp_path):
    world = World(tmp_path)
    with world.service() as service:
        world.submit(world.model("a", 0.8))
        world.submit(world.model("b", 0.2))
    log = world.root / "grading/submissions.jsonl"
    content = log.read_text()
    log.write_text(content.replace('"value":80.0', '"value":99.0'))
    with pytest.raises(LogError, match=r"submissions\.jsonl:1"):
        service.best()
    log.write_text(content.splitlines(keepends=True)[0])
    with pytest.raises(LogError, match="shortened"):
        service.submissions()
    log.write_text(content)
    kept = world.root / "grading/artefacts" / service.best().artefact / "model.safetensors"
    kept.chmod(0o644)
    kept.write_bytes(safetensors(weights(1.0)))
    with pytest.raises(LogError, match="is not what was submitted"):
        service.final()


@pytest.mark.slow
def test_the_same_artefact_is_not_drawn_again(tmp_path):
    """A noisy judge cannot be asked until it errs in the agent's favour."""
    world = World(tmp_path, submissions=2)
    path = world.model("a", 0.8)
    with world.service() as service:
        answers = [world.submit(path)[1] for _ in range(4)]
        assert [one["remaining_submissions"] for one in answers] == [1, 1, 1, 1]
        assert world.submit(path, wait=False)[1]["repeated"] == 1
    journal = (world.root / "grading/journal.jsonl").read_text()
    assert journal.count('"kind":"evaluated"') == 1
    assert [one.repeated for one in service.submissions()] == [0, 1, 1, 1, 1]


# -- running code, and speaking for the evaluator -----------------------------------------------


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_pickle_is_ever_loaded(attacked, tmp_path):
    world = attacked.world
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    for name in (
        "pytorch_model.bin",
        "model.pt",
        "optimizer.pkl",
        "model.py",
        "model.safetensors.bin",
        "x.so",
        "a.sh",
    ):
        folder = world.workspace / world.model("bomb", 0.99)
        (folder / name).write_bytes(bomb)
        with pytest.raises(Refused, match="is not accepted"):
            copied(world, "output/bomb")
        shutil.rmtree(folder)
    folder = world.workspace / world.model("bomb", 0.99)
    (folder / "model.safetensors").write_bytes(bomb)
    (folder / "tokenizer.json").write_bytes(bomb)
    world.submit("output/bomb")
    assert not (tmp_path / "exploded").exists()


def test_texts_of_the_artefact_do_not_speak_for_the_evaluator(tmp_path):
    """The evaluator prints what the model says, which looks like the best of results."""
    world = World(tmp_path)
    forged = {"items": [1] * ITEMS, "extra": {}}
    text = "\n".join(json.dumps(one) for one in (forged, {**forged, "nonce": "0" * 32}, forged))
    world.model("honest", 0.4, behave="says", text=text)
    score = Evaluator(world.config.plan).evaluate(world.workspace / "output/honest", "public", 0)
    assert score.value == 40.0


def test_an_evaluator_without_nonce_must_say_nothing_else(tmp_path):
    world = World(tmp_path)
    script = tmp_path / "evaluator.py"
    script.write_text(
        f"print('{{\"items\": {[1] * ITEMS}}}')\nprint('{{\"items\": {[0] * ITEMS}}}')\n"
    )
    with pytest.raises(EvaluationError, match="no single result"):
        Evaluator(world.config.plan).evaluate(world.base, "public", 0)


def test_what_the_evaluator_leaves_behind_cannot_speak_for_it(tmp_path):
    """Code that a model wrote may try to open the pipe, or to go on in the background."""
    world = World(tmp_path)
    script = tmp_path / "evaluator.py"
    script.write_text(
        "import json, os, subprocess, sys\n"
        "request = json.loads(sys.stdin.readline())\n"
        "names = os.listdir(os.environ['PYTHONPATH'].replace('code', 'pipes'))\n"
        f"result = {{'items': [0] * {ITEMS}, 'nonce': request['nonce'], 'extra': {{'pipes': names}}}}\n"
        "print(json.dumps(result), flush=True)\n"
        "subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    )
    begun = time.monotonic()
    score = Evaluator(world.config.plan).evaluate(world.base, "public", 0)
    assert (score.value, score.extra["pipes"]) == (0.0, [])
    assert time.monotonic() - begun < 50


# -- killing and starving the service -----------------------------------------------------------


@pytest.mark.slow
def test_a_killed_service_comes_back_with_all_it_knew(tmp_path):
    world = World(tmp_path, submissions=3)
    gate = tmp_path / "gate"
    first = world.model("a", 0.8)
    second = world.model("b", 0.9, behave="gate", gate=str(gate))
    with world.service() as service:
        world.submit(first)
        answer = world.submit(second, wait=False)[1]
        assert (answer["submission_id"], answer["remaining_submissions"]) == (2, 1)
        before = service.pid
        os.kill(before, signal.SIGKILL)
        shutil.rmtree(world.workspace / second)
        gate.touch()
        while (found := world.ask("GET", "/submission/2"))[0] == 202:
            time.sleep(0.02)
        assert service.pid != before
        assert (found[1]["score"], found[1]["remaining_submissions"]) == (90.0, 1)
        assert world.submit(first)[1]["repeated"] == 1
        assert world.submit(world.model("c", 0.1))[1]["submission_id"] == 4
        assert world.submit(world.model("d", 0.2))[0] == 429
    assert service.restarts == 1
    assert [one.number for one in service.submissions()] == [1, 2, 3, 4]
    assert '"kind":"interrupted"' in (world.root / "grading/journal.jsonl").read_text()
    assert service.final().private.value == 90.0


@pytest.mark.slow
def test_a_quota_holds_against_many_at_once(tmp_path):
    world = World(tmp_path, submissions=2, queue=20)
    paths = [world.model(f"m{n}", 0.5, seed=n + 2) for n in range(12)]
    answers = []
    with world.service() as service:
        threads = [
            threading.Thread(target=lambda path=path: answers.append(world.submit(path)[0]))
            for path in paths
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [200] * 2 + [429] * 10
    assert len([one for one in service.submissions() if one.public]) == 2


@pytest.mark.slow
def test_a_cool_down_holds_against_many_at_once(tmp_path):
    world = World(tmp_path, cool_down=3600.0)
    paths = [world.model(f"m{n}", 0.5, seed=n + 2) for n in range(6)]
    answers = []
    with world.service():
        threads = [
            threading.Thread(target=lambda path=path: answers.append(world.submit(path)[0]))
            for path in paths
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [200] + [429] * 5
        status, answer, headers = world.ask("POST", "/submit", {"model_path": paths[0]})
        assert (status, int(headers["Retry-After"]) > 3000) == (429, True)
        assert "cooling down" in answer["error"]


def test_connections_that_say_nothing_do_not_keep_others_out(attacked):
    links = []
    try:
        for _ in range(60):
            links.append(connect(attacked.world.root / "socket", 30))
            links[-1].sendall(b"POST /submit HTTP/1.1\r\nContent-Length: 9\r\n")
        assert attacked.world.ask("GET", "/health")[0] == 200
        for _ in range(60):  # beyond the limit they are closed at once
            with contextlib.suppress(OSError):
                links.append(connect(attacked.world.root / "socket", 30))
        while links[-1].recv(1):
            pass
    finally:
        for link in links:
            link.close()
    while True:
        with contextlib.suppress(OSError, ValueError):
            if attacked.world.ask("GET", "/health")[0] == 200:
                return


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 1000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000,
        b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"BREW /submit HTTP/1.1\r\n\r\n",
        b"POST /submit HTTP/1.1\r\n\r\n",
        b"POST /submit HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /submit HTTP/1.1\r\nContent-Length: +2\r\n\r\n{}",
        b"POST /submit HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"POST /submit HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n{}",
        b"POST /submit HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        b"POST /submit HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /submit HTTP/1.1\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc",
        b"POST /submit HTTP/1.1\r\nContent-Length: 4\r\n\r\nnull",
        b"POST /submit HTTP/1.1\r\nContent-Length: 3\r\n\r\nNaN",
        b"POST /submit HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
        b"POST /submit HTTP/1.1\r\nContent-Length: 19\r\n\r\n" + b'{"model_path": 1e9}',
        b"POST /history HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /../submit HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"GET /submission/-1 HTTP/1.1\r\n\r\n",
        b"GET /submission/99999999999999999999 HTTP/1.1\r\n\r\n",
        b"GET /submission/%31 HTTP/1.1\r\n\r\n",
        b"GET http://elsewhere/health HTTP/1.1\r\n\r\n",
        b"PUT /submit HTTP/1.1\r\n\r\n",
    ],
)
def test_requests_that_are_none_do_nothing(attacked, data):
    link = connect(attacked.world.root / "socket", 30)
    before = len(attacked.service.submissions())
    with link, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        answer = b""
        while block := link.recv(1 << 16):
            answer += block
        assert b" 200 " not in answer.split(b"\r\n")[0]
    assert len(attacked.service.submissions()) == before


def test_nothing_is_smuggled_in_behind_a_request(attacked):
    second = (
        b"POST /submit HTTP/1.1\r\nContent-Length: 30\r\n\r\n" + b'{"model_path": "output/smug"} '
    )
    for first in (
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        b"POST /set_baseline HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    ):
        answer = attacked.world.raw(first + second)
        assert answer.count(b"HTTP/1.1") == 1
    assert "output/smug" not in json.dumps(attacked.world.ask("GET", "/history")[1])


# -- size and names -----------------------------------------------------------------------------


def test_sizes_are_limited_before_they_are_copied(tmp_path):
    world = World(tmp_path)
    output = world.workspace / "output"
    world.model("sparse", 0.7)
    with (output / "sparse/huge.safetensors").open("wb") as file:
        file.truncate(1 << 42)
    world.model("many", 0.7)
    for n in range(300):
        (output / f"many/{n}.txt").touch()
    world.model("folders", 0.7)
    for n in range(300):
        (output / f"folders/{n}").mkdir()
    world.model("deep", 0.7)
    (output / "deep" / "/".join("d" * 40)).mkdir(parents=True)
    world.model("two", 0.7)
    for name in "ab":
        (output / f"two/{name}.txt").write_bytes(b"x" * 600)
    for path, rules in (
        ("sparse", {}),
        ("many", {}),
        ("folders", {}),
        ("deep", {}),
        ("two", {"size": 1000}),
    ):
        with pytest.raises(Refused) as refused:
            copied(world, f"output/{path}", **rules)
        assert refused.value.status == 413, path
    assert not any((tmp_path / "kept").iterdir())


def test_what_is_read_in_memory_is_small(tmp_path, monkeypatch):
    """Lists within lists take 25 times the bytes of their text."""
    world = World(tmp_path)
    output = world.workspace / "output"
    nested = b"[" + b"[]," * (2 << 20) + b"0]"
    for name in ("config", "index", "header"):
        world.model(name, 0.7)
    (output / "config/config.json").write_bytes(b'{"a":' + nested + b"}")
    (output / "index/model.safetensors.index.json").write_bytes(b'{"weight_map":' + nested + b"}")
    header = b'{"__metadata__":' + nested + b"}"
    weights_file = output / "header/model.safetensors"
    weights_file.write_bytes(len(header).to_bytes(8, "little") + header)
    for name in ("config", "index", "header"):
        with pytest.raises(Refused, match="too large: at most 4194304 bytes") as refused:
            validate(copied(world, f"output/{name}"), None)
        assert refused.value.status == 413, name
    many = copied(world, world.model("many", 0.7))
    validate(many, None)
    monkeypatch.setattr(artefact, "_TENSORS", 0)
    with pytest.raises(Refused, match="more than 0 tensors"):
        validate(many, None)


def test_submissions_are_checked_one_at_a_time(tmp_path, monkeypatch):
    world = World(tmp_path)
    model = copied(world, world.model("a", 0.7))
    real, inside, most = artefact.read_tensors, [], []

    def read(path):
        inside.append(path)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return real(path)

    monkeypatch.setattr(artefact, "read_tensors", read)
    threads = [threading.Thread(target=validate, args=(model, None)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_an_index_of_anything_is_refused_as_such(tmp_path):
    world = World(tmp_path)
    folder = world.workspace / world.model("a", 0.7)
    for value in ("[" * 900 + "]" * 900, "1", "{}"):
        (folder / "m.index.json").write_text(f'{{"weight_map": {{"w": {value}}}}}')
        with pytest.raises(Refused, match="must hold names of files"):
            validate(copied(world, "output/a"), None)


def test_bodies_that_grow_in_memory_are_refused(attacked):
    body = b'{"a":[' + b"[]," * 300_000 + b"0]}"
    head = b"POST /submit HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert b" 413 " in attacked.world.raw(head + body).split(b"\r\n")[0]


def test_a_thread_that_cannot_be_started_costs_no_place(tmp_path, monkeypatch):
    class Refusing(threading.Thread):
        def start(self):
            if self.name.endswith("(process_request_thread)"):
                raise RuntimeError("can't start new thread")
            super().start()

    listener = listen(tmp_path, "s")
    server = Server(listener, grader=None)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(threading, "Thread", Refusing)
            for _ in range(100):
                with connect(tmp_path, 60, "s"):
                    server.handle_request()
        with connect(tmp_path, 60, "s") as client:
            server.handle_request()
            client.sendall(b"GET /none HTTP/1.1\r\n\r\n")
            assert b" 404 " in client.recv(1000)
    finally:
        server.server_close()


# -- claims -------------------------------------------------------------------------------------

RESULT = '{"type":"result","usage":{"input_tokens":%s},"total_cost_usd":%s}'


@pytest.mark.parametrize("dollars", ["1" + "0" * 400, "1e999", "1.7e308", "-1", "NaN", '"1"'])
def test_dollars_that_are_none_are_not_believed(tmp_path, dollars):
    files = RunFiles(tmp_path)
    (files.workspace / "reports").mkdir(parents=True)
    files.output.write_text(f"{RESULT % (3, dollars)}\n" * 2)
    spent = spent_by(files)
    assert (spent.dollars, spent.tokens["input"]) == (None, 6)
    files.output.unlink()
    report = f'{{"input_tokens": 3, "dollars": {dollars}}}'
    (files.workspace / "reports/usage.json").write_text(report)
    assert (spent_by(files).dollars, spent_by(files).tokens["input"]) == (None, 3)


@pytest.mark.parametrize("claim", [(1 << 53, 1), (1, 9e8)], ids=["tokens", "dollars"])
def test_sums_that_nobody_can_have_taken_are_not_believed(tmp_path, claim):
    files = RunFiles(tmp_path)
    files.output.write_text(RESULT % claim)
    assert spent_by(files).source == "log"
    files.output.write_text(f"{RESULT % claim}\n" * 2)
    assert spent_by(files).source == ""


def test_a_claimed_model_has_a_short_name(tmp_path):
    files = RunFiles(tmp_path)
    for said in (
        {"type": "init", "model": "m" * 500_000},
        {"type": "assistant", "message": {"id": "1", "usage": {}, "model": "m" * 500_000}},
    ):
        files.output.write_text(json.dumps(said) + "\n" + RESULT % (1, 1))
        assert spent_by(files).model == "m" * 200
    said = {
        "type": "assistant",
        "session_id": [[]],
        "message": {"id": "1", "usage": {}, "model": []},
    }
    files.output.write_text(json.dumps(said))
    assert spent_by(files).model == ""


def test_events_without_end_are_not_read(tmp_path):
    files = RunFiles(tmp_path)
    nested = b'{"type":"init","a":[' + b"[]," * 400_000 + b'0],"model":"m"}\n'
    files.output.write_bytes(nested + (RESULT % (1, 1)).encode())
    assert (spent_by(files).model, spent_by(files).tokens["input"]) == ("", 1)


@pytest.mark.parametrize(
    "name",
    [b"a\nb.txt", b"a\x1b[2J.txt", b"\xff\xfe.txt", b".hidden.json", b"-rf.txt", b"a:b.txt", "\u202etxt.json".encode(), b"x" * 200 + b".txt"],
    ids=range(8),
)  # fmt: skip
def test_names_are_plain(tmp_path, name):
    world = World(tmp_path)
    folder = world.workspace / world.model("a", 0.7)
    with open(os.path.join(os.fsencode(folder), name), "wb"):
        pass
    with pytest.raises(Refused, match="no acceptable file name") as refused:
        copied(world, "output/a")
    assert str(refused.value).isprintable()


def test_times_of_files_and_what_the_agent_writes_of_time_mean_nothing(attacked):
    world = attacked.world
    folder = world.workspace / world.model("timed", 0.7)
    before = copied(world, "output/timed").digest
    for at in (0, 2**31, 4 * 10**9):
        for path in (folder, *folder.iterdir()):
            os.utime(path, (at, at))
        assert copied(world, "output/timed").digest == before
    (world.workspace / "run_meta.json").write_text('{"start_time": 1e12, "timeout_s": 1e12}')
    then = world.ask("GET", "/time")[1]
    assert then["timeout_s"] == 1000.0
    assert 0 < then["remaining"] < 1000
    assert then["start_time"] == world.config.started[0]


@pytest.mark.slow
def test_waiting_does_not_stop_the_clock_for_ever(tmp_path):
    world = World(tmp_path, patience=0.5)
    gate = tmp_path / "gate"
    path = world.model("a", 0.8, behave="gate", gate=str(gate))
    with world.service() as service:
        thread = threading.Thread(target=world.submit, args=(path,))
        thread.start()
        while service.paused < 0.5:
            time.sleep(0.02)
        earlier = world.ask("GET", "/time")[1]["elapsed"]
        time.sleep(0.3)
        assert world.ask("GET", "/time")[1]["elapsed"] >= earlier + 0.3
        gate.touch()
        thread.join()
        assert service.paused == 0.5


def test_only_the_agents_gpus_can_be_named(attacked):
    for gpu in ("0", "0,1", 0, [0], "all", "0;id", {"a": 1}):
        assert attacked.world.submit("output/honest", gpu=gpu)[0] == 400


# -- from inside a sandbox ----------------------------------------------------------------------

INSIDE = """
import json, os, urllib.request

def tried(do):
    try:
        return repr(do())
    except OSError as error:
        return type(error).__name__

print(json.dumps({
    "health": json.load(urllib.request.urlopen("http://127.0.0.1:5000/health", timeout=60))["status"],
    "unlink": tried(lambda: os.unlink("/run/grader/grader.sock")),
    "plant": tried(lambda: os.symlink("/etc", "/run/grader/x")),
    "log": tried(lambda: os.listdir("/run/grader/../grading")),
    "host": tried(lambda: os.listdir(os.environ["ROOT"])),
    "kill": tried(lambda: os.kill(int(os.environ["GRADER"]), 9)),
}))
"""


def test_an_agent_in_a_sandbox_reaches_the_service_and_nothing_of_it(tmp_path):
    if not probe("bubblewrap").works:
        pytest.skip(probe("bubblewrap").why)
    world = World(tmp_path)
    (world.workspace / "code/try.py").write_text(INSIDE)
    with world.service() as service, (tmp_path / "output").open("w+b") as output:
        box = Box(
            [sys.executable, "/workspace/code/try.py"],
            mounts=[
                Mount(world.workspace, "/workspace", writable=True),
                Mount(world.root / "socket", "/run/grader"),
            ],
            env={"ROOT": str(world.root), "GRADER": str(service.pid)},
            limits=Limits(wall=60.0),
            forward={5000: "/run/grader/grader.sock"},
        )
        running = choose("bubblewrap").start(box, output)
        try:
            assert running.wait(60) == 0, (tmp_path / "output").read_text()
        finally:
            running.stop(0)
        output.seek(0)
        assert json.loads(output.read()) == {
            "health": "ok", "unlink": "OSError", "plant": "OSError", "log": "FileNotFoundError",
            "host": "FileNotFoundError", "kill": "ProcessLookupError",
        }  # fmt: skip
        assert world.ask("GET", "/health")[0] == 200
        assert service.restarts == 0
