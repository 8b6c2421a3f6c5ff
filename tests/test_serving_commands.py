"""The commands ``trajectories`` and, as far as its options go, ``record``."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest
from serving_sessions import small_session

from pytest_a2perf.domains.serving.commands import COMMANDS, add_commands, run_command
from pytest_a2perf.domains.serving.recorder.calls import Call
from pytest_a2perf.domains.serving.recorder.journal import Entry, Journal
from pytest_a2perf.domains.serving.recorder.replies import Reply
from pytest_a2perf.domains.serving.trajectories.models import Session
from pytest_a2perf.domains.serving.trajectories.store import read_sessions, write_sessions


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command; return its status and what it wrote to either stream."""

    def run(*arguments: object) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser(prog="a2perf")
        add_commands(parser.add_subparsers(dest="command", required=True))
        given = parser.parse_args([str(item) for item in arguments])
        assert given.command in COMMANDS
        status = run_command(given)
        return (status, *capsys.readouterr())

    return run


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    write_sessions(path, [small_session(), small_session("two")])
    return path


def test_synthetic_sessions_are_written_and_can_be_looked_at(command: Any, tmp_path: Path) -> None:
    out = tmp_path / "folder" / "made.jsonl"
    options = ("--count", 4, "--seed", 3, "--scale", 1 / 32)
    status, output, errors = command("trajectories", "synthesise", "--out", out, "--json", *options)
    assert (status, errors) == (0, "")
    sessions = list(read_sessions(out))
    made = json.loads(output)
    assert made == {"sessions": 4, "turns": sum(len(session.turns) for session in sessions)}
    status, output, _ = command("trajectories", "stats", out)
    assert status == 0
    assert f"4 sessions, 0 of sub-agents; {made['turns']} requests" in output
    assert "input tokens" in output
    status, output, _ = command("trajectories", "stats", out, out, "--json")
    assert json.loads(output)["sessions"] == 8
    status, output, _ = command("trajectories", "check", out)
    assert (status, output) == (0, f"nothing is wrong: 4 sessions, {made['turns']} turns\n")
    assert os.listdir(out.parent) == ["made.jsonl"]


def test_checking_lists_what_is_wrong(command: Any, workload: Path) -> None:
    content = workload.read_text("utf-8").replace('"Repair it."', '""')
    workload.write_text(content, "utf-8")
    status, output, errors = command("trajectories", "check", workload)
    assert (status, output) == (1, "")
    assert errors.splitlines() == [
        f"trajectories check: {workload}: 2 problems:",
        "  session 'one': turn 1: message 2: the content is empty",
        "  session 'two': turn 1: message 2: the content is empty",
    ]


def test_other_formats_are_converted(command: Any, tmp_path: Path) -> None:
    path, out = tmp_path / "chat.jsonl", tmp_path / "out.jsonl"
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    path.write_text(json.dumps({"messages": messages}), "utf-8")
    for more in ([], ["--form", "openai"]):
        status, output, _ = command("trajectories", "convert", path, "--out", out, *more)
        assert (status, output) == (0, f"{out}: 1 sessions, 1 turns\n")
        assert [len(session.turns) for session in read_sessions(out)] == [1]


def test_journals_of_killed_recordings_are_converted(command: Any, tmp_path: Path) -> None:
    path, out = tmp_path / "mine.jsonl.journal", tmp_path / "mine.jsonl"
    journal = Journal(path)
    call = Call("chat", "m", [{"role": "user", "content": "hello"}])
    journal.add(Entry(call, Reply({"role": "assistant", "content": "hi"}, 7), 0, 1, 200))
    journal.close()
    status, output, _ = command("trajectories", "convert", path, "--out", out)
    assert (status, output) == (0, f"{out}: 1 sessions, 1 turns\n")
    (session,) = read_sessions(out)
    assert (session.id, session.source, session.turns[0].output_tokens) == (
        "mine-0001",
        "recorded",
        7,
    )


