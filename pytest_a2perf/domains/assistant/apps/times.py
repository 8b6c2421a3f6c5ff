"""Times as apps take and show them: seconds since 1970 inside, text in UTC outside."""

from __future__ import annotations

from datetime import UTC, datetime

from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["FORMAT", "date_of", "seconds_of", "text_of"]

FORMAT = "%Y-%m-%d %H:%M:%S"


def date_of(seconds: float) -> datetime:
    """Return a time as a date, in UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def text_of(seconds: float, form: str = FORMAT) -> str:
    """Return a time as text, in UTC."""
    return date_of(seconds).strftime(form)


def seconds_of(text: str) -> float:
    """Return the time that a text stands for.

    Raises:
        ToolError: it does not have the form ``YYYY-MM-DD HH:MM:SS``.
    """
    try:
        return datetime.strptime(text, FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ToolError(f"{text!r} is no time of the form YYYY-MM-DD HH:MM:SS") from None
