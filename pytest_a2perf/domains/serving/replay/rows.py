"""The requests of a level as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_a2perf.domains.serving.replay.plan import COLUMNS

__all__ = ["Floats", "Rows"]

Floats = NDArray[np.float64]

_TEXTS = ("counted", "finish", "failure", "error")


@dataclass(frozen=True)
class Rows:
    """Requests, one an entry of each column; see `COLUMNS`.

    Attributes:
        columns: arrays of shape ``(n,)``: floats, or texts for counted, finish, failure and error.
    """

    columns: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Rows:
        """Make columns of rows in the order of `COLUMNS`."""
        parts = list(zip(*rows, strict=True)) if rows else [()] * len(COLUMNS)
        return cls(
            {
                name: np.array(part, dtype=object if name in _TEXTS else float)
                for name, part in zip(COLUMNS, parts, strict=True)
            }
        )

    def __len__(self) -> int:
        return len(self.columns["due"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def where(self, chosen: NDArray[Any]) -> Rows:
        """Return some of the rows, by a mask or indexes."""
        return Rows({name: column[chosen] for name, column in self.columns.items()})

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Return all rows of several, one after the other."""
        if not parts:
            return cls.of([])
        return cls({name: np.concatenate([part[name] for part in parts]) for name in COLUMNS})

    @classmethod
    def unserved(cls, sessions: int, due: float) -> Rows:
        """Return a failed request for each session of an open loop that could not begin."""
        blank: dict[str, Any] = dict.fromkeys(COLUMNS, 0.0) | dict.fromkeys(_TEXTS, "")
        for name in ("prompt", "cached", "output", "reasoning", "accepted", "rejected", "wanted"):
            blank[f"{name}_tokens"] = -1.0
        blank |= {"agent": -1.0, "due": due, "sent": due, "ended": due, "failure": "not begun"}
        return cls.of([[*(blank | {"run": float(n)}).values()] for n in range(sessions)])

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which requests failed."""
        return np.asarray(self["failure"] != "", dtype=bool)

    @property
    def lead(self) -> Floats:
        """Seconds by which each was sent late: what the client itself took, connecting left out."""
        late: Floats = self["sent"] - self["due"] - self["connecting"]
        return np.maximum(late, 0.0)

    @property
    def ttft(self) -> Floats:
        """Seconds to the first token, reasoning included; infinite where none came.

        From when the agent wanted to send, so that a late client shows, without the time that a
        new connection took.
        """
        taken = self["first"] - self["due"] - self["connecting"]
        return np.where(self.failed | (self["first"] <= 0), np.inf, taken)

    @property
    def output_speed(self) -> Floats:
        """Tokens a second after the first, of each request: ``(tokens - 1) / (last - first)``.

        0 where a request failed, NaN where fewer than two tokens or a single read say nothing.
        """
        span = self["last"] - self["first"]
        told = (self["output_tokens"] >= 2) & (span > 0)
        speed = np.divide(
            self["output_tokens"] - 1, span, out=np.full(len(self), np.nan), where=told
        )
        return np.where(self.failed, 0.0, speed)

    @property
    def turn(self) -> Floats:
        """Seconds from when the agent wanted to send to the end of the reply."""
        taken = self["ended"] - self["due"] - self["connecting"]
        return np.where(self.failed, np.inf, taken)

    @property
    def e2e_speed(self) -> Floats:
        """Tokens a second over the whole request, the wait included; 0 where it failed."""
        told = self["output_tokens"] > 0
        speed = np.divide(
            self["output_tokens"], self.turn, out=np.full(len(self), np.nan), where=told
        )
        return np.where(self.failed, 0.0, speed)
