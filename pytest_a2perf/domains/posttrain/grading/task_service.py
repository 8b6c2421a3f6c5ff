"""Services of tasks, such as a judge or a search tool: a program that is asked by JSON lines.

It reads ``{"service": ..., "request": {...}, "left": ...}`` and prints a JSON object: the answer,
or ``{"error": "..."}``. An answer that stands for several calls says so by ``"calls": n``; ``left``
says how many there may be (null: any number).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

from pytest_a2perf.domains.posttrain.grading.channel import Channel, ChannelClosedError
from pytest_a2perf.domains.posttrain.grading.config import Place
from pytest_a2perf.domains.posttrain.grading.refusal import Refused
from pytest_a2perf.domains.posttrain.lines import append_line, read_lines
from pytest_a2perf.errors import InfraError

__all__ = ["TaskService"]

_ANSWERING = 60.0  # seconds
_KIND = "service"  # of lines of the log
_SHOWN = 2000  # characters of a request or an answer that are logged
_FREE = 1000  # lines of calls that cost nothing
_MOST = 50_000  # lines of calls that cost something, where there is no quota


class TaskService:
    """Passes calls on to the task's program, one at a time, within a quota, and logs them.

    All of it happens in one thread, so that neither the quota nor the log can be raced for.

    Args:
        place: where the program runs; it is started by the first call, and again after a crash.
        command: argument list.
        calls: quota; None: no limit.
        log: a JSON object a line; calls that an earlier process logged are counted.
        now: returns the seconds of the run, and those by the wall.
    """

    def __init__(
        self,
        place: Place,
        command: tuple[str, ...],
        calls: int | None,
        log: Path,
        now: Callable[[], tuple[float, float]],
    ) -> None:
        self._place = place
        self._command = command
        self._calls = calls
        self._log = log
        self._now = now
        logged = [entry["calls"] for entry in read_lines(log, _KIND)]
        self._used = sum(logged)
        self._lines = Counter(map(bool, logged))
        self._channel: Channel | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="task-service")

    @property
    def left(self) -> int | None:
        """Calls that are left."""
        return None if self._calls is None else max(0, self._calls - self._used)

    def call(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the program's answer.

        Raises:
            Refused: the quota is used up, the program refuses the request, or it does not answer.
        """
        return self._thread.submit(self._call, name, request).result()

    def close(self) -> None:
        """End the program; a call under way fails."""
        channel = self._channel
        if channel is not None:
            channel.stop()
        self._thread.submit(self._end)
        self._thread.shutdown()

    def _call(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        left = self.left
        if left == 0:
            raise Refused(f"all {self._calls} calls are used up", 429)
        begun, (at, clock) = monotonic(), self._now()
        try:
            line = json.dumps({"service": name, "request": request, "left": left})
        except RecursionError:
            raise Refused("the request is too deep") from None
        try:
            if self._channel is None:
                self._channel = Channel(self._place, self._command)
            self._channel.send(line)
            answer = dict(json.loads(self._channel.line(_ANSWERING, 8 << 20)))
        except (InfraError, ChannelClosedError, ValueError, TypeError, RecursionError) as error:
            self._end()
            answer = {"error": f"the service broke: {type(error).__name__}", "calls": 0}
            status = 503
        else:
            status = 400
        calls = answer.pop("calls", 1)
        if type(calls) is not int or calls < 0:
            calls = 1
        self._used += calls
        entry = {
            "kind": _KIND,
            "service": name,
            "at": at,
            "clock": clock,
            "calls": calls,
            "seconds": monotonic() - begun,
            "request": json.dumps(request)[:_SHOWN],
            "answer": json.dumps(answer)[:_SHOWN],
            "failed": "error" in answer,
        }
        self._write_down(entry)
        if "error" in answer:
            raise Refused(str(answer["error"])[:_SHOWN], status, 1.0 if status == 503 else None)
        return {**answer, "calls": calls, "remaining_calls": self.left}

    def _write_down(self, entry: dict[str, Any]) -> None:
        """Log a call; of those that no quota ends, only so many, and that there were more."""
        costs = entry["calls"] > 0
        self._lines[costs] += 1
        most = _MOST if costs else _FREE
        beyond = self._lines[costs] - most
        if beyond > 0 and not (costs and self._calls is not None):
            text = f"more than {most} such calls: further ones are not written down"
            entry = {**entry, "request": "", "answer": text}
            if beyond > 1:
                return
        append_line(self._log, entry)

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
