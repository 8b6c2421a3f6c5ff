"""What the fixtures ``latency``, ``energy`` and ``memory`` hand out; usable without pytest."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pytest_a2perf.errors import A2PerfError, MeterUnavailableError
from pytest_a2perf.meters.combine import accumulate
from pytest_a2perf.meters.memory import MemoryMeter
from pytest_a2perf.meters.processes import current_rss
from pytest_a2perf.quantities import Quality, Quantity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_a2perf.meters.session import MeterSet, Window
    from pytest_a2perf.runs.record import Record

__all__ = ["EnergyProbe", "LatencyProbe", "MemoryProbe"]


class LatencyProbe:
    """Times decisions, one a ``with`` block; statistics are exact, over all of them, in seconds.

    A decision that raises is not counted. Statistics raise `A2PerfError` while there is none.

    Args:
        deadline: seconds; later decisions count as missed in ``latency.miss_rate``.
    """

    __slots__ = ("_flushed", "_start", "_values", "deadline")

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self._values = array("d")
        self._flushed = 0
        self._start = 0

    def __enter__(self) -> Self:
        self._start = perf_counter_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end = perf_counter_ns()
        if kind is None:
            self._values.append((end - self._start) * 1e-9)

    def add(self, seconds: float) -> None:
        """Add a latency that was timed elsewhere.

        Raises:
            A2PerfError: it is negative or not a number.
        """
        if not 0 <= seconds < float("inf"):
            raise A2PerfError(f"a latency is a time in seconds, not {seconds!r}")
        self._values.append(seconds)

    @property
    def values(self) -> NDArray[np.float64]:
        """All latencies in seconds, in order; a copy."""
        import numpy as np

        return np.array(self._values, dtype=float)

    def _some(self, least: int = 1) -> NDArray[np.float64]:
        if len(self._values) < least:
            raise A2PerfError(
                f"latency: {len(self._values)} decisions were timed, at least {least} needed; "
                "time each in a block `with latency:`"
            )
        return self.values

    @property
    def count(self) -> int:
        """How many decisions were timed."""
        return len(self._values)

    @property
    def mean(self) -> float:
        """Mean in seconds."""
        return float(self._some().mean())

    @property
    def std(self) -> float:
        """Standard deviation (population) in seconds."""
        return float(self._some().std())

    @property
    def min(self) -> float:
        """Shortest in seconds."""
        return float(self._some().min())

    @property
    def max(self) -> float:
        """Longest in seconds."""
        return float(self._some().max())

    def percentile(self, q: float) -> float:
        """Return the ``q`` th percentile (0..100) in seconds, linearly interpolated."""
        import numpy as np

        if not 0 <= q <= 100:
            raise A2PerfError(f"a percentile lies between 0 and 100, not at {q!r}")
        return float(np.percentile(self._some(), q))

    @property
    def median(self) -> float:
        """Median in seconds."""
        return self.percentile(50)

    p50 = median

    @property
    def p90(self) -> float:
        """90th percentile in seconds."""
        return self.percentile(90)

    @property
    def p95(self) -> float:
        """95th percentile in seconds."""
        return self.percentile(95)

    @property
    def p99(self) -> float:
        """99th percentile in seconds."""
        return self.percentile(99)

    @property
    def jitter(self) -> float:
        """Standard deviation of the differences between successive latencies, in seconds."""
        import numpy as np

        return float(np.diff(self._some(2)).std())

    def miss_rate(self, deadline: float | None = None) -> float:
        """Return the share of decisions that took longer than a deadline.

        Args:
            deadline: seconds; None takes the probe's own.

        Raises:
            A2PerfError: there is no deadline, or nothing was timed.
        """
        limit = self.deadline if deadline is None else deadline
        if limit is None:
            raise A2PerfError("latency: a miss rate needs a deadline")
        return float((self._some() > limit).mean())

    def flush(self, record: Record) -> None:
        """Add what was timed since the last flush to the record's sample ``latency``."""
        new = self.values[self._flushed :]
        if not new.size:
            return
        from pytest_a2perf.runs.histogram import Histogram

        histograms = [Histogram.of(new, limit=self.deadline)]
        if "latency" in record.samples:
            histograms.insert(0, record.samples["latency"])
        record.samples["latency"] = Histogram.merge(histograms)
        self._flushed = len(self._values)


