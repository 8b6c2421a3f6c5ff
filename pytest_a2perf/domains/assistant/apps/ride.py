"""Rides of the cab."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

from pytest_a2perf.domains.assistant.apps.records import Number

__all__ = ["Ride"]


@dataclass
class Ride:
    """A ride, offered or booked.

    Attributes:
        status: None for an offer, then ``BOOKED`` and whatever becomes of it.
        duration: of the ride, in minutes.
        time_stamp: when it starts, in seconds since 1970.
        delay: until the cab comes, in minutes.
        delay_history: what was said about the delay, and when.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    ride_id: str | None = None
    status: str | None = None
    service_type: str | None = None
    start_location: str | None = None
    end_location: str | None = None
    price: Number | None = None
    duration: Number | None = None
    time_stamp: Number | None = None
    distance_km: Number | None = None
    delay: Number | None = None
    delay_history: list[dict[str, Any]] = field(default_factory=list)

    def note_delay(self) -> None:
        """Add the present delay to its history."""
        self.delay_history.append({"delay": self.delay, "time_stamp": self.time_stamp})

    def __str__(self) -> str:
        # Durations are divided by 60 although they are in minutes: agents of ARE see it so.
        lines = {
            "Ride ID": self.ride_id,
            "Status": self.status,
            "Service Type": self.service_type,
            "Start Location": self.start_location,
            "End Location": self.end_location,
            "Distance": f"{self.distance_km} kms",
            "Price": f"${'N/A' if self.price is None else format(self.price, '.2f')}",
            "Duration": f"{'N/A' if self.duration is None else self.duration / 60} mins",
            "Timestamp": self.time_stamp,
            "Delay": f"{'N/A' if self.delay is None else self.delay / 60} mins",
        }
        indent = " " * 8
        return "\n".join(["", *(f"{indent}{key}: {value}" for key, value in lines.items()), indent])
