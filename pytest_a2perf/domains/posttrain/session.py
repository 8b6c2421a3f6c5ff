"""An agent at work: started, watched, ended at its budget, and nothing of it left."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

from pytest_a2perf.domains.posttrain.agents.usage import spent_by
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.grading.submission import Submission
from pytest_a2perf.domains.posttrain.info import Ended, RunInfo
from pytest_a2perf.domains.posttrain.sandbox.spec import Box, Running, Sandbox
from pytest_a2perf.domains.posttrain.tasks.base import Budget
from pytest_a2perf.domains.posttrain.workspace import tampering, write_meta
from pytest_a2perf.domains.posttrain.workspace.transcript import Transcript
from pytest_a2perf.errors import InfraError

__all__ = ["Grading", "NoGrading", "run_agent", "undisturbed", "wall_limit"]

_LOOK = 0.1  # seconds between looks at the budget
_IDLE = 20.0
_IDLE_SECONDS = 600.0
_LONGEST = 24 * 3600.0
_NOTE = 500  # characters of an event
_RAISING = (signal.SIGINT, signal.SIGALRM)


class Grading(Protocol):
    """What a session must know of the grading service; see `grading.client.GradingService`."""

    @property
    def paused(self) -> float:
        """Seconds for which the agent's clock has stood still."""

    @property
    def broken(self) -> str:
        """Why there is no service any more; empty while there is one."""

    def submissions(self) -> list[Submission]:
        """Return all submissions so far, from the log."""


class NoGrading:
    """For agents that run without a grading service."""

    paused = 0.0
    broken = ""

    def submissions(self) -> list[Submission]:
        """Return none."""
        return []


def wall_limit(budget: Budget) -> float:
    """Return the seconds after which an agent is ended, evaluations left out.

    Without a limit of its own, an agent that only waits would use no CPU seconds and never end: it
    gets twenty seconds for each CPU second and ten minutes more, and a day if nothing is limited.
    """
    if budget.wall is not None:
        return budget.wall
    return _LONGEST if budget.cpu is None else _IDLE * budget.cpu + _IDLE_SECONDS


def run_agent(
    sandbox: Sandbox,
    box: Box,
    files: RunFiles,
    budget: Budget,
    info: RunInfo,
    *,
    grading: Grading | None = None,
    started: tuple[float, float] | None = None,
    watch: Callable[[Running], AbstractContextManager[object]] | None = None,
    grace: float = 5.0,
) -> Ended:
    """Run an agent until it ends, or its budget does; then end everything that it has started.

    ``info`` is filled in and written at the start and at the end, whatever happens; what the agent
    prints goes to `RunFiles.output`, its times to ``run_meta.json``.

    Args:
        sandbox: where it runs.
        box: see `agent_box`.
        files: of the run.
        budget: of the agent.
        info: of the run.
        grading: the service, whose evaluations do not count.
        started: when the run did, by the clock of the system and by the monotonic one, as the
            service was told; None: now.
        watch: makes what observes the agent while it runs, e.g. `recording.Monitor`.
        grace: seconds between SIGTERM and SIGKILL.

    Returns:
        How it ended.

    Raises:
        InfraError: the sandbox or the grading service broke.
        KeyboardInterrupt, TrialTimeout: as they come; everything is ended and written by then.
    """
    started = started or (time.time(), time.monotonic())
    session = _Session(files, budget, info, grading or NoGrading(), started=started, grace=grace)
    session.begin()
    transcript = Transcript(files.output)
    try:
        session.running = sandbox.start(box, transcript.sink)
        transcript.opened()
        with watch(session.running) if watch else contextlib.nullcontext():
            session.attend()
    except BaseException as error:
        session.note(f"interrupted: {type(error).__name__}: {error}"[:_NOTE])
        raise
    finally:
        with undisturbed():
            session.end(transcript)
    if session.grading.broken:
        raise InfraError(f"the grading service is gone: {session.grading.broken}")
    return info.ended


