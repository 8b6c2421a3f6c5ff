"""CodeCarbon's model of energy and its data on the carbon intensity of electricity."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pytest_a2perf.errors import A2PerfError, MeterUnavailableError
from pytest_a2perf.meters.combine import JOULES_PER_KWH
from pytest_a2perf.quantities import Quantity
from pytest_a2perf.suggest import did_you_mean

__all__ = ["CodeCarbonMeter", "carbon_intensity"]


@cache
def carbon_intensity(country_iso_code: str) -> float:
    """Return the carbon intensity of a country's electricity in gCO2e/kWh, from CodeCarbon's data.

    Args:
        country_iso_code: three letters, as in ISO 3166-1, e.g. ``USA``.

    Raises:
        A2PerfError: CodeCarbon has no data on the country.
        MeterUnavailableError: CodeCarbon is not installed.
    """
    _import()
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata
    from codecarbon.input import DataSource

    _silence()
    source = DataSource()
    code = country_iso_code.upper()
    countries = source.get_global_energy_mix_data()
    if code not in countries:
        raise A2PerfError(
            f"CodeCarbon has no data on the country {country_iso_code!r}; "
            f"expected a code of three letters{did_you_mean(code, countries)}"
        )
    # Asking for one kWh keeps to CodeCarbon's own way from the energy mix to an intensity.
    kilograms = Emissions(source).get_country_emissions(
        Energy.from_energy(kWh=1.0), GeoMetadata(country_iso_code=code)
    )
    return float(kilograms) * 1000


class CodeCarbonMeter:
    """Reads ``energy.codecarbon`` (J) and ``carbon`` (gCO2e) as CodeCarbon models them.

    One offline tracker serves the whole process; it writes no files, opens no connections and
    prints nothing. Its resolution is poor: CPU time in ticks of 10 ms, and a constant power for
    memory. The first meter of a process takes CodeCarbon a second or two to detect the hardware.

    Args:
        country_iso_code: whose electricity is used, three letters.

    Raises:
        A2PerfError: CodeCarbon has no data on the country.
        MeterUnavailableError: CodeCarbon is not installed, or fails.
    """

    name = "codecarbon"

    def __init__(self, country_iso_code: str = "USA") -> None:
        carbon_intensity(country_iso_code)
        self._tracker = _tracker(country_iso_code.upper(), os.getpid())
        self._country = country_iso_code.upper()
        self._window = _Window()
        self._opened = 0.0

    def start(self) -> None:
        """Open a window."""
        self._tracker = _tracker(self._country, os.getpid())  # another one after a fork
        self._window = self._tracker.open()
        self._opened = time.perf_counter()

    def stop(self) -> Mapping[str, Quantity]:
        """Close the window and return ``energy.codecarbon`` and ``carbon``."""
        seconds = time.perf_counter() - self._opened
        self._tracker.close(self._window)
        joules = self._window.kilowatt_hours * JOULES_PER_KWH
        grams = self._window.kilograms * 1000
        source = "codecarbon-model"
        return {
            "energy.codecarbon": Quantity(joules, "J", source, "modelled", seconds),
            "carbon": Quantity(grams, "gCO2e", source, "modelled", seconds, note=self._country),
        }


@dataclass(eq=False, slots=True)
class _Window:
    kilowatt_hours: float = 0.0
    kilograms: float = 0.0


class _Tracker:
    """CodeCarbon's tracker, which knows one task at a time, shared by windows that may nest.

    A task ends where any window opens or closes, and counts for each window then open.
    """

    def __init__(self, country: str) -> None:
        from codecarbon import OfflineEmissionsTracker

        _silence()
        with warnings.catch_warnings():
            # Its constructor swallows exceptions, also those that pytest makes of warnings, and
            # would leave a tracker behind that is only half there.
            warnings.simplefilter("ignore")
            self._tracker: Any = OfflineEmissionsTracker(
                country_iso_code=country,
                tracking_mode="process",
                log_level="critical",
                output_methods=[],
                allow_multiple_runs=True,  # False would take over pytest's signal handlers
            )
        self._open: list[_Window] = []
        self.close(self.open())  # detects the hardware, outside anybody's window

    def open(self) -> _Window:
        window = _Window()
        self._end_task()
        self._open.append(window)
        self._tracker.start_task()
        return window

    def close(self, window: _Window) -> None:
        if window not in self._open:
            return
        self._end_task()
        self._open.remove(window)
        if self._open:
            self._tracker.start_task()

    def _end_task(self) -> None:
        if not self._open:
            return
        data = self._tracker.stop_task()
        for window in self._open:
            window.kilowatt_hours += float(data.energy_consumed)
            window.kilograms += float(data.emissions)


@cache
def _tracker(country: str, pid: int) -> _Tracker:  # noqa: ARG001 - the pid is part of the key
    _import()
    try:
        return _Tracker(country)
    except Exception as error:
        raise MeterUnavailableError(f"CodeCarbon: {error}") from error


def _import() -> None:
    try:
        import codecarbon  # noqa: F401
    except ImportError as error:
        raise MeterUnavailableError(f"CodeCarbon: {error}") from None


def _silence() -> None:
    """Mute CodeCarbon's logger, which importing it sets to INFO with a handler on stderr."""
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
