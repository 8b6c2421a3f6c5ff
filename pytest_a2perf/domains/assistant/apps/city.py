"""Crime rates of a city, from a service that answers only so often."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.records import Number, records
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["CityApp", "CrimeDataPoint"]

PAUSE = 1800
"""Seconds that the service stays silent after too many calls."""


@dataclass
class CrimeDataPoint:
    """Crime rates of a zip code."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    violent_crime: Number
    property_crime: Number


class CityApp(App):
    """Crime rates by zip code."""

    classes = ("CityApp",)

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.crime_data: dict[str, CrimeDataPoint] = {}
        self.limit = 100
        self.calls = 0
        self.silent_since: float | None = None

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.crime_data = records(dict[str, CrimeDataPoint], state, "crime_data")
        self.limit = records(int, state, "api_call_limit")

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {"api_call_limit": self.limit, "crime_data": plain(self.crime_data)}

    @tool("env", write=True)
    def add_crime_rate(
        self, zip_code: str, violent_crime_rate: float, property_crime_rate: float
    ) -> str:
        """Set the crime rates of a zip code.

        Args:
            zip_code: the zip code, known or new.
            violent_crime_rate: rate of violent crime.
            property_crime_rate: rate of property crime.

        Returns:
            That it is done.
        """
        self.crime_data[zip_code] = CrimeDataPoint(violent_crime_rate, property_crime_rate)
        return "Added Successfully"

    @tool("env", write=True)
    def update_crime_rate(
        self,
        zip_code: str,
        new_violent_crime_rate: float | None = None,
        new_property_crime_rate: float | None = None,
    ) -> str:
        """Change crime rates of a known zip code.

        Args:
            zip_code: the zip code.
            new_violent_crime_rate: None leaves it.
            new_property_crime_rate: None leaves it.

        Returns:
            That it is done.
        """
        if new_violent_crime_rate is None and new_property_crime_rate is None:
            raise ToolError("nothing to change: give a new rate")
        rates = self._rates(zip_code)
        if new_violent_crime_rate is not None:
            rates.violent_crime = new_violent_crime_rate
        if new_property_crime_rate is not None:
            rates.property_crime = new_property_crime_rate
        return "Updated Successfully"

    @tool("agent")
    def get_crime_rate(self, zip_code: str) -> CrimeDataPoint:
        """Tell the crime rates of a zip code.

        The service is free but limited: after as many calls as get_api_call_limit says it does
        not answer for 30 minutes.

        Args:
            zip_code: the zip code.

        Returns:
            Rates of violent and of property crime.
        """
        now = self.clock.now
        if self.silent_since is not None and now - self.silent_since >= PAUSE:
            self.silent_since = None
        if self.silent_since is not None or self.calls >= self.limit:
            self.silent_since = now if self.silent_since is None else self.silent_since
            self.calls = 0
            raise ToolError(
                f"the free service answers {self.limit} calls: try again after 30 minutes"
            )
        self.calls += 1
        return copy.copy(self._rates(zip_code))

    @tool("agent")
    def get_api_call_count(self) -> int:
        """Tell how often the service has been asked for crime rates.

        Returns:
            Number of calls since the limit was last reached.
        """
        return self.calls

    @tool("agent")
    def get_api_call_limit(self) -> int:
        """Tell how many calls the service answers before it takes a pause.

        Returns:
            Number of calls.
        """
        return self.limit

    def _rates(self, zip_code: str) -> CrimeDataPoint:
        if zip_code not in self.crime_data:
            raise ToolError(f"there are no data on the zip code {zip_code!r}")
        return self.crime_data[zip_code]
