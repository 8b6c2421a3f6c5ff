"""The meters of a trial, and the instruments of a process they are taken from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from pytest_a2perf.errors import MeterUnavailableError
from pytest_a2perf.meters import torch_cuda
from pytest_a2perf.meters.base import Meter
from pytest_a2perf.meters.combine import accumulate, carbon_of, divided, total_energy
from pytest_a2perf.meters.energy.cpu_time import WATTS_PER_CORE, CpuTimeMeter
from pytest_a2perf.meters.energy.nvml import NvmlMeter, device_names, visible_devices
from pytest_a2perf.meters.energy.rapl import RaplDomain, RaplMeter, find_domains
from pytest_a2perf.meters.memory import MemoryMeter
from pytest_a2perf.meters.sampler import Sampler
from pytest_a2perf.meters.time import TimeMeter
from pytest_a2perf.meters.tree import TreeMemoryMeter
from pytest_a2perf.quantities import Quantity

if TYPE_CHECKING:
    from pytest_a2perf.runs.record import Record
    from pytest_a2perf.scenarios.models import EnergyOptions

__all__ = ["Instruments", "MeterSet", "Window"]

T = TypeVar("T")


class Window:
    """A ``with`` block in which a set of meters reads.

    Attributes:
        readings: what was read, by quantity name; filled when the block is left.
        errors: messages of meters that failed, by the meter's name; those read nothing.
        repetitions: how often the work ran in the block; what is additive is divided by it.
    """

    __slots__ = ("_carbon_intensity", "_meters", "_record", "_started", "errors", "readings",
                 "repetitions")  # fmt: skip

    def __init__(
        self, meters: Sequence[Meter], record: Record | None, carbon_intensity: float | None
    ) -> None:
        self._meters = meters
        self._record = record
        self._carbon_intensity = carbon_intensity
        self._started: list[Meter] = []
        self.readings: dict[str, Quantity] = {}
        self.errors: dict[str, str] = {}
        self.repetitions = 1

    def __enter__(self) -> Self:
        torch_cuda.synchronize()
        try:
            for meter in self._meters:
                try:
                    meter.start()
                except Exception as error:  # noqa: BLE001 - a broken meter must not fail a trial
                    self.errors[meter.name] = str(error)
                else:
                    self._started.append(meter)
        except BaseException:  # the trial's time is up: leave no thread behind
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        torch_cuda.synchronize()
        self._stop()
        if self.repetitions > 1:
            self.readings = divided(self.readings, self.repetitions)
        total = total_energy(self.readings)
        if total is not None:
            self.readings["energy"] = total
            if self._carbon_intensity is not None and "carbon" not in self.readings:
                self.readings["carbon"] = carbon_of(total, self._carbon_intensity)
        if self._record is not None:
            accumulate(self._record.quantities, self.readings)
            if self.errors:
                self._record.context.setdefault("meter_errors", {}).update(self.errors)

    def _stop(self) -> None:
        try:
            while self._started:
                meter = self._started.pop()
                try:
                    self.readings.update(meter.stop())
                except Exception as error:  # noqa: BLE001 - as above
                    self.errors[meter.name] = str(error)
        except BaseException:
            self._stop()  # the others
            raise


class MeterSet:
    """Meters that are started and stopped together.

    They start in the order given and stop in reverse. The meter called ``time`` always starts
    last, so that what the others take to read does not count as wall time.

    Args:
        meters: instruments that belong to this set alone.
        device: what the trial runs on, e.g. ``cpu`` or a GPU's name.
        carbon_intensity: gCO2e per kWh, to read ``carbon`` off the energy; None leaves it out.
    """

    def __init__(
        self,
        meters: Sequence[Meter],
        device: str = "cpu",
        *,
        carbon_intensity: float | None = None,
    ) -> None:
        self.meters = sorted(meters, key=lambda meter: meter.name == "time")
        self.device = device
        self._carbon_intensity = carbon_intensity

    def window(self, record: Record | None = None) -> Window:
        """Return a window for a ``with`` statement.

        Args:
            record: receives the readings, also when the body raises; several windows add up (see
                `pytest_a2perf.meters.combine.combined`). A meter that fails is named in
                ``record.context["meter_errors"]``.
        """
        return Window(self.meters, record, self._carbon_intensity)

    def measure(
        self, record: Record, work: Callable[[], T], repeat_until: float | None = None
    ) -> T:
        """Run ``work`` in a window, add what was read to the record, and return work's result.

        Args:
            record: see `window`.
            work: what is measured.
            repeat_until: repeat the work until the window is this long, in seconds. What the
                repetitions record is dropped; time, energy and carbon are divided by their number,
                which stands in ``record.context["repetitions"]``.
        """
        with self.window(record) as window:
            begin = time.perf_counter()
            result = work()
            if repeat_until is not None:
                with _kept(record):
                    while time.perf_counter() - begin < repeat_until:
                        _empty(record)
                        work()
                        window.repetitions += 1
                record.context["repetitions"] = window.repetitions
        return result


@contextmanager
def _kept(record: Record) -> Iterator[None]:
    """Drop what is recorded in the body, whose containers replace the record's own."""
    kept = record.episodes, record.samples, record.curves, record.reported
    try:
        yield
    finally:
        record.episodes, record.samples, record.curves, record.reported = kept