def test_cutting_counts_what_is_gone(command: Any, workload: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    cut = ("trajectories", "truncate", workload, "--out", out, "--json", "--tokens")
    assert json.loads(command(*cut, 10_000)[1]) == {
        "sessions": 2,
        "turns": 6,
        "dropped_sessions": 0,
    }
    assert json.loads(command(*cut, 75)[1]) == {"sessions": 2, "turns": 2, "dropped_sessions": 0}
    before = out.read_bytes()
    status, output, errors = command(*cut, 5)
    assert (status, output) == (1, "")
    assert errors == "trajectories truncate: no first turn fits into 5 tokens\n"
    assert command(*cut, 0)[0] == 1
    assert out.read_bytes() == before


def test_a_tokenizer_can_count(command: Any, workload: Path, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    path, out = tmp_path / "tokenizer.json", tmp_path / "out.jsonl"
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"x": 0}, unk_token="x"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(path))
    cut = ("trajectories", "truncate", workload, "--out", out, "--tokenizer")
    # Nine words, a word of tools, four for each of three messages, and 10 of the reply.
    assert command(*cut, path, "--tokens", 32)[0] == 0
    assert command(*cut, path, "--tokens", 28)[0] == 1
    path.write_text("{}")
    status, _, errors = command(*cut, path, "--tokens", 32)
    assert status == 1
    assert f"{path}: is no tokenizer.json" in errors


def test_anonymising_with_a_key_is_the_same_twice(command: Any, tmp_path: Path) -> None:
    path, out, key = tmp_path / "mine.jsonl", tmp_path / "out.jsonl", tmp_path / "key"
    text = "/home/margarethe/x.py of margarethe on klondike"
    write_sessions(
        path, [renamed(small_session(), text), renamed(small_session("two"), "margarethe?")]
    )
    key.write_bytes(b"0123456789abcdef")
    run = ("trajectories", "anonymise", path, "--out", out, "--name", "klondike")
    written = []
    for more in (["--key", key], ["--key", key], []):
        assert command(*run, *more)[0] == 0
        written.append(out.read_text("utf-8"))
        assert "margarethe" not in written[-1]
        assert "klondike" not in written[-1]
    assert written[0] == written[1] != written[2]
    assert command(*run, "--content", "filler")[0] == 0
    assert "agent" not in out.read_text("utf-8")
    key.write_bytes(b"short")
    status, _, errors = command(*run, "--key", key)
    assert (status, errors) == (1, "trajectories anonymise: the key needs at least 16 bytes\n")


def renamed(session: Session, text: str) -> Session:
    messages = tuple(
        message | {"content": text} if message["content"] == "Repair it." else message
        for message in session.messages
    )
    return Session(session.id, messages, session.turns, session.tools)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("stats", "nowhere.jsonl"), "nowhere.jsonl"),
        (("convert", "empty.jsonl", "--out", "x"), "empty.jsonl: no sessions"),
        (("check", "empty.jsonl", "--form", "nonsense"), "no format of trajectories is called 'nonsense'"),
        (("synthesise", "--out", "x", "--count", 0), "--count: expected at least 1"),
        (("synthesise", "--out", "x", "--scale", 2), "scale: above 0 and at most 1"),
        (("anonymise", "mine.jsonl", "--out", "x", "--key", "nowhere"), "nowhere"),
        (("convert", "mine.jsonl", "--out", "mine.jsonl/x"), "mine.jsonl"),
    ],
)  # fmt: skip
def test_errors_are_one_line(
    arguments: tuple[object, ...], error: str, command: Any, workload: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(workload.parent)
    Path("empty.jsonl").write_text("")
    status, output, errors = command("trajectories", *arguments)
    assert (status, output) == (1, "")
    assert errors.count("\n") == 1
    assert errors.startswith(f"trajectories {arguments[0]}: ")
    assert error in errors
    assert sorted(os.listdir()) == ["empty.jsonl", "mine.jsonl"]


def test_recording_needs_a_url(command: Any, tmp_path: Path) -> None:
    status, output, errors = command("record", "--upstream", "localhost", "--out", tmp_path / "x")
    assert (status, output) == (1, "")
    assert errors.startswith("record: upstream: expected a URL")
