"""Commands on recorded sessions: ``python -m pytest_a2perf trajectories ...`` and ``record``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.models import Session
from pytest_a2perf.errors import A2PerfError

__all__ = ["COMMANDS", "add_commands", "run_command"]

COMMANDS = ("trajectories", "record")
"""Names of the commands that `add_commands` adds and `run_command` runs."""
_KEY_BYTES = 32


def add_commands(subparsers: Any) -> None:
    """Add the commands to those of ``python -m pytest_a2perf``."""
    recording = subparsers.add_parser(
        "record", help="pass requests on to a model, and make sessions of them (end by Ctrl-C)"
    )
    recording.add_argument("--upstream", required=True, metavar="URL", help="of the endpoint")
    recording.add_argument("--out", required=True, type=Path, metavar="FILE", help="of sessions")
    recording.add_argument("--port", default=0, type=int, help="on this machine; default: any")
    recording.add_argument(
        "--stall", default=600.0, type=float, metavar="SECONDS", help="silence that is waited for"
    )
    parser = subparsers.add_parser("trajectories", help="look at, check or change sessions")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (
        ("stats", "print lengths, delays and what a cache could hold"),
        ("check", "say whether endpoints would take them"),
        ("convert", "write them in the internal form; reads journals of killed recordings, too"),
        ("anonymise", "write them without what tells who recorded them"),
        ("truncate", "write them up to the turn that exceeds a context"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
        action.add_argument("--form", metavar="NAME", help="format; default: see what it is")
        _add_output(action, writes=name not in {"stats", "check"})
        if name == "anonymise":
            _add_anonymise(action)
        if name == "truncate":
            action.add_argument("--tokens", required=True, type=int, help="of input and reply")
            action.add_argument(
                "--tokenizer", type=Path, metavar="FILE", help="tokenizer.json; default: bytes / 4"
            )
    action = actions.add_parser("synthesise", help="write synthetic coding sessions")
    action.add_argument("--count", default=100, type=int)
    action.add_argument("--seed", default=0, type=int)
    action.add_argument("--scale", default=1.0, type=float, help="of lengths and delays, up to 1")
    _add_output(action, writes=True)


def run_command(given: argparse.Namespace) -> int:
    """Run one of `COMMANDS` and return its exit status."""
    try:
        if given.command == "record":
            _record(given)
        else:
            _ACTIONS[given.action](given)
    except BrokenPipeError:  # whoever read has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (A2PerfError, OSError, ValueError) as error:
        name = given.command if given.command == "record" else f"trajectories {given.action}"
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 1
    return 0


def _add_output(action: argparse.ArgumentParser, *, writes: bool) -> None:
    if writes:
        action.add_argument("--out", required=True, type=Path, metavar="FILE", help="of sessions")
    action.add_argument("--json", action="store_true", help="print JSON")


def _add_anonymise(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--key",
        type=Path,
        metavar="FILE",
        help="of 16 bytes or more; default: a new one",
    )
    action.add_argument("--content", default="kept", choices=("kept", "filler"), help="of texts")
    action.add_argument(
        "--name", action="append", default=[], metavar="TEXT", help="to be replaced, too"
    )


def _record(given: argparse.Namespace) -> None:
    from pytest_a2perf.domains.serving.recorder.run import record

    def ready(url: str) -> None:
        _say(f"{url} stands for {given.upstream}; end by Ctrl-C")

    made = record(given.upstream, given.out, port=given.port, stall=given.stall, ready=ready)
    _say(f"{given.out}: {made.sessions} sessions, {made.turns} turns")
    if made.failed:
        _say(f"{made.failed} requests failed, and are in no session")
    if made.unread:
        _say(f"{made.unread} requests could not be read, and are in no session")
    if made.unknown:
        _say(f"{made.unknown} replies came without usage: their lengths are not known")


def _stats(given: argparse.Namespace) -> None:
    from pytest_a2perf.domains.serving.trajectories.statistics import statistics_of, statistics_text

    figures = statistics_of(_read(given))
    _say(json.dumps(figures, indent=2) if given.json else statistics_text(figures))


def _check(given: argparse.Namespace) -> None:
    from pytest_a2perf.domains.serving.trajectories.check import check_sessions

    sessions = _read(given)
    check_sessions(sessions, _name_of(given))
    _report(given, sessions)


def _convert(given: argparse.Namespace) -> None:
    _write(given, _read(given))


def _anonymise(given: argparse.Namespace) -> None:
    from pytest_a2perf.domains.serving.trajectories.anonymise import anonymise, names_in
    from pytest_a2perf.domains.serving.trajectories.check import check_sessions

    key = os.urandom(_KEY_BYTES) if given.key is None else given.key.read_bytes()
    sessions = _read(given)
    check_sessions(sessions, _name_of(given))
    names = names_in(sessions) | set(given.name)
    _write(
        given,
        (anonymise(item, key=key, names=names, content=given.content) for item in sessions),
    )


def _truncate(given: argparse.Namespace) -> None:
    from pytest_a2perf.domains.serving.trajectories.truncate import truncate

    if given.tokens < 1:
        raise TrajectoryError(f"--tokens: expected at least 1, not {given.tokens}")
    count = _counter(given.tokenizer)
    sessions = _read(given)
    kept = [cut for item in sessions if (cut := truncate(item, given.tokens, count)) is not None]
    if not kept:
        raise TrajectoryError(f"no first turn fits into {given.tokens} tokens")
    _write(given, kept, dropped_sessions=len(sessions) - len(kept))


def _synthesise(given: argparse.Namespace) -> None:
    from pytest_a2perf.domains.serving.trajectories.synthetic import coding_sessions

    if given.count < 1:
        raise TrajectoryError(f"--count: expected at least 1, not {given.count}")
    _write(given, coding_sessions(given.count, given.seed, scale=given.scale))


_ACTIONS: dict[str, Callable[[argparse.Namespace], None]] = {
    "stats": _stats,
    "check": _check,
    "convert": _convert,
    "anonymise": _anonymise,
    "truncate": _truncate,
    "synthesise": _synthesise,
}


def _read(given: argparse.Namespace) -> list[Session]:
    from pytest_a2perf.domains.serving.trajectories.read import read_trajectories

    return [one for path in given.paths for one in read_trajectories(path, form=given.form)]


def _name_of(given: argparse.Namespace) -> str:
    return ", ".join(map(str, given.paths))


def _counter(tokenizer: Path | None) -> Callable[[str], int]:
    from pytest_a2perf.domains.serving.trajectories.tokens import estimate_tokens

    if tokenizer is None:
        return estimate_tokens
    from tokenizers import Tokenizer

    try:
        encode = Tokenizer.from_file(str(tokenizer)).encode
    except Exception as error:  # noqa: BLE001 - the library raises nothing more special
        raise TrajectoryError(f"{tokenizer}: is no tokenizer.json: {error}") from None
    return lambda text: len(encode(text, add_special_tokens=False).ids)


def _write(given: argparse.Namespace, sessions: Iterable[Session], **more: int) -> None:
    """Write sessions beside the file first, so that a failure leaves it as it was."""
    from pytest_a2perf.domains.serving.trajectories.store import write_sessions

    turns = 0

    def counted() -> Iterator[Session]:
        nonlocal turns
        for session in sessions:
            turns += len(session.turns)
            yield session

    part = given.out.with_name(f"{given.out.name}.part")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        count = write_sessions(part, counted())
        part.replace(given.out)
    finally:
        part.unlink(missing_ok=True)
    _print(given, {"sessions": count, "turns": turns, **more}, f"{given.out}: ")


def _report(given: argparse.Namespace, sessions: list[Session]) -> None:
    turns = sum(len(session.turns) for session in sessions)
    _print(given, {"sessions": len(sessions), "turns": turns}, "nothing is wrong: ")


def _print(given: argparse.Namespace, figures: dict[str, int], before: str) -> None:
    words = ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in figures.items())
    _say(json.dumps(figures) if given.json else before + words)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command's output
