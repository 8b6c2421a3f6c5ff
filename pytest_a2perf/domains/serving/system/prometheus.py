"""Power by exporters that speak Prometheus' text format, such as NVIDIA's DCGM exporter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, Self

from pytest_a2perf.domains.serving.system.boards import Board, power_of
from pytest_a2perf.domains.serving.system.options import PrometheusPowerOptions
from pytest_a2perf.domains.serving.system.power import PowerReading
from pytest_a2perf.domains.serving.system.scrape import Sample, Scraper
from pytest_a2perf.errors import InfraError
from pytest_a2perf.units import UNITS

__all__ = ["PRESETS", "Preset", "PrometheusPower"]

Kind = Literal["power", "energy", "clock", "reasons"]
_DCGM_ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"


@dataclass(frozen=True, slots=True)
class Preset:
    """What an exporter offers.

    Attributes:
        source: beginning of the source's name.
        boundary: what is inside, where that is known.
        metrics: by name: what it is, and its factor to the base unit. Of several names for the same
            thing, the one that comes first in the answer counts.
        zones: beginnings of the label ``rapl_zone``; others hold parts of these.
    """

    source: str
    boundary: str
    metrics: dict[str, tuple[Kind, float]]
    zones: tuple[str, ...] = field(default=())


PRESETS = {
    "dcgm": Preset(
        "dcgm-exporter",
        "accelerator board",
        {
            "DCGM_FI_DEV_POWER_USAGE": ("power", 1.0),
            _DCGM_ENERGY: ("energy", 1e-3),
            f"{_DCGM_ENERGY}_total": ("energy", 1e-3),
            "DCGM_FI_DEV_SM_CLOCK": ("clock", 1e6),
            "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": ("reasons", 1.0),
            "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": ("reasons", 1.0),
        },
    ),
    "node-exporter": Preset(
        "node-exporter-hwmon",
        "",
        {
            "node_hwmon_power_average_watt": ("power", 1.0),
            "node_hwmon_power_input_watt": ("power", 1.0),
        },
    ),
    "rapl": Preset(
        "node-exporter-rapl",
        "processor packages and memory",
        {
            "node_rapl_package_joules_total": ("energy", 1.0),
            "node_rapl_dram_joules_total": ("energy", 1.0),
            "node_rapl_joules_total": ("energy", 1.0),
        },
        zones=("package", "dram"),
    ),
}


def _preset(options: PrometheusPowerOptions) -> Preset:
    if options.preset is not None:
        return PRESETS[options.preset]
    base, factor = UNITS[options.unit]
    assert options.metric is not None  # the options say one of the two
    return Preset(
        "prometheus", "", {options.metric: ("energy" if base == "J" else "power", factor)}
    )


class PrometheusPower:
    """Asks exporters at intervals, each in a thread of its own."""

    def __init__(self, options: PrometheusPowerOptions) -> None:
        self._preset = _preset(options)
        self._labels = options.labels
        self._boundary = options.boundary or self._preset.boundary
        self._boards: dict[str, tuple[str, Board]] = {}
        self._twice = ""
        self._scrapers = [
            Scraper(
                url, self._preset.metrics, partial(self._take, url), options.interval,
                options.timeout,
            )
            for url in options.url
        ]  # fmt: skip

    def __enter__(self) -> Self:
        """Begin to ask.

        Raises:
            InfraError: an exporter does not answer, or has nothing of what was asked for.
        """
        for scraper in self._scrapers:
            try:
                scraper.scrape()
            except InfraError as error:
                raise InfraError(
                    f"power: {error}: does the exporter run, and may this host reach it?"
                ) from None
            if self._twice:
                raise InfraError(f"power: {self._twice}: it would count twice, so name one only")
            if not any(url == scraper.url for url, _ in self._boards.values()):
                raise InfraError(self._lacking(scraper.url))
        for scraper in self._scrapers:
            scraper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for scraper in self._scrapers:
            scraper.stop()

    def _lacking(self, url: str) -> str:
        names = " or ".join(
            name for name, (kind, _) in self._preset.metrics.items() if kind in ("power", "energy")
        )
        chosen = ", ".join(f"{name}={value!r}" for name, value in self._labels.items())
        return f"power: {url} answers, but has no {names}" + (f" with {chosen}" if chosen else "")

    def _take(self, url: str, at: float, samples: Sequence[Sample]) -> None:
        for sample in samples:
            if not self._chosen(sample):
                continue
            name = _device(sample, url)
            kind, factor = self._preset.metrics[sample.name]
            if name not in self._boards:
                if kind not in ("power", "energy"):
                    continue
                self._boards[name] = (url, Board(name))
            owner, board = self._boards[name]
            if owner != url:
                self._twice = f"{owner} and {url} both tell of {name}"
                continue
            # Instances of a board, and pods that share it, repeat its power at the same time.
            {
                "power": board.power,
                "energy": board.energy,
                "clock": board.clock,
                "reasons": board.reasons,
            }[kind].add(at, sample.value * factor)

    def _chosen(self, sample: Sample) -> bool:
        labels, zones = sample.labels, self._preset.zones
        if any(labels.get(name) != value for name, value in self._labels.items()):
            return False
        # Zones whose path says mmio are the same counters, reached by another way.
        return not zones or (
            labels.get("rapl_zone", zones[0]).startswith(zones)
            and "mmio" not in labels.get("path", "")
        )

    def over(self, begin: float, end: float) -> PowerReading:
        """Return the power between two times of the monotonic clock."""
        for scraper in self._scrapers:
            scraper.reach(end)
        boards = [board for _, board in list(self._boards.values())]
        return power_of(boards, begin, end, source=self._preset.source, boundary=self._boundary)


def _device(sample: Sample, url: str) -> str:
    """Return the name of the device that a sample belongs to."""
    labels = sample.labels
    if "UUID" in labels:
        return labels["UUID"]
    shown = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))
    # Package and memory are counters of their own under the same labels.
    kind = sample.name.removesuffix("_joules_total") if "_rapl_" in sample.name else ""
    return " ".join(filter(None, (url, kind, f"({shown})" if shown else "")))
