"""The cab: quotations, one ride at a time, and the history of rides."""

from __future__ import annotations

import copy
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.records import Number, records
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.apps.ride import Ride
from pytest_a2perf.domains.assistant.apps.times import seconds_of, text_of
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["CabApp"]

STATUSES = ("DELAYED", "IN_PROGRESS", "ARRIVED_AT_PICKUP")

SERVICES: dict[str, dict[str, Number]] = {
    "Default": {"nb_seats": 4, "price_per_km": 1.0, "base_delay_min": 5, "max_distance_km": 25},
    "Premium": {"nb_seats": 4, "price_per_km": 2.0, "base_delay_min": 3, "max_distance_km": 25},
    "Van": {"nb_seats": 6, "price_per_km": 1.5, "base_delay_min": 7, "max_distance_km": 25},
}


class CabApp(App):
    """A cab service with one customer, who has at most one ride at a time."""

    classes = ("CabApp",)

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.services = copy.deepcopy(SERVICES)
        self.quotations: list[Ride] = []
        self.rides: list[Ride] = []
        self.ongoing: Ride | None = None

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.rides = records(list[Ride], state, "ride_history")
        self.quotations = records(list[Ride], state, "quotation_history")
        self.services = records(dict[str, dict[str, Number]], state, "d_service_config")
        self.ongoing = None
        for ride in [*self.rides, *self.quotations]:
            ride.ride_id = ride.ride_id or self.new_id()

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {
            "ride_history": plain(self.rides),
            "quotation_history": plain(self.quotations),
            "d_service_config": plain(self.services),
        }

    @tool(write=True)
    def add_new_ride(  # noqa: PLR0917 - the order of ARE
        self,
        service_type: str,
        start_location: str,
        end_location: str,
        price: float,
        duration: float = 0.0,
        time_stamp: float = 0.0,
        distance_km: float = 0.0,
    ) -> str:
        """Add a ride to the history; its price and distance hold for later quotations.

        Args:
            service_type: "Default", "Premium" or "Van".
            start_location: where it begins.
            end_location: where it ends.
            price: of the ride.
            duration: in minutes.
            time_stamp: when it begins, in seconds since 1970.
            distance_km: its length in kilometres.

        Returns:
            Id of the ride.
        """
        ride = Ride(
            self.new_id(), "BOOKED", service_type, start_location, end_location,
            price, duration, time_stamp, distance_km,
        )  # fmt: skip
        self.rides.append(ride)
        self.quotations.append(ride)
        return ride.ride_id or ""

    @tool("agent")
    def get_quotation(
        self,
        start_location: str,
        end_location: str,
        service_type: str,
        ride_time: str | None = None,
    ) -> Ride:
        """Ask what a ride would cost, how long it would take and when a cab could come.

        Args:
            start_location: where the ride begins.
            end_location: where it ends.
            service_type: "Default", "Premium" or "Van".
            ride_time: when it begins, as YYYY-MM-DD HH:MM:SS in UTC; None: now.

        Returns:
            The ride that is offered.
        """
        ride = self._quote(start_location, end_location, service_type, ride_time)
        return copy.deepcopy(ride)

    @tool("agent")
    def list_rides(
        self, start_location: str, end_location: str, ride_time: str | None = None
    ) -> list[Ride]:
        """Ask what a ride would cost with each type of service.

        Args:
            start_location: where the ride begins.
            end_location: where it ends.
            ride_time: when it begins, as YYYY-MM-DD HH:MM:SS in UTC; None: now.

        Returns:
            The rides that are offered, one for each type of service.
        """
        self._start(ride_time)
        return [
            copy.deepcopy(self._quote(start_location, end_location, service, ride_time))
            for service in self.services
        ]

    @tool("agent", write=True)
    def order_ride(
        self,
        start_location: str,
        end_location: str,
        service_type: str,
        ride_time: str | None = None,
    ) -> Ride:
        """Book a ride. There can be only one at a time.

        Args:
            start_location: where the ride begins.
            end_location: where it ends.
            service_type: "Default", "Premium" or "Van".
            ride_time: when it begins, as YYYY-MM-DD HH:MM:SS in UTC; None: now.

        Returns:
            The ride that is booked.
        """
        if self.ongoing is not None:
            raise ToolError("there is a ride already: it must end or be cancelled first")
        ride = self._quote(start_location, end_location, service_type, ride_time)
        ride.status = "BOOKED"
        ride.note_delay()
        self.rides.append(ride)
        self.ongoing = ride
        return copy.deepcopy(ride)

    @tool("env", write=True)
    def cancel_ride(self, who_cancel: str = "driver", message: str | None = None) -> str:
        """Cancel the present ride.

        Args:
            who_cancel: "driver" or "user".
            message: what the user is told; None: an apology.

        Returns:
            What the user is told.
        """
        if who_cancel not in {"driver", "user"}:
            raise ToolError(f"a ride is cancelled by 'driver' or 'user', not {who_cancel!r}")
        self._present().status = "CANCELLED"
        self.ongoing = None
        return message or "The ride has been cancelled. Sorry for the inconvenience."

    @tool("agent", write=True)
    def user_cancel_ride(self) -> str:
        """Cancel the present ride.

        Returns:
            That it is cancelled.
        """
        return self.cancel_ride("user", "Ride has been cancelled, sorry to see you go.")

    @tool("env", write=True)
    def end_ride(self) -> str:
        """End the present ride.

        Returns:
            That it is completed.
        """
        self._present().status = "COMPLETED"
        self.ongoing = None
        return "Ride has been completed."

    @tool("env", write=True)
    def update_ride_status(self, status: str, message: str | None = None) -> str:
        """Change the status of the present ride.

        Args:
            status: "DELAYED", "IN_PROGRESS" or "ARRIVED_AT_PICKUP".
            message: of the driver, if any.

        Returns:
            The new status, and the message.
        """
        if status not in STATUSES:
            raise ToolError(f"{status!r} is no status of a ride; valid: {', '.join(STATUSES)}")
        self._present().status = status
        text = f"Ride status has been updated to {status}."
        return f"{text} Message from your driver: {message}" if message else text

    @tool("agent")
    def get_current_ride_status(self) -> Ride:
        """Show the present ride, and how late it is.

        Returns:
            The ride.
        """
        ride = self.ongoing
        if ride is None:
            raise ToolError("no ride has been ordered")
        if ride.time_stamp is None or ride.delay is None:
            raise ToolError("the ride has no time or no delay")
        passed = self.clock.now - ride.time_stamp
        ride.delay = min(0, ride.delay - passed * (1 + self.rng.uniform(-1.5, 1)))
        ride.note_delay()
        return copy.deepcopy(ride)

    @tool("agent")
    def get_ride(self, idx: int) -> Ride:
        """Show a ride of the history.

        Args:
            idx: its number; 0 is the first ride.

        Returns:
            The ride.
        """
        if not 0 <= idx < len(self.rides):
            raise ToolError(f"there is no ride {idx}: the history has {len(self.rides)}")
        return copy.deepcopy(self.rides[idx])

    @tool("agent")
    def get_ride_history(self, offset: int = 0, limit: int = 10) -> dict[str, Any]:
        """List the rides of the history, a page at a time.

        Args:
            offset: how many rides to skip.
            limit: how many rides to list at most.

        Returns:
            A dictionary: "rides" maps numbers to rides; the "range" listed; the "total" number.
        """
        total = len(self.rides)
        page = copy.deepcopy(self.rides[offset : offset + limit])
        return {
            "rides": dict(enumerate(page, start=offset)),
            "range": (offset, min(offset + limit, total)),
            "total": total,
        }

    @tool("agent")
    def get_ride_history_length(self) -> int:
        """Count the rides of the history.

        Returns:
            Their number.
        """
        return len(self.rides)

    def _present(self) -> Ride:
        if self.ongoing is None:
            raise ToolError("there is no ride at present")
        if self.ongoing != self.rides[-1]:
            raise ToolError("the present ride is not the last of the history")
        return self.ongoing

    def _start(self, ride_time: str | None) -> float:
        # Whole seconds, as in times that are given.
        return seconds_of(text_of(self.clock.now) if ride_time is None else ride_time)

    def _quote(self, start: str, end: str, service: str, ride_time: str | None) -> Ride:
        time = self._start(ride_time)
        if service not in self.services:
            raise ToolError(f"there is no service {service!r}; valid: {', '.join(self.services)}")
        config = self.services[service]
        distance = self._distance(start, end)
        if distance > config["max_distance_km"]:
            raise ToolError(f"{distance} km are too far for {service!r}")
        ride = Ride(service_type=service, start_location=start, end_location=end)
        ride.time_stamp, ride.distance_km = time, distance
        ride.price = self._price(ride, config["price_per_km"])
        ride.delay = config["base_delay_min"] + self.rng.randint(1, 5)
        # At 50 km/h, and some time for traffic.
        ride.duration = distance / 50 * 60 + 10 * self.rng.random()
        ride.ride_id = self.new_id()
        self.quotations.append(ride)
        return ride

    def _distance(self, start: str, end: str) -> Number:
        for ride in self.quotations:
            if (ride.start_location, ride.end_location) == (start, end):
                if ride.distance_km:
                    return ride.distance_km
                break
        return self.rng.uniform(5, 20)

    def _price(self, ride: Ride, per_km: Number) -> Number:
        """Vary the price of the first such quotation, more so when it is old."""
        assert ride.time_stamp is not None
        assert ride.distance_km is not None
        route = (ride.start_location, ride.end_location, ride.service_type)
        for old in self.quotations:
            if (old.start_location, old.end_location, old.service_type) == route:
                if not old.price or old.time_stamp is None:
                    break
                spread = min(max(0.01 * (ride.time_stamp - old.time_stamp) / 3600, 0.5), 1.5)
                return old.price * (1 + self.rng.uniform(-spread, spread))
        return ride.distance_km * per_km
