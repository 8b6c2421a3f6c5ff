"""From a log of what was said, and when, to the turns of a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder
from pytest_a2perf.domains.serving.trajectories.form import Record
from pytest_a2perf.domains.serving.trajectories.formats.chat import call_names
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["Conversation"]


class Conversation:
    """A session that is told message by message.

    Each reply makes a turn; its input is what was said before. The time from the end of a reply
    to the next request is the tools' where something other than a person's message lies between,
    and the person's from the last such thing on. Times that are missing, or run backwards, make
    pauses of 0 and no durations.

    Args:
        session_id: of the session.
        source: name of the format.
        parent: id of the session that started this one.

    Attributes:
        history: what the next request sends. An agent that rewrites its history replaces it.
        heard: when the last input since the last reply came, in seconds; None where unknown.
        model: that was recorded.
        tools: declarations in OpenAI's form.
    """

    def __init__(self, session_id: str, *, source: str, parent: str = "") -> None:
        self.history: list[Message] = []
        self.model = ""
        self.tools: Sequence[Mapping[str, Any]] = ()
        self._builder = SessionBuilder(session_id, source=source, parent=parent)
        self._turn: tuple[list[Message], dict[str, Any], Record] | None = None
        self._ended: float | None = None
        self.heard: float | None = None
        self._tools_ended: float | None = None
        self._person = self._tools = False

    def hear(self, message: Message, at: float | None = None, *, person: bool = False) -> None:
        """Add something that the next request sends.

        Args:
            message: of a system, a person or a tool.
            at: when it came, in seconds.
            person: whether a human wrote it.
        """
        self.history.append(message)
        self.wait(at, person=person)

    def wait(self, at: float | None, *, person: bool = False) -> None:
        """Note when something came that the next request waits for."""
        self.heard = _later(self.heard, at)
        self._person |= person
        if not person:
            self._tools = True
            self._tools_ended = _later(self._tools_ended, at)

    def reply(
        self,
        message: Message,
        record: Record,
        *,
        began: float | None = None,
        ended: float | None = None,
        prompt_tokens: int | None = None,
        output_tokens: int | None = None,
        duration: float | None = None,
        sent: list[Message] | None = None,
    ) -> None:
        """Add a reply, which completes a turn.

        Args:
            message: the reply.
            record: where it stands, for errors.
            began: when the request was sent, in seconds; None: when the last input came.
            ended: when the reply was complete, in seconds.
            prompt_tokens: recorded length of the input.
            output_tokens: recorded length of the reply, reasoning included.
            duration: seconds that the reply took; None: from ``began`` to ``ended``.
            sent: the input; None: the history.
        """
        began = self.heard if began is None else began
        if duration is None and began is not None and ended is not None and ended > began:
            duration = ended - began
        self._close(began)
        fields = {
            "prompt_tokens": prompt_tokens,
            "output_tokens": output_tokens,
            "duration": duration,
            "calls": call_names(message),
        }
        self._turn = (list(self.history) if sent is None else sent, fields, record)
        self._ended = ended
        self.heard = self._tools_ended = None
        self._person = self._tools = False
        self.history.append(message)

    def session(self) -> Session | None:
        """Return the session, or None where nothing was replied.

        Raises:
            TrajectoryError: something that was said is no message, or a tool no declaration.
        """
        last = self._turn
        self._close(None)
        if last is None:
            return None
        self._builder.model, self._builder.tools = self.model, self.tools
        try:
            return self._builder.session()
        except TrajectoryError as error:
            raise last[2].error(f"the session up to here: {error}") from None

    def _close(self, began: float | None) -> None:
        if self._turn is None:
            return
        sent, fields, record = self._turn
        tool_delay, think_time = self._pause(began)
        try:
            self._builder.turn(sent, tool_delay=tool_delay, think_time=think_time, **fields)
        except TrajectoryError as error:
            raise record.error(str(error)) from None
        self._turn = None

    def _pause(self, began: float | None) -> tuple[float, float]:
        if began is None or self._ended is None:
            return 0.0, 0.0
        pause = max(0.0, began - self._ended)
        if not self._person:
            return (pause, 0.0) if self._tools else (0.0, 0.0)
        if not self._tools:
            return 0.0, pause
        until = self._ended if self._tools_ended is None else self._tools_ended
        tools = min(pause, max(0.0, until - self._ended))
        return tools, pause - tools


def _later(one: float | None, other: float | None) -> float | None:
    return max((at for at in (one, other) if at is not None), default=None)
