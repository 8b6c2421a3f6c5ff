"""Journals of recordings that were killed, as a format of recorded sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.serving.recorder.journal import is_journal, read_journal
from pytest_a2perf.domains.serving.recorder.sessions import SOURCE, sessions_of
from pytest_a2perf.domains.serving.trajectories.form import Form, first_object
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORM"]


def _detect(_: Path, head: bytes) -> bool:
    return is_journal(first_object(head))


def _read(path: Path) -> Iterator[Session]:
    yield from sessions_of(read_journal(path), path.name.removesuffix(".journal").split(".")[0])


FORM = Form(SOURCE, _detect, _read)