class _Session:
    """The state of one; `begin`, `attend`, `end`."""

    def __init__(
        self,
        files: RunFiles,
        budget: Budget,
        info: RunInfo,
        grading: Grading,
        *,
        started: tuple[float, float],
        grace: float,
    ) -> None:
        self.running: Running | None = None
        self.grading = grading
        self._files = files
        self._budget = budget
        self._info = info
        self._grace = grace
        self._ended: Ended = "interrupted"
        self._status: int | None = None
        self._born, self._clock = started

    def begin(self) -> None:
        """Write down that it begins."""
        started = datetime.fromtimestamp(self._born, UTC).isoformat(timespec="milliseconds")
        self._info.started = self._info.started or started
        self._info.write(self._files.about)
        write_meta(self._files, self._born, self._budget.wall)

    def attend(self) -> None:
        """Wait for the end of the agent, or of its budget; in that case ask it to end."""
        assert self.running is not None
        while (status := self.running.wait(_LOOK)) is None:
            exhausted = self._exhausted()
            if exhausted or self.grading.broken:
                self._ended = exhausted or "interrupted"
                self.running.stop(self._grace)
                self._status = self.running.wait(0)
                return
        self._status = status
        self._ended = "finished" if status == 0 else "crashed"
        limit = self.running.limit_hit
        if limit in ("cpu", "wall", "memory", "disk"):
            self._ended = limit  # type: ignore[assignment]  # one of them
        elif limit:
            self.note(f"it had more {limit} than its limit")

    def note(self, text: str) -> None:
        """Write down an event."""
        self._info.events.append((round(time.monotonic() - self._clock, 3), text))

    def end(self, transcript: Transcript) -> None:
        """End all of the agent's processes, and write down how it was."""
        info = self._info
        try:
            if self.running is not None:
                self.running.stop(0 if self.running.wait(0) is not None else self._grace)
                self._account(self.running)
        finally:
            transcript.close()
            if transcript.problem:
                self.note(transcript.problem)
            self._tell_spending()
            info.ended, info.status = self._ended, self._status
            info.clock = time.monotonic() - self._clock
            info.seconds = max(0.0, info.clock - self.grading.paused)
            self._close_workspace()
            info.write(self._files.about)

    def _tell_spending(self) -> None:
        info = self._info
        try:
            spent = spent_by(self._files)
        except Exception as error:  # noqa: BLE001 - as in `_close_workspace`
            self.note(f"what it reports to have spent: {type(error).__name__}: {error}"[:_NOTE])
            return
        info.tokens, info.dollars = spent.tokens, spent.dollars
        info.driver = info.driver or spent.model

    def _close_workspace(self) -> None:
        """Write down what the agent did to the copies in its workspace, and complete them."""
        try:
            submissions = self.grading.submissions()
        except (InfraError, OSError) as error:
            self.note(f"the log of submissions: {error}")
            submissions = []
        try:
            for text in tampering(self._files, submissions, self._born, self._budget.wall):
                self.note(text)
        except Exception as error:  # noqa: BLE001 - the agent wrote it, and must not fail the trial
            self.note(f"its files cannot be compared: {type(error).__name__}: {error}"[:_NOTE])
        last = max((self._born + one.clock for one in submissions), default=None)
        write_meta(
            self._files,
            self._born,
            self._budget.wall,
            last_submission=last,
            ended=time.time(),
        )

    def _account(self, running: Running) -> None:
        info = self._info
        info.cpu = running.usage().cpu
        info.left = running.left
        if info.left:
            many = "process" if info.left == 1 else "processes"
            self.note(f"it left {info.left} {many} behind, ended with it")
        if self._ended in ("cpu", "wall", "memory", "disk"):
            limit = getattr(self._budget, self._ended)
            limit = wall_limit(self._budget) if limit is None else limit
            self.note(f"its budget was used up: {limit:g} {_UNITS[self._ended]}")

    def _exhausted(self) -> Ended:
        assert self.running is not None
        cpu = self._budget.cpu
        if cpu is not None and self.running.usage().cpu >= cpu:
            return "cpu"
        seconds = time.monotonic() - self._clock - self.grading.paused
        return "wall" if seconds >= wall_limit(self._budget) else ""


_UNITS = {"cpu": "CPU seconds", "wall": "seconds", "memory": "bytes of memory", "disk": "bytes"}


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C and a trial's timeout, which is raised again and again, wait for the block's end.

    Signals are put off rather than caught: an exception in the middle of waiting for a thread or a
    process leaves its object in a state that is wrong.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # where signals raise nothing
        return
    waiting: list[int] = []
    numbers = [number for number in _RAISING if callable(signal.getsignal(number))]
    before = [
        signal.signal(number, lambda number, frame: waiting.append(number))  # noqa: ARG005
        for number in numbers
    ]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        if signal.SIGINT in waiting:
            signal.raise_signal(signal.SIGINT)
