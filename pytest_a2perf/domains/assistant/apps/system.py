"""The app that knows the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator

from pytest_a2perf.domains.assistant.apps.app import App, Clock, tool
from pytest_a2perf.domains.assistant.apps.times import text_of
from pytest_a2perf.domains.assistant.errors import ToolError

__all__ = ["SystemApp"]


def _whole(value: Any) -> int:
    """Take what stands for a number of seconds: agents write ``"60"`` and ``60.0`` as well."""
    if not isinstance(value, int | float | str):
        raise ValueError("a number of seconds")  # noqa: TRY004 - pydantic does not catch the other
    try:
        return int(value)
    except (OverflowError, ValueError):
        raise ValueError("a number of seconds") from None


class SystemApp(App):
    """Time, and waiting.

    Attributes:
        wait: called with a number of seconds when the agent wants to wait for what is new.
    """

    classes = ("SystemApp",)

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.wait: Callable[[float], Any] | None = None

    @tool("agent")
    def get_current_time(self) -> dict[str, Any]:
        """Tell the present date, time (UTC) and weekday.

        Returns:
            A dictionary: "current_timestamp" in seconds since 1970, "current_datetime" as
            YYYY-MM-DD HH:MM:SS, "current_weekday" as the English name.
        """
        now = self.clock.now
        return {
            "current_timestamp": now,
            "current_datetime": text_of(now),
            "current_weekday": text_of(now, "%A"),
        }

    @tool("agent")
    def wait_for_notification(self, timeout: Annotated[int, BeforeValidator(_whole)] = 0) -> None:
        """Wait until something new arrives (e.g. a mail, or a message of the user) or time is up.

        Use it only when there is nothing else to do.

        Args:
            timeout: seconds to wait at most.
        """
        if timeout < 0:
            raise ToolError(f"cannot wait {timeout} s: the timeout must not be negative")
        if self.wait is not None:
            self.wait(timeout)
