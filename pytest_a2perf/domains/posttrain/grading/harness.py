"""The service's line to the harness: events on standard output, answers on standard input."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from pytest_a2perf.processes import write_all

__all__ = ["Harness"]

_ANSWERING = 60.0  # seconds; a commit of a large workspace may take some


class Harness:
    """Tells the harness what happens, and asks it what only it knows.

    Args:
        ended: is called once when the harness is gone, or wants the service to end.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._writing = threading.Lock()
        self._asking = threading.Lock()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._asked = 0

    def listen(self) -> None:
        """Begin to read answers."""
        threading.Thread(target=self._read, daemon=True, name="harness").start()

    def tell(self, event: str, **data: Any) -> None:
        """Report an event; a harness that is gone misses it."""
        line = json.dumps({"event": event, **data}).encode() + b"\n"
        with self._writing:
            try:
                write_all(sys.stdout.fileno(), line)
            except OSError:
                return

    def moment(self, message: str) -> tuple[float, str]:
        """Return the CPU seconds of the agent, and the commit made of the workspace.

        Args:
            message: of the commit; empty: none is made.

        Returns:
            Zero and nothing, where the harness does not answer.
        """
        with self._asking:
            self._asked += 1
            self.tell("moment", id=self._asked, message=message)
            try:
                while True:
                    answer = self._answers.get(timeout=_ANSWERING)
                    if answer.get("id") == self._asked:
                        return float(answer["cpu"]), str(answer["commit"])
            except (queue.Empty, KeyError, TypeError, ValueError):
                return 0.0, ""

    def _read(self) -> None:
        for line in sys.stdin:
            try:
                self._answers.put(dict(json.loads(line)))
            except (ValueError, TypeError):
                continue
        self._ended()
