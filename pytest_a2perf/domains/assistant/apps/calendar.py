"""The user's calendar."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.results import plain
from pytest_a2perf.domains.assistant.apps.state import at, part
from pytest_a2perf.domains.assistant.apps.times import date_of, seconds_of, text_of
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["CalendarApp", "CalendarEvent"]

_SHOWN = "%A, %Y-%m-%d %H:%M:%S"
_HOUR = 3600


@dataclass
class CalendarEvent:
    """An entry of the calendar.

    Attributes:
        start_datetime: in seconds since 1970, like ``end_datetime``.
        attendees: their full names.
        start_strftime: the start as text, like ``end_strftime``.
    """

    event_id: str = ""
    title: str = "Event"
    start_datetime: float = 0.0
    end_datetime: float = 0.0
    tag: str | None = None
    description: str | None = None
    location: str | None = None
    attendees: list[str] = field(default_factory=list)
    start_strftime: str | None = None
    end_strftime: str | None = None

    def __post_init__(self) -> None:
        """Check the times, and put them into words.

        Raises:
            ToolError: it ends before it starts, or a time is no number.
        """
        for name in ("start_datetime", "end_datetime"):
            value = getattr(self, name)
            if not isinstance(value, int | float):
                raise ToolError(f"{name!r} should be in seconds since 1970, not {value!r}")
        if self.start_datetime > self.end_datetime:
            raise ToolError("an event cannot end before it starts")
        self.start_strftime = text_of(self.start_datetime, _SHOWN)
        self.end_strftime = text_of(self.end_datetime, _SHOWN)

    def __str__(self) -> str:
        return "\n".join(
            (
                f"EventID: {self.event_id}",
                f"Title: {self.title}",
                f"Start: {date_of(self.start_datetime)}",
                f"End: {date_of(self.end_datetime)}",
                f"Tag: {self.tag}",
                f"Description: {self.description}",
                f"Location: {self.location}",
                f"Attendees: {', '.join(self.attendees)}",
            )
        )

    def mentions(self, query: str) -> bool:
        """Return whether a text in small letters occurs, in any case, in what matters of it."""
        texts = (self.title, self.description, self.location, *self.attendees)
        return any(query in text.lower() for text in texts if text is not None)


class CalendarApp(App):
    """The user's calendar.

    Attributes:
        events: by id.
    """

    classes = ("CalendarApp", "Calendar")

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.events: dict[str, CalendarEvent] = {}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`."""
        self.events = {}
        for key, data in part(state, "events", {}).items():
            with at(f"events.{key}"):
                self.events[key] = self._event(data)

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`."""
        return {"events": plain(self.events)}

    @tool("agent", write=True)
    def add_calendar_event(  # noqa: PLR0917
        self,
        title: str = "Event",
        start_datetime: str | None = None,
        end_datetime: str | None = None,
        tag: str | None = None,
        description: str | None = None,
        location: str | None = None,
        attendees: list[str] | None = None,
    ) -> str:
        """Add an event to the calendar. Weeks go from Monday to Sunday unless the task differs.

        Args:
            title: what it is.
            start_datetime: when it starts, as YYYY-MM-DD HH:MM:SS; now, unless given.
            end_datetime: when it ends, as YYYY-MM-DD HH:MM:SS; in an hour, unless given.
            tag: word by which to find it with others.
            description: what there is to say of it.
            location: where it is.
            attendees: full names of those who take part.

        Returns:
            Id of the event.
        """
        event = CalendarEvent(
            event_id=self.new_id(),
            title=title,
            start_datetime=self._time(start_datetime, 0),
            end_datetime=self._time(end_datetime, _HOUR),
            tag=tag,
            description=description,
            location=location,
            attendees=attendees or [],
        )
        self.events[event.event_id] = event
        return event.event_id

    @tool("env", write=True)
    def add_calendar_event_by_attendee(  # noqa: PLR0917
        self,
        who_add: str,
        title: str = "Event",
        start_datetime: str | None = None,
        end_datetime: str | None = None,
        tag: str | None = None,
        description: str | None = None,
        location: str | None = None,
        attendees: list[str] | None = None,
    ) -> str:
        """Let somebody else add an event to the user's calendar, and take part in it.

        Args:
            who_add: full name of who adds it; title and description will say so.
            title: what it is.
            start_datetime: when it starts, as YYYY-MM-DD HH:MM:SS; now, unless given.
            end_datetime: when it ends, as YYYY-MM-DD HH:MM:SS; in an hour, unless given.
            tag: word by which to find it with others.
            description: what there is to say of it.
            location: where it is.
            attendees: full names of those who take part.

        Returns:
            Id of the event.
        """
        others = attendees or []
        made = f"Event created by {who_add}"
        return self.add_calendar_event(
            title=f"{made}: {title}",
            start_datetime=start_datetime,
            end_datetime=end_datetime,
            tag=tag,
            description=f"{made}: {description}" if description else made,
            location=location,
            attendees=others if who_add in others else [*others, who_add],
        )

    @tool(write=True)
    def set_calendar_event(self, event: dict[str, Any]) -> None:
        """Put an event into the calendar, in the place of one with the same id.

        Args:
            event: its fields as a calendar's state has them, times in seconds since 1970.
        """
        try:
            new = self._event(event)
        except TypeError as error:
            raise ToolError(f"no event of a calendar: {error}") from None
        self.events[new.event_id] = new

    @tool("agent")
    def get_calendar_event(self, event_id: str) -> CalendarEvent:
        """Show an event.

        Args:
            event_id: id of the event.

        Returns:
            All that is known of it.
        """
        return self._get(event_id)

    @tool("env", write=True)
    def delete_calendar_event_by_attendee(self, event_id: str, who_delete: str) -> str:
        """Let somebody who takes part in an event remove it from the user's calendar.

        Args:
            event_id: id of the event.
            who_delete: full name of who removes it, one of the attendees.

        Returns:
            Confirmation.
        """
        if who_delete not in self._get(event_id).attendees:
            raise ToolError(f"{who_delete} does not take part in event {event_id}")
        del self.events[event_id]
        return f"Event {event_id} successfully deleted by {who_delete}."

    @tool("agent", write=True)
    def delete_calendar_event(self, event_id: str) -> str:
        """Remove an event from the calendar.

        Args:
            event_id: id of the event.

        Returns:
            Confirmation.
        """
        self._get(event_id)
        del self.events[event_id]
        return f"Event {event_id} successfully deleted."

    @tool("agent")
    def get_calendar_events_from_to(
        self, start_datetime: str, end_datetime: str, offset: int = 0, limit: int = 10
    ) -> dict[str, Any]:
        """List the events that take place, even in part, in a span of time.

        An event that only ends when the span starts, or starts when it ends, does not count.
        Weeks go from Monday to Sunday unless the task differs.

        Args:
            start_datetime: start of the span, as YYYY-MM-DD HH:MM:SS.
            end_datetime: end of the span, as YYYY-MM-DD HH:MM:SS.
            offset: how many events to skip.
            limit: how many events to list at most.

        Returns:
            The events, the range of positions that they have, and how many the span has in all.
        """
        start, end = seconds_of(start_datetime), seconds_of(end_datetime)
        if start > end:
            raise ToolError("a span cannot end before it starts")
        events = [
            event
            for event in self.events.values()
            if event.start_datetime < end and event.end_datetime > start
        ]
        last = offset + limit
        return {
            "events": events[offset:last],
            "range": (offset, min(last, len(events))),
            "total": len(events),
        }

    @tool("agent")
    def read_today_calendar_events(self) -> dict[str, Any]:
        """List today's events (the first ten of them).

        Returns:
            The events, the range of positions that they have, and how many there are today.
        """
        today = date_of(self.clock.now).replace(hour=0, minute=0, second=0, microsecond=0)
        tomorrow = today + timedelta(days=1)
        return self.get_calendar_events_from_to(
            text_of(today.timestamp()), text_of(tomorrow.timestamp())
        )

    @tool("agent")
    def get_all_tags(self) -> list[str]:
        """List the tags that events have.

        Returns:
            The tags, each once.
        """
        return list(dict.fromkeys(event.tag for event in self.events.values() if event.tag))

    @tool("agent")
    def get_calendar_events_by_tag(self, tag: str) -> list[CalendarEvent]:
        """List the events with a tag.

        Args:
            tag: the tag, exactly as it is written.

        Returns:
            The events.
        """
        if not tag:
            raise ToolError("say which tag: 'tag' is empty")
        return [event for event in self.events.values() if event.tag == tag]

    @tool("agent")
    def search_events(self, query: str) -> list[CalendarEvent]:
        """Find the events in whose title, description, location or attendees a text occurs.

        Args:
            query: what to look for; capitals make no difference.

        Returns:
            The events.
        """
        words = query.lower()
        return [event for event in self.events.values() if event.mentions(words)]

    def _time(self, text: str | None, later: int) -> float:
        """Return a time; by default whole seconds, some time from now."""
        return float(int(self.clock.now) + later) if text is None else seconds_of(text)

    def _event(self, data: dict[str, Any]) -> CalendarEvent:
        """Return an event from a state."""
        now = self.clock.now
        event = CalendarEvent(**{"start_datetime": now, "end_datetime": now + _HOUR, **data})
        event.event_id = event.event_id or self.new_id()
        return event

    def _get(self, event_id: str) -> CalendarEvent:
        if event_id not in self.events:
            raise ToolError(f"there is no event with id {event_id!r}")
        return self.events[event_id]
