"""What the agent's processes use, once a second, on disk at once."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.recording.power import CpuEnergy, GpuLoad
from pytest_a2perf.domains.posttrain.sandbox.runtime.meter import disk_usage, processes_below
from pytest_a2perf.domains.posttrain.sandbox.spec import Running
from pytest_a2perf.llm.secrets import redact
from pytest_a2perf.meters.energy.nvml_device import Device, visible_devices
from pytest_a2perf.meters.processes import resident

__all__ = ["Monitor", "Sample"]

_MOST = 20_000_000
_MOST_COMMANDS = 300
_DISK_SECONDS = 0.2
_DISK_SHARE = 50.0
"""Looking at the disk takes at most one part in so many of the time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of the file of samples.

    Attributes:
        clock: seconds of the run, by the wall.
        cpu: CPU seconds so far.
        memory: resident bytes now; shared pages count once for each process.
        memory_peak: bytes so far; NaN where it is not known.
        processes: now.
        disk: bytes in the workspace, as they were last looked at.
        joules: of the processors, so far.
        gpu: see `GpuReading`; empty without GPUs.
        commands: Python programs that were seen for the first time, as their command lines.
    """

    clock: float
    cpu: float
    memory: float
    memory_peak: float
    processes: int
    disk: float
    joules: float
    gpu: dict[str, float]
    commands: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; what is not known is left out."""
        data = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if not (isinstance(value, float) and not math.isfinite(value))
        }
        return {name: value for name, value in data.items() if value not in ({}, ())}


class Monitor:
    """Samples a running box into `RunFiles.process` until it is left.

    It is a context manager. Each line is flushed when it is written, so a killed run keeps all but
    the second in flight. A file that grows too large gets fewer samples: the interval doubles with
    each half of what is left.

    Args:
        files: of the run.
        running: the box.
        interval: seconds between samples.
        gpus: those that the box may use; None: those visible, an empty list: none.
        started: `time.monotonic` at which the run's clock began; None: now.
        most: bytes of the file.
    """

    def __init__(
        self,
        files: RunFiles,
        running: Running,
        *,
        interval: float = 1.0,
        gpus: Sequence[Device] | None = (),
        started: float | None = None,
        most: int = _MOST,
    ) -> None:
        self.problems: list[str] = []
        """What could not be recorded, in words."""
        self._files = files
        self._running = running
        self._interval = interval
        self._started = time.monotonic() if started is None else started
        self._most = self._left = most
        devices = tuple(visible_devices() if gpus is None else gpus)
        self._gpu = GpuLoad(devices) if devices else None
        self._energy = CpuEnergy()
        self._last: Sample | None = None
        self._commands: set[str] = set()
        self._disk, self._disk_due = math.nan, 0.0
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="a2perf-posttrain", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Take a last sample and end; a second call does nothing."""
        if not self._halt.is_set():
            self._halt.set()
            self._thread.join(timeout=10)

    @property
    def energy(self) -> dict[str, Any]:
        """Joules so far, and where they come from: what `RunInfo.energy` holds."""
        told: dict[str, Any] = {
            "joules": self._energy.joules,
            "cpu": self._energy.joules,
            "source": self._energy.source,
            "quality": self._energy.quality,
        }
        if self._last is not None and "joules" in self._last.gpu:
            told["gpu"] = self._last.gpu["joules"]
            told["joules"] += told["gpu"]
            told["source"] += "+nvml"
        return told

    @property
    def last(self) -> Sample | None:
        """The latest sample."""
        return self._last

    def _loop(self) -> None:
        try:
            with self._files.process.open("a", encoding="utf-8") as file:
                while True:
                    ended = self._halt.is_set()
                    self._write(file, self.sample())
                    if ended:
                        return
                    self._halt.wait(self._pause())
        except OSError as error:  # e.g. a full disk: the run goes on
            self.problems.append(f"process samples end early: {error}")

    def _pause(self) -> float:
        """Return seconds to the next sample: twice as many with each half of the room used."""
        used = max(self._most - self._left, 1) / self._most
        halves = math.floor(-math.log2(max(1.0 - used, 2.0**-12)))
        return float(self._interval * 2**halves)

    def _write(self, file: Any, sample: Sample) -> None:
        self._last = sample
        line = json.dumps(sample.to_json()) + "\n"
        if len(line) <= self._left:
            self._left -= len(line)
            file.write(line)
            file.flush()

    def sample(self) -> Sample:
        """Read everything now."""
        usage = self._running.usage()
        pids = [self._running.pid, *processes_below(self._running.pid)]
        clock = time.monotonic() - self._started
        if clock >= self._disk_due:
            begun = time.monotonic()
            self._disk = float(disk_usage([str(self._files.workspace)], seconds=_DISK_SECONDS))
            self._disk_due = clock + _DISK_SHARE * (time.monotonic() - begun)
        return Sample(
            clock=clock,
            cpu=usage.cpu,
            memory=float(sum(map(resident, pids))),
            memory_peak=usage.memory_peak,
            processes=usage.processes,
            disk=self._disk,
            joules=self._energy.add(usage.cpu),
            gpu=self._gpu.read(clock).to_json() if self._gpu is not None else {},
            commands=tuple(self._new_commands(pids)),
        )

    def _new_commands(self, pids: Iterable[int]) -> Iterator[str]:
        for pid in pids:
            command = _python_command(pid)
            if command and command not in self._commands and len(self._commands) < _MOST_COMMANDS:
                self._commands.add(command)
                yield command


def _python_command(pid: int) -> str:
    """Return what a process runs if it runs Python, installed programs too; without keys."""
    try:
        with Path(f"/proc/{pid}/cmdline").open("rb") as file:
            words = file.read(4096).decode(errors="replace").split("\0")
    except OSError:
        return ""
    words = [word for word in words if word]
    script = words[1] if len(words) > 1 and "python" in Path(words[0]).name else ""
    told = any(word.endswith(".py") or word == "-m" for word in words[1:8])
    if not told and "/bin/" not in script:
        return ""
    return redact(" ".join(words))[:300]
