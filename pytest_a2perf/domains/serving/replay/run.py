"""Holding one level of load: start its processes, find the steady window, collect the requests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from pytest_a2perf.domains.serving.replay.level import ClientCheck, Level, Rules
from pytest_a2perf.domains.serving.replay.plan import Plan
from pytest_a2perf.domains.serving.replay.processes import WORKER, LoadError, LoadProcesses
from pytest_a2perf.domains.serving.replay.profiles import is_official
from pytest_a2perf.domains.serving.replay.rows import Rows
from pytest_a2perf.domains.serving.replay.selfcheck import Usage, check_client, machine_times
from pytest_a2perf.domains.serving.replay.window import Window
from pytest_a2perf.domains.serving.slo.tiers import Limit
from pytest_a2perf.domains.serving.system.power import PowerSource
from pytest_a2perf.errors import InfraError
from pytest_a2perf.runs.histogram import Histogram

__all__ = ["EngineSource", "Progress", "run_level"]

_TICK = 0.1  # seconds between looks at the processes
_SHOW = 0.3  # seconds between reports of progress
_JUDGE = 1.0  # seconds between looks at whether a level is hopeless
_TOGETHER = 0.1  # seconds from telling the processes when to begin until they do
_READY = 60.0  # seconds that processes may take to start, beside their warm-up
_SPARE = 3.0  # seconds that are left of a trial's time for what comes after its last request
_END = 15.0  # seconds that processes may take to end, beside their last requests


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a level is.

    Attributes:
        stage: starting; ramping up to its agents, and settling; steady; draining.
        agents: at once; with a rate, the most that may be open.
        active: that have sent their first turn.
        in_flight: requests under way.
        requests: that have ended.
        failed: of those.
        lacks: what the window still lacks; empty before it has begun.
    """

    stage: Literal["starting", "ramp", "steady", "draining"]
    agents: int
    active: int = 0
    in_flight: int = 0
    requests: int = 0
    failed: int = 0
    lacks: str = ""


class EngineSource(Protocol):
    """Reads what an inference engine reports of itself, in the background."""

    def over(self, begin: float, end: float) -> Mapping[str, float]:
        """Return figures of the time between two times of the monotonic clock."""