def _empty(record: Record) -> None:
    record.episodes, record.samples, record.curves, record.reported = [], {}, {}, {}


class Instruments:
    """What this process can measure with; opened once, searched for once.

    Args:
        watts_per_core: of the CPU-time model, in W per busy hardware thread.
        country: three letters; its electricity turns energy into CO2e.
        carbon: read ``carbon`` whatever the source of the energy.
        extra: factories of further meters; one that raises `MeterUnavailableError` is left out.
    """

    def __init__(
        self,
        watts_per_core: float = WATTS_PER_CORE,
        country: str = "USA",
        carbon: bool = False,
        extra: Iterable[Callable[[], Meter]] = (),
    ) -> None:
        self._watts_per_core = watts_per_core
        self._country = country
        self._carbon = carbon
        self._extra = list(extra)
        self._sampler = Sampler()
        self._rapl: tuple[RaplDomain, ...] | MeterUnavailableError | None = None

    def prepare(self) -> None:
        """Search for counters now, so that processes forked later need not do so again."""
        visible_devices()
        self._find_rapl()

    def meters(self, energy: EnergyOptions, target: str = "any", *, tree: bool = False) -> MeterSet:
        """Return new meters for one trial or one probe.

        Time and memory are always read, visible GPUs unless ``target`` is ``cpu`` (an idle GPU is
        none of the trial's business), and the processor as
        ``energy.source`` says: ``auto`` takes RAPL if it can be read and the CPU-time model
        otherwise, ``nvml`` leaves the processor out, ``none`` leaves out all energy and GPUs.
        ``tree`` samples the memory of the whole process tree as well.

        Raises:
            MeterUnavailableError: a source that was asked for by name cannot be read.
            A2PerfError: CodeCarbon has no data on the country.
        """
        meters = self._extra_meters()
        gpus = target != "cpu"
        if energy.source != "none":
            # What is slowest to read comes first, lest it count as the work's CPU time.
            if energy.source == "nvml" or (gpus and visible_devices()):
                meters.append(NvmlMeter(sampler=self._sampler))
            meters += self._processor(energy.source)
        if tree:
            meters.append(TreeMemoryMeter(self._sampler))
        meters += [MemoryMeter(self._sampler), TimeMeter()]
        return MeterSet(
            meters,
            ("+".join(device_names()) if gpus else "") or "cpu",
            carbon_intensity=self._intensity() if energy.source != "none" else None,
        )

    def _processor(self, source: str) -> list[Meter]:
        if source == "codecarbon":
            from pytest_a2perf.meters.energy.codecarbon import CodeCarbonMeter

            return [CodeCarbonMeter(self._country)]
        if source in {"auto", "rapl"}:
            found = self._find_rapl()
            if not isinstance(found, MeterUnavailableError):
                return [RaplMeter(domains=found)]
            if source == "rapl":
                raise found
        return [] if source == "nvml" else [CpuTimeMeter(self._watts_per_core)]

    def _find_rapl(self) -> tuple[RaplDomain, ...] | MeterUnavailableError:
        if self._rapl is None:
            try:
                self._rapl = find_domains()
            except MeterUnavailableError as error:
                self._rapl = error
        return self._rapl

    def _extra_meters(self) -> list[Meter]:
        meters: list[Meter] = []
        for factory in tuple(self._extra):
            try:
                meters.append(factory())
            except MeterUnavailableError:
                self._extra.remove(factory)
        return meters

    def _intensity(self) -> float | None:
        if not self._carbon:
            return None
        from pytest_a2perf.meters.energy.codecarbon import carbon_intensity

        return carbon_intensity(self._country)
