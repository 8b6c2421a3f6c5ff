"""What a load process writes: a row for each request, and its counts at the end."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from pytest_a2perf.domains.serving.client.answer import Answer
from pytest_a2perf.domains.serving.client.codec import dumps
from pytest_a2perf.domains.serving.replay.counts import Counts
from pytest_a2perf.domains.serving.replay.plan import COLUMNS

__all__ = ["RowWriter"]

_BEFORE = ("agent", "session", "run", "turn", "due")
_AFTER = ("wanted_tokens", "last_turn")
_of_answer = attrgetter(*COLUMNS[len(_BEFORE) : -len(_AFTER)])


class RowWriter:
    """Collects rows and appends them to a file.

    Args:
        path: of the file; what was in it is lost.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: PTH123, SIM115 - open until the end
        self._lines: list[bytes] = []
        self.gaps = Counts()

    def add(
        self, before: tuple[int | float, ...], answer: Answer, wanted: int, last_turn: bool
    ) -> None:
        """Add a request.

        Args:
            before: agent, session, run, turn, due.
            answer: what came of it.
            wanted: tokens that were asked for, or -1.
            last_turn: whether it ended its session.
        """
        row: list[Any] = [*before, *_of_answer(answer), wanted, int(last_turn)]
        self._lines.append(dumps(row))
        self.gaps.add(answer.gaps)

    def flush(self) -> None:
        """Write what was added."""
        if self._lines:
            self._file.write(b"\n".join(self._lines) + b"\n")
            self._lines.clear()

    def close(self, lag: Counts) -> None:
        """Write the last rows and the counts.

        Args:
            lag: seconds by which timers came late.
        """
        self._lines.append(dumps({"gaps": self.gaps.to_json(), "lag": lag.to_json()}))
        self.flush()
        self._file.close()
