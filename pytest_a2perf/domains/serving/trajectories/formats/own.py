"""The internal form, see `trajectories.store`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.trajectories.build import as_message, clean
from pytest_a2perf.domains.serving.trajectories.form import Form, first_object, records_of
from pytest_a2perf.domains.serving.trajectories.models import Session
from pytest_a2perf.domains.serving.trajectories.store import session_of

__all__ = ["FORM"]


def _detect(_: Path, head: bytes) -> bool:
    return {"schema", "id", "messages"} <= first_object(head).keys()


def _read(path: Path) -> Iterator[Session]:
    for record in records_of(path):
        with record.here():
            session = session_of(clean(record.data))
            if not all(turn.messages for turn in session.turns):
                raise TrajectoryError("a turn has no messages")
            yield replace(session, messages=tuple(map(as_message, session.messages)))


FORM = Form("own", _detect, _read)
