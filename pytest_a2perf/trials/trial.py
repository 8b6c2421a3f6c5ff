"""One trial: what a domain, a test and the fixtures see while it runs."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_a2perf.quantities import Quality, Quantity
from pytest_a2perf.runs.record import Curve, Episode, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

    from pytest_a2perf.meters.session import MeterSet
    from pytest_a2perf.scenarios.models import Scenario

__all__ = ["Trial"]

T = TypeVar("T")


class Trial:
    """One seeded execution of a scenario.

    Attributes:
        scenario: what is to be run.
        seed: this trial's seed.
        case: id of its case, see `Case`; empty in scenarios without.
        record: what is left behind; domains write through the methods below.
        root: folder against which relative paths of the scenario are resolved.
        started: monotonic time at which the trial began, in seconds.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        *,
        scenario_id: str,
        nodeid: str,
        root: Path,
        folder: Path,
        meters: MeterSet,
        case: str = "",
        worker: str = "main",
        on_progress: Callable[[str], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.case = case
        self.root = root
        self.started = time.monotonic()
        self.record = Record(
            scenario=scenario_id,
            nodeid=nodeid,
            seed=seed,
            domain=scenario.domain,
            phase=scenario.phase,
            started=datetime.now(UTC).isoformat(timespec="milliseconds"),
            worker=worker,
            host=socket.gethostname(),
            device=meters.device,
            case=case,
        )
        self._folder = folder
        self._meters = meters
        self._on_progress = on_progress
        self._last_progress = 0.0
        self._rng: np.random.Generator | None = None
        self._closing: list[Callable[[Record], None]] = []

    @property
    def rng(self) -> np.random.Generator:
        """A generator seeded with the trial's seed."""
        if self._rng is None:
            import numpy as np

            self._rng = np.random.default_rng(self.seed)
        return self._rng

    @property
    def device(self) -> str:
        """The device the trial runs on, e.g. ``cpu`` or a GPU's name."""
        return self.record.device

    @property
    def folder(self) -> Path:
        """The trial's own folder inside the run, for files that must survive it; made on demand."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    @property
    def run_folder(self) -> Path:
        """The folder of the run."""
        return self._folder.parents[1]

    def remaining(self) -> float | None:
        """Seconds left until the scenario's timeout, or None without one."""
        if self.scenario.timeout is None:
            return None
        return max(0.0, self.started + self.scenario.timeout - time.monotonic())

    def measured(self, work: Callable[[], T]) -> T:
        """Run ``work`` inside the meters' window and return its result.

        Everything else (loading the agent, making the environment, warming up) stays outside. With
        ``energy = {repeat_until = ...}`` the work is repeated inside the window until it is long
        enough, and what adds up (energy, time) is divided by the repetitions; what the repetitions
        record is dropped.
        """
        return self._meters.measure(self.record, work, self.scenario.energy.repeat_until)

    def episode(
        self,
        total: float,
        length: int,
        *,
        terminated: bool = True,
        truncated: bool = False,
        success: bool | None = None,
        task: str = "",
    ) -> None:
        """Record an episode; see `pytest_a2perf.runs.record.Episode`."""
        self.record.episodes.append(
            Episode(
                total=float(total),
                length=int(length),
                terminated=bool(terminated),
                truncated=bool(truncated),
                success=None if success is None else bool(success),
                task=task,
            )
        )

    def sample(
        self, name: str, values: ArrayLike, *, unit: str = "s", limit: float | None = None
    ) -> None:
        """Add per-step samples, e.g. ``latency``; ``limit`` is a deadline whose misses count."""
        from pytest_a2perf.runs.histogram import Histogram

        new = Histogram.of(values, unit=unit, limit=limit)
        old = self.record.samples.get(name)
        self.record.samples[name] = Histogram.merge([old, new]) if old else new

    def report(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        source: str = "reported",
        quality: Quality = "measured",
    ) -> None:
        """Report a number, gated as ``reported.<name>.mean`` and so on."""
        self.record.reported[name] = Quantity(float(value), unit, source, quality)

    def curve(self, name: str, step: float, value: float) -> None:
        """Add a point of a training curve; ``return`` feeds the reliability metrics."""
        curve = self.record.curves.setdefault(name, Curve())
        curve.step.append(float(step))
        curve.value.append(float(value))

    def progress(self, text: str) -> None:
        """Say how far the trial is; shown live on a terminal, at most ten times a second."""
        now = time.monotonic()
        if self._on_progress is not None and now - self._last_progress >= 0.1:
            self._last_progress = now
            self._on_progress(text)

    def on_close(self, flush: Callable[[Record], None]) -> None:
        """Have ``flush`` write into the record when the trial is over."""
        self._closing.append(flush)

    def close(self) -> Record:
        """Complete the record and return it."""
        self.record.duration = time.monotonic() - self.started
        for flush in self._closing:
            flush(self.record)
        self._closing.clear()
        return self.record

    def note(self, **context: Any) -> None:
        """Add to the record's context what may explain its numbers."""
        self.record.context.update(context)
