"""A recording, from the first request to the file of sessions."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.recorder.journal import Journal, read_journal
from pytest_a2perf.domains.serving.recorder.sessions import sessions_of
from pytest_a2perf.domains.serving.trajectories.models import Session
from pytest_a2perf.domains.serving.trajectories.store import write_sessions

__all__ = ["Recording", "journal_path", "record"]


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded.

    Attributes:
        sessions: number of sessions.
        turns: of all sessions.
        failed: requests that failed, which are in no session.
        unread: requests that could not be read.
        unknown: turns of whose replies the server did not say how long they were.
    """

    sessions: int
    turns: int
    failed: int
    unread: int
    unknown: int


def journal_path(out: Path) -> Path:
    """Return where the journal of a recording stands while it is being made."""
    return out.with_name(f"{out.name}.journal")


def record(
    upstream: str,
    out: Path,
    *,
    port: int = 0,
    stall: float = 600.0,
    ready: Callable[[str], None] = lambda _: None,
) -> Recording:
    """Record until the process is told to end, by Ctrl-C or SIGTERM.

    Args:
        upstream: base URL that requests are passed on to.
        out: file of sessions to be written; it must not exist.
        port: of the loopback interface; 0: any that is free.
        stall: seconds of silence from upstream after which a request is given up.
        ready: is called with the URL that agents have to use in place of `upstream`.

    Raises:
        TrajectoryError: something is there already, the URL is none, or nothing was recorded.
        OSError: the port is taken, or a file cannot be written.
    """
    parts = urlsplit(upstream)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query:
        raise TrajectoryError(f"upstream: expected a URL such as http://host:8000/v1: {upstream}")
    path = journal_path(out)
    if out.exists():
        raise TrajectoryError(f"{out}: exists; name another file, or remove it")
    if path.exists():
        raise TrajectoryError(
            f"{path}: is left of a recording that was killed; make sessions of it by "
            f"'python -m pytest_a2perf trajectories convert {path} --out FILE', or remove it"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path)
    try:
        failed, unread = asyncio.run(_serve(upstream, journal, port, stall, ready))
    finally:
        journal.close()
        if not journal.entries:
            path.unlink()
    if not journal.entries:
        raise TrajectoryError("no request to a model was recorded, so there is no file")
    sessions = sessions_of(read_journal(path), out.name.split(".")[0])
    if not sessions:
        raise TrajectoryError(f"all {failed} requests failed; they are in {path}")
    _write(out, sessions)
    path.unlink()
    turns = [turn for session in sessions for turn in session.turns]
    unknown = sum(turn.output_tokens is None for turn in turns)
    return Recording(len(sessions), len(turns), failed, unread, unknown)


async def _serve(
    upstream: str, journal: Journal, port: int, stall: float, ready: Callable[[str], None]
) -> tuple[int, int]:
    from pytest_a2perf.domains.serving.recorder.proxy import Proxy

    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    proxy = Proxy(upstream, journal, stall)
    try:
        ready(f"http://127.0.0.1:{await proxy.start(port)}")
        await over.wait()
    finally:
        await proxy.close()
    return proxy.failed, proxy.unread


def _write(out: Path, sessions: list[Session]) -> None:
    part = out.with_name(f"{out.name}.part")
    write_sessions(part, sessions)
    part.replace(out)