class EnergyProbe:
    """Reads the energy of ``with`` blocks, which add up.

    Args:
        meters: makes the meters, when the first block is entered.
    """

    def __init__(self, meters: Callable[[], MeterSet]) -> None:
        self._make = meters
        self._meters: MeterSet | None = None
        self._window: Window | None = None
        self.readings: dict[str, Quantity] = {}

    def __enter__(self) -> Self:
        if self._window is not None:
            raise A2PerfError("energy: the block is already being measured")
        if self._meters is None:
            self._meters = self._make()
        self._window = self._meters.window().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        window, self._window = self._window, None
        assert window is not None
        window.__exit__(kind, error, traceback)
        accumulate(
            self.readings,
            {
                name: quantity
                for name, quantity in window.readings.items()
                if name.partition(".")[0] in {"energy", "carbon", "gpu"}
            },
        )

    @property
    def quantity(self) -> Quantity:
        """The energy of all blocks, with its source and quality.

        Raises:
            A2PerfError: no block was measured.
            MeterUnavailableError: no meter of energy is on.
        """
        if "energy" in self.readings:
            return self.readings["energy"]
        if self._meters is None:
            raise A2PerfError("energy: nothing was measured; use a block `with energy:`")
        raise MeterUnavailableError("energy: no source of energy could be read here")

    @property
    def joules(self) -> float:
        """The energy of all blocks in J."""
        return self.quantity.value

    @property
    def watts(self) -> float:
        """The mean power in W: energy over the length of all blocks."""
        quantity = self.quantity
        return quantity.value / quantity.window if quantity.window else 0.0

    @property
    def source(self) -> str:
        """Where the number comes from, e.g. ``rapl+nvml-energy-counter``."""
        return self.quantity.source

    @property
    def quality(self) -> Quality:
        """``measured``, ``estimated`` or ``modelled``."""
        return self.quantity.quality

    def flush(self, record: Record) -> None:
        """Put what was read into the record; it replaces what the trial's own window read."""
        record.quantities.update(self.readings)


class MemoryProbe:
    """Reads the peak memory of ``with`` blocks; of several blocks the highest peak counts.

    Args:
        children: sample child processes that the block starts, every 50 ms.
    """

    def __init__(self, *, children: bool = False) -> None:
        self._meter = MemoryMeter(children=children)
        self._open = False
        self._entry = 0
        self._delta = 0.0
        self.readings: dict[str, Quantity] = {}

    def __enter__(self) -> Self:
        if self._open:
            raise A2PerfError("memory: the block is already being measured")
        self._entry = current_rss()
        self._meter.start()
        self._open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        readings = self._meter.stop()
        self._open = False
        self._delta = max(self._delta, readings["memory.peak"].value - self._entry)
        accumulate(self.readings, readings)

    @property
    def quantity(self) -> Quantity:
        """The peak resident memory of this process, with its source and quality.

        Raises:
            A2PerfError: no block was measured.
        """
        self._require()
        return self.readings["memory.peak"]

    def _require(self) -> None:
        if "memory.peak" not in self.readings:
            raise A2PerfError("memory: nothing was measured; use a block `with memory:`")

    @property
    def peak(self) -> float:
        """The peak resident memory of this process in bytes."""
        return self.quantity.value

    @property
    def delta(self) -> float:
        """How far the memory rose above that at the entry of its block, at most, in bytes."""
        self._require()
        return self._delta

    @property
    def children_peak(self) -> float:
        """The peak memory of the child processes in bytes; 0 if there were none."""
        self._require()
        quantity = self.readings.get("memory.children_peak")
        return 0.0 if quantity is None else quantity.value

    def flush(self, record: Record) -> None:
        """Put what was read into the record; it replaces what the trial's own window read."""
        record.quantities.update(self.readings)