def run_level(
    plan: Plan,
    rules: Rules,
    *,
    folder: Path,
    processes: int = 1,
    power: PowerSource | None = None,
    engine: EngineSource | None = None,
    limits: Sequence[Limit] = (),
    check: ClientCheck | None = None,
    deadline: float | None = None,
    progress: Callable[[Progress], None] | None = None,
    hopeless: Callable[[Rows], str] | None = None,
    command: Sequence[str] = WORKER,
) -> Level:
    """Hold a load until its window has all that the rules ask for.

    All processes are gone when it returns or raises, whatever is raised in the middle. It returns
    in any case: a request is given up after ``plan.longest``, a level after ``rules.longest``.

    Args:
        plan: of the whole level; which processes share it, and their files, is decided here.
        rules: when the window begins and may end.
        folder: of this level, for rows and what processes write to standard error.
        processes: that make load, see `LoadOptions.process_count`.
        power: entered already; asked for the window.
        engine: as ``power``.
        limits: that the level is to be judged by, see `selfcheck`.
        check: see `ClientCheck`.
        deadline: monotonic time at which the trial ends. The window ends before that, so that the
            last requests can come to their end as well.
        progress: called a few times a second.
        hopeless: called about once a second with the window's requests that have ended; the level
            ends early if it returns why the load can no longer pass. It never passes early.
        command: that runs a load process.

    Raises:
        LoadError: a load process broke, or no request of the window reached the endpoint; carries
            the rows that were written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shares = max(1, min(processes, plan.agents))
    plans = [
        replace(plan, shares=shares, share=share, rows=str(folder / f"rows-{share}.jsonl"))
        for share in range(shares)
    ]
    for part in plans:
        Path(part.rows).unlink(missing_ok=True)
    with LoadProcesses(plans, command) as crew:
        run = _Run(plan, rules, crew, deadline=deadline, progress=progress, hopeless=hopeless)
        try:
            run.start()
            run.hold()
            run.drain()
        except InfraError as error:
            raise LoadError(str(error), run.rows(salvage=True)) from error
    return run.level(power, engine, limits, check)


class _Run:
    """A level on its way; see `run_level`."""

    def __init__(
        self,
        plan: Plan,
        rules: Rules,
        crew: LoadProcesses,
        *,
        deadline: float | None,
        progress: Callable[[Progress], None] | None,
        hopeless: Callable[[Rows], str] | None,
    ) -> None:
        self._plan = plan
        self._rules = rules
        self._crew = crew
        self._deadline = float("inf") if deadline is None else deadline
        self._progress = progress
        self._hopeless = hopeless
        self._rows = Rows.of([])
        self._fresh: list[list[object]] = []
        self._machine: list[tuple[float, float, float]] = []
        self._shown = self._judged = 0.0
        self._stage = ""
        self._window = Window(rules, plan, 0.0)
        self._end = 0.0
        self._time_up = False
        self._early = self._cut = ""

    def start(self) -> None:
        """Wait until all processes are connected and warm, and let them begin together."""
        limit = min(time.monotonic() + _READY + self._plan.longest, self._deadline)
        while not all(process.ready for process in self._crew):
            self._listen("starting")
            if time.monotonic() > limit:
                late = [str(process.number) for process in self._crew if not process.ready]
                raise InfraError(
                    f"load processes {', '.join(late)} were not ready in time; is the endpoint "
                    "very slow? fewer requests of warm-up, or a longer timeout, may help"
                )
        at = time.monotonic() + _TOGETHER
        self._window = Window(self._rules, self._plan, at)
        self._crew.tell({"do": "start", "at": at})

    def hold(self) -> None:
        """Wait until the window has all that it needs, or its time is up."""
        while True:
            self._listen("ramp" if self._window.begin is None else "steady")
            now = time.monotonic()
            if self._window.lacks(now):
                # As long as the slowest request so far, those under way may still take.
                self._time_up = now >= self._deadline - self._window.slowest - _SPARE
                if not self._time_up and now < self._window.latest:
                    self._early = self._judge(now)
                    if not self._early:
                        continue
            self._end = self._window.end = now
            return

    def _lacks(self) -> str:
        """Return what the window lacks, now that the last rows from inside of it are known."""
        if self._early:
            lacks = f"ended early: {self._early}"
        elif (lacks := self._window.lacks(self._end)) and self._time_up:
            lacks = f"the trial's time was up: {lacks}"
        return ", ".join(filter(None, (lacks, self._cut)))

    def _judge(self, now: float) -> str:
        begin = self._window.begin
        if self._hopeless is None or begin is None or now < max(begin, self._judged + _JUDGE):
            return ""
        self._judged = now
        rows = self.rows()
        return self._hopeless(rows.where(rows["due"] >= begin))

    def drain(self) -> None:
        """Let what was due in the window come to its end.

        The load falls meanwhile, so that the last requests have it a little easier.
        """
        self._listen("draining")  # what was due just before the end is on its way now
        self._crew.tell({"do": "stop"})
        limit = time.monotonic() + self._plan.longest + _END
        while not all(process.done for process in self._crew):
            self._listen("draining")
            now = time.monotonic()
            if now > limit:
                late = [str(process.number) for process in self._crew if not process.done]
                raise InfraError(f"load processes {', '.join(late)} did not come to their end")
            if now > self._deadline:
                left = sum(process.status.in_flight for process in self._crew if process.status)
                self._cut = f"{left} requests under way were cut off at the end of the trial's time"
                return
        while self._read():
            pass

    def rows(self, *, salvage: bool = False) -> Rows:
        """Return all rows so far; to salvage is to take what can be read after something broke."""
        if salvage:
            for process in self._crew:
                try:
                    self._fresh += process.file.read()
                except InfraError:
                    continue
        if self._fresh:
            self._rows = Rows.joined([self._rows, Rows.of(self._fresh)])
            self._fresh = []
        return self._rows

    def _listen(self, stage: Literal["starting", "ramp", "steady", "draining"]) -> None:
        self._crew.listen(_TICK)
        self._read()
        statuses = [process.status for process in self._crew]
        if stage == "ramp":
            self._window.follow(statuses)
        now = time.monotonic()
        self._machine.append((now, *machine_times()))
        if self._progress is None or (stage == self._stage and now < self._shown + _SHOW):
            return
        self._stage, self._shown = stage, now
        known = [status for status in statuses if status is not None]
        self._progress(
            Progress(
                stage,
                self._plan.agents,
                active=sum(status.active for status in known),
                in_flight=sum(status.in_flight for status in known),
                requests=sum(status.turns for status in known),
                failed=sum(status.failed for status in known),
                lacks=self._window.lacks(now) if stage == "steady" else "",
            )
        )

    def _read(self) -> int:
        """Take in the rows that are new, and return how many there are."""
        before = len(self._fresh)
        for process in self._crew:
            new = process.file.read()
            self._window.add(new)
            self._fresh += new
        return len(self._fresh) - before

    def level(
        self,
        power: PowerSource | None,
        engine: EngineSource | None,
        limits: Sequence[Limit],
        check: ClientCheck | None,
    ) -> Level:
        """Return what came of it."""
        begin = self._end if self._window.begin is None else min(self._window.begin, self._end)
        rows = self.rows()
        inside = rows.where((rows["due"] >= begin) & (rows["due"] < self._end))
        if len(inside) and (inside["failure"] == "connect").all():
            raise LoadError(f"the endpoint went away: {inside['error'][-1]}", rows)
        ended = (rows["ended"] >= begin) & (rows["ended"] < self._end)
        lacks = self._lacks()
        usage = self._usage(begin)
        lag = Histogram.merge(process.file.lag for process in self._crew)
        chunks = float(rows["chunks"].sum())
        reading = power.over(begin, self._end) if power is not None and self._end > begin else None
        refused = round(sum(self._between(begin, "refused")))
        inside = Rows.joined([inside, Rows.unserved(refused, begin)]) if refused else inside
        level = Level(
            agents=self._plan.agents,
            rate=self._plan.rate,
            begin=begin,
            end=self._end,
            rows=inside,
            sessions=int(np.count_nonzero(ended & (rows["last_turn"] == 1))),
            gaps=Histogram.merge(process.file.gaps for process in self._crew),
            client=check_client(inside, chunks, lag, usage, limits=limits, check=check),
            lacks=lacks,
            refused=refused,
            power=reading,
            engine=dict(engine.over(begin, self._end)) if engine and self._end > begin else {},
            profile=self._rules.name,
            official=is_official(self._rules, self._plan) and not lacks,
        )
        level.tainted = _taints(level, usage.idle, check or ClientCheck())
        return level

    def _usage(self, begin: float) -> Usage:
        seconds = max(self._end - begin, 1e-9)
        cores = tuple(used / seconds for used in self._between(begin, "cpu"))
        all_statuses = [process.statuses for process in self._crew if process.statuses]
        cpu = sum(statuses[-1].cpu - statuses[0].cpu for statuses in all_statuses)
        at, idle, total = np.array(self._machine).T
        spans = [np.diff(np.interp((begin, self._end), at, column))[0] for column in (idle, total)]
        return Usage(cores, cpu, float(spans[0] / spans[1]) if spans[1] > 0 else float("nan"))

    def _between(self, begin: float, name: Literal["cpu", "refused"]) -> list[float]:
        """Return by how much a member of the status grew in the window, for each process."""
        grown = []
        for process in self._crew:
            at = [status.at for status in process.statuses] or [begin]
            values = [float(getattr(status, name)) for status in process.statuses] or [0.0]
            low, high = np.interp((begin, self._end), at, values)
            grown.append(float(high - low))
        return grown


def _taints(level: Level, idle: float, check: ClientCheck) -> list[str]:
    told = list(level.power.tainted) if level.power is not None else []
    if idle < check.idle:
        told.append(f"the machine that makes load was idle for only {idle:.0%} of the time")
    guessed = int(np.count_nonzero((level.rows["counted"] == "chunks") & ~level.rows.failed))
    if guessed:
        told.append(
            f"nobody counted the tokens of {guessed} of {len(level.rows)} replies: one a chunk was "
            "taken"
        )
    return told
