"""What an agent finds in its workspace, and what it must not find there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posttrain_desk import BUDGET, make_materials

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.submission import Score, Submission
from pytest_a2perf.domains.posttrain.tasks.base import Budget
from pytest_a2perf.domains.posttrain.workspace import (
    agent_box,
    agent_env,
    build_workspace,
    services_offered,
    tampering,
    write_meta,
)
from pytest_a2perf.domains.posttrain.workspace.build import toolkit_seen
from pytest_a2perf.domains.posttrain.workspace.tampering import read_plain
from pytest_a2perf.domains.posttrain.workspace.transcript import Transcript
from pytest_a2perf.domains.posttrain.workspace.withheld import data_seen
from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.processes import write_all


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path / "run")


@pytest.fixture
def materials(tmp_path):
    return make_materials(tmp_path)


def build(files, materials, **options):
    settings_ = {"task_name": "stand-in", "budget": BUDGET, **options}
    build_workspace(files, materials, **settings_)
    return files.workspace


def env(**changes):
    return agent_env("stand-in", **{"base_name": "base", "budget": BUDGET, "seed": 3, **changes})


class TestLayout:
    def test_is_upstreams(self, files, materials):
        workspace = build(files, materials)
        assert {path.name for path in workspace.iterdir()} == {
            *("code", "output", "models", "data", "reports", "description.md", "instructions.md"),
            *("scores.json", "timer.sh", ".home"),
        }
        assert (workspace / "models" / "base").is_dir()
        assert json.loads((workspace / "scores.json").read_text()) == []
        assert (workspace / "description.md").read_text() == "# stand-in\n\nAdd numbers."
        assert os.access(workspace / "timer.sh", os.X_OK)

    def test_is_built_fresh(self, files, materials):
        workspace = build(files, materials)
        (workspace / "code" / "old.py").write_text("")
        (toolkit_seen(files) / "planted.py").write_text("")
        assert list((build(files, materials) / "code").iterdir()) == []
        assert not (toolkit_seen(files) / "planted.py").exists()

    def test_toolkit_has_the_tasks_code_and_the_client(self, files, materials):
        build(files, materials)
        names = {path.name for path in toolkit_seen(files).iterdir()}
        assert {"handy.py", "grader.py", "call.py"} <= names

    def test_without_mounts_there_are_links(self, files, materials):
        workspace = build(files, materials, mounted=False)
        assert (workspace / "data" / "train.jsonl").is_file()
        assert (workspace / "models" / "base").resolve() == materials.base.resolve()

    def test_further_files_are_copied(self, files, materials, tmp_path):
        (tmp_path / "eval.py").write_text("original")
        workspace = build(files, materials, expose=[tmp_path / "eval.py"])
        (workspace / "eval.py").write_text("forged")
        assert (tmp_path / "eval.py").read_text() == "original"
        assert "`eval.py`" in (workspace / "instructions.md").read_text()

    def test_what_cannot_be_built_is_nobodys_fault(self, files, materials, tmp_path):
        with pytest.raises(InfraError, match=r"cannot be built.*nowhere"):
            build(files, materials, expose=[tmp_path / "nowhere.py"])

    def test_meta_is_upstreams(self, files, materials):
        workspace = build(files, materials)
        assert write_meta(files, 5.0, 60.0, last_submission=7.0)
        assert json.loads((workspace / "run_meta.json").read_text()) == {
            "start_time": 5.0, "timeout_s": 60.0, "last_submit_time": 7.0, "end_time": None,
        }  # fmt: skip


class TestModes:
    def test_free_shows_all_of_it_where_it_lies(self, files, materials):
        build(files, materials)
        assert data_seen(files, materials) == materials.visible
        assert services_offered(["judge"], "free") == ("judge",)

    @pytest.mark.parametrize(
        ("mode", "seen", "services"),
        [
            ("rl", {"train.jsonl", "rewards"}, ("judge",)),
            ("sft", {"train.jsonl", "demonstrations.jsonl"}, ()),
        ],
    )
    def test_others_withhold_by_absence(self, files, materials, mode, seen, services):
        workspace = build(files, materials, mode=mode, mounted=False)
        assert {path.name for path in data_seen(files, materials).iterdir()} == seen
        assert {path.name for path in (workspace / "data").iterdir()} == seen
        assert services_offered(["judge"], mode) == services

    def test_a_mode_leaves_nothing_to_the_next_run(self, files, materials):
        build(files, materials, mode="rl")
        build(files, materials)
        assert data_seen(files, materials) == materials.visible


class TestInstructions:
    def test_say_what_matters(self, files, materials):
        text = (build(files, materials, services=["judge"]) / "instructions.md").read_text()
        for words in ("20 CPU seconds", "60 seconds by the clock", "20 scored submissions",
                      "200 MiB on disk", "/submit", "grader.submit", "models/base", "/judge",
                      "reports/summary.jsonl", "Pickled"):  # fmt: skip
            assert words in text
        assert "{" not in text.replace('{"', "").replace("'{", "")

    def test_leave_out_what_has_no_limit(self, files, materials):
        unlimited = Budget(processes=None)
        assert (
            "- no limits\n"
            in (build(files, materials, budget=unlimited) / "instructions.md").read_text()
        )

    def test_their_python_and_shell_run(self, files, materials):
        """The examples name only what the client and the service have."""
        text = (build(files, materials) / "instructions.md").read_text()
        code = text.partition("```python\n")[2].partition("```")[0]
        with server() as (url, seen):
            done = subprocess.run(
                [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=300,
                env={"PYTHONPATH": str(toolkit_seen(files)), "GRADING_SERVER_URL": url},
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert seen == ["/submit", "/time"]


class TestEnvironment:
    def test_is_upstreams_and_nothing_of_the_host(self, monkeypatch):
        monkeypatch.setenv("HOST_SECRET", "s3cret-of-the-host")
        found = env()
        assert found["MODEL_PATH"] == "/workspace/models/base"
        assert found["GRADING_SERVER_URL"] == "http://127.0.0.1:5000"
        assert (found["TASK"], found["BASE_MODEL"], found["SEED"]) == ("stand-in", "base", "3")
        assert found["BUDGET_CPU_SECONDS"] == "20.0"
        assert {"WORKSPACE", "DATA_PATH", "OUTPUT_DIR", "HOME", "PATH", "TMPDIR"} <= found.keys()
        assert "HOST_SECRET" not in found

    def test_listed_variables_are_passed_on(self, monkeypatch):
        monkeypatch.setenv("MY_KEY", "abcdef")
        assert env(pass_env=["MY_KEY"])["MY_KEY"] == "abcdef"

    def test_defaults_give_way(self, monkeypatch):
        monkeypatch.setenv("A", "host")
        monkeypatch.setenv("B", "host")
        found = env(
            pass_env=["A", "B"],
            given={"B": "given"},
            defaults={"A": "0", "B": "0", "C": "0", "TASK": "0"},
        )
        assert (found["A"], found["B"], found["C"]) == ("host", "given", "0")
        assert found["TASK"] == "stand-in"

    @pytest.mark.parametrize(
        "name", ["PATH", "LD_PRELOAD", "GRADING_SERVER_URL", "A2PERF_X", "SEED"]
    )
    def test_the_harnesss_own_cannot_be_given(self, name):
        with pytest.raises(AgentError, match=f"pass_env: {name} is set by the harness"):
            env(pass_env=[name])
        with pytest.raises(AgentError, match=rf"agent_options\.env: {name}"):
            env(given={name: "x"})

    def test_a_variable_that_is_not_set_is_nobodys_fault(self, monkeypatch):
        monkeypatch.delenv("NOT_SET", raising=False)
        with pytest.raises(InfraError, match="NOT_SET, which is not set"):
            env(pass_env=["NOT_SET"])


class TestBox:
    def test_shows_workspace_and_materials_alone(self, files, materials, tmp_path):
        build(files, materials, mode="rl")
        box = agent_box(files, materials, ["true"], {}, BUDGET, llm=tmp_path / "proxy" / "s")
        assert {mount.target for mount in box.mounts if mount.writable} == {"/workspace"}
        sources = [mount.source for mount in box.mounts]
        assert materials.visible not in sources
        assert {materials.hidden, files.grading, files.shadow} <= set(box.hidden)
        assert box.forward == {5000: "/run/grader/grader.sock", 5001: "/run/llm/s"}
        assert not box.network
        assert box.limits.cpu is not None
        assert BUDGET.cpu < box.limits.cpu <= 2 * BUDGET.cpu


def submission(number, score):
    public = None if score is None else Score(score, 0.0)
    return Submission(number, 1.0, 1.0, "output/a", "d", 1, "scored", public=public)


class TestTampering:
    @pytest.fixture
    def workspace(self, files, materials):
        workspace = build(files, materials)
        write_meta(files, 5.0, 60.0)
        (workspace / "scores.json").write_text('[{"submission_id": 1, "score": 40.0}]')
        return workspace

    def seen(self, files):
        return tampering(files, [submission(1, 40.0), submission(2, None)], 5.0, 60.0)

    def test_honest_agents_leave_nothing_to_say(self, files, workspace):
        (workspace / "output" / "latest").symlink_to("v1")
        (workspace / "code" / "python").symlink_to("/usr/bin/python3")
        assert self.seen(files) == []

    def test_copies_that_say_otherwise(self, files, workspace):
        (workspace / "scores.json").write_text('[{"submission_id": 9, "score": 100}]')
        (workspace / "run_meta.json").write_text('{"start_time": 5.0, "timeout_s": 1e9}')
        assert self.seen(files) == [
            "scores.json was changed: 100 as submission 9", "run_meta.json was changed",
        ]  # fmt: skip

    @given(
        st.binary(max_size=40)
        | st.sampled_from([b"[1]", b"{}", b'[{"score": 1}]', b"[" * 9999, b"1e999", b"9" * 5000])
    )
    @settings(max_examples=30, deadline=None)
    def test_copies_of_any_content(self, tmp_path_factory, content):
        files = RunFiles(tmp_path_factory.mktemp("run"))
        files.workspace.mkdir()
        (files.workspace / "scores.json").write_bytes(content)
        (files.workspace / "run_meta.json").write_bytes(content)
        assert "run_meta.json was changed" in self.seen(files)

    @pytest.mark.parametrize(
        "entry",
        [
            '{"submission_id": Infinity, "score": 1}',
            '{"submission_id": NaN, "score": 1}',
            '{"submission_id": 1, "score": 1%s}' % ("0" * 400),
            '{"submission_id": [[]], "score": 1}',
        ],
        ids=["infinite", "no-number", "huge", "list"],
    )
    def test_numbers_that_are_none(self, files, workspace, entry):
        (workspace / "scores.json").write_text(f"[{entry}]")
        assert self.seen(files) == ["scores.json was overwritten"]

    def test_what_is_said_of_long_numbers_is_short(self, files, workspace):
        entry = {"submission_id": int("9" * 4000), "score": 1}
        (workspace / "scores.json").write_text(json.dumps([entry]))
        (said,) = self.seen(files)
        assert said.startswith("scores.json was changed: 1 as submission 999")
        assert len(said) < 300

    @pytest.mark.parametrize("gone", [True, False])
    def test_copies_that_are_gone_or_links(self, files, workspace, gone):
        for name in ("scores.json", "run_meta.json"):
            (workspace / name).unlink()
            if not gone:
                (workspace / name).symlink_to("/etc/passwd")
        said = "\n".join(self.seen(files))
        assert "scores.json was removed or replaced" in said
        assert "run_meta.json was changed" in said

    def test_links_out_and_pipes(self, files, workspace):
        (workspace / "output" / "a").symlink_to("/etc")
        (workspace / "output" / "b").symlink_to("../../grading")
        os.mkfifo(workspace / "output" / "c")
        assert self.seen(files) == [
            "output/a is a link to /etc", "output/b is a link to ../../grading",
            "output/c is a device, a pipe or a socket",
        ]  # fmt: skip

    def test_ten_thousand_files_are_no_trouble(self, files, workspace):
        folder = workspace / "output" / "many"
        folder.mkdir()
        for number in range(300):
            (folder / str(number)).symlink_to("/etc")
        assert len(self.seen(files)) == 20

    def test_folders_without_end_are_no_trouble(self, files, workspace):
        here = os.open(workspace / "output", os.O_RDONLY)
        for _ in range(1300):
            os.mkdir("a", dir_fd=here)
            below = os.open("a", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        os.symlink("/etc", workspace / "output" / "z")
        try:
            deepest = "/".join(["output", *"a" * 39])
            assert self.seen(files) == [
                "output/z is a link to /etc",
                f"{deepest} was not looked into: it lies 40 deep",
            ]
        finally:  # pytest cannot remove it
            subprocess.run(["rm", "-rf", workspace / "output"], check=True)

    def test_what_was_not_looked_at_is_said(self, files, workspace, monkeypatch):
        monkeypatch.setattr(sys.modules[read_plain.__module__], "_MOST", 30)
        for number in range(40):
            (workspace / "output" / str(number)).mkdir()
        (said,) = self.seen(files)
        assert "more than 30 files and folders" in said


class TestReadPlain:
    def test_follows_nothing_and_waits_for_nothing(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "file").write_text("text")
        (tmp_path / "link").symlink_to("real")
        (tmp_path / "real" / "alias").symlink_to("file")
        os.mkfifo(tmp_path / "real" / "pipe")
        assert read_plain(tmp_path, "real/file") == b"text"
        for path in ("link/file", "real/alias", "real/pipe", "real", "nowhere/file", "real/none"):
            assert read_plain(tmp_path, path) is None

    def test_of_a_large_file_the_last_whole_lines(self, tmp_path):
        (tmp_path / "log").write_text("".join(f"line {number:03}\n" for number in range(100)))
        assert read_plain(tmp_path, "log", 50).split(b"\n")[0] == b"line 095"


class TestTranscript:
    @given(
        st.lists(st.binary(min_size=1, max_size=300), max_size=10),
        st.integers(0, 400),
        st.integers(0, 400),
    )
    @settings(max_examples=40, deadline=None)
    def test_keeps_beginning_and_end(self, tmp_path_factory, chunks, head, tail):
        path = tmp_path_factory.mktemp("log") / "agent.log"
        written, said = b"".join(chunks), feed(path, chunks, head=head, tail=tail)
        beginning, mark, _ = said.partition(b"\n[... ")
        assert written.startswith(beginning)
        if not mark:
            assert said == written
        else:
            assert len(beginning) == head
            assert said.endswith(written[len(written) - tail :])
            assert len(said) < head + tail + 60

    @given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(0, 200))
    @settings(max_examples=40, deadline=None)
    def test_no_key_is_kept_however_it_is_cut(self, tmp_path_factory, sizes, head):
        secret, text = (
            "k3y-of-the-host",
            b"x" * 50 + b"k3y-of-the-host" + b"y" * 50 + b"k3y-of-the-host\n",
        )
        chunks, rest = [], text * 3
        for size in sizes:
            chunks.append(rest[:size])
            rest = rest[size:]
        said = feed(
            tmp_path_factory.mktemp("log") / "agent.log", [*chunks, rest], head=head, tail=10_000,
            clean=lambda text: text.replace(secret, "$KEY"),
        )  # fmt: skip
        assert secret.encode() not in said
        assert b"$KEY" in said

    def test_a_line_without_end(self, tmp_path):
        said = feed(tmp_path / "agent.log", [b"ab" * 200_000], head=100_000, tail=5_000)
        assert len(said) < 120_000
        assert b"bytes are left out" in said

    def test_a_full_disk_does_not_stop_the_agent(self):
        assert feed(Path("/dev/full"), [b"a\n" * 50_000, b"b"]) == b""

    def test_keys_of_the_environment_are_named(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SOME_API_KEY", "sk-abcdefgh")
        assert (
            feed(tmp_path / "agent.log", [b"key is sk-abcde", b"fgh\n"])
            == b"key is $SOME_API_KEY\n"
        )


def feed(path, chunks, **options):
    """Write chunks to a transcript as an agent would, and return what is kept."""
    with Transcript(path, **options) as transcript:
        descriptor = os.dup(transcript.sink.fileno())
        transcript.opened()
        for chunk in chunks:
            write_all(descriptor, chunk)
        os.close(descriptor)
    return path.read_bytes() if stat.S_ISREG(path.stat().st_mode) else b""


class TestClient:
    def test_command_line(self, files, materials):
        build(files, materials)
        with server() as (url, seen):
            said = [
                client(files, url, *words)
                for words in (["health"], ["remaining"], ["submit", "a b"])
            ]
        assert seen == ["/health", "/time", "/submit"]
        assert said[1].stdout == "Remaining: 1:01 (3700 s), 9 CPU seconds\n"
        assert json.loads(said[2].stdout)["score"] == 1

    def test_refusals_are_told(self, files, materials):
        build(files, materials)
        with server(status=429) as (url, _):
            done = client(files, url, "submit", "x")
        assert (done.returncode, done.stderr) == (1, "too many\n")

    @pytest.mark.slow
    def test_nobody_there(self, files, materials):
        build(files, materials)
        done = client(files, "http://127.0.0.1:9", "health")
        assert done.returncode == 1
        assert "no answer from http://127.0.0.1:9/health" in done.stderr

    def test_timer_runs_by_itself(self, files, materials):
        workspace = build(files, materials)
        with server() as (url, _):
            done = subprocess.run(
                ["bash", "timer.sh"], cwd=workspace, check=False, capture_output=True, text=True, timeout=300,
                env={"PYTHONPATH": str(toolkit_seen(files)), "GRADING_SERVER_URL": url, "PATH": os.environ["PATH"]},
            )  # fmt: skip
        assert done.stdout.startswith("Remaining: 1:01")


def client(files, url, *words):
    return subprocess.run(
        [sys.executable, "-m", "grader", *words], check=False, capture_output=True, text=True, timeout=300,
        env={"PYTHONPATH": str(toolkit_seen(files)), "GRADING_SERVER_URL": url},
    )  # fmt: skip


class server:
    """A real server that answers anything, and remembers what it was asked."""

    def __init__(self, status=200):
        seen = self.seen = []
        answer = {"score": 1, "baseline_score": 0, "improvement": 1, "best": {}, "remaining": 3700,
                  "cpu_remaining": 9, "error": "too many"}  # fmt: skip

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.path)
                text = json.dumps(answer).encode()
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self.http.server_port}", self.seen

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
